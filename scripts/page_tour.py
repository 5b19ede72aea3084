"""Tour the page in a real browser: a mention, a follow-up, a direct message, ``/kb refresh``, an unanswerable question.

The end-to-end test uses it. Run as a program, it takes new pictures of a running Kvasir:

    .venv/bin/python scripts/page_tour.py http://127.0.0.1:3000 docs/images
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from pathlib import Path

from playwright.async_api import Browser, Locator, Page, async_playwright, expect

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
ANSWER_MS = 120_000
"""A small model on a busy CPU is slow."""


class Tour:
    """A tour of the page; each step saves a picture to ``pictures``, unless it is None."""

    def __init__(self, page: Page, pictures: Path | None = None) -> None:
        self.page = page
        self._pictures = pictures

    async def picture(self, name: str) -> None:
        if self._pictures is not None:
            await self.page.screenshot(path=self._pictures / f"{name}.png")

    async def write(self, text: str, *, thread: bool = False) -> None:
        field = self.page.locator("#thread-composer-input" if thread else "#composer-input")
        await field.fill(text)
        await field.press("Enter")

    def answers(self) -> Locator:
        """Return the bot's complete messages in the thread pane."""
        return self.page.locator("#thread .message", has=self.page.locator(".app"))

    async def settled(self, count: int) -> Locator:
        """Wait until the thread shows the bot's ``count``th complete answer."""
        answer = self.page.locator("#thread-log .message").nth(count)
        await expect(answer).to_be_visible(timeout=ANSWER_MS)
        await expect(self.page.locator("#thread-log .caret")).to_have_count(0, timeout=ANSWER_MS)
        await expect(self.page.locator("#thread .working")).to_have_count(0, timeout=ANSWER_MS)
        return answer

    async def mention(self, question: str) -> Locator:
        """Ask in #general and open the thread that answers."""
        await self.page.locator(".room", has_text="general").first.click()
        await self.write(f"@Kvasir {question}")
        message = self.page.locator("#log .message", has_text=question).last
        await expect(message).to_be_visible()
        replies = message.locator("button", has_text=re.compile("repl"))
        await expect(replies.or_(self.page.locator("#thread:not([hidden])")).first).to_be_visible(timeout=ANSWER_MS)
        if await replies.count():
            await replies.first.click()
        return await self.settled(1)

    async def follow_up(self, question: str) -> Locator:
        """Ask in the open thread, without a mention."""
        await self.write(question, thread=True)
        return await self.settled(3)

    async def direct(self, question: str) -> Locator:
        """Send a direct message to Kvasir, which answers in a thread."""
        await self.page.locator(".room", has_text="Kvasir").first.click()
        tab = self.page.get_by_role("tab", name="Messages")
        if await tab.count():
            await tab.click()
        await self.write(question)
        message = self.page.locator("#log .message", has_text=question).last
        replies = message.locator("button", has_text=re.compile("repl"))
        await expect(replies.or_(self.page.locator("#thread:not([hidden])")).first).to_be_visible(timeout=ANSWER_MS)
        if await replies.count():
            await replies.first.click()
        return await self.settled(1)

    async def refresh(self) -> Locator:
        """Type /kb refresh in #general, and open the direct message with its progress."""
        await self.page.locator(".room", has_text="general").first.click()
        await self.write("/kb refresh")
        line = self.page.locator("#log .message", has_text=re.compile("unchanged|up to date|added", re.IGNORECASE)).last
        await expect(line).to_be_visible(timeout=ANSWER_MS)
        return line


async def chromium(playwright: object) -> Browser:
    """Start the machine's own Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or "/usr/bin/chromium"
    return await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)  # type: ignore[attr-defined,no-any-return]


async def main(url: str, pictures: Path) -> None:
    async with async_playwright() as playwright:
        browser = await chromium(playwright)
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        await page.goto(url)
        tour = Tour(page, pictures)
        await expect(page.locator(".chip").first).to_be_visible(timeout=ANSWER_MS)
        await tour.picture("welcome")
        await tour.mention("how do I add a source?")
        await tour.picture("page")
        await tour.follow_up("what happens to deleted documents?")
        await tour.picture("follow-up")
        await tour.direct("怎样添加一个来源？")
        await tour.picture("direct")
        await tour.refresh()
        await tour.picture("refresh")
        await tour.mention("who painted the ceiling of the Sistine Chapel?")
        await tour.picture("unknown")
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
