"""The sandbox's page in headless Chromium, for tests."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path

from playwright.async_api import Browser, Page, Route, async_playwright, expect

from tests.tiers import require_servers

# A browser on a busy machine takes longer than the five seconds that Playwright gives it.
expect.set_options(timeout=120_000)

AXE = Path(str(resources.files("axe_playwright_python"))) / "axe.min.js"
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]


@contextlib.asynccontextmanager
async def launch_chromium() -> AsyncIterator[Browser]:
    """Start Chromium; it ends with the block."""
    require_servers("Chromium")
    async with async_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-browser") or "/usr/bin/chromium"
        browser = await playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


async def open_page(
    browser: Browser, url: str, *, wrong: list[str] | None = None, width: int = 1200, height: int = 800
) -> Page:
    """Open the page and wait until it is drawn; what goes wrong in it is added to ``wrong``.

    Wrong are a script error, what the policy refuses, and a request to anywhere else.
    """
    context = await browser.new_context(viewport={"width": width, "height": height})
    page = await context.new_page()
    if wrong is not None:
        await _watch(page, url, wrong)
    await page.goto(url)
    await expect(page.locator("#composer-input")).to_be_visible()
    await expect(page.locator(".room").first).to_be_attached()
    return page


async def _watch(page: Page, url: str, wrong: list[str]) -> None:
    async def only_here(route: Route) -> None:
        if not route.request.url.startswith(url):
            wrong.append(route.request.url)
        await route.continue_()

    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    await page.route("**/*", only_here)


async def send_message(page: Page, text: str, *, thread: bool = False) -> None:
    """Type into a message box and press Enter."""
    field = page.locator("#thread-composer-input" if thread else "#composer-input")
    await field.fill(text)
    await field.press("Enter")


async def list_accessibility_findings(page: Page) -> list[str]:
    """Return what axe-core finds on the page that keeps people out: serious and critical findings."""
    await page.evaluate(AXE.read_text(encoding="utf-8"))  # the page's policy forbids a script element
    found = await page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in found["violations"]
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]
