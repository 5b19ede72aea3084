"""A person as the identity map knows him: the chat's own account, and the principals that the chat gives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """One person. ``principals`` are those of the chat: the account itself, groups, channels and workspaces.

    ``email`` is in lower case, and empty if the chat does not tell it or has not confirmed it.
    """

    id: str
    email: str = ""
    principals: frozenset[str] = frozenset()
