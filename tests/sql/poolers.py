"""A PgBouncer in transaction mode before a database, where one is installed."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

INI = """
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {servers}
server_lifetime = 1
"""


@contextmanager
def pgbouncer(folder: Path, url: str, *, servers: int) -> Iterator[str]:
    """Serve ``url`` by a pooler with so many connections to the server; gives its own URL.

    It refuses to run as root, and a local server may know root only: ``url`` is that of a `Wire`.
    """
    if (binary := shutil.which("pgbouncer")) is None:
        pytest.skip("no pgbouncer is installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        listen = free.getsockname()[1]
    info = conninfo_to_dict(url)
    (folder / "ini").write_text(INI.format(**info, listen=listen, servers=servers))
    process = subprocess.Popen([binary, "-q", "-u", "nobody", str(folder / "ini")])
    try:
        until_it_listens(listen)
        yield make_conninfo("", host="127.0.0.1", port=listen, dbname=info["dbname"], user="x")
    finally:
        process.terminate()
        process.wait(10)


def until_it_listens(port: int) -> None:
    for _ in range(500):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        gevent.sleep(0.02)
    pytest.fail("pgbouncer does not listen")
