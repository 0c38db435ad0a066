from hypothesis import given
from hypothesis import strategies as st
from orchestrator.protocol.digests import (
    KEPT_DIGESTS,
    digest,
    has_digest,
    is_digest,
    kept_digests,
    stamped_digest,
)

some = st.lists(st.integers(0, 30).map(lambda n: f"{n:027x}"), max_size=12)


def test_a_digest_has_16_characters_and_is_of_the_very_bytes() -> None:
    assert len(digest(b"a")) == 16
    assert digest(b"a") == digest(b"a") != digest(b"a ")


def test_stamped_digests_sort_by_time() -> None:
    early, late = stamped_digest(b"b", 999.999), stamped_digest(b"a", 1_000.0)

    assert early < late < stamped_digest(b"a", 4e9)
    assert late[:11] == f"{1_000_000:011x}"
    assert is_digest(late)


def test_what_was_published_is_known_whenever_it_was() -> None:
    kept = (stamped_digest(b"a", 1.0), stamped_digest(b"b", 2.0))

    assert has_digest(kept, b"a")
    assert has_digest(kept, b"b")
    assert not has_digest(kept, b"c")
    assert not has_digest((), b"a")


def test_other_texts_are_no_digests() -> None:
    good = stamped_digest(b"a", 1.0)

    assert not any(map(is_digest, ["", good[1:], good + "0", good.upper() + "x", good + "\n"]))


def test_the_first_and_the_newest_three_are_kept() -> None:
    assert KEPT_DIGESTS == 4
    assert kept_digests("badc") == ("a", "b", "c", "d")
    assert kept_digests("fbadcea") == ("a", "d", "e", "f")


@given(some, some)
def test_what_is_kept_does_not_depend_on_the_order_of_unions(a: list[str], b: list[str]) -> None:
    whole = kept_digests([*a, *b])

    assert kept_digests([*kept_digests(a), *b]) == whole
    assert kept_digests([*b, *kept_digests(a)]) == whole
    assert kept_digests(whole) == whole
