"""TLS of the commands: trusted authorities, a pinned certificate, failed handshakes."""

import ssl
from pathlib import Path

from ..errors import ExitCode, Failure


def ca_context(ca_file: Path | None) -> ssl.SSLContext:
    """A context with the CA bundle of a file, else the system's (or ``SSL_CERT_FILE``, ``_DIR``).

    Raises:
        Failure: the file holds no certificates.
    """
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except OSError as error:
        raise Failure(
            f"cannot use the certificates in {ca_file}",
            code="bad_ca_file",
            cause=error.strerror or "it holds none in PEM",
            advice="name a file of certificates in PEM with --ca-file",
            exit_code=ExitCode.USAGE,
        ) from error


def pinned_context(cert: str) -> ssl.SSLContext:
    """A context that accepts only the first certificate of this file, under any host name.

    For the daemon of this machine, reached by an address that no certificate names.

    Raises:
        OSError: the file cannot be read, or holds none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cert)
    return context


def refusal_of(error: ssl.SSLError, url: str) -> Failure:
    """The `Failure` for a failed handshake."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Failure(
            f"the server at {url} has no certificate that is trusted",
            code="untrusted",
            cause=error.verify_message,
            advice="trust who signed its certificate with --ca-file FILE (or SSL_CERT_FILE), "
            "and use a name that stands in it",
            exit_code=ExitCode.UNREACHABLE,
        )
    return Failure(
        f"no TLS with what answers at {url}",
        code="no_tls",
        cause=(error.reason or "the handshake failed").replace("_", " ").lower(),
        advice="if it speaks plain HTTP, name it with http://",
        exit_code=ExitCode.UNREACHABLE,
    )
