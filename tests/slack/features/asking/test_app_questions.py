"""Tests of questions by other apps, and of two Kvasirs that would answer each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bot.config.configuration import QuestionLimits
from bot.languages.registry import LANGUAGES
from bot.slack.features.asking.app_questions import MAX_IN_THREAD
from bot.storage.turns.questions import QuestionKey
from tests.slack.running_bot import RunningBot, get_text, run_bot_in_sandbox
from tests.slack_sandbox import BOT_USER, TEAM_ID

pytestmark = pytest.mark.slow

REFUSAL = "I answer people, not apps"
DEPLOY_BOT, OTHER_APP = "B0DEPLOYBO", "A0OTHERBOT"
GENERAL = "C0GENERAL1"


async def count_answers(bot: RunningBot) -> int:
    await bot.wait_until_idle()
    return len([m for m in await bot.sandbox.messages() if m["user"] == BOT_USER])


async def test_allowed_app_gets_an_answer_in_its_thread(tmp_path: Path) -> None:
    """Who reads the channel sees it, so it is for them; the app itself holds nothing, and sees no private message."""
    dependencies = {"apps": frozenset({DEPLOY_BOT})}
    async with run_bot_in_sandbox(tmp_path, dependencies=dependencies) as bot:
        bot.library.more = True
        question_ts = await bot.ask("@Kvasir who reads this?")
        ts = await bot.sandbox.say_as_bot("Deploybot", "#general", "@Kvasir how?", subtype=False)
        answer = await bot.wait_for_answer(ts, "You asked: how?")
        await bot.wait_for_turn(question_ts)
        one, other = bot.answerer.questions
        assert one.asker.viewers == other.asker.viewers
        assert {one.asker.person, other.asker.person} == {"U0ADA00001", DEPLOY_BOT}
        actions = [e["action_id"] for block in answer["blocks"] for e in block.get("elements", ()) if "action_id" in e]
        assert "kvasir:rate" in actions
        assert not {"kvasir:answer-again", "kvasir:delete-answer"}.intersection(actions), "nobody may press them"
        calls = await bot.sandbox.requests()
        assert not [call for call in calls if DEPLOY_BOT in str(call["args"])], "Slack knows no such person"
        turn = await bot.find_turn(ts)
        assert len(turn.replies) == 1


@pytest.mark.parametrize(
    ("allowed", "message"),
    [
        ("B0SOMEBODY", {}),
        ("B0SOMEBODY", {"username": "B0SOMEBODY"}),
        ("A0ELSEWHERE", {"username": "Kvasir"}),
        ("Wf0REPORTS", {"workflow_id": "Wf0PRANKS"}),
    ],
)
async def test_other_apps_are_refused_whatever_they_call_themselves(
    tmp_path: Path, allowed: str, message: dict[str, Any]
) -> None:
    dependencies = {"apps": frozenset({allowed})}
    async with run_bot_in_sandbox(tmp_path, dependencies=dependencies) as bot:
        for _ in LANGUAGES:
            ts = await bot.sandbox.say_as_bot("Deploybot", "#general", "@Kvasir how?", **message)
        await bot.sandbox.wait_for_message(lambda m: REFUSAL in get_text(m))
        assert await count_answers(bot) == 1, "once an hour"
        assert bot.answerer.questions == []
        texts = [get_text(m) for m in await bot.sandbox.messages() if m["user"] == BOT_USER]
        assert message.get("workflow_id", OTHER_APP) in texts[0]
        assert await bot.ledger.find_turn(QuestionKey(TEAM_ID, GENERAL, ts)) is None


@pytest.mark.parametrize(("allowed", "message"), [(OTHER_APP, {}), ("Wf0REPORTS", {"workflow_id": "Wf0REPORTS"})])
async def test_apps_are_allowed_by_every_id_of_slack(tmp_path: Path, allowed: str, message: dict[str, Any]) -> None:
    """Workflows have another bot each time, but keep their own id."""
    dependencies = {"apps": frozenset({allowed}), "question_limits": QuestionLimits(1, 0)}
    async with run_bot_in_sandbox(tmp_path, dependencies=dependencies) as bot:
        ts = await bot.sandbox.say_as_bot("Reports", "#general", "@Kvasir how?", **message)
        await bot.wait_for_answer(ts)
        await bot.sandbox.say_as_bot("Reports", "#general", "@Kvasir and now?", **message)
        direct = await bot.sandbox.say_as_bot("Reports", "D0DIRECT01", "@Kvasir here?", **message)
        await bot.wait_for_answer(await bot.ask("@Kvasir from a person?"), "from a person?")
        assert await count_answers(bot) == 2, "the second is over the limit, and nobody gets a message"
        assert not [m for m in await bot.sandbox.messages("D0DIRECT01") if m["ts"] > direct]


async def test_shared_channel_needs_an_approval_for_apps_too(tmp_path: Path) -> None:
    dependencies = {"apps": frozenset({OTHER_APP})}
    async with run_bot_in_sandbox(tmp_path, dependencies=dependencies) as bot:
        await bot.sandbox.channel("#general", shared_with=["T0PARTNER1"])
        await bot.sandbox.say_as_bot("Deploybot", "#general", "@Kvasir how?")
        await bot.sandbox.wait_for_message(lambda m: "/kb share on" in get_text(m))
        assert bot.answerer.questions == []


async def test_app_is_answered_once_slack_returns_the_thread(tmp_path: Path) -> None:
    """While it is unknown whether another Kvasir writes there, nothing is answered."""
    dependencies = {"apps": frozenset({OTHER_APP})}
    async with run_bot_in_sandbox(tmp_path, dependencies=dependencies) as bot:
        await bot.sandbox.faults({"method": "conversations.replies", "error": "missing_scope", "times": 1})
        await bot.wait_for_answer(await bot.sandbox.say_as_bot("Deploybot", "#general", "@Kvasir how?"))
        await bot.sandbox.faults({"method": "conversations.replies", "error": "missing_scope", "times": -1})
        await bot.sandbox.say_as_bot("Deploybot", "#general", "@Kvasir how?")
        await bot.wait_for_answer(await bot.ask("@Kvasir from a person?"), "from a person?")
        assert await count_answers(bot) == 2


class Bridge:
    """Lets two Kvasirs see each other's messages, each as a message of another app that mentions the reader."""

    def __init__(self, one: RunningBot, other: RunningBot, *, keeps_metadata: bool) -> None:
        self._sides = ((one, other), (other, one))
        self._keeps_metadata = keeps_metadata
        self._relayed: set[tuple[int, str]] = set()
        self._roots: dict[tuple[int, str], str] = {}

    async def relay(self) -> int:
        """Relay what is new; return how many messages that was."""
        new = 0
        for side, (bot, reader) in enumerate(self._sides):
            await bot.wait_until_idle()
            for message in await bot.sandbox.messages():
                if message["user"] != BOT_USER or (side, message["ts"]) in self._relayed:
                    continue
                self._relayed.add((side, message["ts"]))
                metadata = message.get("metadata") if self._keeps_metadata else None
                root = self._roots.get((side, message["root"]))
                more = {"subtype": False, "app_id": f"A0KVASIR{side}X", "metadata": metadata, "thread_ts": root}
                ts = await reader.sandbox.say_as_bot(f"Kvasir{side}", "#general", "@Kvasir why?", **more)
                self._roots.setdefault((side, message["root"]), ts)
                self._roots.setdefault((1 - side, root or ts), message["root"])
                new += 1
        return new


@pytest.mark.parametrize(("keeps_metadata", "most"), [(True, 1), (False, MAX_IN_THREAD + 1)])
async def test_two_kvasirs_fall_silent(tmp_path: Path, *, keeps_metadata: bool, most: int) -> None:
    """Both allow each other, and the bridge makes a mention of everything. Without metadata the caps end it."""
    dependencies = {"apps": frozenset({"A0KVASIR0X", "A0KVASIR1X"})}
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    async with (
        run_bot_in_sandbox(tmp_path / "one", dependencies=dependencies) as one,
        run_bot_in_sandbox(tmp_path / "other", dependencies=dependencies) as other,
    ):
        bridge = Bridge(one, other, keeps_metadata=keeps_metadata)
        await one.wait_for_answer(await one.ask("@Kvasir how?"))
        rounds = 0
        while await bridge.relay():
            rounds += 1
            assert rounds < 4 * MAX_IN_THREAD
        assert await count_answers(one) <= most
        assert await count_answers(other) <= most
        assert await count_answers(one) + await count_answers(other) >= 1 + 2 * (most > 1)
