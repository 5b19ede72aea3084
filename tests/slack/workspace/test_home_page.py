"""Home in a real browser: everybody can use it, also with a screen reader."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.slack.workspace.test_home_parts import run_bot_with_sources, store_answer
from tests.slack_page import launch_chromium, list_accessibility_findings, open_page

pytestmark = pytest.mark.slow


async def test_owner_and_guest_use_home(tmp_path: Path) -> None:
    """Ada owns the documents and the workspace, and chooses another language. Gus is a guest."""
    async with run_bot_with_sources(tmp_path) as bot, launch_chromium() as browser:
        await store_answer(bot, "C0GENERAL1", "Where is the moon?")
        wrong: list[str] = []
        page = await open_page(browser, bot.sandbox.base_url, wrong=wrong)

        async def open_home(person: str) -> None:
            await page.locator("#you-are").select_option(value=person)
            await expect(page.locator("#you-are")).to_have_value(person)
            await page.locator(".room", has=page.get_by_text("Kvasir", exact=True)).click()
            await page.get_by_role("tab", name="Home").click()
            await expect(page.locator("#log")).to_contain_text("What you can do")
            assert not await list_accessibility_findings(page)

        await open_home("U0ADA00001")
        await expect(page.get_by_role("button", name="Refresh: board")).to_be_visible()
        await page.get_by_role("button", name="Settings…").click()
        dialog = page.get_by_role("dialog", name="Your settings")
        await expect(dialog).to_be_visible()
        assert not await list_accessibility_findings(page)
        await dialog.locator("select").first.select_option(label="中文")
        await dialog.get_by_role("button", name="Save").click()
        await expect(page.locator("#log")).to_contain_text("语言：中文")
        await open_home("U0GUS00005")
        await expect(page.locator("#log")).not_to_contain_text("moon")
        await expect(page.locator(".block-header")).to_have_count(5)
        assert not wrong
