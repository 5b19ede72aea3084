"""Configure logging: one line for each event on stderr, with all secrets masked."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Collection, MutableMapping
from typing import Any, TextIO
from urllib.parse import unquote

import structlog

WARNING = logging.WARNING
"""The level for commands that print a result."""

_TOKEN = re.compile(
    r"x(?:ox[a-z]|app)-[A-Za-z0-9-]{8,}|(?i:bearer)\s+[A-Za-z0-9._~+/=-]{8,}|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
    r"|(?<=[?&]ticket=)[^&\s'\"]+"  # in a Socket Mode address, which the SDK logs if it cannot connect
)
_PASSWORD = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")
_SHORTEST_SECRET = 6
"""Masking shorter secrets would hide ordinary words."""
_QUIET = {"alembic": logging.WARNING,
          "slack_bolt": logging.ERROR, "slack_sdk": logging.ERROR, "aiohttp.access": logging.WARNING,
          "apscheduler": logging.WARNING, "httpx": logging.WARNING}  # fmt: skip


def configure_logging(
    to: TextIO | logging.Handler = sys.stderr, *, secrets: Collection[str] = (), level: int = logging.INFO
) -> None:
    """Send every log of this process, ours and the libraries', to a stream or a handler as ``key=value`` lines.

    Text that looks like a token and each of ``secrets`` become ``***``.
    """
    mask = _Mask(secrets)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = to if isinstance(to, logging.Handler) else logging.StreamHandler(to)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                mask,
                structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(max(quiet, level))


class _Mask:
    """A structlog processor that masks secrets in every value."""

    def __init__(self, secrets: Collection[str]) -> None:
        every = {*secrets, *(part for secret in secrets for part in _find_passwords(secret))}
        maskable = sorted((secret for secret in every if len(secret) >= _SHORTEST_SECRET), key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, maskable)) or r"(?!)")  # without secrets, it never matches

    def __call__(self, _logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in event.items():
            if not isinstance(value, (int, float, bool, type(None))):
                event[key] = self.mask_text(str(value))
        return event

    def mask_text(self, value: str) -> str:
        return _TOKEN.sub("***", self._secrets.sub("***", value))


def _find_passwords(secret: str) -> set[str]:
    """Return the password of a secret address, escaped and unescaped, because drivers log it alone."""
    found = _PASSWORD.search(secret)
    return {found[1], unquote(found[1])} if found else set()
