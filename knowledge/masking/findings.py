"""What the recogniser finds, and the form of its rules."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """The kinds of what is masked; a placeholder begins with its kind."""

    SECRET = "SECRET"  # noqa: S105 - the name of a kind
    PERSON = "PERSON"
    """A name of a list."""
    EMAIL = "EMAIL"
    PHONE = "PHONE"
    CARD = "CARD"
    ACCOUNT = "ACCOUNT"
    ID = "ID"
    """A number that a state or a health insurance gives to a person."""
    PASSPORT = "PASSPORT"
    BIRTH_DATE = "BIRTHDATE"
    RECORD = "RECORD"
    """A number of a patient, a case or a record."""
    INTERNAL = "INTERNAL"
    """What only outsiders must not see: Slack's ids, private addresses, UUIDs, hexadecimal and random texts."""


PERSONAL: Final = frozenset(Kind) - {Kind.SECRET, Kind.INTERNAL}
PRIVATE: Final = PERSONAL | {Kind.SECRET}
"""What is masked for people and machines of the company, whose own addresses are no secret to them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A part of a text, by its places."""

    start: int
    end: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Rule:
    """How one form of private text is recognised."""

    kind: Kind
    pattern: re.Pattern[str]
    """If it has a group ``secret``, only this is private."""
    count_private: Callable[[str], int] = len
    """Returns how many characters of a match are private, 0 for none."""
    hint: str = ""
    """Some characters; a text without any of them has no match. "" for none."""
    is_number: bool = False
    """Whether each match has four digits close to each other."""
    context: re.Pattern[str] | None = None
    """Words near a match without which it does not count."""
    needs_context: bool = True
    """Whether the words are needed if the match has separators, too."""


def count_if(is_valid: Callable[[str], bool]) -> Callable[[str], int]:
    """Return a check for a rule: all of a match is private if it is valid."""
    return lambda text: len(text) if is_valid(text) else 0
