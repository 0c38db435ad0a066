"""Posts for guards."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .posts import Post


@pytest.fixture
def new_post(tmp_path: Path, redis_url: str) -> Iterator[Callable[..., Post]]:
    """Makes a `Post`; ``url=`` for another server than the session's."""
    made: list[Post] = []

    def make(url: str = redis_url, **orders: object) -> Post:
        made.append(Post(tmp_path, url, **orders))
        return made[-1]

    yield make
    for post in made:
        post.leave()


@pytest.fixture
def post(new_post: Callable[..., Post]) -> Post:
    """A guard at work."""
    post = new_post()
    post.man()
    return post
