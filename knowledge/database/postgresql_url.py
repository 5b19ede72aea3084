"""Parameters of a PostgreSQL URL for asyncpg, such as ``?sslmode=verify-full&sslrootcert=/etc/kvasir/ca.pem``.

SQLAlchemy passes each parameter to asyncpg as an argument, and asyncpg has arguments of other names. But it reads a
connection string as libpq does, so the parameters go there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")
_LIBPQ: Final = (
    "sslmode", *_FILES, "sslpassword", "sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version",
    "target_session_attrs", "application_name",
)  # fmt: skip
_SQLALCHEMY: Final = ("host", "port", "prepared_statement_cache_size")
"""What SQLAlchemy itself understands."""
_POOLING: Final = "pgbouncer"
_TRANSACTION: Final = "transaction"
_PLAIN_NAME: Final = re.compile(r"[a-z_]{1,40}")


def translate_parameters(url: URL, *, may_pool: bool = False) -> URL:
    """Return a URL of the driver asyncpg whose parameters the driver understands as libpq does.

    With ``may_pool``, the parameter ``pgbouncer=transaction`` stays for ``is_pooled``.

    Raises:
        ValueError: a parameter is unknown or wrong. The text continues a sentence about the URL and quotes no value.

    """
    parameters = {name: values if isinstance(values, str) else values[-1] for name, values in url.query.items()}
    if {"ssl", "sslmode"} <= parameters.keys():
        raise ValueError("has both ssl and sslmode. Remove one of them")
    if "ssl" in parameters:  # asyncpg's own name
        parameters["sslmode"] = parameters.pop("ssl")
    pooling = parameters.pop(_POOLING, None) if may_pool else None
    if pooling not in {None, _TRANSACTION}:
        raise ValueError(f"has another value of {_POOLING} than {_TRANSACTION}. Write {_POOLING}={_TRANSACTION}")
    for name in parameters:
        if name not in _LIBPQ + _SQLALCHEMY:
            label = f"the parameter {name}" if _PLAIN_NAME.fullmatch(name) else "a parameter"
            raise ValueError(f"has {label}, which Kvasir does not know. Remove it, or use {', '.join(_LIBPQ)}")
    _check_values(parameters)
    libpq = {name: value for name, value in parameters.items() if name in _LIBPQ}
    remaining = {name: url.query[name] for name in parameters if name in _SQLALCHEMY}
    if pooling is not None:
        remaining[_POOLING] = pooling
    return url.set(query=remaining | ({"dsn": f"postgresql:?{urlencode(libpq)}"} if libpq else {}))


def is_pooled(url: URL) -> bool:
    """Return whether PgBouncer may run each transaction on another connection to the server."""
    return _POOLING in url.query


def remove_pooling(url: URL) -> URL:
    """Return a URL without the parameter for PgBouncer, which the driver does not know."""
    return url.difference_update_query([_POOLING])


def list_database_addresses(address: str) -> list[str]:
    """Return ``scheme://host:port`` for each host of a database's URL; none for a file, a socket or no URL.

    As for the drivers, the query comes first. PostgreSQL's use PGHOST and PGPORT for what the URL leaves out.
    """
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        return []
    environ: Mapping[str, str] = os.environ if url.get_backend_name().startswith("postgres") else {}
    named = ",".join(url.normalized_query.get("host", ())) or (f"[{url.host}]" if ":" in (url.host or "") else url.host)
    ports = ",".join(url.normalized_query.get("port", ())) or str(url.port or environ.get("PGPORT", ""))
    return [
        f"{url.get_backend_name()}://{host}{f':{port}' if port and not re.search(r':[0-9]+$', host) else ''}"
        for host, port in zip((named or environ.get("PGHOST", "")).split(","), cycle(ports.split(",")), strict=False)
        if host and not host.startswith("/")
    ]


def _check_values(parameters: Mapping[str, str]) -> None:
    if parameters.get("sslmode", "prefer") not in _MODES:
        raise ValueError(f"has an sslmode that is none of {', '.join(_MODES)}. Write one of them")
    for name in _FILES:
        if name in parameters and not Path(parameters[name]).is_file():
            raise ValueError(f"names a file in {name} that does not exist. Write the path of a file")
