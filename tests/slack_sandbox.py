"""A sandbox workspace for tests: the real server on a free port, and a hand to steer it with.

async with sandbox(tmp_path) as box:
    ts = await box.say("ada", "#general", "@Kvasir how do I add a source?")
    reply = await box.wait_for_message(lambda m: m["root"] == ts and m.get("bot_id"))
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp

from bot.languages.registry import LANGUAGES
from bot.messages import progress
from bot.messages.message import render_message
from bot.sandbox.http.credentials import Credentials, load_credentials
from bot.sandbox.hub import Hub
from bot.sandbox.server import SandboxOptions, serve_sandbox
from tests.waiting import WAIT_S

Json = dict[str, Any]
BOT_USER = "U0KVASIR01"
BOT_ID = "B0KVASIR01"
TEAM_ID = "T0SANDBOX1"
FEEDBACK_BUTTONS = {
    "type": "feedback_buttons",
    "action_id": "feedback",
    **{
        f"{half}_button": {"text": {"type": "plain_text", "text": half}, "value": f"it-was-{half}"}
        for half in ("positive", "negative")
    },
}
_POLL_S = 0.02
TRIGGER_LIFETIME_S = 60.0
"""Instead of Slack's three seconds, which a busy machine may miss. ``test_opening.py`` tests that modals open first."""


def is_loading(view: Json) -> bool:
    """Return whether a modal says that its content is coming."""
    return any(render_message(progress.OPENING, language) in str(view) for language in LANGUAGES)


class SandboxClient:
    """A running sandbox, from outside: what an app needs, and the control API."""

    def __init__(self, base_url: str, credentials: Credentials, session: aiohttp.ClientSession) -> None:
        self.base_url = base_url
        self.api_url = f"{base_url}/api/"
        self.bot_token = credentials.bot_token
        self.app_token = credentials.app_token
        self.signing_secret = credentials.signing_secret
        self.control_token = credentials.control_token
        self.session = session
        self.hub: Hub | None = None
        """The insides, where the server runs in this process; for looking at, never for asserting on behaviour."""

    @property
    def env(self) -> dict[str, str]:
        """Return the variables that make the real bot join this workspace over Socket Mode."""
        return {"SLACK_BOT_TOKEN": self.bot_token, "SLACK_APP_TOKEN": self.app_token, "SLACK_API_URL": self.api_url}

    async def control(self, verb: str, path: str, body: Json | None = None, **query: str) -> Json:
        """Call the control API; a refusal raises AssertionError with its name."""
        headers = {"Authorization": f"Bearer {self.control_token}"}
        url = f"{self.base_url}/sandbox/{path}"
        async with self.session.request(verb, url, json=body, params=query, headers=headers) as answer:
            reply: Json = await answer.json()
        if not reply["ok"]:
            raise AssertionError(f"{path}: {reply['error']} {reply.get('detail', '')}")
        return reply

    async def api(self, method: str, token: str | None = None, **args: Any) -> Json:
        """Call a Web API method raw, as the app; returns the answer, refused or not."""
        headers = {"Authorization": f"Bearer {self.bot_token if token is None else token}"}
        async with self.session.post(self.api_url + method, json=args, headers=headers) as answer:
            reply: Json = await answer.json()
            return reply

    def view(self, view_id: str) -> Json:
        """Return a Home or a modal as it stands (empty if it is gone); only where the server runs in this process."""
        assert self.hub is not None
        view = self.hub.workspace.views.get(view_id)
        return view.body if view else {}

    # ── Acting as a person ───────────────────────────────────────────────────────────────────────────────────────────

    async def say(self, person: str, channel: str, text: str, thread_ts: str | None = None) -> str:
        """Say something in ``#name``, an id, or ``@kvasir`` for the direct conversation; returns the ts."""
        body = {"person": person, "channel": channel, "text": text, "thread_ts": thread_ts}
        return str((await self.control("POST", "say", body))["ts"])

    async def say_as_bot(self, bot: str, channel: str, text: str, **more: Any) -> str:
        """Post as another app's bot."""
        return str((await self.control("POST", "say", {"bot": bot, "channel": channel, "text": text, **more}))["ts"])

    async def edit(self, person: str, channel: str, ts: str, text: str) -> None:
        """Edit what a person said."""
        await self.control("POST", "edit", {"person": person, "channel": channel, "ts": ts, "text": text})

    async def delete(self, person: str, channel: str, ts: str) -> None:
        """Delete what a person said."""
        await self.control("POST", "delete", {"person": person, "channel": channel, "ts": ts})

    async def command(self, person: str, channel: str, text: str) -> None:
        """Type a slash command."""
        await self.control("POST", "command", {"person": person, "channel": channel, "text": text})

    async def press(self, person: str, channel: str, ts: str, action_id: str, **more: Any) -> None:
        """Press a button of a message."""
        body = {"person": person, "channel": channel, "ts": ts, "action_id": action_id, **more}
        await self.control("POST", "press", body)

    async def submit(self, person: str, view_id: str, values: Json) -> None:
        """Submit a modal."""
        await self.control("POST", "submit", {"person": person, "view_id": view_id, "values": values})

    async def wait_for_modal(self, person_id: str, contains: str = "") -> Json:
        """Wait until a person has a modal open that contains a text, and return its view.

        Without a text, a modal that only says that its content is coming does not count.
        """
        found: list[Json] = []

        async def is_open() -> bool:
            views = [view for view in (await self.state())["modals"] if view["user"] == person_id]
            found[:] = [view for view in views if (contains in str(view) if contains else not is_loading(view))]
            return bool(found)

        await self.wait_until(is_open, what=f"modal {contains}")
        return found[-1]

    async def shortcut(self, person: str, callback_id: str, **message: str) -> None:
        """Run a global shortcut, or that of a message (``channel``, ``ts``)."""
        await self.control("POST", "shortcut", {"person": person, "callback_id": callback_id, **message})

    async def stop(self, person: str, channel: str, thread_ts: str) -> None:
        """Press Stop under a thread."""
        await self.control("POST", "stop", {"person": person, "channel": channel, "thread_ts": thread_ts})

    async def home(self, person: str) -> Json | None:
        """Open the app's Home; returns the view that is published there now."""
        view: Json | None = (await self.control("POST", "home", {"person": person}))["view"]
        return view

    async def open_messages(self, person: str, channel: str = "") -> None:
        """Open the app's Messages tab while looking at a channel."""
        await self.control("POST", "home", {"person": person, "tab": "messages", "channel": channel})

    async def look_at(self, person: str, channel: str) -> None:
        """Look at a channel while the app is open."""
        await self.control("POST", "context", {"person": person, "channel": channel})

    # ── Changing the world ───────────────────────────────────────────────────────────────────────────────────────────

    async def world(self, **world: Any) -> None:
        """Add or change ``people``, ``channels``, ``groups`` and the ``organization``; ``silent`` for no events.

        The entries have the keys of ``person``, ``channel`` and ``group``, and each names its ``id``.
        """
        await self.control("POST", "world", world)

    async def person(self, person_id: str, **fields: Any) -> None:
        """Add or change a person: ``name``, ``role``, ``email``, ``team``, ``deleted``, as in ``state/model.py``."""
        await self.control("POST", "person", {"id": person_id, **fields})

    async def channel(self, name: str, **fields: Any) -> None:
        """Change ``members``, ``shared_with`` (teams), ``topic``, ``kind``, ``refusal``; ``id`` adds one."""
        await self.control("POST", "channel", {"channel": name, **fields})

    async def group(self, group_id: str, **fields: Any) -> None:
        """Add or change a user group: ``handle``, ``name``, ``users`` (ids or handles), ``disabled``."""
        await self.control("POST", "group", {"id": group_id, **fields})

    async def join(self, member: str, channel: str) -> None:
        """Add a person to a channel."""
        await self.control("POST", "join", {"member": member, "channel": channel})

    async def leave(self, member: str, channel: str) -> None:
        """Remove a person from a channel."""
        await self.control("POST", "leave", {"member": member, "channel": channel})

    # ── Looking and steering ─────────────────────────────────────────────────────────────────────────────────────────

    async def messages(self, channel: str = "#general", person: str = "ada") -> list[Json]:
        """Return all messages of a channel, replies and the person's ephemeral ones too, oldest first."""
        reply = await self.control("GET", "messages", channel=channel, person=person)
        return list(reply["messages"])

    async def wait_for_message(
        self,
        predicate: Callable[[Json], object],
        deadline_s: float = WAIT_S,
        *,
        channel: str = "#general",
        person: str = "ada",
    ) -> Json:
        """Return the first message that satisfies a predicate, once there is one."""
        found: list[Json] = []

        async def there() -> bool:
            found[:] = [message for message in await self.messages(channel, person) if predicate(message)]
            return bool(found)

        await self.wait_until(there, deadline_s, f"message in {channel}")
        return found[0]

    async def wait_until(self, there: Callable[[], Any], deadline_s: float = WAIT_S, what: str = "condition") -> None:
        """Wait until an (async) predicate holds."""
        ends = time.monotonic() + deadline_s
        while True:
            held = there()
            if await held if asyncio.iscoroutine(held) else held:
                return
            if time.monotonic() > ends:
                raise AssertionError(f"no {what} within {deadline_s} s; state: {await self.control('GET', 'state')}")
            await asyncio.sleep(_POLL_S)

    async def wait_connected(self, deadline_s: float = WAIT_S) -> None:
        """Wait until the app is connected."""

        async def there() -> bool:
            return bool((await self.state())["connected"])

        await self.wait_until(there, deadline_s, "connected app")

    async def wait_delivered(self, deadline_s: float = WAIT_S) -> None:
        """Wait until no event is under way any more."""

        async def there() -> bool:
            return not (await self.state())["pending"]

        await self.wait_until(there, deadline_s, "end of deliveries")

    async def state(self) -> Json:
        """Return connections, envelopes under way and sessions."""
        return await self.control("GET", "state")

    async def requests(self, method: str | None = None) -> list[Json]:
        """Return the app's API calls, oldest first."""
        query = {"method": method} if method else {}
        return list((await self.control("GET", "requests", **query))["requests"])

    async def faults(self, *calls: Json, **more: Any) -> None:
        """Make things go wrong: ``faults({"method": "chat.*Stream", "error": "unknown_method", "times": -1})``."""
        await self.control("POST", "faults", {"calls": list(calls), **more})

    async def wait_for_faults(self) -> None:
        """Wait until each fault has met its calls, which may still hang; where the server runs in this process."""
        hub = self.hub
        assert hub is not None
        await self.wait_until(lambda: all(fault.times == 0 for fault in hub.faults.calls), what="faulty calls")

    async def advance(self, seconds: float) -> None:
        """Move the workspace's time on."""
        await self.control("POST", "clock", {"advance_s": seconds})

    async def set_trigger_lifetime(self, seconds: float) -> None:
        """Change how long after an action of a person a modal may be opened."""
        await self.control("POST", "clock", {"trigger_lifetime_s": seconds})

    async def put_status(self, **status: Any) -> None:
        """Do what the launcher does: show engine, knowledge and suggestions on the page."""
        await self.control("PUT", "status", status)


@contextlib.asynccontextmanager
async def open_sandbox(state: Path, **options: Any) -> AsyncIterator[SandboxClient]:
    """Serve a workspace in this process; ``options`` are those of ``bot.sandbox.server.SandboxOptions``."""
    chosen = replace(SandboxOptions(state=state / "sandbox", port=0), **options)
    async with serve_sandbox(chosen) as running, aiohttp.ClientSession() as session:
        box = SandboxClient(running.base_url, running.credentials, session)
        box.hub = running.hub
        box.hub.trigger_lifetime_s = TRIGGER_LIFETIME_S
        yield box


@contextlib.asynccontextmanager
async def start_sandbox_process(state: Path, *arguments: str) -> AsyncIterator[SandboxClient]:
    """Serve a workspace in a process of its own, as the launcher does; leaving kills it with SIGKILL."""
    folder = state / "sandbox"
    argv = [sys.executable, "-m", "bot.sandbox", "--state", str(folder), "--port", "0", *arguments]
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        base_url = line.split()[-1]
        async with aiohttp.ClientSession() as session:
            yield SandboxClient(base_url, load_credentials(folder), session)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
