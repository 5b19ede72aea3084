"""The engine's interfaces: requests, streamed deltas, status, and the protocols that the bot uses."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol

from engine.notes import EngineNote, join_notes


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn of a conversation. R1 has no system prompt: instructions go into the first user turn."""

    role: Literal["user", "assistant"]
    content: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters. The defaults are those that DeepSeek publishes for R1."""

    temperature: float = 0.6
    top_p: float = 0.95
    max_tokens: int = 4096
    """The limit for thinking and answer together."""
    thinking_tokens: int | None = None
    """Limit for thinking; 0 for no thinking, None for no limit. With ``ThinkingControl.SWITCH`` only 0 and None have an
    effect. A model that does not think ignores it."""
    json_schema: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)
    """The JSON schema of the answer; None for free text. A model that thinks follows it only after an open thought, so
    with ``thinking_tokens`` 0 it may not. Parse the answer as text that may be anything."""


class ThinkingControl(StrEnum):
    """How far an engine can control the thinking: there is none, it can be on or off, or limited in tokens."""

    NONE = "none"
    SWITCH = "switch"
    BUDGET = "budget"


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """A piece of the model's thinking."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ContentDelta:
    """A piece of the answer."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens that a request used; None where the server does not report them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """The end of a complete stream; always the last delta."""

    finish_reason: Literal["stop", "length", "abort"]
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True)
class QueuePosition:
    """The position of a waiting request. It comes before all other deltas; a request that starts at once has none."""

    position: int
    """1 is the next request to start; 0: the request has started."""
    eta_s: float | None
    """Estimated seconds until the start; None before the first measurement."""


@dataclass(frozen=True, slots=True)
class StreamRestart:
    """The connection to the server broke and another server restarts the answer. Discard all earlier deltas."""


Delta = QueuePosition | StreamRestart | ReasoningDelta | ContentDelta | StreamEnd


@dataclass(frozen=True, slots=True)
class Requester:
    """Who sends a request. It decides the request's position in the queue and its server."""

    person: str = ""
    """People get equal shares of the engine. All requests without a name count as one person."""
    thread: str = ""
    """The conversation. It stays on one server, whose prefix cache has its beginning; "" for none."""
    cache_salt: str = ""
    """Separates the prefix cache of readers with different rights; requests with equal salts share prefixes."""
    answer_timeout_s: float | None = None
    """The queue refuses an answer that cannot be complete in time. None: only the queue's own limit applies."""
    has_shown_output: Callable[[], bool] = lambda: True
    """Whether the reader has seen a part of the answer. Until then, the answer restarts when its server is lost."""


ANONYMOUS = Requester()


class EngineState(StrEnum):
    """The states of the engine's lifecycle."""

    ABSENT = "absent"
    INSTALLING = "installing"
    DOWNLOADING = "downloading"
    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    STOPPING = "stopping"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """The engine's status as users see it."""

    state: EngineState
    progress: float | None = None
    """The progress towards READY, 0 to 1; None if unknown."""
    notes: tuple[EngineNote, ...] = ()
    """The current step, or why it failed and the next step."""
    url: str | None = None
    model: str | None = None
    small_model: bool = False
    on_cpu: bool = False

    @property
    def detail(self) -> str:
        """Return the notes as one English line, for logs and the command line."""
        return join_notes(self.notes)


class ChatEngine(Protocol):
    """The engine as answers use it. ``engine.service.Engine`` implements it."""

    def status(self) -> EngineStatus:
        """Return the state now, without I/O."""

    @property
    def context_tokens(self) -> int:
        """Return the length of the context window in tokens, prompt and answer together."""

    def count_tokens(self, text: str) -> int:
        """Count tokens with the vocabulary of the served model."""

    def stream(
        self, messages: Sequence[ChatMessage], sampling: Sampling, *, request_id: str, requester: Requester = ANONYMOUS
    ) -> AsyncIterator[Delta]:
        """Stream an answer. Closing the iterator cancels the request in the engine or in the queue.

        Raises:
            EngineError: a subclass for each failure; before the first delta, nothing was generated.

        """


class OptionScorer(Protocol):
    """The engine as a judge uses it. ``engine.service.Engine`` implements it."""

    def status(self) -> EngineStatus:
        """Return the state now, without I/O."""

    async def score_options(
        self,
        messages: Sequence[ChatMessage],
        options: Sequence[str],
        *,
        request_id: str,
        timeout_s: float,
        requester: Requester = ANONYMOUS,
    ) -> tuple[float, ...]:
        """Return the probability of each option as the first token of the reply, with thinking closed.

        The probabilities sum to 1. Case and surrounding spaces of a token are ignored. Answers have priority: the
        request is refused while people wait in the queue, and cancelled when a person starts to wait. ``requester`` has
        the conversation whose prompt the messages share; its server has the beginning in its prefix cache.

        Raises:
            EngineError: there is no engine, people wait, the reply is late, or the server sends no logprobs.

        """


class ClosableEngine(ChatEngine, OptionScorer, Protocol):
    """An engine that answers and judges, with streams that can be closed early."""

    def stream(
        self, messages: Sequence[ChatMessage], sampling: Sampling, *, request_id: str, requester: Requester = ANONYMOUS
    ) -> AsyncGenerator[Delta, None]:
        """Stream an answer; closing it cancels it in the engine."""


@dataclass(frozen=True, slots=True)
class EngineWrapper:
    """Says what another engine says of itself. Subclasses add how it answers and judges."""

    _engine: ClosableEngine

    def status(self) -> EngineStatus:
        """Return the current state."""
        return self._engine.status()

    @property
    def context_tokens(self) -> int:
        """Return the length of the context window in tokens."""
        return self._engine.context_tokens

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens in the served model's vocabulary."""
        return self._engine.count_tokens(text)
