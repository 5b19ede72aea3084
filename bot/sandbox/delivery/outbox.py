"""Envelopes for the app: each one is stored until the app acknowledges it or the last retry fails."""

from __future__ import annotations

import asyncio
import uuid
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot.sandbox import limits
from bot.sandbox.delivery.clock import SandboxClock
from bot.sandbox.oauth.wire_ids import WireIds
from bot.sandbox.state.model import Envelope, Json, Record, Transport, name_kind
from engine.tasks import cancel_tasks

_REMEMBERED = 1_000


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The app acknowledged, with a ``payload`` or without."""

    payload: Json | None = None


@dataclass(frozen=True, slots=True)
class DeliveryFailure:
    """The app did not acknowledge, for one of Slack's reasons (``timeout``, ``http_error`` …)."""

    reason: str


class Carrier(ABC):
    """How envelopes reach the app: Socket Mode, or requests to its URL."""

    def __init__(self) -> None:
        self.connected = asyncio.Event()
        """It is set while an app is connected."""
        self.on_change: Callable[[], None] = lambda: None
        """It is called when the app connects or disconnects."""

    @abstractmethod
    async def deliver_envelope(self, envelope: Envelope, deadline_s: float) -> Acknowledgement | DeliveryFailure:
        """Deliver once and wait for the acknowledgement."""


OnOutcome = Callable[[Acknowledgement | DeliveryFailure | None], Awaitable[None]]
"""Handles the outcome of a command or an interaction; the outcome is None if no app is connected."""


class Outbox:
    """One task for each pending envelope."""

    def __init__(
        self,
        clock: SandboxClock,
        carrier: Carrier,
        store: Callable[[dict[tuple[str, str], Record | None]], None],
        ids: WireIds,
        ack_deadline_s: float,
        retry_delays_s: Sequence[float],
    ) -> None:
        self._clock = clock
        self.carrier = carrier
        self._store = store
        self._ids = ids
        self._ack_deadline_s = ack_deadline_s
        self._retry_delays_s = retry_delays_s
        self._tasks: set[asyncio.Task[None]] = set()
        self.pending: dict[str, Envelope] = {}
        self.given_up: deque[Envelope] = deque(maxlen=_REMEMBERED)

    def send_event(self, payload: Json, delay_s: float = 0.0) -> None:
        """Send an event after a delay, until it is acknowledged or its last retry failed."""
        envelope = self._create_envelope("events_api", payload)
        envelope = replace(envelope, due=envelope.created + delay_s)
        self._store_envelope(envelope)
        self._start_task(self._deliver_event(envelope))

    def send_once(self, kind: Transport, payload: Json, on_outcome: OnOutcome) -> None:
        """Send a command or an interaction; these are not sent again."""
        self._start_task(self._deliver_once(self._create_envelope(kind, payload), on_outcome))

    def resume_events(self, envelopes: Sequence[Envelope]) -> None:
        """Continue with the events that were pending when the process ended."""
        for envelope in envelopes:
            self.pending[envelope.id] = envelope
            self._start_task(self._deliver_event(envelope))

    async def close(self) -> None:
        """Stop all deliveries; pending events are sent after the next start."""
        await cancel_tasks(*self._tasks)

    def _create_envelope(self, kind: Transport, payload: Json) -> Envelope:
        return Envelope(id=str(uuid.uuid4()), kind=kind, payload=payload, created=self._clock.now())

    def _start_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _store_envelope(self, envelope: Envelope) -> None:
        self.pending[envelope.id] = envelope
        self._store({(name_kind(envelope), envelope.key): envelope})

    def _discard_envelope(self, envelope: Envelope) -> None:
        self.pending.pop(envelope.id, None)
        self._store({(name_kind(envelope), envelope.key): None})

    async def _deliver_event(self, envelope: Envelope) -> None:
        """Deliver, with retries after delays; waiting for an absent app is no retry."""
        while True:
            await self._clock.sleep_until(envelope.due)
            await self.carrier.connected.wait()
            if self._clock.now() - envelope.created > limits.EVENT_LIFETIME_S:
                break
            outcome = await self._deliver_envelope(envelope)
            if isinstance(outcome, Acknowledgement):
                self._discard_envelope(envelope)
                return
            if envelope.attempt >= len(self._retry_delays_s):
                break
            due = self._clock.now() + self._retry_delays_s[envelope.attempt]
            envelope = replace(envelope, attempt=envelope.attempt + 1, reason=outcome.reason, due=due)
            self._store_envelope(envelope)
        self.given_up.append(envelope)
        self._discard_envelope(envelope)

    async def _deliver_once(self, envelope: Envelope, on_outcome: OnOutcome) -> None:
        await on_outcome(await self._deliver_envelope(envelope) if self.carrier.connected.is_set() else None)

    async def _deliver_envelope(self, envelope: Envelope) -> Acknowledgement | DeliveryFailure:
        """Deliver once, with the workspace's ids of the wire."""
        envelope = replace(envelope, payload=self._ids.translate_ids(envelope.payload))
        outcome = await self.carrier.deliver_envelope(envelope, self._ack_deadline_s)
        if isinstance(outcome, Acknowledgement) and outcome.payload:
            return Acknowledgement(self._ids.translate_ids(outcome.payload))
        return outcome
