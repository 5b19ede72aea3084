"""The question and the events of its answer, as Slack and the command line use them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from bot.answering.asker import Asker
from bot.answering.policy import WebUse
from knowledge.interfaces import Material, MaterialOrigin, WebOrigin


@dataclass(frozen=True, slots=True)
class Quote:
    """A message of somebody who does not ask: material, never an instruction."""

    text: str = field(repr=False)
    author: str = field(default="", repr=False)
    """The display name, which its owner chooses; "" if unknown."""
    is_app: bool = False


@dataclass(frozen=True, slots=True)
class Exchange:
    """An earlier turn of the same conversation, oldest first in a history."""

    question: str = field(repr=False)
    """What the asker of the current turn wrote; "" if only others did."""
    answer: str = field(repr=False)
    quotes: tuple[Quote, ...] = field(default=(), repr=False)
    """What others wrote before the answer."""
    chunks: frozenset[str] | None = field(default=frozenset(), repr=False, compare=False)
    """The chunks of the passages that the answer was written from; None if they are unknown."""

    @property
    def messages(self) -> str:
        """Return what all people wrote, the asker last."""
        return "\n".join(filter(None, (*(quote.text for quote in self.quotes), self.question)))


@dataclass(frozen=True, slots=True)
class Question:
    """A person's question with the conversation before it."""

    text: str = field(repr=False)
    history: tuple[Exchange, ...] = ()
    asker: Asker = field(default_factory=Asker)
    id: str = ""
    """Names this turn in logs and at the engine."""
    wants_documents: bool = False
    """Whether an answer from the documents was asked for, although there is a verified one."""
    wants_web: bool = False
    """Whether the web was asked for, by a switch or a button; the text may say so too (``web: …``)."""
    approved_words: str = field(default="", repr=False)
    """What the asker lets a search engine see, as a button showed it; "" for nothing."""
    materials: tuple[Material, ...] = field(default=(), repr=False)
    """Files and messages that come with the question. They are read for this answer, and never instructions."""
    written: tuple[str, ...] = field(default=(), repr=False)
    """What people wrote in the conversation, where ``history`` or ``text`` may be cut. Only rules read it."""
    unread: tuple[str, ...] = field(default=(), repr=False)
    """The names of what came with the conversation and was not read."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage that the answer may cite."""

    n: int
    """Its number: in the prompt, or as it is displayed."""
    source: str
    document: str
    title: str
    heading: str
    url: str | None
    text: str = field(repr=False)
    as_of: datetime | None = None
    """When this version was last seen in its source; aware, UTC."""
    since: str = field(default="", repr=False)
    """The earlier question with which the conversation was shown it; "" for one that is new to it."""
    web: WebOrigin | None = None
    """Where on the live web it was read; None for others."""
    chunks: tuple[str, ...] = field(default=(), repr=False)
    """The ids by which the library returns its text; empty for one of the web or of a material."""
    material: MaterialOrigin | None = None
    """Where it stands in a file or a message that came with the question; None for others."""

    @property
    def is_document(self) -> bool:
        """Return whether it is from a document of the company, whose text may name links."""
        return self.web is None and self.material is None


@dataclass(frozen=True, slots=True)
class Sources:
    """The passages found, best first and numbered by rank; comes before any text.

    The numbers in the text follow the order of appearance instead: ``Text.cites`` and ``Finished.cited`` have those.
    """

    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class InLine:
    """The place in the queue: one line that replaces the one before; "" once the turn has come."""

    text: str


Stage = Literal["search", "search_web", "read", "think", "write"]
"""What is done for an answer; ``search_web`` searches the documents, too, and ``read`` waits for the engine."""


@dataclass(frozen=True, slots=True)
class Step:
    """The current step, for a status: "is searching the documents…"; the next one replaces it."""

    text: str
    stage: Stage = "search"


@dataclass(frozen=True, slots=True)
class Text:
    """Checked Markdown to append to the answer: whole sentences, with displayed markers ``[1]``."""

    markdown: str = field(repr=False)
    cites: tuple[Passage, ...] = ()
    """The passages that were not cited before, with their displayed numbers."""
    is_extract: bool = False
    """Whether the documents say this in their own words, and no model wrote it."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One line about the answer itself (the engine is still loading; nothing was found; it was cut)."""

    text: str
    is_cut: bool = False
    """Whether it says that the answer broke off."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The verified answer to a similar question; only people who may read all of its passages hear of it."""

    answer: str
    question: str = field(repr=False)
    passages: tuple[Passage, ...] = field(default=(), repr=False)


Route = Literal["engine", "passages", "closest", "sources", "unknown", "files", "courtesy", "verified"]
"""Who made the answer: the model, extracts of passages in its place, Kvasir about its sources, an owner,
or nobody. ``closest`` shows extracts where nothing answers directly; ``courtesy`` answers thanks and greetings."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of an answer; always the last event, and the only one that is sure to come."""

    route: Route
    cited: tuple[Passage, ...]
    """The passages that the text cites, in the order of their displayed numbers."""
    timings: dict[str, float]
    """Seconds from the question: ``search``, ``first_token``, ``first_text``, ``total``, those that happened."""
    web: WebUse = field(default_factory=WebUse)
    marked_count: int = 0
    """Sentences shown with a warning, as no passage supports them."""
    removed_count: int = 0
    """Sentences left out: the passages contradict them, or do not support them and ``unsupported`` is ``drop``."""
    extracted_passages: tuple[Passage, ...] = ()
    """The passages of which extracts are shown, with their displayed numbers."""
    search_query: str = ""
    """What was searched in the documents, with its filters; "" if nothing was."""
    reasoning: str = field(default="", repr=False)
    """What the model thought before its answer, unchecked; "" if it did not think."""
    is_seen: bool = False
    """Whether a vision model wrote it, which saw the pictures of the question."""


AnswerEvent = Step | Sources | InLine | Text | Notice | Offer | Finished
