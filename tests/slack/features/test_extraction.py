"""The shortcut "Extract values": only the person who uses it gets the values, each with a link to its message."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.audit.audited_extractor import AuditedExtractor
from bot.audit.entries import NO_AUDIT
from bot.config.models import ChannelTable
from bot.profiles.extraction.extractor import Extractor
from bot.profiles.registry import SHIPPED, Profiles
from tests.engine.fakes import fake_sglang, ready_engine
from tests.profiles.documents import PlainLibrary
from tests.slack.materials.files_bot import FilesBot, run_files_bot
from tests.slack.running_bot import get_text, wait_for_ephemeral

pytestmark = pytest.mark.slow

ADA = "U0ADA00001"
PROFILED = "C0PROJECT1"
SAMPLE = (SHIPPED / "contract" / "sample.md").read_bytes()


class Ward:
    """Guidance of a channel."""

    within = 'in:"docs"'

    def find_warnings(self, _text: str) -> tuple[str, ...]:
        return ()


@pytest.fixture
def channels() -> dict[str, ChannelTable]:
    return {PROFILED: ChannelTable(id=PROFILED, profile="ward")}


@pytest.fixture
async def files(tmp_path: Path, channels: dict[str, ChannelTable]) -> AsyncIterator[FilesBot]:
    library = PlainLibrary()
    async with contextlib.AsyncExitStack() as stack:
        fake = await stack.enter_async_context(fake_sglang())
        engine = await stack.enter_async_context(ready_engine(fake.url, tmp_path / "engine"))
        extractor = AuditedExtractor(Extractor(engine), NO_AUDIT, library, Profiles(tmp_path / "profiles"))
        dependencies = {"channels": channels, "guidance": {"ward": Ward()}}
        yield await stack.enter_async_context(run_files_bot(tmp_path, extractor=extractor, **dependencies))
    await library.materials.close()


async def open_modal(files: FilesBot, ts: str, channel: str = "#general") -> dict[str, Any]:
    await files.sandbox.shortcut("ada", "extract_values", channel=channel, ts=ts)
    return await files.sandbox.wait_for_modal(ADA, "contract")


async def submit(files: FilesBot, view: dict[str, Any], profile: str = "contract") -> None:
    chosen = {"type": "static_select", "selected_option": {"value": profile}}
    await files.sandbox.submit("ada", view["id"], {"profile": {"profile": chosen}})


async def use_shortcut(files: FilesBot, ts: str) -> None:
    await submit(files, await open_modal(files, ts))


async def wait_for_values(files: FilesBot, contains: str) -> dict[str, Any]:
    return await files.sandbox.wait_for_message(
        lambda m: m.get("bot_id") and contains in get_text(m) + str(m.get("blocks")), channel="@kvasir"
    )


async def test_values_of_a_file_come_as_a_direct_message(files: FilesBot) -> None:
    ts = await files.send("Our contract", {"supply.md": SAMPLE})
    view = await open_modal(files, ts)
    assert "Customer due diligence" in str(view["blocks"])
    await submit(files, view)
    message = await wait_for_values(files, "governed by the laws of Norway")
    assert message["root"] != message["ts"], "in a thread"
    (table,) = [block for block in message["blocks"] if block["type"] == "table"]
    assert f"/p{ts.replace('.', '')}" in str(table)
    assert "2025-04-01" in str(table)
    assert "at least ninety (90) days before the end of the term." in str(table), "a few long values are shown whole"
    assert "Termination Either party" not in str(table), "the heading of a clause is no part of it"
    assert "Check each at its place" in str(message["blocks"])
    assert not [one for one in await files.sandbox.messages("#general") if one.get("bot_id")], "nobody else sees it"


async def test_a_document_formats_nothing_and_pings_nobody(files: FilesBot) -> None:
    text = "This Agreement shall be governed by the laws of [Norway](https://evil.example) | *x* <!channel> @channel."
    ts = await files.send("Our contract", {"supply.md": text.encode()})
    await use_shortcut(files, ts)
    message = await wait_for_values(files, "governed by the laws")
    shown = str(message["blocks"])
    assert "evil.example" in shown
    assert "'url': 'https://evil.example" not in shown
    assert "https://evil.example" not in shown
    assert "<!channel>" not in get_text(message)


async def test_a_message_without_a_file_is_read_itself_and_a_broken_file_is_explained(files: FilesBot) -> None:
    ts = await files.bot.sandbox.say("ada", "#general", "This Agreement shall be governed by the laws of Norway.")
    await use_shortcut(files, ts)
    await wait_for_values(files, "laws of Norway")
    ts = await files.send("Broken", {"broken.pdf": b"%PDF-1.7 broken"})
    await use_shortcut(files, ts)
    await wait_for_values(files, "broken.pdf")


async def test_a_person_who_left_the_channel_gets_a_reason(files: FilesBot) -> None:
    await files.sandbox.channel("secret", id="C0SECRET01", kind="group", members=["ada", "bo", "kvasir"])
    ts = await files.send("Our contract", {"supply.md": SAMPLE}, person="bo", channel="C0SECRET01")
    view = await open_modal(files, ts, channel="C0SECRET01")
    await files.sandbox.leave("ada", "secret")
    await submit(files, view)
    read_view = files.sandbox.view
    hidden = "I could not confirm that you and I can both read that message"
    await files.sandbox.wait_until(lambda: hidden in str(read_view(view["id"]).get("errors")), what=hidden)


async def test_a_confidential_channel_is_refused(files: FilesBot, channels: dict[str, ChannelTable]) -> None:
    """A modal may be open since before the channel got its profile, so its submission is checked again."""
    ts = await files.send("The chart", {"chart.md": SAMPLE}, channel="#project")
    await files.sandbox.shortcut("ada", "extract_values", channel=PROFILED, ts=ts)
    await wait_for_ephemeral(files.bot, "stay in their threads", "#project")
    assert not (await files.sandbox.state())["modals"]
    profiled = channels.pop(PROFILED)
    view = await open_modal(files, ts, channel="#project")
    channels[PROFILED] = profiled
    await submit(files, view)
    refusal = await files.sandbox.wait_for_message(lambda m: m.get("bot_id"), channel="@kvasir")
    assert "stay in their threads" in get_text(refusal)


async def test_a_wrong_profile_costs_only_itself_and_nobody_reads_a_path(files: FilesBot, tmp_path: Path) -> None:
    broken, contract = tmp_path / "profiles" / "broken", tmp_path / "profiles" / "contract"
    for folder in (broken, contract):
        folder.mkdir(parents=True)
    (broken / "profile.toml").write_text("kind = ")
    ts = await files.send("Our contract", {"supply.md": SAMPLE})
    view = await open_modal(files, ts)
    (contract / "profile.toml").write_text("kind = ")
    await submit(files, view)
    read_view, refusal = files.sandbox.view, "This profile is gone or wrong"
    await files.sandbox.wait_until(lambda: refusal in str(read_view(view["id"]).get("errors")), what=refusal)
    assert str(tmp_path) not in str(read_view(view["id"]))
