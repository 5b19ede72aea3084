"""Notes of visits in Slack: each sentence with its lines, and nothing of the conversation stays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from knowledge.errors import EmbedderError
from knowledge.interfaces import Material
from knowledge.search.material_passages import MaterialIndex
from tests.engine.fakes import DONE, USAGE, delta
from tests.profiles.documents import SearchingLibrary
from tests.slack.features.profiles.profiles_bot import ProfilesBot, run_profiles_bot
from tests.slack.running_bot import get_text

pytestmark = pytest.mark.slow

VISIT = """[doctor] Good morning. What brings you here today?

[patient] My left knee has been hurting for three weeks.
[doctor] Do you take any medicines?
[patient] I take 500 mg of metformin twice a day, and I am allergic to penicillin.
"""
WRITTEN = (
    "The left knee has been hurting for three weeks. [1] The patient takes 500 mg of metformin twice a day. [1] "
    "The patient is allergic to aspirin. [1]"
)


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[ProfilesBot]:
    async with run_profiles_bot(tmp_path, "DeepSeek-R1-Distill-Qwen-7B") as running:
        running.fake.stream(delta(content=WRITTEN), delta(finish="stop"), USAGE, DONE)
        yield running


async def test_a_note_names_the_lines_of_each_sentence(bot: ProfilesBot) -> None:
    ts = await bot.files.send("The visit", {"visit.txt": VISIT.encode()})
    await bot.use_shortcut(ts, "visit-note")
    message = await bot.wait_for_result("History")
    assert message["root"] != message["ts"], "in a thread"
    (block,) = message["blocks"]
    note = block["text"]
    assert note.startswith("**visit.txt**\n\n## History\n\n- The left knee has been hurting for three weeks. [l. 3]")
    assert "500 mg of metformin twice a day. [l. 5]" in note
    assert "aspirin" not in note
    assert "1 sentence without support in the conversation was left out." in note
    assert note.index("## Examination") < note.index("No sentence about this has support") < note.index("The note is a")
    (entry,) = bot.audit.entries
    assert (entry.facts["profile"], entry.sealed) == ("visit-note", {"files": ["visit.txt"]})
    ours = [path for path in bot.home.rglob("*") if path.is_file() and "sandbox" not in path.parts]
    assert [path for path in ours if b"metformin" in path.read_bytes()] == [], "only Slack has the conversation"


async def test_a_message_may_be_the_transcript_itself(bot: ProfilesBot) -> None:
    ts = await bot.files.bot.sandbox.say("ada", "#general", VISIT)
    await bot.use_shortcut(ts, "visit-note")
    message = await bot.wait_for_result("History")
    assert "[l. 3]" in str(message["blocks"])


async def test_a_file_that_is_no_transcript_is_explained_and_the_next_one_read(bot: ProfilesBot) -> None:
    ts = await bot.files.send("Both", {"letter.txt": b"A letter\n\nto nobody.", "visit.txt": VISIT.encode()})
    await bot.use_shortcut(ts, "visit-note")
    await bot.wait_for_result("History")
    refusal = await bot.wait_for_result("no line begins with a speaker")
    assert "letter.txt" in get_text(refusal)


async def test_a_file_that_fails_is_named_and_the_next_one_read(
    bot: ProfilesBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    index_material = SearchingLibrary.index_material

    async def fail_first(library: SearchingLibrary, material: Material) -> MaterialIndex:
        if material.title == "first.txt":
            raise EmbedderError("The embedder is away. Start it.")
        return await index_material(library, material)

    monkeypatch.setattr(SearchingLibrary, "index_material", fail_first)
    ts = await bot.files.send("Both", {"first.txt": VISIT.encode(), "visit.txt": VISIT.encode()})
    await bot.use_shortcut(ts, "visit-note")
    await bot.wait_for_result("History")
    assert await bot.wait_for_result("first.txt")


async def test_a_sentence_formats_nothing_and_pings_nobody(bot: ProfilesBot) -> None:
    said = "My left knee hurts [here](https://evil.example) *badly* <!channel> @channel."
    written = "The left knee hurts [here](https://evil.example) *badly* <!channel> @channel. [1]"
    bot.fake.stream(delta(content=written), delta(finish="stop"), USAGE, DONE)
    ts = await bot.files.send("The visit", {"visit.txt": f"[doctor] Hello.\n[patient] {said}".encode()})
    await bot.use_shortcut(ts, "visit-note")
    message = await bot.wait_for_result("History")
    shown = str(message["blocks"]) + get_text(message)
    assert "left knee hurts" in shown
    assert "](https" not in shown
    assert "https://evil.example" not in shown
    assert "<!channel>" not in shown
