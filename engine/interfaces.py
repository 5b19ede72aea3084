"""Every seam of the engine room on one page: what is asked of a model, what it streams, what state it is in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn of a conversation. R1 takes no system prompt: instructions go into the first user turn."""

    role: Literal["user", "assistant"]
    content: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is drawn; the defaults are what DeepSeek publishes for R1."""

    temperature: float = 0.6
    top_p: float = 0.95
    max_tokens: int = 4096
    """Of thinking and answer together."""
    thinking_tokens: int | None = None
    """At most so many tokens of thinking; 0 for none, None for as many as the model likes. Where the engine cannot
    bound them (``Control.SWITCH``) only 0 and None mean something, and nothing does to a model that does not think."""


class ThinkingControl(StrEnum):
    """What an engine can make of a wish for more or less thinking."""

    NONE = "none"
    """The model does not think."""
    SWITCH = "switch"
    """It thinks as long as it likes, or not at all."""
    BUDGET = "budget"
    """Its thinking can be bounded in tokens."""


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """A piece of the model's thinking, as it comes."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ContentDelta:
    """A piece of the answer, as it comes."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request cost, in tokens; None where the server does not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """The end of a stream that ended well; always the last delta."""

    finish_reason: Literal["stop", "length", "abort"]
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True)
class QueuePosition:
    """How a request's turn comes nearer; only before anything else. One that can begin at once brings none."""

    position: int
    """1 is the next to begin; 0: it has begun."""
    eta_s: float | None
    """Until it begins, as measured; None while nothing was measured yet."""


@dataclass(frozen=True, slots=True)
class StreamRestart:
    """The server was lost and another begins from the start: what came before counts for nothing."""


Delta = QueuePosition | StreamRestart | ReasoningDelta | ContentDelta | StreamEnd


def _assume_shown() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Requester:
    """For whom something is asked: what decides whose turn it is, and on which server."""

    person: str = ""
    """People get equal shares; whoever is not named shares with all others who are not."""
    thread: str = ""
    """A conversation stays with one server, which has its beginning in the cache; "" for none."""
    answer_timeout_s: float | None = None
    """An answer that cannot be complete by then is refused at once; None: only the queue's own limit counts."""
    has_shown_output: Callable[[], bool] = _assume_shown
    """Whether the reader has seen a part of the answer. Until then, the answer restarts when its server is lost."""


ANONYMOUS = Requester()


class EngineState(StrEnum):
    """Where the engine is in its life."""

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
    """The engine as a person is told of it."""

    state: EngineState
    progress: float | None = None
    """0 to 1 towards READY, None where it cannot be said."""
    detail: str = ""
    """One line: what is being done, or why it failed and the next step."""
    url: str | None = None
    model: str | None = None
    """The name that is served."""
    small_model: bool = False
    """True for a model that runs without a GPU and is no R1."""
    on_cpu: bool = False
    """Whether the engine says that it runs on a CPU; False where it does not say."""


class ChatEngine(Protocol):
    """What an answer needs of an engine; ``engine.service.Engine`` is the real one."""

    def status(self) -> EngineStatus:
        """Return the state now, without I/O."""

    @property
    def context_tokens(self) -> int:
        """Return the length of the context window in tokens, prompt and answer together."""

    def count_tokens(self, text: str) -> int:
        """Count tokens with the served model's own vocabulary."""

    def stream(
        self, messages: Sequence[ChatMessage], sampling: Sampling, *, request_id: str, requester: Requester = ANONYMOUS
    ) -> AsyncIterator[Delta]:
        """Stream an answer; closing the iterator cancels it in the engine, or takes it out of the queue.

        Raises:
            EngineError: a subclass for each way to fail; before the first piece nothing was generated.

        """


class OptionScorer(Protocol):
    """What a judge needs of an engine; ``engine.service.Engine`` is the real one."""

    def status(self) -> EngineStatus:
        """Return the state now, without I/O."""

    async def score_options(
        self,
        messages: Sequence[ChatMessage],
        options: Sequence[str],
        *,
        request_id: str,
        timeout_s: float,
        thread: str = "",
    ) -> tuple[float, ...]:
        """Return the probability of each option as the first token of the reply, with thinking closed.

        The probabilities sum to 1. Case and surrounding spaces of a token do not count. It is refused at once while
        people wait in line, ends when somebody begins to wait, and is counted apart from answers. ``thread`` is the
        conversation whose prompt the messages share: its server has their beginning in the cache.

        Raises:
            EngineError: there is no engine, people wait, the reply is late, or the server gives no logprobs.

        """
