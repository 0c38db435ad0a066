"""The options of a Redis URL: what follows its ``?``. Read by `bus_url`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs

IGNORED: Final = frozenset(
    (
        # Limits and encodings are each client's own: the promises about a stop rest on them.
        "socket_timeout", "socket_connect_timeout", "socket_read_size", "socket_keepalive",
        "timeout", "retry_on_timeout", "retry_on_error", "health_check_interval", "protocol",
        "legacy_responses", "encoding", "encoding_errors", "decode_responses", "lib_name",
        "lib_version",
        # ioredis
        "family", "keepAlive", "noDelay", "connectTimeout", "commandTimeout", "socketTimeout",
        "connectionName", "lazyConnect", "enableReadyCheck", "enableOfflineQueue",
        "enableAutoPipelining", "autoResubscribe", "autoResendUnfulfilledCommands",
        "maxRetriesPerRequest", "maxLoadingRetryTime", "offlineQueue", "showFriendlyErrorStack",
        "stringNumbers", "dropBufferSupport",
    )
)  # fmt: skip
"""Options that are accepted and change nothing."""

_REFUSED: Final = {
    "max_connections": "a limit on connections could keep a stop from being published",
    "ssl": "write rediss:// for TLS",
    "tls": "write rediss:// for TLS",
    "keyPrefix": "the keys of the contract have no prefix",
    "readOnly": "the bus must be a server that is written to",
    "ssl_validate_ocsp": "OCSP is not supported",
    "ssl_validate_ocsp_stapled": "OCSP is not supported",
    "ssl_ocsp_context": "OCSP is not supported",
    "ssl_ocsp_expected_cert": "OCSP is not supported",
}
"""Options that would change what the bus is, and why they are refused."""

_TRUTHS: Final = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}
_TLS_TEXTS: Final = (
    "ca_certs", "ca_path", "ca_data", "certfile", "keyfile", "password", "ciphers",
)  # fmt: skip
_TLS: Final = frozenset(f"ssl_{name}" for name in _TLS_TEXTS) | {
    "ssl_cert_reqs",
    "ssl_check_hostname",
    "ssl_min_version",
    "ssl_include_verify_flags",
    "ssl_exclude_verify_flags",
}
_SECRETS: Final = frozenset({"password", "ssl_password"})
_KNOWN: Final = IGNORED | _TLS | {"db", "username", "password", "client_name"}


class BadBusUrl(ValueError):
    """A Redis URL that is refused; the text says what to write, and repeats no secret."""


@dataclass(frozen=True, slots=True)
class Tls:
    """The ``ssl_…`` options of a ``rediss://`` URL, as redis-py means them."""

    cert_reqs: str = "required"
    """``required``, ``optional`` or ``none``."""
    check_hostname: bool = True
    """Whether the certificate must name the host."""
    ca_certs: str | None = None
    """File with the authorities' certificates; the system's by default."""
    ca_path: str | None = None
    """Folder with them."""
    ca_data: str | None = None
    """Their PEM text."""
    certfile: str | None = None
    """Our own certificate."""
    keyfile: str | None = None
    """Its key."""
    password: str | None = field(default=None, repr=False)
    """Of the key."""
    min_version: int | None = None
    """An `ssl.TLSVersion`: 769 (TLS 1.0) to 772 (TLS 1.3)."""
    ciphers: str | None = None
    """OpenSSL's list."""
    include_verify_flags: tuple[str, ...] = ()
    """Names in `ssl.VerifyFlags` to set."""
    exclude_verify_flags: tuple[str, ...] = ()
    """… and to clear."""


def read_options(query: str, scheme: str) -> dict[str, str]:
    """The options by name, the first of each as in redis-py; all of them known.

    Args:
        query: what follows ``?``.
        scheme: ``redis``, ``rediss`` or ``unix``.

    Raises:
        BadBusUrl: one is refused, or none that there is.
    """
    try:
        fields = {name: values[0] for name, values in parse_qs(query, errors="strict").items()}
    except ValueError:
        raise BadBusUrl("the part after ? is not percent-encoded UTF-8") from None
    secret = not _SECRETS.isdisjoint(fields)
    for name in fields:
        if name in _REFUSED:
            raise BadBusUrl(f"{name}: {_REFUSED[name]}")
        if name in _TLS and scheme != "rediss":
            raise BadBusUrl(f"{name}: only rediss:// speaks TLS")
        if name not in _KNOWN:
            raise BadBusUrl(_unknown_option(name, secret=secret))
    return fields


def _unknown_option(name: str, *, secret: bool) -> str:
    """A password in which & is not encoded goes on as the name of the next option."""
    shown = "" if secret or re.fullmatch(r"\w{1,40}", name, re.ASCII) is None else f"{name}: "
    hint = "; in a password write & as %26" if secret else ""
    return f"{shown}an option that Redis clients here do not have{hint}"


def client_name(options: Mapping[str, str]) -> str | None:
    """For ``CLIENT SETNAME``.

    Raises:
        BadBusUrl: Redis would not take it.
    """
    name = options.get("client_name")
    if name is not None and re.fullmatch(r"[!-~]+", name) is None:
        raise BadBusUrl("client_name: Redis takes no spaces, nor what is not ASCII")
    return name


def read_tls(options: Mapping[str, str]) -> Tls:
    """The ``ssl_…`` options.

    Raises:
        BadBusUrl: one has a value that it cannot have.
    """
    texts = {name: options.get(f"ssl_{name}") for name in _TLS_TEXTS}
    if texts["keyfile"] and not texts["certfile"]:
        raise BadBusUrl("ssl_keyfile: expected ssl_certfile too")
    return Tls(
        cert_reqs=_one_of(options, "ssl_cert_reqs", {"required", "optional", "none"}, "required"),
        check_hostname=_truth(options, "ssl_check_hostname"),
        min_version=_min_version(options),
        include_verify_flags=_flags(options, "ssl_include_verify_flags"),
        exclude_verify_flags=_flags(options, "ssl_exclude_verify_flags"),
        **texts,
    )


def _one_of(options: Mapping[str, str], name: str, words: set[str], default: str) -> str:
    word = options.get(name, default)
    if word not in words:
        raise BadBusUrl(f"{name}: expected one of {', '.join(sorted(words))}")
    return word


def _truth(options: Mapping[str, str], name: str) -> bool:
    word = _one_of({name: options.get(name, "true").lower()}, name, set(_TRUTHS), "true")
    return _TRUTHS[word]


def _min_version(options: Mapping[str, str]) -> int | None:
    if "ssl_min_version" not in options:
        return None
    return int(_one_of(options, "ssl_min_version", {"769", "770", "771", "772"}, ""))


def _flags(options: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Names in `ssl.VerifyFlags`, as redis-py reads them: ``[A, B]`` or ``A,B``."""
    if name not in options:
        return ()
    flags = tuple(flag.strip() for flag in options[name].strip("[]").split(","))
    if not all(flag in _verify_flags() for flag in flags):
        raise BadBusUrl(f"{name}: expected names in Python's ssl.VerifyFlags")
    return flags


def _verify_flags() -> Mapping[str, Any]:
    import ssl  # noqa: PLC0415 slow to import, and rarely needed

    return ssl.VerifyFlags.__members__


def tls_options(tls: Tls) -> dict[str, Any]:
    """Keyword arguments for ``redis.Redis``: what differs from its own defaults."""
    usual = Tls()
    options = {
        f"ssl_{name}": getattr(tls, name)
        for name in (*_TLS_TEXTS, "cert_reqs", "check_hostname", "min_version")
        if getattr(tls, name) != getattr(usual, name)
    }
    for name in ("include_verify_flags", "exclude_verify_flags"):
        if flags := getattr(tls, name):
            options[f"ssl_{name}"] = [_verify_flags()[flag] for flag in flags]
    return options
