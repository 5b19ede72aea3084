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
        self._swapped = {"0": str(number), str(number): "0"}
        self._pattern = re.compile(rf"\b([TUBCDG])([0{number}])(?=[A-Z0-9]{{8}}\b)")

    def translate_ids(self, body: Json) -> Json:
        """Return what goes out with the ids of the wire, or what comes in with the ids inside.

        The two exchange places, so an id of the first workspace is unknown in another one.
        """
        if len(self._swapped) == 1:  # the first workspace
            return body
        text = json.dumps(body, ensure_ascii=False)
        wire_body: Json = json.loads(self._pattern.sub(lambda match: match[1] + self._swapped[match[2]], text))
        return wire_body
