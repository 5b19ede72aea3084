"""Removes the characters with which a document could control a terminal, or turn a line around."""

from __future__ import annotations

import re

CONTROL_CHARACTER = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_BREAK = re.compile(r"[\t\n]+")
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")


def strip_control_characters(text: str) -> str:
    """Return a text without control characters: pages and documents may contain some."""
    return CONTROL_CHARACTER.sub("", _SEQUENCE.sub("", text))


def clean_name(name: str) -> str:
    """Return a title, a heading or the name of a file on one line, without control characters."""
    return _BREAK.sub(" ", strip_control_characters(name)).strip()
