"""Viewers for tests: full members of the company."""

from __future__ import annotations

from knowledge.interfaces import ANY_MEMBER, EVERYONE, Viewers


def make_members(*principals: str) -> Viewers:
    """Return one full member for each principal; without any, a member of whom nothing else is known."""
    return Viewers.of(*({*EVERYONE, one} for one in principals)) if principals else ANY_MEMBER
