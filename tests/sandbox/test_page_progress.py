"""Test how the page shows a plan and a modal without fields."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from bot.answering.events import AnswerEvent, Question, Sources, Step, Text
from bot.slack.posting.message_sink import SlackCapabilities
from tests.slack.running_bot import PASSAGE, make_finished, run_bot_in_sandbox
from tests.slack_page import list_accessibility_findings, open_page, send_message

pytestmark = pytest.mark.slow


async def test_plan_folds_up_and_reasoning_opens_at_its_top(tmp_path: Path, browser: Browser) -> None:
    resume = asyncio.Event()

    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Step("is searching…", "search")
        yield Sources((PASSAGE,))
        yield Step("is thinking…", "think")
        await resume.wait()
        yield Text("That is all.")
        yield replace(make_finished(PASSAGE), reasoning="Let me see.\n" * 300)

    wrong: list[str] = []
    capabilities = SlackCapabilities(plan_after_s=0.05)
    async with run_bot_in_sandbox(tmp_path, script=script, capabilities=capabilities) as bot:
        page = await open_page(browser, bot.sandbox.base_url, wrong=wrong)
        await send_message(page, "@Kvasir how?")
        plan = page.locator("#thread .plan")
        await expect(plan).to_have_attribute("open", "")
        await expect(plan.locator("summary")).to_have_text("Working on it…")
        await expect(plan.locator(".state.in_progress")).to_have_count(1)
        await expect(plan.locator("a")).to_have_text("Adding a source")
        resume.set()
        await expect(plan.locator("summary")).to_contain_text("Answered in")
        await expect(plan).not_to_have_attribute("open", "")
        await expect(page.locator("#log .peek")).to_contain_text("Kvasir: That is all.")
        await page.get_by_role("button", name="Show reasoning").click()
        modal = page.locator("dialog.modal")
        await expect(modal.locator("h2")).to_be_focused()
        await expect(modal.locator("h2")).to_be_in_viewport()
        await expect(modal.locator(".plain").first).to_have_css("white-space", "pre-wrap")
        assert await list_accessibility_findings(page) == []
    assert not wrong
