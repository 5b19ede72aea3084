"""Test that nothing leaves for an answer until ``kvasir.toml`` has a table ``[web]``, with the real bot.

Python's own audit events record every connection and every lookup of a name by ``kvasir run`` and its processes. A
SearXNG at the wire is set up all the time, as in ``deploy/compose.yaml``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ROOT, Place, Running, configure_few_pages
from tests.e2e.live_web import ANSWER, QUESTION, the_engine, the_site
from tests.slack.running_bot import get_text
from tests.web.searching.fake_providers import FakeSearxng, Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

RECORDER = """
import os, sys

def record(event, args):
    if event == "socket.connect" and isinstance(args[1], tuple):
        line = f"connect {args[1][0]}:{args[1][1]}"
    elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        line = f"resolve {args[0]}"
    else:
        return
    os.write(FILE, (line + "\\n").encode())

FILE = os.open(os.environ["RECORD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
sys.addaudithook(record)
"""
TURN_ON = "The live web is off, so I fetched nothing. An operator turns it on with a table `[web]` in kvasir.toml."
TURN_ON_CHINESE = "网络搜索未开启，因此没有读取任何网页。运维人员可以在 kvasir.toml 中添加 `[web]` 表来开启。"


@dataclass
class Watched:
    """A bot whose connections are recorded, with a search engine and a site that it might ask."""

    run: Running
    record: Path
    searxng: FakeSearxng
    site: str
    engine: str
    pages: list[str] = field(default_factory=list)
    """The paths that were requested from the site."""

    async def answer(self, question: str) -> str:
        """Ask as Ada; return the whole answer."""
        ts = await self.run.box.say("ada", "#general", f"@Kvasir {question}")
        found = await self.run.box.wait_for_message(lambda m: m["root"] == ts and m.get("bot_id") and m.get("metadata"))
        return get_text(found)

    async def command(self, text: str, contains: str) -> None:
        """Type a slash command and wait for its answer."""
        await self.run.box.command("ada", "#general", text)
        await self.run.box.wait_for_message(lambda m: contains in get_text(m) and m.get("ephemeral"))

    def left(self) -> set[str]:
        """Return the connections and lookups, except those of the sandbox and the engine."""
        ours = {f"connect {url.removeprefix('http://')}" for url in (self.run.box.base_url, self.engine)}
        ours |= {f"resolve {name}" for name in ("127.0.0.1", "None", "localhost")}
        return set(self.record.read_text(encoding="utf-8").splitlines()) - ours


@asynccontextmanager
async def watched(folder: Path, table: str) -> AsyncIterator[Watched]:
    (folder / "recorder").mkdir()
    (folder / "recorder" / "sitecustomize.py").write_text(RECORDER, encoding="utf-8")
    record, pages = folder / "record", list[str]()
    async with AsyncExitStack() as stack:
        site, engine, searxng = await the_site(stack, pages), await the_engine(stack, []), FakeSearxng()
        await searxng.start(stack)
        searxng.pages.append(Page(f"{site}/news/strike", "Ferry news", ANSWER))
        configuration = configure_few_pages(folder) + table.format(site=site.removeprefix("http://"))
        (folder / "kvasir.toml").write_text(configuration, encoding="utf-8")
        environ = {
            "KVASIR_ENGINE_URL": engine,
            "KVASIR_SEARXNG_URL": f"http://127.0.0.1:{searxng.port}",
            "NO_PROXY": "*",
            "RECORD": str(record),
            "PYTHONPATH": f"{folder / 'recorder'}:{ROOT}",
        }
        run = await stack.enter_async_context(Place(folder, starts_python=True).run(**environ))
        await run.line(" added in ")
        await run.line("engine: ready")
        yield Watched(run, record, searxng, site, engine, pages)


def buttons(messages: list[dict[str, Any]]) -> set[str]:
    elements = [one for m in messages for block in m.get("blocks") or () for one in block.get("elements") or ()]
    return {one["text"]["text"] for one in elements if one.get("type") == "button"}


async def test_nothing_leaves_without_a_table(tmp_path: Path) -> None:
    async with watched(tmp_path, "") as bot:
        assert any("live web: off" in line for line in bot.run.lines)
        weak = await bot.answer(QUESTION)
        assert "I do not know" in weak or "This comes closest" in weak, "the documents were searched"
        assert "looked on the web" not in weak
        assert TURN_ON in await bot.answer(f"web: {QUESTION}")
        assert TURN_ON_CHINESE in await bot.answer("网页：渡轮罢工什么时候结束？")
        assert ANSWER not in await bot.answer(f"what does {bot.site}/news/strike say about the ferries?")
        assert TURN_ON in await bot.answer("what does http://ferry.example/news say about the ferries?")
        await bot.answer("what is the latest news about the ferries?")
        await bot.command(f"/kb search {QUESTION}", "docs")
        await bot.command("/kb status", "docs")
        await bot.command("/kb refresh", "docs")
        assert "Search the web" not in buttons(await bot.run.box.messages())
        assert (bot.left(), bot.searxng.asked, bot.pages) == (set(), [], [])


async def test_a_table_lets_questions_leave(tmp_path: Path) -> None:
    async with watched(tmp_path, '[web]\nprivate = ["{site}"]\n') as bot:
        assert any("live web: on: search and links" in line for line in bot.run.lines)
        text = await bot.answer(QUESTION)
        assert ANSWER in text
        assert "I looked on the web because the documents are not enough: one page was read." in text
        assert "as you asked: one page was read" in await bot.answer(f"web: and again, {QUESTION}")
        linked = await bot.answer(f"what does {bot.site}/news/other say about the strike?")
        assert "because you gave a link: one page was read" in linked
        await bot.answer("what does http://ferry.example/news say about the ferries?")
        assert {f"connect 127.0.0.1:{bot.searxng.port}", "resolve ferry.example"} <= bot.left()
        assert (len(bot.searxng.asked), bot.pages) == (2, ["/news/strike", "/news/other"])


async def test_a_blocked_question_does_not_leave(tmp_path: Path) -> None:
    """The same question leaves without its private words."""
    async with watched(tmp_path, '[web]\nprivate = ["{site}"]\n[masking]\nweb = "block"\n') as bot:
        private = "web: does the ferry line answer at +49 30 1234567 about the strike?"
        assert "The question has private words" in await bot.answer(private)
        assert bot.searxng.asked == []
        await bot.answer(f"web: {QUESTION}")
        assert len(bot.searxng.asked) == 1
