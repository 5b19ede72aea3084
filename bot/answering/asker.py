"""Who asks: the same for a person in Slack, at the terminal and with an API key."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal, get_args

from bot.answering.guidance import Guidance
from bot.answering.policy import Policy
from bot.answering.retrieval.channel_filters import join_filters
from bot.answering.thinking import Depth, Length
from bot.languages.registry import Language
from knowledge.interfaces import ANY_MEMBER, Viewers
from knowledge.masking import NameIndex

Tone = Literal["plain", "friendly", "formal"]
TONES: Final[tuple[Tone, ...]] = get_args(Tone)
ALL_TEAMS: Final = "*"
"""The workspace of an asker to whom the verified answers of all workspaces may be shown."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, who will see the answer, and what applies to both."""

    person: str = ""
    """The id of the person, "" if unknown: people get equal shares of the engine."""
    team: str = ""
    """The workspace whose verified answers may be shown: ``ALL_TEAMS`` for all, "" for none."""
    viewers: Viewers = ANY_MEMBER
    """Who will see the answer; a passage is used only if every one of them may read it."""
    cache_salt: str = field(default="", repr=False)
    """Separates the engine's prefix cache from that of viewers with other rights; "" for no separation."""
    people: frozenset[str] = field(default=frozenset(), repr=False)
    """Names of colleagues that stand, behind an @, where somebody was mentioned; those leave for no search engine."""
    names: NameIndex | None = field(default=None, repr=False, compare=False)
    """Full names of people whom Kvasir knows; they leave for no search engine, wherever they stand."""
    key: str = ""
    """The id of the key of the API that asks, "" for none."""
    conversation: str = ""
    """The id of the conversation, whose passages are remembered for follow-ups; "" for none."""
    within: str = ""
    """Filters that narrow the search in addition to those of the question (``in:handbook type:pdf``)."""
    policy: Policy = field(default_factory=Policy)
    depth: Depth = "normal"
    length: Length = "normal"
    language: Language | None = None
    """The language of the answer; None for that of the question."""
    tone: Tone = "plain"
    guidance: Guidance | None = field(default=None, repr=False, compare=False)
    """What answers from guidelines alone; None for answers from all sources."""

    @property
    def is_confidential(self) -> bool:
        """Return whether nothing of the question, its files and its answer is kept: they are about a patient."""
        return self.guidance is not None


def restrict_to_guidelines(asker: Asker, guidance: Guidance, now: datetime) -> Asker:
    """Return an asker who gets answers from guidelines alone; no conversation remembers them.

    Raises:
        InvalidFilter: the asker's own filters admit no guideline.

    """
    within = join_filters(guidance.within, asker.within, now)
    # The next question of the conversation may be about another patient.
    return replace(asker, guidance=guidance, within=within, policy=Policy(), conversation="")
