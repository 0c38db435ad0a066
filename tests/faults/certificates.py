"""Certificates for a test, made with the OpenSSL program: good ones, and all kinds of bad ones."""

import shutil
import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

OPENSSL = shutil.which("openssl")


class Pair(NamedTuple):
    """A certificate and its key, as files."""

    cert: Path
    key: Path


class Authority:
    """A certificate authority of the test's own.

    Args:
        folder: Where its files are.
        name: What it calls itself.
    """

    def __init__(self, folder: Path, name: str = "test") -> None:
        if OPENSSL is None:
            pytest.skip("the program openssl makes the certificates")
        self.folder = folder
        self.cert = folder / f"{name}-ca.pem"
        self._key = folder / f"{name}-ca.key"
        self._name = name
        extensions = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        _openssl("req", "-x509", *_new_key(self._key), "-days", "30", "-subj", f"/CN={name} CA",
                 *extensions, "-out", self.cert)  # fmt: skip

    def issue(
        self,
        names: str = "DNS:localhost,IP:127.0.0.1",
        *,
        days: int = 30,
        purpose: str = "serverAuth",
    ) -> Pair:
        """A certificate for these names; ``days`` -1: it expired yesterday."""
        number = len(list(self.folder.glob(f"{self._name}-*.pem")))
        stem = self.folder / f"{self._name}-{number}"
        request, extensions = stem.with_suffix(".csr"), stem.with_suffix(".ext")
        pair = Pair(stem.with_suffix(".pem"), stem.with_suffix(".key"))
        extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage={purpose}\n")
        _openssl("req", *_new_key(pair.key), "-subj", "/CN=server", "-out", request)
        _openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self._key,
                 "-days", str(days), "-extfile", extensions, "-set_serial", str(1_000 + number),
                 "-out", pair.cert)  # fmt: skip
        pair.key.chmod(0o600)
        return pair

    def trusting(self) -> ssl.SSLContext:
        """A client's context that trusts this authority and no other."""
        return ssl.create_default_context(cafile=str(self.cert))


def lock(key: Path, to: Path) -> None:
    """Write the key with a password."""
    _openssl("pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", to)
    to.chmod(0o600)


def _new_key(path: Path) -> tuple[str | Path, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path)


def _openssl(*words: str | Path) -> None:
    done = subprocess.run(
        [str(OPENSSL), *map(str, words)], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
