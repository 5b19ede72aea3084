"""Checks the readers that a person writes in ``kvasir.toml``."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from knowledge.interfaces.audiences import is_single_principal
from knowledge.interfaces.people import WORKSPACE, is_email, is_membership, normalize_principal

_SLACK_ID = re.compile(r"[UWCGS][A-Z0-9]+")
"""People, channels and user groups; sandboxes and tests have short ids."""
_OTHER_ID = re.compile(r"(?=.*[0-9])[TEDB][A-Z0-9]{7,}")
_WORKSPACE = re.compile(r"workspace:[TE][A-Z0-9]+")
_SYSTEM = re.compile(r"(confluence|drive):([a-z-]+):\S.*")
_FOR_MEMBERS = frozenset({"everyone", "everybody", "all", "members", "employees"})


def check_reader(text: str) -> str:
    """Return a reader as people hold it.

    Raises:
        ValueError: nobody can hold it; the text names what to write.

    """
    reader = normalize_principal(text)
    if problem := _find_problem(reader):
        raise ValueError(f"{reader!r} {problem}")
    return reader


def is_name(reader: str) -> bool:
    """Return whether a reader is a name that only a file of people gives to somebody."""
    return ":" not in reader and not is_email(reader) and not is_from_chat(reader)


def is_from_chat(principal: str) -> bool:
    """Return whether the chat may give a principal to somebody."""
    return is_membership(principal) or _SLACK_ID.fullmatch(principal) is not None


def _find_problem(reader: str) -> str:
    """Return why nobody can hold a reader, and what to write; "" if somebody can."""
    return next((problem for is_wrong, problem in _PROBLEMS if is_wrong(reader)), "")


_PROBLEMS: Final[tuple[tuple[Callable[[str], object], str], ...]] = (
    (
        lambda reader: not is_single_principal(reader) or not reader.isprintable(),
        "is empty or has control characters, so write an id, an address or a name",
    ),
    (lambda reader: reader.lower() in _FOR_MEMBERS, 'is nobody, so write "*" for all full members'),
    (lambda reader: reader.lower() == "guest", 'is nobody, so write "guests"'),
    (
        lambda reader: reader[0] in "@#<" or "," in reader,
        "is nobody, so write the Slack id of each person, channel or user group as an entry of its own",
    ),
    (_OTHER_ID.fullmatch, "is a workspace, a direct message or an app, so name people, channels or user groups"),
    (
        lambda reader: reader.startswith(WORKSPACE) and not _WORKSPACE.fullmatch(reader),
        'is no workspace, so write its id, such as "workspace:T012AB3CD"',
    ),
    (
        lambda reader: reader.startswith(("confluence:", "drive:")) and not _SYSTEM.fullmatch(reader),
        'is no reader, so write it like "confluence:group:ID" or "drive:group:staff@company.com"',
    ),
    (
        lambda reader: "@" in reader and ":" not in reader and not is_email(reader),
        "is no e-mail address, so correct it",
    ),
)
