"""What to do when TLS with Redis fails: the errors themselves say only what went wrong."""

import ssl
from typing import Final

# OpenSSL's codes (X509_V_ERR_…): not valid yet, expired, another host's name, another address.
_OUT_OF_DATE: Final = frozenset({9, 10})
_MISNAMED: Final = frozenset({62, 64})


def tls_advice(error: BaseException) -> str:
    """The next step, to be put behind the text of ``error``; empty where TLS is not the matter."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, ssl.SSLError):
            return "; " + _of(cause)
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return ""


def _of(error: ssl.SSLError) -> str:
    if not isinstance(error, ssl.SSLCertVerificationError):
        return "if the server speaks no TLS there, the URL begins with redis://, not rediss://"
    if error.verify_code in _OUT_OF_DATE:
        return "have the server's certificate renewed, and compare the clocks"
    if error.verify_code in _MISNAMED:
        return "name the server in REDIS_URL as its certificate does"
    return "name the authority that signed its certificate: add ?ssl_ca_certs=FILE to REDIS_URL"
