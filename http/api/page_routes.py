"""The pages' files: ``/``, ``/docs``, ``/dashboard/<file>``, with their headers."""

from pathlib import Path
from typing import Final, NamedTuple

from ..auth import Role
from ..errors import Headers, NotFound
from ..etag import tag_of, unless_known
from ..requests import Call
from ..routes import Answer, Route
from .lean_text import lean

FOLDER: Final = Path(__file__).parents[1] / "dashboard"

# Other files that may lie in the folder are not served.
_CONTENT_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)

_PAGE_HEADERS: Final[Headers] = (
    ("Content-Security-Policy", _POLICY),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)


class _File(NamedTuple):
    changed_at_ns: int
    size: int
    etag: str
    body: bytes


def served_bytes(path: Path) -> bytes:
    """The file at ``path`` as it is sent; :mod:`.lean_text` says what is left out."""
    if path.suffix not in {".css", ".html", ".js"}:
        return path.read_bytes()
    return lean(path.read_text("utf-8"), path.suffix).encode()


class PageRoutes:
    """Serves files of one folder; each is read again when it has changed on disk."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder.resolve()
        self._files: dict[Path, _File] = {}

    @Route("GET", "/", {200: "text/html"}, counted=False, access=Role.OPEN, etag=True)
    def index(self, call: Call) -> Answer:
        """The dashboard.

        With `Upgrade: websocket` the same address is the event feed; see `/asyncapi.json`.
        """
        return self._answer("index.html", call)

    @Route("GET", "/docs", {200: "text/html"}, counted=False, access=Role.OPEN, etag=True)
    def docs(self, call: Call) -> Answer:
        """The API reference.

        `/openapi.json` and `/asyncapi.json` as a page to read.
        """
        if call.environ["PATH_INFO"].endswith("/"):  # its links are relative to where it lies
            return Answer(b"", 308, headers=(("Location", "../docs"),))
        return self._answer("reference/index.html", call)

    @Route(
        "GET",
        "/dashboard/{name:path}",
        {200: None},
        counted=False,
        documented=False,
        access=Role.OPEN,
    )
    def file(self, call: Call) -> Answer:
        """The dashboard's files."""
        return self._answer(call.path["name"], call)

    def _answer(self, name: str, call: Call) -> Answer:
        path = self._path_of(name)
        content_type = _CONTENT_TYPES[path.suffix]
        file = self._read(path)
        headers = (*_PAGE_HEADERS, ("Cache-Control", "no-cache"))
        return unless_known(call.environ, Answer(file.body, 200, content_type), file.etag, headers)

    def _path_of(self, name: str) -> Path:
        missing = NotFound("The dashboard has no such file.")
        if "\0" in name or "\\" in name or name.startswith("/"):
            raise missing
        path = (self._folder / name).resolve()
        inside = path.is_relative_to(self._folder)
        try:
            if inside and path.suffix in _CONTENT_TYPES and path.is_file():
                return path
        except OSError:  # a name longer than names may be
            raise missing from None
        raise missing

    def _read(self, path: Path) -> _File:
        there = path.stat()
        known = self._files.get(path)
        if known and (known.changed_at_ns, known.size) == (there.st_mtime_ns, there.st_size):
            return known
        body = served_bytes(path)
        file = self._files[path] = _File(there.st_mtime_ns, there.st_size, tag_of(body), body)
        return file
