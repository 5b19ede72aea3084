"""Values of files in Slack: only the person who uses the shortcut gets them, each with a link to its message."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.config.models import ChannelTable
from bot.profiles.registry import SHIPPED
from tests.slack.features.profiles.conftest import PROFILED
from tests.slack.features.profiles.profiles_bot import ProfilesBot
from tests.slack.running_bot import get_text, wait_for_ephemeral

pytestmark = pytest.mark.slow

SAMPLE = (SHIPPED / "contract" / "sample.md").read_bytes()


async def test_values_of_a_file_come_as_a_direct_message(bot: ProfilesBot) -> None:
    ts = await bot.files.send("Our contract", {"supply.md": SAMPLE})
    view = await bot.open_modal(ts)
    assert "Customer due diligence" in str(view["blocks"])
    await bot.submit(view)
    message = await bot.wait_for_result("governed by the laws of Norway")
    assert message["root"] != message["ts"], "in a thread"
    (table,) = [block for block in message["blocks"] if block["type"] == "table"]
    assert f"/p{ts.replace('.', '')}" in str(table)
    assert "2025-04-01" in str(table)
    assert "at least ninety (90) days before the end of the term." in str(table), "a few long values are shown whole"
    assert "Termination Either party" not in str(table), "the heading of a clause is no part of it"
    assert "Check each at its place" in str(message["blocks"])
    assert not [one for one in await bot.files.sandbox.messages("#general") if one.get("bot_id")], "nobody else sees it"


async def test_a_document_formats_nothing_and_pings_nobody(bot: ProfilesBot) -> None:
    text = "This Agreement shall be governed by the laws of [Norway](https://evil.example) | *x* <!channel> @channel."
    ts = await bot.files.send("Our contract", {"supply.md": text.encode()})
    await bot.use_shortcut(ts)
    message = await bot.wait_for_result("governed by the laws")
    shown = str(message["blocks"])
    assert "evil.example" in shown
    assert "'url': 'https://evil.example" not in shown
    assert "https://evil.example" not in shown
    assert "<!channel>" not in get_text(message)


async def test_a_message_without_a_file_is_read_itself_and_a_broken_file_is_explained(bot: ProfilesBot) -> None:
    ts = await bot.files.bot.sandbox.say("ada", "#general", "This Agreement shall be governed by the laws of Norway.")
    await bot.use_shortcut(ts)
    await bot.wait_for_result("laws of Norway")
    ts = await bot.files.send("Broken", {"broken.pdf": b"%PDF-1.7 broken"})
    await bot.use_shortcut(ts)
    await bot.wait_for_result("broken.pdf")


async def test_a_person_who_left_the_channel_gets_a_reason(bot: ProfilesBot) -> None:
    await bot.files.sandbox.channel("secret", id="C0SECRET01", kind="group", members=["ada", "bo", "kvasir"])
    ts = await bot.files.send("Our contract", {"supply.md": SAMPLE}, person="bo", channel="C0SECRET01")
    view = await bot.open_modal(ts, channel="C0SECRET01")
    await bot.files.sandbox.leave("ada", "secret")
    await bot.submit(view)
    await bot.wait_for_refusal(view, "I could not confirm that you and I can both read that message")


async def test_a_confidential_channel_is_refused(bot: ProfilesBot, channels: dict[str, ChannelTable]) -> None:
    """A modal may be open since before the channel got its profile, so its submission is checked again."""
    ts = await bot.files.send("The chart", {"chart.md": SAMPLE}, channel="#project")
    await bot.files.sandbox.shortcut("ada", "extract_values", channel=PROFILED, ts=ts)
    await wait_for_ephemeral(bot.files.bot, "stay in their threads", "#project")
    assert not (await bot.files.sandbox.state())["modals"]
    profiled = channels.pop(PROFILED)
    view = await bot.open_modal(ts, channel="#project")
    channels[PROFILED] = profiled
    await bot.submit(view)
    refusal = await bot.files.sandbox.wait_for_message(lambda m: m.get("bot_id"), channel="@kvasir")
    assert "stay in their threads" in get_text(refusal)


async def test_a_wrong_profile_costs_only_itself_and_nobody_reads_a_path(bot: ProfilesBot, tmp_path: Path) -> None:
    broken, contract = tmp_path / "profiles" / "broken", tmp_path / "profiles" / "contract"
    for folder in (broken, contract):
        folder.mkdir(parents=True)
    (broken / "profile.toml").write_text("kind = ")
    ts = await bot.files.send("Our contract", {"supply.md": SAMPLE})
    view = await bot.open_modal(ts)
    (contract / "profile.toml").write_text("kind = ")
    await bot.submit(view)
    await bot.wait_for_refusal(view, "This profile is gone or wrong")
    assert str(tmp_path) not in str(bot.files.sandbox.view(view["id"]))
