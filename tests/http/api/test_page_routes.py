from pathlib import Path

import pytest
from orchestrator.http.api.page_routes import FOLDER, PageRoutes, served_bytes
from orchestrator.http.errors import NotFound
from orchestrator.http.requests import Call

from ..conftest import Served


def call(**environ: str) -> Call:
    return Call(environ, "id", {}, None, None)


def test_the_root_is_the_dashboard(served: Served) -> None:
    reply = served.get("/")

    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    assert reply.body == served_bytes(FOLDER / "index.html")


def test_the_reference_is_at_docs(served: Served) -> None:
    reply = served.get("/docs")

    assert reply.status == 200
    assert reply.body == served_bytes(FOLDER / "reference" / "index.html")
    assert "script-src 'self';" in reply.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("app.js", "text/javascript; charset=utf-8"),
        ("tokens.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
        ("panels/killswitch.js", "text/javascript; charset=utf-8"),
    ],
)
def test_its_files_have_their_types(served: Served, name: str, kind: str) -> None:
    reply = served.get(f"/dashboard/{name}")

    assert reply.status == 200
    assert reply.headers["Content-Type"] == kind
    assert reply.headers["X-Content-Type-Options"] == "nosniff"


def test_browsers_are_told_to_run_nothing_but_the_pages_own_scripts(served: Served) -> None:
    headers = served.get("/").headers

    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_an_unchanged_file_is_not_sent_again(served: Served) -> None:
    etag = served.get("/dashboard/app.js").headers["ETag"]

    reply = served.get("/dashboard/app.js", If_None_Match=f'"other", W/{etag}')

    assert reply.status == 304
    assert reply.body == b""
    assert reply.headers["ETag"] == etag


@pytest.mark.parametrize(
    "path",
    [
        "/dashboard/",
        "/dashboard/nothing.js",
        "/dashboard/../api.py",
        "/dashboard/..%2fapi.py",
        "/dashboard/%2e%2e/server.py",
        "/dashboard/panels/../../api.py",
        "/dashboard//etc/passwd",
        "/dashboard/%00.js",
        "/dashboard/panels",
        "/dashboard/..%5capi.py",
        "/index.html",
    ],
)
def test_other_files_are_nobodys_business(served: Served, path: str) -> None:
    assert served.get(path).status == 404


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    page = PageRoutes(tmp_path)
    (tmp_path / "index.html").write_text("one")
    first = page.index(call())
    (tmp_path / "index.html").write_text("another")

    second = page.index(call(HTTP_IF_NONE_MATCH=dict(first.headers)["ETag"]))

    assert (first.body, second.body, second.status) == (b"one", b"another", 200)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    (tmp_path / "secret.js").write_text("secret")
    (folder / "link.js").symlink_to(tmp_path / "secret.js")

    with pytest.raises(NotFound):
        PageRoutes(folder).file(Call({}, "id", {"name": "link.js"}, None, None))


def test_the_references_relative_links_hold_with_a_slash_too(served: Served) -> None:
    reply = served.get("/docs/")

    assert (reply.status, reply.headers["Location"]) == (308, "../docs")
