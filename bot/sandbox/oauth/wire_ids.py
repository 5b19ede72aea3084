"""Gives further workspaces ids of their own on the wire. Pure.

All workspaces have the same people and channels inside. The second character of an id is 0 in the first workspace, and
1 in the second: ``U0ADA00001`` and ``U1ADA00001``.
"""

from __future__ import annotations

import json
import re

from bot.sandbox.state.model import Json


class WireIds:
    """Translates the ids of workspace number ``number``, of which 0 is the first."""

    def __init__(self, number: int) -> None:
        self._digit = str(number)
        self._outside = re.compile(rf"\b([TUBCDG]){number}(?=[A-Z0-9]{{8}}\b)")

    def write(self, body: Json) -> Json:
        """Return what goes out with the ids of the wire."""
        return self._replace(_INSIDE, body, self._digit)

    def read(self, body: Json) -> Json:
        """Return what comes in with the ids inside."""
        return self._replace(self._outside, body, "0")

    def _replace(self, pattern: re.Pattern[str], body: Json, digit: str) -> Json:
        if self._digit == "0":
            return body
        replaced: Json = json.loads(pattern.sub(rf"\g<1>{digit}", json.dumps(body, ensure_ascii=False)))
        return replaced


_INSIDE = re.compile(r"\b([TUBCDG])0(?=[A-Z0-9]{8}\b)")
