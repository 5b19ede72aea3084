"""``kvasir fetch``: show what Kvasir reads from a page of the web, or why it refuses."""

from __future__ import annotations

import argparse
import asyncio
import time
from dataclasses import dataclass

from bot.answering.outgoing import release_text
from bot.cli.command_settings import load_command_settings
from bot.library_opening import open_page_loader
from bot.terminal.output import print_error, print_json, print_result
from knowledge.errors import FetchBadStatus, FetchError
from knowledge.web.reading.page_loader import PageLoader, WebPage

_WITHIN_S = 30.0
_CONCURRENT_PAGES = 8
_LIVE_WEB_OFF = (
    'the live web is off. To turn it on, write a table [web] with mode = "on" into kvasir.toml (docs/live-web.md)'
)


async def main(arguments: argparse.Namespace) -> int:
    """Read the pages concurrently and print them in order; exit status 1 if one was refused."""
    settings = load_command_settings(arguments)
    refusals = 0
    if settings.knowledge.live is None:
        for url in arguments.urls:
            _show_page(_FetchedPage(url, None, _LIVE_WEB_OFF, None, 0.0), json=arguments.json)
        return 1
    async with open_page_loader(settings) as pages, asyncio.TaskGroup() as group:
        slots = asyncio.Semaphore(_CONCURRENT_PAGES)
        for task in [group.create_task(_read_page(pages, url, slots)) for url in arguments.urls]:
            result = await task
            _show_page(result, json=arguments.json)
            refusals += result.refusal is not None
    return 1 if refusals else 0


@dataclass(frozen=True, slots=True)
class _FetchedPage:
    url: str
    page: WebPage | None
    refusal: str | None
    status: int | None
    seconds: float


async def _read_page(pages: PageLoader, url: str, slots: asyncio.Semaphore) -> _FetchedPage:
    async with slots:
        began = time.monotonic()
        page, refusal, status = None, None, None
        try:
            page = await pages.read_page(url, within_s=_WITHIN_S)
            status = page.status
        except FetchError as error:
            refusal = error.reason
            status = error.status if isinstance(error, FetchBadStatus) else None
        return _FetchedPage(url, page, refusal, status, time.monotonic() - began)


def _show_page(read: _FetchedPage, *, json: bool) -> None:
    if json:
        print_json(_page_json(read))
    elif read.page is not None:
        print_result(release_text(_page_text(read.page)))
    else:
        print_error(f"{read.url}: {read.refusal}")


def _page_json(read: _FetchedPage) -> dict[str, object]:
    page = read.page
    return {
        "url": read.url,
        "final_url": page.final_url if page is not None else None,
        "status": read.status,
        "title": release_text(page.title) if page is not None else None,
        "text": release_text(page.text) if page is not None else None,
        "refused": read.refusal,
        "seconds": round(read.seconds, 6),
    }


def _page_text(page: WebPage) -> str:
    origin = [
        page.final_url,
        *([f"by {page.author}"] if page.author else []),
        *([f"of {page.published:%Y-%m-%d}"] if page.published else []),
        f"as of {page.fetched_at:%Y-%m-%d %H:%M} UTC"
        + (", an old copy, because the site does not answer" if page.stale else ""),
    ]
    return f"# {page.title}\n({', '.join(origin)})\n\n{page.text}\n"
