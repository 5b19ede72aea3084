"""The state of one question while it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from bot.answering.checked_stream import CheckedStream
from bot.answering.events import Finished, Passage, Question, Route, Stage, Text
from bot.answering.extracts.sentence_similarities import Similarities
from bot.answering.limits import Limits
from bot.answering.markdown.citations import Numbering
from bot.answering.policy import WebUse
from bot.answering.retrieval.web_routing import decide_web_use
from bot.languages.registry import Language
from engine.interfaces import ContentDelta, ReasoningDelta, Requester, StreamEnd
from knowledge.errors import KnowledgeError
from knowledge.interfaces import Material


def join_case(question: Question) -> str:
    """Return all that is said about a case: the question, what people wrote before it, and files."""
    written = question.written or [exchange.messages for exchange in question.history]
    read = [chunk.text for material in question.materials for chunk in material.chunks]
    return "\n".join([question.text, *written, *read])


def list_unread(question: Question) -> list[str]:
    """Return the names of what ``join_case`` lacks: pictures, pages and files that were not read, or not whole."""
    partly = (one.title for one in question.materials if one.is_cut or one.unread_pages or not one.chunks)
    return list(dict.fromkeys((*partly, *question.unread)))


@dataclass(slots=True)
class Turn:
    """A question with everything that is known about it so far."""

    question: str
    asked_question: Question
    language: Language
    began: float
    passages: tuple[Passage, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)
    route: Route = "unknown"
    numbering: Numbering = field(default_factory=Numbering)
    announced_count: int = 0
    """How many of the cited passages were named in an event."""
    marked_count: int = 0
    removed_count: int = 0
    small_model: bool = False
    extracted_passages: tuple[Passage, ...] = ()
    warning_passages: tuple[Passage, ...] = ()
    """The passages of the warnings that come before the answer."""
    similarities: Similarities | None = field(default=None, repr=False)
    """How similar the question is to the sentences of the first passages; None until they are compared."""
    search_query: str = ""
    reasoning: str = field(default="", repr=False)
    shown_text: str = field(default="", repr=False)
    """What the model wrote, as it is shown."""
    answerable: bool = True
    """Whether the search is sure that it found an answer."""
    related: bool = True
    """Whether the search found anything about the question."""
    unmentioned_names: list[str] = field(default_factory=list)
    """Names and years of the question that no passage mentions: a small model makes an answer up."""
    trouble: KnowledgeError | None = None
    """Why the documents could not be searched, where the web answers alone."""
    pictures: list[Material] = field(default_factory=list)
    """Pictures that a vision model is asked about."""
    is_seen: bool = False
    """Whether it answered."""
    web: WebUse = field(init=False)
    """Whether the live web is asked, and what came of it as far as is known."""

    def __post_init__(self) -> None:
        """Decide whether the web is asked; the words that ask for it are no part of the question."""
        self.web = decide_web_use(
            self.question,
            self.asked_question.history,
            self.asked_question.asker.policy,
            wish=self.asked_question.wants_web,
        )
        self.question = self.web.question

    @property
    def is_shown(self) -> bool:
        """Return whether something that the model wrote is shown."""
        return bool(self.shown_text)

    @property
    def requester(self) -> Requester:
        """Return who sends the requests to the engine."""
        asker = self.asked_question.asker
        return Requester(asker.person, asker.conversation, asker.cache_salt)

    def narrow_limits(self, limits: Limits) -> Limits:
        """Return the limits of this answer: from guidelines, no sentence without a source is shown."""
        return replace(limits, unsupported="drop") if self.asked_question.asker.is_confidential else limits

    def mark_unreadable(self) -> None:
        """Note that there is nothing to ask, neither the documents nor the web."""
        self.web = replace(self.web, readable=False)

    def make_finished(self, now: float) -> Finished:
        """Return the last event."""
        self.timings["total"] = now - self.began
        cited = self.numbering.passages
        return Finished(
            self.route,
            cited,
            dict(self.timings),
            self.web,
            self.marked_count,
            self.removed_count,
            self.extracted_passages,
            self.search_query,
            "" if self.asked_question.asker.is_confidential else self.reasoning,  # nothing checks it
            self.is_seen,
        )

    def cite_new(self, text: Text) -> Text:
        """Return a text with the passages that no earlier text cites."""
        cites = self.numbering.passages[self.announced_count :]
        self.announced_count += len(cites)
        return replace(text, cites=cites)


@dataclass(slots=True)
class EngineStream:
    """What the engine has sent so far in one turn."""

    preparing: asyncio.Task[None]
    """Ends when the checker has read the passages."""
    make_checked: Callable[[], CheckedStream]
    """Makes the checked stream, once for each attempt of the engine."""
    checked_stream: CheckedStream = field(init=False)
    ends_at: float = 0.0
    """When the engine must be done: ``Limits.answer_s`` from its turn."""
    waits: bool = False
    """Whether it waits in the engine's queue."""
    has_begun: bool = False
    content: bool = False
    thinking_text: str = ""
    stream_end: StreamEnd | None = None

    def __post_init__(self) -> None:
        """Make the first checked stream."""
        self.checked_stream = self.make_checked()

    def restart(self) -> None:
        """Forget what the engine sent: another server begins from the start."""
        self.checked_stream = self.make_checked()
        self.content, self.thinking_text = False, ""

    @property
    def was_cut(self) -> bool:
        """Whether the model was stopped in the middle."""
        return self.stream_end is None or self.stream_end.finish_reason != "stop"

    @property
    def unclosed_thought(self) -> str:
        """Return the thinking of an R1 that answered in it without closing it; "" if the answer was cut."""
        return "" if self.content or self.was_cut else self.thinking_text

    @property
    def reasoning(self) -> str:
        """Return the thinking that is no answer."""
        return "" if self.unclosed_thought else self.thinking_text.strip()

    def add_delta(self, delta: ContentDelta | ReasoningDelta | StreamEnd, most_chars: int) -> Stage | None:
        """Note a delta; return what the model begins to do with it, to think or to write; None where it goes on.

        Of its thought, ``most_chars`` are kept.
        """
        self.has_begun = True
        if isinstance(delta, StreamEnd):
            self.stream_end = delta
        elif isinstance(delta, ContentDelta) and not self.content:
            self.content = bool(delta.text.strip())
            return "write"
        elif isinstance(delta, ReasoningDelta):
            begins = not self.thinking_text
            self.thinking_text = (self.thinking_text + delta.text)[:most_chars]
            return "think" if begins else None
        return None
