"""Take the pictures of docs/profile-*.md with a running Kvasir and the shipped samples.

The configuration is that of "How do I try decision support?", with KVASIR_OCR=on. The sample policy is added, and the
cases of the sample table are open. ``NOTE`` is a file with what ``kvasir note`` printed of the sample visit.

    .venv/bin/python scripts/profile_pictures.py http://127.0.0.1:3000 docs/images NOTE
"""

from __future__ import annotations

import asyncio
import html
import sys
from pathlib import Path

from PIL import Image
from playwright.async_api import Page, async_playwright, expect

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot.profiles.registry import SHIPPED
from scripts.page_tour import ANSWER_MS, Tour, chromium

CASE = "68 years, eGFR 24 ml/min, HbA1c 8.1 %. May I start metformin, and at which dose?"
NOTE_PAGE = """<body style="margin: 0; background: #16211f; color: #e4ebe8; font: 15px/1.5 monospace">
<pre style="margin: 0; padding: 18px 24px; white-space: pre-wrap">{}</pre></body>"""
COLOURS = 200


async def take_picture(page: Page, pictures: Path, name: str) -> None:
    """Save what the page shows, with few colours."""
    path = pictures / f"profile-{name}.png"
    await page.mouse.move(0, 0)
    await page.evaluate("document.activeElement.blur()")
    await page.screenshot(path=path)
    Image.open(path).convert("RGB").quantize(COLOURS).save(path, optimize=True)


async def extract_values(page: Page, room: str, sample: Path, profile: str) -> None:
    """Send a sample, use "Extract, check or note" and open the thread with the table."""
    await page.locator(".room", has_text=room).first.click()
    await page.locator("#composer input[type=file]").set_input_files(sample)
    await expect(page.locator("#composer .file")).to_have_count(1)
    await page.locator("#composer-input").press("Enter")
    message = page.locator("#log .message", has_text=sample.name).last
    await message.hover()
    await message.get_by_label("More actions").click()
    await page.get_by_role("menuitem", name="Extract, check or note").click()
    await page.locator("dialog.modal select").select_option(label=profile)
    await page.locator("dialog.modal").get_by_role("button", name="Start").click()
    await page.locator(".room", has_text="Kvasir").first.click()
    replies = page.locator("#log .message", has_text=f"{profile}: I read").last.locator("button.replies")
    await replies.click(timeout=ANSWER_MS)
    await expect(page.locator("#thread-log table")).to_be_visible()
    await page.locator("#thread-log").evaluate("log => { log.scrollTop = log.querySelector('table').offsetTop - 60 }")


async def main(url: str, pictures: Path, note: Path) -> None:
    async with async_playwright() as playwright:
        browser = await chromium(playwright)
        page = await browser.new_page(viewport={"width": 1360, "height": 800})
        await page.goto(url)
        await expect(page.locator(".room").first).to_be_visible()
        await extract_values(page, "general", SHIPPED / "contract" / "sample.md", "Contract")
        await take_picture(page, pictures, "extraction")
        await extract_values(page, "general", SHIPPED / "kyc" / "scan.png", "Customer due diligence (KYC)")
        await take_picture(page, pictures, "scans")
        await extract_values(page, "general", SHIPPED / "nda-checklist" / "sample.new.md", "Non-disclosure agreement")
        await take_picture(page, pictures, "checklist")
        await page.locator(".room", has_text="reorg").first.click()
        tour = Tour(page)
        await tour.write(f"@Kvasir {CASE}")
        await tour.settled(1)
        await take_picture(page, pictures, "decision-support")
        await page.locator(".room", has_text="handbook").first.click()
        await tour.write("/kb cases")
        await expect(page.locator("#log .message", has_text="open case").last).to_be_visible()
        await take_picture(page, pictures, "money-laundering")
        page = await browser.new_page(viewport={"width": 1040, "height": 700})
        await page.set_content(NOTE_PAGE.format(html.escape(note.read_text(encoding="utf-8"))))
        await take_picture(page, pictures, "visit-note")
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(Path, sys.argv[2:])))
