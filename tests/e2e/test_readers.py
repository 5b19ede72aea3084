"""Test in a real browser that each person of the demo gets only what they may read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from bot.sandbox.state.demo import GUEST
from tests.e2e.conftest import ROOT, Place, Running
from tests.slack_page import launch_chromium, open_page, send_message

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DEMO = ROOT / "deploy" / "demo" / "kvasir.toml"
ADA = "U0ADA00001"
ABOUT_THE_BOARD = "Which office will the board close?"
ABOUT_THE_PLAN = "Who leads the merged department of Support and Platform?"
SECRETS = ("Tromsø", "Reorganization", "Board minutes", "one department", "minutes-march", "plan.md")


async def open_as(browser: Browser, run: Running, person: str, room: str, wrong: list[str]) -> Page:
    """Open a conversation as a person."""
    page = await open_page(browser, run.box.base_url, wrong=wrong)
    await page.locator("#you-are").select_option(value=person)
    await page.locator(".room", has=page.get_by_text(room, exact=True)).click()
    return page


async def ask(page: Page, question: str) -> Locator:
    """Ask in the open conversation; return the thread once the answer is complete."""
    await send_message(page, question)
    thread = page.locator("#thread")
    await expect(thread.locator(".message").first).to_contain_text(question.removeprefix("@Kvasir "))
    answer = thread.locator(".message").filter(has_text=re.compile("Sources|I do not know"))
    await expect(answer).to_be_visible()  # an offer may follow it
    return thread


async def test_the_owner_gets_the_minutes_and_the_guest_nothing(place: Place, tmp_path: Path) -> None:
    """Without a model, extracts answer. What a person may not read appears nowhere on their page."""
    async with (
        place.run("--config", str(DEMO), KVASIR_ENGINE_URL="http://127.0.0.1:9") as run,
        launch_chromium() as browser,
    ):
        for source in ("handbook", "project", "board", "reorg"):
            await run.line(f"{source}: 1 added")
        wrong: list[str] = []
        owner = await open_as(browser, run, ADA, "Kvasir", wrong)
        await expect(await ask(owner, ABOUT_THE_BOARD)).to_contain_text("close the office in Tromsø")

        guest = await open_as(browser, run, GUEST.id, "project", wrong)
        await ask(guest, f"@Kvasir {ABOUT_THE_PLAN}")
        await expect(await ask(guest, "@Kvasir when is the first release of Heron?")).to_contain_text("14 September")
        await guest.locator(".room", has=guest.get_by_text("Kvasir", exact=True)).click()
        await ask(guest, ABOUT_THE_BOARD)
        page_text = await guest.content()
        assert [secret for secret in SECRETS if secret.lower() in page_text.lower()] == []
        assert "reorg" not in await guest.locator("#sidebar").inner_text()

        private = await open_as(browser, run, ADA, "reorg", wrong)
        await expect(await ask(private, f"@Kvasir {ABOUT_THE_PLAN}")).to_contain_text("Bo Okafor leads it")
        await owner.screenshot(path=tmp_path / "owner.png")
        await guest.screenshot(path=tmp_path / "guest.png")
        await private.screenshot(path=tmp_path / "private.png")
        assert not wrong
