"""Configure logging: one line for each event on stderr, with all secrets masked."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Collection, MutableMapping
from typing import Any, TextIO
from urllib.parse import unquote

import structlog

from knowledge.control_characters import strip_control_characters
from knowledge.masking import DEFAULT_RECOGNISER, PRIVATE, Kind, Recogniser

WARNING = logging.WARNING
"""The level for commands that print a result."""

_PASSWORD = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")
_SHORTEST_SECRET = 6
"""Masking shorter secrets would hide ordinary words."""
_MASK = "***"
_OURS = frozenset({"timestamp", "level", "event"})
"""Keys whose values Kvasir writes itself, if they are words with underscores or a time."""
_OWN_WORDS = re.compile(r"[a-z_ ]{1,60}|\d{4}-\d\d-\d\dT[\d:.]+Z")
_QUIET = {"alembic": logging.WARNING,
          "slack_bolt": logging.ERROR, "slack_sdk": logging.ERROR, "aiohttp.access": logging.WARNING,
          "apscheduler": logging.WARNING, "httpx": logging.WARNING,
          "mcp": logging.CRITICAL}  # fmt: skip


def configure_logging(
    to: TextIO | logging.Handler = sys.stderr,
    *,
    secrets: Collection[str] = (),
    level: int = logging.INFO,
    recogniser: Recogniser | None = DEFAULT_RECOGNISER,
) -> None:
    """Send every log of this process, ours and the libraries', to a stream or a handler as ``key=value`` lines.

    Each of ``secrets`` and what looks like a secret become ``***``, and personal data that ``recogniser`` finds. None
    keeps personal data. Control characters are removed.
    """
    mask = _Mask(secrets, recogniser)
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
    """A structlog processor that masks secrets and personal data in every value."""

    def __init__(self, secrets: Collection[str], recogniser: Recogniser | None = DEFAULT_RECOGNISER) -> None:
        every = {*secrets, *(part for secret in secrets for part in _find_passwords(secret))}
        maskable = sorted((secret for secret in every if len(secret) >= _SHORTEST_SECRET), key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, maskable)) or r"(?!)")  # without secrets, it never matches
        self._kinds = PRIVATE if recogniser is not None else frozenset({Kind.SECRET})
        self._recogniser = recogniser or DEFAULT_RECOGNISER

    def __call__(self, _logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in event.items():
            if not isinstance(value, (int, float, bool, type(None))):
                text = str(value)
                is_ours = key in _OURS and _OWN_WORDS.fullmatch(text)
                event[key] = self._secrets.sub(_MASK, text) if is_ours else self.mask_text(text)
        return event

    def mask_text(self, value: str) -> str:
        """Return a text without control characters and with masks; known secrets go first, as they are configured."""
        known = self._secrets.sub(_MASK, value)
        return self._recogniser.mask(self._secrets.sub(_MASK, strip_control_characters(known)), self._kinds, mask=_MASK)


def _find_passwords(secret: str) -> set[str]:
    """Return the password of a secret address, escaped and unescaped, because drivers log it alone."""
    found = _PASSWORD.search(secret)
    return {found[1], unquote(found[1])} if found else set()
