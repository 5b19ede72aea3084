"""A person as the identity map knows one, and the sources of the principals that people hold in other systems."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from knowledge.interfaces.audiences import EVERYONE, GUESTS, WORLD

WORKSPACE: Final = "workspace:"
"""The prefix of the principals of a workspace's full members."""
_CHAT_ID = re.compile(r"(?=.*[0-9])[UWCGSD][A-Z0-9]{7,}")
"""An id of Slack's; shorter ones may be names."""
_EMAIL = re.compile(r"[^\s@:,;<>\"\x00-\x1f]{1,64}@[a-z0-9.-]{1,253}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Person:
    """One person. ``principals`` are those of the chat: the account itself, groups, channels and workspaces.

    ``email`` is in lower case, and empty if the chat does not tell it or has not confirmed it.
    """

    id: str
    email: str = ""
    principals: frozenset[str] = frozenset()

    @property
    def is_member(self) -> bool:
        """Return whether this is a full member of one of the company's workspaces, by the chat's principals."""
        return not EVERYONE.isdisjoint(self.principals) or any(one.startswith(WORKSPACE) for one in self.principals)

    @property
    def emails(self) -> frozenset[str]:
        """Return all e-mail addresses: the chat's, and those that an earlier source gave."""
        return frozenset(one for one in {*self.principals, self.email} if is_email(one))


@runtime_checkable
class IdentitySource(Protocol):
    """A system that knows principals of people."""

    @property
    def identity_name(self) -> str:
        """Return the name for logs, metrics and the doctor."""

    @property
    def answers_in_bulk(self) -> bool:
        """Return whether thousands of people cost no more than a few calls."""

    @property
    def namespace(self) -> str:
        """Return what systems have in common that give the same name to different groups, "" if names are unique.

        Kvasir asks none of several systems in one namespace.
        """

    async def find_principals(self, people: Sequence[Person], /) -> Mapping[str, frozenset[str]]:
        """Return principals by ``Person.id``. Who is missing holds none of this system.

        Each person has the principals that earlier sources found.

        Raises:
            KnowledgeError: the system cannot be asked; nobody gets a principal of it then.

        """

    async def find_holdable(self, principals: frozenset[str], /) -> frozenset[str]:
        """Return which of these principals somebody may hold by this system, as far as it knows without asking.

        Raises:
            KnowledgeError: the system is not available.

        """

    async def check_identities(self) -> str:
        """Return in words what is available, for the doctor.

        Raises:
            KnowledgeError: something is missing, such as a scope; the text names the next step.

        """


@runtime_checkable
class IdentifyingSource(Protocol):
    """A source of documents whose system has groups of people."""

    @property
    def identities(self) -> IdentitySource | None:
        """Return the identity source of the system; None if it is not configured."""


def is_email(text: str) -> bool:
    """Return whether a text is an e-mail address in lower case, of ASCII's characters."""
    return text.isascii() and text == text.lower() and _EMAIL.fullmatch(text) is not None


def normalize_email(text: str) -> str:
    """Return an e-mail address in lower case, "" if the text is none.

    Other letters than ASCII's are no address here: the Kelvin sign, for one, has the lower case "k".
    """
    address = text.strip().lower() if text.isascii() else ""
    return address if is_email(address) else ""


def normalize_principal(text: str) -> str:
    """Return a principal as documents and people have it: e-mail addresses and names of Google are in lower case."""
    stripped = text.strip()
    lower = stripped.lower() if stripped.isascii() else stripped
    return lower if is_email(lower) or lower.startswith("drive:") else stripped


def is_membership(principal: str) -> bool:
    """Return whether only the chat may give a principal: who is a member or a guest, and ids of its own."""
    if principal in {*EVERYONE, GUESTS, WORLD} or principal.startswith(WORKSPACE):
        return True
    return _CHAT_ID.fullmatch(principal) is not None
