"""What of the live web may be asked, in the house and in a channel, and what was done for a question. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Literal, get_args

from knowledge.interfaces import LiveWebRequest, WebSearchReport

Mode = Literal["off", "listed", "on"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)
"""From the narrowest to the widest."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be asked of the web in one place."""

    mode: Mode = "off"
    domains: frozenset[str] = frozenset()
    """In the mode ``listed``: all that is read, each with what lies under it."""
    private: frozenset[str] = frozenset()
    """Hosts of the inner network that the configuration names."""
    searches: bool = False
    """Whether anybody is configured who can be asked to search; links are read in any case."""


@dataclass(frozen=True, slots=True)
class Policies:
    """What may be asked of the web, everywhere and in channels."""

    everywhere: Policy = Policy()
    channels: Mapping[str, Mode] = field(default_factory=dict)
    """By the channel's id; a channel narrows, and never widens."""

    def of(self, channel: str) -> Policy:
        """Return what holds in a channel."""
        here = self.channels.get(channel, self.everywhere.mode)
        return replace(self.everywhere, mode=min(self.everywhere.mode, here, key=MODES.index))


class Why(StrEnum):
    """Why the web is asked, or would be."""

    ASKED = "asked"
    """Somebody said so."""
    LINK = "link"
    """A link stands in what people wrote."""
    RECENT = "recent"
    """It is about the present of the world."""
    WEAK = "weak"
    """The documents may not be enough."""
    FILTERED = "filtered"
    """The question names the documents that it is put to: the web is not asked."""


@dataclass(frozen=True, slots=True)
class WebUse:
    """Whether the web is asked for an answer, why, and what came of it."""

    live: LiveWebRequest | None = None
    """How it is asked; None: it is not."""
    why: Why = Why.WEAK
    policy: Policy = Policy()
    closed: tuple[str, ...] = ()
    """Links of the question itself that may not be read here."""
    question: str = field(default="", repr=False)
    """Without the words that ask for the web."""
    look: WebSearchReport | None = None
    """None: it was not asked."""
    readable: bool = True
    """Whether there was a question, with filters that can be meant."""

    @property
    def when(self) -> Literal["never", "if_weak", "always"]:
        """Return whether it was to be asked."""
        return self.live.when if self.live else "never"

    @property
    def may_look(self) -> bool:
        """Whether somebody who wants it may have the web asked yet."""
        return self.readable and self.look is None and self.policy.mode != "off" and self.policy.searches
