"""In a channel with a profile, guidelines alone answer, and nothing of a patient's file is kept outside the thread."""

from __future__ import annotations

import base64
import random
import sqlite3
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lancedb
import pytest
import sqlalchemy as sa

from bot.answering.events import AnswerEvent, Finished, Question, Sources, Text
from bot.config.configuration import Access
from bot.config.models import ChannelTable
from bot.slack.features.sharing.share_answer import ShareAnswerAction
from bot.storage.tables import tables
from tests.api.running_api import ADA, CONFIGURATION, GUS, RunningApi, run_api
from tests.slack.running_bot import PASSAGE, FakeLibrary, RunningBot, get_text, run_bot_in_sandbox, wait_for_ephemeral

PROFILED = "C0PROJECT1"
QUOTE = "Unused leave expires at the end of March."
CHANNELS = f"""
[masking]
audit = false
[[channel]]
id = "{PROFILED}"
profile = "ward"
"""
PROFILE = f"""
kind = "guidance"
[title]
en = "Ward"
[[rule]]
name = "metformin"
mentions = [["metformin"]]
quote = "{QUOTE}"
"""


def make_values(seed: int) -> list[str]:
    """Return words that stand nowhere else."""
    rng = random.Random(seed)
    return ["zq" + "".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(6)) for _ in range(12)]


async def ask_about_file(api: RunningApi, channel: str, values: list[str]) -> str:
    """Ask about a file with the values, and return all that Kvasir shows of the answer."""
    lines = [
        f"The patient {value} takes metformin of {n} mg, which the nurse noted in the file."
        for n, value in enumerate(values)
    ]
    file = {"name": f"{values[0]}.txt", "base64": base64.b64encode("\n\n".join(lines).encode()).decode()}
    text = f"@Kvasir How much metformin does the patient {values[1]} take? How many days of annual leave are there?"
    said = await api.sandbox.control(
        "POST", "say", {"person": "ada", "channel": channel, "text": text, "files": [file]}
    )
    ts = str(said["ts"])

    async def is_complete() -> bool:
        messages = await api.sandbox.messages(channel, person="ada")
        return any(one.get("metadata") for one in messages if one.get("root") == ts and one.get("bot_id"))

    await api.sandbox.wait_until(is_complete, deadline_s=120.0, what="the answer")
    return str([one for one in await api.sandbox.messages(channel, person="ada") if one.get("root") == ts])


def find_stored(home: Path, values: list[str]) -> dict[str, list[str]]:
    """Return what of the values is in a file of Kvasir's home, in a row of its database or in the index."""
    texts = {str(path): path.read_bytes() for path in home.rglob("*") if path.is_file()}
    with sqlite3.connect(home / "kvasir.db") as database:
        texts["rows"] = "\n".join(database.iterdump()).encode()
    index: Any = lancedb.connect(str(home / "lancedb"))
    for name in index.table_names():
        texts[f"index {name}"] = str(index.open_table(name).to_arrow().to_pylist()).encode()
    assert any("audit" in name for name in texts)
    return {name: found for name, text in texts.items() if (found := [one for one in values if one.encode() in text])}


@dataclass(frozen=True)
class Guidelines:
    """Guidance from the one source of the scripted library."""

    within: str = 'in:"docs"'

    def find_warnings(self, text: str) -> tuple[str, ...]:
        return (f"No {text}.",)


async def answer_at_length(question: Question) -> AsyncGenerator[AnswerEvent]:
    """Answer with so much text that it becomes a canvas elsewhere, with long code, and with reasoning."""
    passage = replace(PASSAGE, chunks=("c1",))
    yield Sources((passage,))
    code = "line of code\n" * 60
    yield Text(f"About {question.text}: [1]\n\n```\n{code}```\n\n{'It is so. [1] ' * 900}", (passage,))
    yield Finished("engine", (passage,), {"total": 0.1}, search_query="zebra")


async def test_what_elsewhere_is_kept_stays_in_the_messages(tmp_path: Path) -> None:
    library = FakeLibrary()
    channels = {PROFILED: ChannelTable(id=PROFILED, profile="ward")}
    dependencies = {"channels": channels, "guidance": {"ward": Guidelines()}, "access": Access(frozenset({ADA}))}
    async with run_bot_in_sandbox(tmp_path, script=answer_at_length, dependencies=dependencies, library=library) as bot:
        for channel, is_confidential in (("#project", True), ("#general", False)):
            ts = await bot.ask("@Kvasir which zebra?", channel)
            answer = await bot.wait_for_turn(ts, "", channel)
            asker = bot.answerer.questions[-1].asker
            assert (asker.is_confidential, asker.within) == (is_confidential, 'in:"docs"' if is_confidential else "")
            buttons = str(await bot.list_answers(ts, channel))
            for action in ("kvasir:rate", "kvasir:verify"):
                assert (action in buttons) is not is_confidential, answer
            stored = [
                table.name
                for table in tables.sorted_tables
                if "zebra" in str(await bot.ledger.database.fetch_rows(sa.select(table)))
            ]
            assert stored == ([] if is_confidential else ["bot_answers", "bot_turns"])
            assert bool(await bot.sandbox.requests("canvases.create")) is not is_confidential
            assert not await bot.sandbox.requests("files.getUploadURLExternal")


async def test_the_rules_get_all_that_people_wrote_in_the_thread(tmp_path: Path) -> None:
    channels = {PROFILED: ChannelTable(id=PROFILED, profile="ward")}
    dependencies = {"channels": channels, "guidance": {"ward": Guidelines()}}
    async with run_bot_in_sandbox(tmp_path, script=answer_shortly, dependencies=dependencies) as bot:
        root = await bot.sandbox.say("bo", "#project", "The labs say eGFR <30")
        for part in range(3):
            await bot.sandbox.say("bo", "#project", f"Part {part}: " + "it was normal. " * 800, thread_ts=root)
        ts = await bot.ask("@Kvasir which zebra?", "#project", thread_ts=root)
        await bot.wait_for_answer(root, "striped", "#project")
        question = bot.answerer.questions[-1]
        assert ts in question.id
        assert [one[:8] for one in question.written] == ["The labs", "Part 0: ", "Part 1: ", "Part 2: "]
        assert question.written[0] == "The labs say eGFR <30"
        assert question.unread == ()


async def check_ask_command(bot: RunningBot) -> None:
    """Check that ``/ask`` in the channel asks nothing in the direct messages, where answers are kept."""
    asked = len(bot.answerer.questions)
    await bot.sandbox.command("ada", "#project", "/ask Who coughs?")
    await wait_for_ephemeral(bot, "stay in their threads", "#project")
    assert len(bot.answerer.questions) == asked


async def test_an_answer_from_elsewhere_is_not_shared_in_the_channel(tmp_path: Path) -> None:
    """The profile may have been set after the question."""
    channels: dict[str, ChannelTable] = {}
    dependencies = {"channels": channels, "guidance": {"ward": Guidelines()}}
    async with run_bot_in_sandbox(tmp_path, script=answer_shortly, dependencies=dependencies) as bot:
        await bot.sandbox.command("ada", "#project", "/ask which zebra?")
        private = await bot.sandbox.wait_for_message(
            lambda m: "It is striped" in get_text(m) and m.get("metadata"), channel="@kvasir"
        )
        await bot.wait_until_idle()
        channels[PROFILED] = ChannelTable(id=PROFILED, profile="ward")
        await bot.sandbox.press("ada", private["channel"], private["ts"], ShareAnswerAction.action_id)
        await wait_for_ephemeral(bot, "I answer from guidelines alone", "@kvasir")
        assert not [one for one in await bot.sandbox.messages("#project") if "zebra" in get_text(one)]
        await check_ask_command(bot)


async def answer_shortly(_question: Question) -> AsyncGenerator[AnswerEvent]:
    passage = replace(PASSAGE, chunks=("c1",))
    yield Sources((passage,))
    yield Text("It is striped [1].", (passage,))
    yield Finished("engine", (passage,), {"total": 0.1})


@pytest.mark.timeout(400)
async def test_a_patients_file_belongs_to_the_thread_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "profiles" / "ward").mkdir(parents=True)
    (tmp_path / "profiles" / "ward" / "profile.toml").write_text(PROFILE)
    guideline = CONFIGURATION
    for name in ("handbook", "reorg"):
        guideline = guideline.replace(f'path = "{name}"\n', f'path = "{name}"\nkind_of = "guideline"\n')
    patient, colleague = make_values(1), make_values(2)
    async with run_api(tmp_path, guideline + CHANNELS) as api:
        shown = await ask_about_file(api, "#project", patient)
        assert QUOTE in shown
        assert patient[2] in shown
        await api.sandbox.command("ada", "#project", f"/ask Does {patient[3]} cough?")
        await api.sandbox.wait_for_message(lambda m: "stay in their threads" in get_text(m), channel="#project")
        await ask_about_file(api, "#general", colleague)
        await check_api(api)
    logs = capsys.readouterr()
    assert [one for one in patient if one in logs.out + logs.err] == []
    assert find_stored(api.home, patient) == {}
    stored = find_stored(api.home, colleague)
    assert any("rows" in name for name in stored)  # so the scan finds what other channels store


async def check_api(api: RunningApi) -> None:
    """Check that a request may name a profile, and that a wrong name is refused."""
    key = await api.create_key(ADA)
    asked = "How many days of annual leave are there with metformin?"
    answer = await api.ask(asked, key, profile="ward")
    assert QUOTE in answer["answer"]
    assert {source["source"] for source in answer["sources"]} == {"handbook"}
    body = {"messages": [{"role": "user", "content": asked}], "profile": "ward", "include_reasoning": True}
    _, chat = await api.post("/v1/chat/completions", body, key)
    assert QUOTE in chat["choices"][0]["message"]["content"]
    earlier = [{"role": "user", "content": "She was tired. " * 400 + "She takes metformin."}]
    leave = [{"role": "user", "content": "How many days of annual leave are there?"}]
    for said, is_warned in ((earlier + leave, True), (leave, False)):
        _, chat = await api.post("/v1/chat/completions", {"messages": said, "profile": "ward"}, key)
        assert ("**Warning:**" in chat["choices"][0]["message"]["content"]) is is_warned
    status, refused = await api.post("/v1/answers", {"question": asked, "profile": "wards"}, key)
    assert (status, refused["error"]["code"]) == (404, "unknown_profile")
    assert "ward" in refused["error"]["message"]
    unknown = await api.ask("in:zzz How many days of leave?", await api.create_key(GUS), profile="ward")
    assert "handbook" in str(unknown)
    assert "reorg" not in str(unknown)  # whose name the person must not learn
    narrow = await api.create_key(ADA, sources=("board",))
    status, refused = await api.post("/v1/answers", {"question": asked, "profile": "ward"}, narrow)
    assert (status, refused["error"]["code"]) == (403, "no_guidelines")
