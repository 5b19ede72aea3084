"""Remembers which methods Slack refuses: to everybody, or for some time to one person."""

from __future__ import annotations

import time
from collections.abc import Callable

from bot.slack.wire.errors import SlackRefused

_MISSING_CODES = {"unknown_method", "method_deprecated"}
"""This Slack does not have the method."""
_TEMPORARY_CODES = {"feature_not_enabled", "not_allowed", "team_not_found", "user_not_found", "missing_scope"}
_EXPIRY_S = 600.0
_MAX_PEOPLE = 10_000

_Person = tuple[str, str]
"""Method and user. The bot has one installation, so a user's id names the workspace, too."""


class RefusedMethods:
    """Says whether a method is worth a call for a person."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._missing: set[str] = set()
        self._refused_until: dict[_Person, float] = {}
        """Oldest first."""

    def allows_method(self, method: str, user: str) -> bool:
        """Return whether Slack has the method, and has not refused it to this person lately."""
        return method not in self._missing and self._refused_until.get((method, user), 0.0) <= self._now()

    def note_refusal(self, method: str, user: str, error: SlackRefused) -> None:
        """Remember a refusal if the next call would be refused, too."""
        if error.code in _MISSING_CODES:
            self._missing.add(method)
        elif error.code in _TEMPORARY_CODES:
            self._refused_until.pop((method, user), None)
            self._refused_until[method, user] = self._now() + _EXPIRY_S
            if len(self._refused_until) > _MAX_PEOPLE:
                self._refused_until.pop(next(iter(self._refused_until)))
