"""What of the live web may be used, everywhere and in a channel, and what was used for a question. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Literal, get_args

from knowledge.interfaces import EVERYONE, WORLD, LiveWebRequest, Viewers, WebSearchReport

Mode = Literal["off", "listed", "on"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)
"""All modes, from the narrowest to the widest."""
PrivateWords = Literal["mask", "block", "ask"]
"""What happens to a search whose words are private: they are masked, it is not made, or the asker decides."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What of the web may be used in one channel."""

    mode: Mode = "off"
    domains: frozenset[str] = frozenset()
    """The mode ``listed`` reads only these domains and what lies under them."""
    private: frozenset[str] = frozenset()
    """Hosts of the inner network that the configuration names."""
    searches: bool = False
    """Whether a search provider is configured; links are read in any case."""
    private_words: PrivateWords = "mask"
    off_in_channel: bool = False
    """Whether the installation uses the web, and only the channel turns it off."""
    off_for_viewers: bool = False
    """Whether the web may be used there, but somebody who sees the answer may not see anything of it."""

    def limit_to_mode(self, mode: Mode) -> Policy:
        """Return the policy of a channel with this mode, which narrows and never widens."""
        narrower = min(self.mode, mode, key=MODES.index)
        return replace(self, mode=narrower, off_in_channel=self.off_in_channel or narrower == "off" != self.mode)


def narrow_policy(policy: Policy, viewers: Viewers) -> Policy:
    """Return what of the web may be used for an answer to these viewers.

    People of another company, and people of whom nothing is known, see nothing of the web. Where the configuration
    names hosts of the inner network, only full members do.
    """
    are_members = bool(viewers.people) and all(principals >= EVERYONE for principals in viewers.people)
    are_known = all(principals > {WORLD} for principals in viewers.people)
    if policy.mode == "off" or are_members or (are_known and not policy.private):
        return policy
    return replace(policy, mode="off", off_for_viewers=True)


@dataclass(frozen=True, slots=True)
class Policies:
    """What of the web may be used, everywhere and in channels."""

    everywhere: Policy = Policy()
    channels: Mapping[str, Mode] = field(default_factory=dict)

    def find_policy(self, channel: str) -> Policy:
        """Return the policy of a channel."""
        return self.everywhere.limit_to_mode(self.channels.get(channel, self.everywhere.mode))


class Why(StrEnum):
    """Why the web is searched, or would be."""

    ASKED = "asked"
    LINK = "link"
    RECENT = "recent"
    """It is about the present of the world."""
    WEAK = "weak"
    """The documents may not be enough."""
    FILTERED = "filtered"
    """The question has filters, so the web is not searched."""


@dataclass(frozen=True, slots=True)
class WebUse:
    """Whether the web is searched for an answer, why, and the result."""

    live: LiveWebRequest | None = None
    why: Why = Why.WEAK
    policy: Policy = Policy()
    closed_links: tuple[str, ...] = ()
    """Links of the question that the policy does not allow."""
    question: str = field(default="", repr=False)
    """The question without the words that ask for the web."""
    look: WebSearchReport | None = None
    """The report of the search; None if the web was not searched."""
    readable: bool = True
    """Whether there was a question, with filters that can be meant."""
    withheld: str = field(default="", repr=False)
    """The masked words that were not searched, because there was something to mask in them; "" if nothing was."""

    @property
    def when(self) -> Literal["never", "if_weak", "always"]:
        """Return when it is searched."""
        return self.live.when if self.live else "never"

    @property
    def may_look(self) -> bool:
        """Whether somebody who wants it may have the web asked yet."""
        is_open = self.policy.mode != "off" and self.policy.searches
        return self.readable and self.look is None and is_open and not self.withheld
