"""Pass on the workspace's changes: rows to the storage, events to the app, updates to open pages."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from bot.sandbox import limits
from bot.sandbox.delivery.clock import SandboxClock
from bot.sandbox.delivery.faults import Faults
from bot.sandbox.delivery.outbox import Outbox
from bot.sandbox.http.credentials import Credentials
from bot.sandbox.limits import RateLimiter
from bot.sandbox.oauth.issued_tokens import IssuedTokens
from bot.sandbox.state import directory, wire
from bot.sandbox.state.model import BOT_USER, Json, SlackChannel
from bot.sandbox.state.records import PageUpdate
from bot.sandbox.state.storage import Storage
from bot.sandbox.state.workspace import Workspace

SCOPES = (
    "app_mentions:read",
    "assistant:write",
    "canvases:write",
    "channels:history",
    "channels:read",
    "chat:write",
    "commands",
    "files:read",
    "files:write",
    "groups:history",
    "groups:read",
    "im:history",
    "mpim:history",
    "mpim:read",
    "reactions:read",
    "usergroups:read",
    "users:read",
    "users:read.email",
)
"""The app gets these scopes on installation. A test compares them with its manifest."""


@dataclass(slots=True, kw_only=True)
class Hub:
    """What all endpoints share."""

    clock: SandboxClock
    workspace: Workspace
    storage: Storage
    outbox: Outbox
    faults: Faults
    limiter: RateLimiter
    credentials: Credentials
    tokens: IssuedTokens
    scopes: frozenset[str]
    revoked_tokens: frozenset[str] = frozenset()
    """The control API revoked the tokens of these kinds: ``bot``, ``app``."""
    status: Json = field(default_factory=dict)
    """The launcher sends this state of engine and knowledge."""
    trigger_lifetime_s: float = limits.TRIGGER_LIFETIME_S
    show_update: Callable[[PageUpdate], None] = lambda _update: None
    """Shows an update on the open pages; a workspace without a page ignores it."""
    _triggers: dict[str, tuple[str, float]] = field(default_factory=dict)

    def settle_changes(self) -> None:
        """Pass on the changes of the last operation on the workspace, without waiting."""
        changes = self.workspace.take_changes()
        self.storage.queue_records(changes.records)
        for event, room, delay_s in self.faults.order_events(changes.events):
            self._send_event(event, room, delay_s)
        for update in changes.updates:
            self.show_update(update)

    async def settle_and_store(self) -> None:
        """Pass on the changes and wait until they are on disk."""
        self.settle_changes()
        await self.storage.wait_until_stored()

    def uninstall_app(self) -> None:
        """Uninstall the app: Slack sends two last events, and accepts no token of it any more."""
        revoked = {"type": "tokens_revoked", "tokens": {"oauth": [], "bot": [BOT_USER]}}
        for event in (revoked, {"type": "app_uninstalled"}):
            self._send_event(event | {"event_ts": self.workspace.next_ts()}, None, 0.0)
        self.tokens.revoke_all()

    def is_bot_token(self, token: str) -> bool:
        """Return whether a token is the app's here, and counts.

        Raises:
            RefusedCall: ``token_revoked``, ``token_expired``.

        """
        if self.tokens.has_token(token):
            self.tokens.check_token(token)
            return True
        return self.tokens.is_preinstalled and hmac.compare_digest(token.encode(), self.credentials.bot_token.encode())

    def _send_event(self, event: Json, room: SlackChannel | None, delay_s: float) -> None:
        if not self.tokens.is_installed:
            return
        if isinstance(event.get("user"), dict) and "users:read.email" not in self.scopes:
            event = event | {"user": directory.without_email(event["user"])}
        delay_s += self.faults.event_delays_s.pop(0) if self.faults.event_delays_s else 0.0
        copies, self.faults.duplicates = 1 + self.faults.duplicates, 0
        for _ in range(copies):
            token = self.credentials.verification_token
            body = wire.event_callback(self.workspace, event, room, now=self.clock.now(), token=token)
            self.outbox.send_event(body, delay_s)

    def publish_status(self) -> None:
        """Show engine, knowledge and whether the app is connected on the open pages."""
        self.show_update(PageUpdate("status", self.status_frame()))

    def status_frame(self) -> Json:
        """Return the status in the form that pages get."""
        return {"type": "status", "status": self.status, "connected": self.outbox.carrier.connected.is_set()}

    def new_trigger(self, person: str) -> str:
        """Return a new trigger id for an action of a person."""
        trigger = f"{secrets.randbelow(10**13)}.{secrets.randbelow(10**12)}.{secrets.token_hex(16)}"
        self._triggers[trigger] = (person, self.clock.now() + self.trigger_lifetime_s)
        return trigger

    def take_trigger(self, trigger: str) -> str | None:
        """Return the person behind a trigger, once and within its lifetime; None otherwise."""
        person, ends = self._triggers.pop(trigger, ("", 0.0))
        now = self.clock.now()
        self._triggers = {name: entry for name, entry in self._triggers.items() if entry[1] >= now}
        return person if ends >= now else None
