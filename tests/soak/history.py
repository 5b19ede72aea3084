"""Runs a history in a world, and counts what was found, missed and leaked."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.soak.changes import SYNCED
from tests.soak.generate import Generator
from tests.soak.hosts import find_blocks
from tests.soak.model import Ask, Change, Document, Feature, Look, Press, Room, Step, World
from tests.soak.oracle import Oracle
from tests.soak.posted import PostedTexts
from tests.soak.stage import BOT, Stage, open_stage, refresh

LATE_S = 61.0
"""After so long each change counts."""
_ANSWER_S = 30.0
_SETTLE_S = 0.1
"""Between the end of an answer and what follows it."""
_QUIET_S = 1.5
_SHORTLY_QUIET_S = 0.4
_IN_PLACE = "kvasir:answer-again"
"""A button that repeats an answer where it stands, so that the same text may follow."""
_CHANGING = ("kvasir:search-web", "kvasir:file-readers")
"""Buttons that nobody presses at random: they search the web, or change the world."""
_EPOCHS = 4
_CHANGES = 6


@dataclass
class Outcome:
    """What came of a history."""

    questions: int = 0
    probes: int = 0
    """Pressed buttons, and looks at sources and states."""
    allowed: int = 0
    """Questions whose document may be shown."""
    found: int = 0
    leaks: list[str] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)
    silences: list[str] = field(default_factory=list)
    """Acts without any reaction."""


class History:
    """Runs the steps of one history."""

    def __init__(self, stage: Stage) -> None:
        assert stage.sandbox.hub is not None
        self._stage = stage
        self._world = stage.world
        self._oracle = Oracle(stage.world)
        self._sandbox = stage.sandbox
        self._workspace = stage.sandbox.hub.workspace
        self._posted = PostedTexts(stage)
        self._roots: dict[str, str] = {}
        """The last thread of each conversation."""
        self._before: World | None = None
        """The world before changes that no sync followed. A wider right at a source counts with the next sync."""
        self._before_restart: World | None = None
        """The world before other readers in ``kvasir.toml``. Wider ones count with the next sync."""
        self._outcome = Outcome(leaks=self._posted.leaks)

    async def run(self, steps: Sequence[Step], *, until_leak: bool = False) -> Outcome:
        """Run the steps and return the outcome; ``until_leak`` ends with the first leak."""
        changes: list[Change] = []
        for step in steps:
            if isinstance(step, Change):
                changes.append(step)
                continue
            if changes:
                await self._apply(changes)
                changes = []
            await self._act(step)
            if until_leak and self._outcome.leaks:
                break
        await self._posted.compare_calls("the last step")
        return self._outcome

    async def _apply(self, changes: Sequence[Change]) -> None:
        await self._wait_until_quiet()
        await self._settle("the last step before changes")
        await self._posted.compare_calls("the last step before changes")
        if any(change.late for change in changes):
            self._before = copy.deepcopy(self._world)
        if any(change.verb == "readers" for change in changes):
            self._before_restart = copy.deepcopy(self._world)
        for change in changes:
            await self._stage.change(change)
        await self._sandbox.wait_delivered()
        if any(change.verb == "readers" for change in changes):
            await self._stage.restart()
        if any(change.late for change in changes):
            await asyncio.sleep(LATE_S)
        elif any(change.verb in SYNCED for change in changes):
            await refresh(self._stage)
            self._before_restart = None

    async def _act(self, step: Ask | Look | Press) -> None:
        """Do what a person does, unless the world of a shortened history does not let them."""
        human = self._world.humans[step.person]
        if not human.active:
            return
        if isinstance(step, Press):
            await self._press(step)
            return
        room, is_company = self._world.rooms[step.room], human.kind != "foreign"
        if step.person not in room.members:
            return
        if isinstance(step, Look):
            await self._look(step, room)
        elif self._world.documents[step.document].live:
            await (self._search if step.way == "search" and is_company else self._ask)(step, room)

    # ── Questions ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _ask(self, ask: Ask, room: Room) -> None:
        document = self._world.documents[ask.document]
        self._outcome.questions += 1
        self._stage.model.works = ask.engine
        said, root = f"{ask} {document}", self._roots.get(room.id) if ask.follow_up else None
        mention = "" if room.kind == "im" else f"<@{BOT}> "
        question = f"{mention}What does the report on {document.keyword} say?"
        before = self._posted.list_keys()
        ts = await self._sandbox.say(ask.person, self._stage.get_channel(room), question, root)
        self._roots[room.id] = root or ts
        await self._wait(lambda: self._is_answered(room, ts, before), said)
        self._judge(document, self._posted.read_new(before), said, may_show=self._must_show(document, room))
        self._posted.compare_state(said)

    async def _search(self, ask: Ask, room: Room) -> None:
        document = self._world.documents[ask.document]
        self._outcome.questions += 1
        said = f"{ask} {document}"
        command, direct = f"/kb search {document.keyword}", self._world.rooms[f"D0{ask.person[2:]}"]
        found = await self._run_command(ask.person, room, command, said, contains=document.keyword)
        self._judge(document, found, said, may_show=self._must_show(document, direct))

    def _must_show(self, document: Document, room: Room) -> bool:
        """Return whether a document has to be found in a conversation."""
        place = self._world.places[document.place]
        if not self._oracle.may_show(document, room):
            return False
        if self._before_restart is not None:
            before = self._before_restart
            is_opened = place.readers is None and before.places[place.name].readers is not None
            if is_opened or not _may_show_before(before, document, room):
                return False
        return self._before is None or place.kind == "folder" or _may_show_before(self._before, document, room)

    def _judge(self, document: Document, text: str, said: str, *, may_show: bool) -> None:
        self._outcome.allowed += may_show
        if may_show and any(secret in text for secret in document.secrets):
            self._outcome.found += 1
        elif may_show:
            self._outcome.misses.append(f"{said}, rules {self._oracle.list_rules(document)}: {text[:700]}")

    def _is_answered(self, room: Room, ts: str, before: set[str]) -> bool:
        channel = self._stage.get_channel(room)
        for message in self._workspace.messages.get(channel, {}).values():
            if (message.metadata or {}).get("event_payload", {}).get("question") == ts:
                return True
        if room.kind != "shared" or room.approved:
            return False
        is_busy = any(one.status == "processing" for one in self._workspace.sessions.values() if one.channel == channel)
        return not is_busy and any(one.ephemeral_to and one.key not in before for one in self._posted.list_messages())

    # ── Probes ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _press(self, press: Press) -> None:
        buttons = [
            (message, button)
            for message in self._posted.list_messages()
            if press.person in self._workspace.channels[message.channel].members
            and message.ephemeral_to in {None, press.person}
            for kind in ("button", "feedback_buttons")
            for button in find_blocks(message.blocks, kind)
            if not button["action_id"].startswith(_CHANGING)
        ]
        if not buttons:
            return
        message, button = buttons[press.number % len(buttons)]
        action = {"action_id": button["action_id"], "value": button.get("value", "negative")}
        self._outcome.probes += 1
        said, before = f"{press} {action}", self._posted.read_state(press.person)
        await self._sandbox.press(press.person, message.channel, message.ts, **action)
        if button["action_id"] == _IN_PLACE:
            await self._sandbox.wait_delivered()
            await self._wait_until_quiet(_SHORTLY_QUIET_S)
        else:
            await self._wait(lambda: self._posted.read_state(press.person) != before, said)
        await self._settle(said)

    async def _look(self, look: Look, room: Room) -> None:
        said = str(look)
        match look.what:
            case "home":
                self._outcome.probes += 1
                before = self._posted.find_home(look.person)
                await self._sandbox.home(look.person)
                await self._wait(lambda: self._posted.find_home(look.person) != before, said)
                await self._settle(said)
            case "suggestion":
                name = sorted(self._world.places)[len(look.person + look.room) % len(self._world.places)]
                await self._run_command(look.person, room, f"/kb search in:{name[:-2]} report", said)
            case _:
                await self._run_command(look.person, room, f"/kb {look.what}", said)

    async def _run_command(self, person: str, room: Room, command: str, said: str, *, contains: str = "") -> str:
        channel = self._stage.get_channel(room)
        return await self._wait_for_reaction(lambda: self._sandbox.command(person, channel, command), said, contains)

    async def _wait_for_reaction(self, act: Callable[[], Any], said: str, contains: str = "") -> str:
        self._outcome.probes += 1
        before = self._posted.list_keys()
        await act()
        await self._wait(lambda: bool(new := self._posted.read_new(before)) and contains in new, said)
        await self._settle(said)
        return self._posted.read_new(before)

    async def _wait(self, condition: Callable[[], bool], said: str) -> None:
        ends = time.monotonic() + _ANSWER_S
        while not condition():
            if time.monotonic() > ends:
                self._outcome.silences.append(said)
                return
            await asyncio.sleep(0.02)

    async def _wait_until_quiet(self, quiet_s: float = _QUIET_S) -> None:
        """Wait until nothing is posted any more: a button may have begun an answer that the world still allows."""
        before, quiet_since, ends = None, time.monotonic(), time.monotonic() + _ANSWER_S
        while time.monotonic() < min(ends, quiet_since + quiet_s):
            await asyncio.sleep(0.05)
            is_busy = any(one.status == "processing" for one in self._workspace.sessions.values())
            state = [(one.key, len(one.text)) for one in self._posted.list_messages()]
            if is_busy or state != before:
                before, quiet_since = state, time.monotonic()

    async def _settle(self, said: str) -> None:
        await asyncio.sleep(_SETTLE_S)
        self._posted.compare_state(said)


def _may_show_before(world: World, document: Document, room: Room) -> bool:
    return Oracle(world).may_show(world.documents[document.number], world.rooms[room.id])


# ── Worlds ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def make_history(
    seed: int, questions: int, presses: int = 0, *, late: bool, features: Collection[Feature] | None = None
) -> list[Step]:
    """Return steps in epochs; with ``late``, the changes of the last one send no event and are not synced."""
    generator = Generator(seed, features)
    restarts = "restarts" in generator.make_world().features
    epochs = _EPOCHS + restarts
    asks, presses = questions // epochs, presses // epochs
    steps = generator.make_first_epoch(asks, presses)
    for number in range(1, _EPOCHS):
        is_last = number == _EPOCHS - 1
        if restarts and is_last:
            steps += generator.make_restart_epoch(asks, presses)
        steps += generator.make_epoch(asks, presses, changes=_CHANGES, late=late and is_last)
    return steps


async def run_history(
    seed: int,
    steps: Sequence[Step],
    folder: Path,
    environ: Mapping[str, str],
    *,
    until_leak: bool = False,
    features: Collection[Feature] | None = None,
) -> Outcome:
    """Run steps in a new world; ``environ`` names the store."""
    folder.mkdir(parents=True, exist_ok=True)
    async with open_stage(Generator(seed, features).make_world(), folder, environ) as stage:
        return await History(stage).run(steps, until_leak=until_leak)
