"""Delivers envelopes of a further workspace, with its ids."""

from __future__ import annotations

from dataclasses import replace

from bot.sandbox.delivery.outbox import Acknowledgement, Carrier, DeliveryFailure
from bot.sandbox.oauth.wire_ids import WireIds
from bot.sandbox.state.model import Envelope


class TranslatedCarrier:
    """A carrier around that of the first workspace."""

    def __init__(self, carrier: Carrier, ids: WireIds) -> None:
        self._carrier = carrier
        self._ids = ids

    def is_connected(self) -> bool:
        """Return whether an app is connected now."""
        return self._carrier.is_connected()

    async def wait_until_connected(self) -> None:
        """Wait until an app is connected."""
        await self._carrier.wait_until_connected()

    async def deliver_envelope(self, envelope: Envelope, deadline_s: float) -> Acknowledgement | DeliveryFailure:
        """Deliver once and wait for the acknowledgement."""
        outcome = await self._carrier.deliver_envelope(
            replace(envelope, payload=self._ids.translate_ids(envelope.payload)), deadline_s
        )
        if isinstance(outcome, Acknowledgement) and outcome.payload:
            return Acknowledgement(self._ids.translate_ids(outcome.payload))
        return outcome
