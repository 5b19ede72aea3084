"""Finds in what the bot posts the words that somebody who sees it may not see."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from bot.sandbox.state.model import SlackMessage
from tests.soak.generate import OWNER
from tests.soak.model import Document, Room, World
from tests.soak.oracle import Oracle
from tests.soak.stage import Stage

_SECRET = re.compile(r"(?:tev|tiv|fiv|sov)[a-z]{8}")
_ALONE = frozenset({"chat.postEphemeral", "views.publish"})
_DIALOGS = frozenset({"views.open", "views.push", "views.update"})
"""Their calls name no person, so the dialogs themselves are compared."""


class PostedTexts:
    """Compares messages, dialogs, status lines and calls of the Web API with the oracle, each once."""

    def __init__(self, stage: Stage) -> None:
        assert stage.sandbox.hub is not None
        self._stage = stage
        self._workspace = stage.sandbox.hub.workspace
        self._oracle = Oracle(stage.world)
        self._seen: dict[str, str] = {}
        """What each message, view and session was when it was compared."""
        self._calls = 0
        self.leaks: list[str] = []

    # ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def list_messages(self) -> Iterator[SlackMessage]:
        """Yield every message of the bot, those for one person included."""
        for messages in self._workspace.messages.values():
            yield from (one for one in messages.values() if one.bot_id)
        yield from (one for one in self._workspace.ephemerals.values() if one.bot_id)

    def list_keys(self) -> set[str]:
        """Return the keys of all messages of the bot."""
        return {one.key for one in self.list_messages()}

    def read_new(self, before: set[str]) -> str:
        """Return the texts of the messages that were not there before."""
        return "\n".join(_dump(one) for one in self.list_messages() if one.key not in before)

    def read_state(self, person: str) -> dict[str, str]:
        """Return what a person sees: every message with its text, and the dialogs."""
        messages = {one.key: _dump(one) for one in self.list_messages() if one.ephemeral_to in {None, person}}
        return messages | {view.id: view.hash for view in self._workspace.views.values() if view.user == person}

    def find_home(self, person: str) -> str | None:
        """Return the hash of what is published on a person's Home; each publication has its own."""
        view = self._workspace.find_home(person)
        return view.hash if view else None

    # ── Comparing ────────────────────────────────────────────────────────────────────────────────────────────────────

    def compare_state(self, said: str) -> None:
        """Compare what is new in messages, dialogs and status lines; ``said`` names what came before it."""
        for message in list(self.list_messages()):
            self._compare(f"m{message.key}", _dump(message), message.channel, message.ephemeral_to, said)
        for view in self._workspace.views.values():
            self._compare(f"v{view.id}", json.dumps(view.body), "", view.user, said)
        for session in self._workspace.sessions.values():
            text = f"{session.text} {session.title} {json.dumps(list(session.prompts))}"
            self._compare(f"s{session.key}", text, session.channel, None, said)

    async def compare_calls(self, said: str) -> None:
        """Compare every call since the last time: what it posted may have been replaced since."""
        calls = await self._stage.sandbox.requests()
        for number, call in enumerate(calls[self._calls :], self._calls):
            args = call["args"]
            person = args.get("user") or args.get("user_id") if call["method"] in _ALONE else None
            channel = str(args.get("channel") or args.get("channel_id") or "")
            if call["method"] not in _DIALOGS and call["error"] is None:
                self._compare(f"c{number}", json.dumps(args), channel, person, said)
        self._calls = len(calls)

    def _compare(self, key: str, text: str, channel: str, person: str | None, said: str) -> None:
        earlier = self._seen.get(key, "")
        if earlier == text or OWNER in {person, channel} or channel == self._stage.get_direct(OWNER):
            return  # that owner only looks after Kvasir
        self._seen[key] = text
        room = self._stage.find_room(channel)
        for forbidden in self._drop_names_for_owners(room, person, text):
            if forbidden.split()[0] not in earlier:
                where = f"{forbidden} in {channel or 'a view'} for {person or 'all'}"
                self.leaks.append(f"{where} after {said}: {text[:500]}")

    def _drop_names_for_owners(self, room: Room | None, person: str | None, text: str) -> list[str]:
        """Return what is forbidden in a text; owners see the names of every source in what they alone see."""
        world = self._stage.world
        forbidden = find_forbidden(world, self._oracle, text, room, person)
        seeing = {person} if person else room.members if room and room.kind == "im" else {""}
        return [one for one in forbidden if not (seeing <= world.owners and one.startswith("sov"))]


def _dump(message: SlackMessage) -> str:
    return f"{message.text}\n{json.dumps(list(message.blocks))}\n{json.dumps(message.metadata)}"


def find_forbidden(world: World, oracle: Oracle, text: str, room: Room | None, person: str | None) -> list[str]:
    """Return the secrets of a text that somebody who sees it may not see, and too high counts of documents."""
    text = text.replace("\\n", "\n")  # as JSON writes the end of a line
    found = set(_SECRET.findall(text.lower()))
    forbidden = [
        f"{secret} with rules {oracle.list_rules(document)}"
        for document in world.documents.values()
        for secret in {*document.secrets, *document.old} & found
        if not _may_show(oracle, document, room, person)
    ]
    for name in sorted(found & world.places.keys()):
        documents = [one for one in world.documents.values() if one.place == name and one.live]
        readable = sum(_may_show(oracle, one, room, person) for one in documents)
        forbidden += [] if readable else [name]
        counts = re.findall(rf"{name}[^\n]*?(\d+) documents?", text)
        forbidden += [f"{name} with {count} documents, not {readable}" for count in counts if int(count) > readable]
    return forbidden


def _may_show(oracle: Oracle, document: Document, room: Room | None, person: str | None) -> bool:
    """Return whether a document may appear for a person alone, or in a conversation."""
    if person is not None:
        return oracle.may_show_alone(document, person)
    return room is not None and oracle.may_show(document, room)
