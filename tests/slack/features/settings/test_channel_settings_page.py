"""The settings of a channel in a real browser: the modal, the line about a change, and an unasked answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect

from bot.answering.policy import Policies, Policy
from bot.answering.thinking import Defaults
from bot.config.models import ChannelTable
from tests.slack.features.settings.test_channel_settings import GENERAL
from tests.slack.running_bot import FakeLibrary, make_library_status, make_source_status, run_bot_in_sandbox
from tests.slack.turns.test_unasked_answers import make_hit
from tests.slack_page import launch_chromium, list_accessibility_findings, open_page, send_message

pytestmark = pytest.mark.slow


async def test_settings_are_changed_on_the_page_and_an_unasked_answer_is_marked(tmp_path: Path) -> None:
    state = make_library_status(*map(make_source_status, ("docs", "handbook", "runbooks")))
    dependencies = {
        "web": Policies(Policy("on", frozenset({"example.com"}), searches=True)),
        "thinking": Defaults("normal", {GENERAL: "deep"}),
        "channels": {GENERAL: ChannelTable(id=GENERAL, think="deep")},
    }
    library = FakeLibrary(hits=(make_hit(),), state=state)
    async with (
        run_bot_in_sandbox(tmp_path, library=library, dependencies=dependencies) as bot,
        launch_chromium() as browser,
    ):
        wrong: list[str] = []
        page = await open_page(browser, bot.sandbox.base_url, wrong=wrong, height=1_250)
        await page.locator(".room", has_text="general").first.click()
        await send_message(page, "/kb channel")
        dialog = page.get_by_role("dialog", name="Channel settings")
        await expect(dialog).to_contain_text("fixed in kvasir.toml")
        assert not await list_accessibility_findings(page)
        await dialog.get_by_label("Sources").select_option(["handbook"])
        await dialog.get_by_label("Tone").select_option(label="Friendly")
        await dialog.get_by_label("Answers without a mention").select_option(label="At most 2 an hour")
        await dialog.get_by_role("button", name="Save").click()
        changes = "Sources: some sources; Tone: Friendly; Answers without a mention: At most 2 an hour."
        await expect(page.locator("#log")).to_contain_text(f"changed how I answer here: {changes}")
        await send_message(page, "How many days of leave do we have?")
        await page.get_by_role("button", name="1 reply").click()
        thread = page.locator("#thread-log")
        await expect(thread).to_contain_text("Nobody asked me")
        await expect(thread.get_by_role("button", name="Don't answer here unasked")).to_be_visible()
        assert not await list_accessibility_findings(page)
        assert not wrong
