"""nginx and HAProxy as Debian has them, running the files of `deploy/` on free ports."""

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

from ports import free_port
from quiet_clock import quiet_s

DEPLOY = Path(__file__).parents[3] / "deploy"
NAME = "desk.example.com"
LIMIT_S = 15.0

NGINX_MAIN = """
daemon off;
worker_processes 1;
error_log stderr warn;
pid {folder}/nginx.pid;
{user}
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/orchestrator.conf;
}}
"""


class Reply(NamedTuple):
    """An HTTP response."""

    status: int
    headers: Any
    body: bytes


class RunningProxy:
    """A proxy that listens on two free ports of loopback."""

    def __init__(self, *, plain_port: int, tls_port: int, certificate: Path) -> None:
        self.plain_port = plain_port
        self.tls_port = tls_port
        self.context = ssl.create_default_context(cafile=str(certificate))

    def socket(self) -> socket.socket:
        """A connection to the TLS port, before the handshake."""
        return socket.create_connection(("127.0.0.1", self.tls_port), timeout=LIMIT_S)

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        plain: bool = False,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """One call by the public name, the certificate verified."""
        port = self.plain_port if plain else self.tls_port
        connection = HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
        connection.connect()
        if not plain:
            connection.sock = self.context.wrap_socket(connection.sock, server_hostname=NAME)
        try:
            sent = {"Host": NAME, "Content-Type": "application/json"} | (headers or {})
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()

    def serves(self) -> bool:
        """Whether it takes connections."""
        with suppress(OSError), self.socket():
            return True
        return False


def make_certificate(folder: Path) -> Path:
    """A self-signed certificate for NAME and loopback; its key beside it, both in `both.pem`."""
    certificate, key = folder / "fullchain.pem", folder / "privkey.pem"
    command = [
        *("openssl", "req", "-x509", "-nodes", "-days", "2"),
        *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
        *("-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME},IP:127.0.0.1"),
        *("-keyout", str(key), "-out", str(certificate)),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "both.pem").write_bytes(certificate.read_bytes() + key.read_bytes())
    return certificate


def changed(text: str, changes: dict[str, str]) -> str:
    """`text` with each of the changes made; each must be of something that is there."""
    for old, new in changes.items():
        assert old in text, f"the shipped file has no {old!r}"
        text = text.replace(old, new)
    return text


PREFIX = "orc"
_BY_PREFIX = """    # location = /orc {
    #     return 308 /orc/;
    # }
    # location /orc/ {
    #     proxy_pass http://orchestrator/;
    # }
"""


def nginx_with_prefix(folder: Path, plain: int, tls: int, upstream: int) -> list[str]:
    """The same with what the file says of a prefix, and nothing else in the daemon's place."""
    command = nginx_files(folder, plain, tls, upstream)
    made = folder / "orchestrator.conf"
    changes = {
        "    location / {\n        proxy_pass http://orchestrator;\n    }\n": "",
        _BY_PREFIX: _BY_PREFIX.replace("    # ", "    "),
    }
    made.write_text(changed(made.read_text(), changes))
    return command


def nginx_files(folder: Path, plain: int, tls: int, upstream: int) -> list[str]:
    """Write the configuration; return the command that runs it."""
    shipped = (DEPLOY / "nginx.conf").read_text()
    changes = {
        "    listen [::]:80;\n": "",
        "    listen [::]:443 ssl http2;\n": "",
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ssl": f"listen 127.0.0.1:{tls} ssl",
        "127.0.0.1:8090": f"127.0.0.1:{upstream}",
        "/etc/ssl/orchestrator/": f"{folder}/",
    }
    (folder / "orchestrator.conf").write_text(changed(shipped, changes))
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "main.conf").write_text(NGINX_MAIN.format(folder=folder, user=user))
    return [program("nginx"), "-p", str(folder), "-c", str(folder / "main.conf"), "-e", "stderr"]


def haproxy_files(folder: Path, plain: int, tls: int, upstream: int) -> list[str]:
    """Write the configuration; return the command that runs it."""
    shipped = (DEPLOY / "haproxy.cfg").read_text()
    changes = {
        "bind :80\n": f"bind 127.0.0.1:{plain}\n",
        "bind :443 ": f"bind 127.0.0.1:{tls} ",
        "127.0.0.1:8090": f"127.0.0.1:{upstream}",
        "/etc/haproxy/orchestrator.pem": f"{folder}/both.pem",
    }
    if os.geteuid() != 0:
        changes |= {"    user haproxy\n": "", "    group haproxy\n": ""}
    (folder / "haproxy.cfg").write_text(changed(shipped, changes))
    return [program("haproxy"), "-db", "-f", str(folder / "haproxy.cfg")]


def haproxy_with_prefix(folder: Path, plain: int, tls: int, upstream: int) -> list[str]:
    """The same with what the file says of a prefix, and nothing else in the daemon's place."""
    command = haproxy_files(folder, plain, tls, upstream)
    made = folder / "haproxy.cfg"
    head, _, rest = made.read_text().partition("    default_backend orchestrator\n\n")
    about, lines = rest.split("\n", 1)
    assert "prefix" in about
    block, _, after = lines.partition("\n\n")
    made.write_text(head + block.replace("    # ", "    ") + "\n\n" + after)
    return command


FILES = {
    "nginx": nginx_files,
    "nginx-prefix": nginx_with_prefix,
    "haproxy": haproxy_files,
    "haproxy-prefix": haproxy_with_prefix,
}
CHECK = {"nginx": "-t", "haproxy": "-c"}


def program(name: str) -> str:
    """Where the program is; Debian puts it where an ordinary PATH does not look."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    return found or ""


@contextmanager
def running(kind: str, folder: Path, upstream: int) -> Iterator[RunningProxy]:
    """The proxy `kind` in front of a port of loopback, checked and started."""
    plain, tls = free_port(), free_port()
    proxy = RunningProxy(plain_port=plain, tls_port=tls, certificate=make_certificate(folder))
    command = FILES[kind](folder, plain, tls, upstream)
    checked = subprocess.run(
        [*command, CHECK[kind.partition("-")[0]]], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "warn" not in (checked.stdout + checked.stderr).lower(), checked.stderr
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        end = quiet_s() + LIMIT_S
        while not proxy.serves():
            assert process.poll() is None, (folder / "log").read_text()
            assert quiet_s() < end, (folder / "log").read_text()
            time.sleep(0.02)
        yield proxy
    finally:
        process.terminate()
        process.wait(timeout=LIMIT_S)
