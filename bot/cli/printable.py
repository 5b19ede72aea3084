"""What a terminal may be shown: pages and documents are written by others. Pure."""

from __future__ import annotations

import re

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What a terminal obeys, and what turns the direction of a line."""
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")


def strip_control_characters(text: str) -> str:
    """Return a text without what a terminal obeys."""
    return CONTROL.sub("", _SEQUENCE.sub("", text))
