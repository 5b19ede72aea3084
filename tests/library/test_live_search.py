"""The library with the live web: one question to both, over real files and real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from knowledge.errors import StoreError
from knowledge.interfaces import LiveWebRequest, WebTrouble
from tests.library.library_bench import Bench
from tests.waiting import WAIT_S
from tests.web.live.small_web import SmallWeb

QUESTION = "when does the lighthouse open"
ANSWER = "When does the lighthouse open? The lighthouse does open at seven."
HOLIDAY = "how many days of holiday"


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def little(stack: AsyncExitStack, bench: Bench) -> SmallWeb:
    little = SmallWeb()
    await little.start(stack)
    bench.web = await little.opened(stack, bench.embedder)
    return little


async def rows(library: Any) -> tuple[int, int]:
    """Return the number of rows in store and manifest."""
    searched = await library._documents.follow_active_index()
    return await searched.store.count(), len((await library.status()).sources)


@pytest.mark.slow
@pytest.mark.timeout(360)
async def test_the_web_helps_weak_documents_and_is_not_stored(bench: Bench, handbook: Any, little: SmallWeb) -> None:
    url = little.put("a.example", "/light", ANSWER)
    async with bench.library(handbook) as library:
        await library.refresh()
        before, texts = await rows(library), list(bench.embedder.texts)
        files = sorted(str(path) for path in bench.home.rglob("*"))
        strong = await library.search("thirty days of holiday a year", live=LiveWebRequest("if_weak"))
        assert (strong.answerable, strong.web) == (True, None)
        assert little.engine.asked == []
        weak = await library.search(QUESTION, live=LiveWebRequest("if_weak", within_s=30))
        assert weak.web is not None
        assert weak.web.read == (url,)
        assert weak.answerable
        assert weak.hits[0].web is not None
        assert (weak.hits[0].document, weak.hits[0].web.host) == (url, "a.example")
        assert {hit.source for hit in weak.hits if not hit.web} <= {"handbook"}
        assert weak.query == QUESTION
        assert weak.seconds >= weak.web.seconds > 0
        assert (await library.search(QUESTION)).web is None
        assert (await rows(library), bench.embedder.texts) == (before, texts)
        assert sorted(str(path) for path in bench.home.rglob("*")) == files


@pytest.mark.slow
@pytest.mark.timeout(360)
async def test_documents_keep_their_places_next_to_the_web(bench: Bench, handbook: Any, little: SmallWeb) -> None:
    copy = little.put("a.example", "/copy", "Thirty days of holiday a year.")
    async with bench.library(handbook) as library:
        await library.refresh()
        both = await library.search(HOLIDAY, live=LiveWebRequest("always", within_s=30))
        assert both.web is not None
        assert both.web.read == (copy,)
        first = both.hits[0]
        assert (first.document, first.web) == ("holiday.md", None)
        narrowed = await library.search(f"type:pdf {HOLIDAY}", live=LiveWebRequest("always", within_s=30))
        assert narrowed.hits == ()


@pytest.mark.slow
@pytest.mark.timeout(360)
async def test_the_web_answers_while_the_store_is_down(bench: Bench, handbook: Any, little: SmallWeb) -> None:
    async with bench.library(handbook) as library:
        await library.refresh()
        await (await library._documents.follow_active_index()).store.close()
        for when in ("always", "if_weak"):
            with pytest.raises(StoreError):
                await library.search(QUESTION, live=LiveWebRequest(when, within_s=20))  # type: ignore[arg-type]
        little.put("a.example", "/light", ANSWER)
        for n, when in enumerate(("always", "if_weak")):
            found = await library.search(f"{QUESTION} {n}", live=LiveWebRequest(when, within_s=30))  # type: ignore[arg-type]
            assert found.answerable
            assert {hit.document for hit in found.hits} == {little.url("a.example", "/light")}
            assert found.trouble
        with pytest.raises(StoreError):
            await library.search(QUESTION)


@pytest.mark.slow
@pytest.mark.timeout(360)
async def test_a_search_that_is_cancelled_ends_the_fetches(bench: Bench, handbook: Any, little: SmallWeb) -> None:
    little.find("a.example", "/hang")
    little.site.hangs("/hang")
    async with bench.library(handbook) as library:
        await library.refresh()
        search = asyncio.create_task(library.search(QUESTION, live=LiveWebRequest("always", within_s=60)))
        async with asyncio.timeout(WAIT_S):
            while not little.site.asked("/hang"):  # noqa: ASYNC110 - a server's own state
                await asyncio.sleep(0.01)
            search.cancel()
            with pytest.raises(asyncio.CancelledError):
                await search
            while little.site.open:  # noqa: ASYNC110 - the server hears of it a moment later
                await asyncio.sleep(0.01)
        assert (await library.search(HOLIDAY)).hits


async def test_a_search_without_the_web_says_so(bench: Bench, handbook: Any) -> None:
    async with bench.library(handbook) as library:
        await library.refresh()
        plain = await library.search(HOLIDAY)
        result = await library.search(HOLIDAY, live=LiveWebRequest("always", links=("http://a.example/",)))
        assert result.hits == plain.hits
        assert result.web is not None
        assert (result.web.trouble, result.web.read) == (WebTrouble.SWITCHED_OFF, ())
        weak = await library.search("lighthouse", live=LiveWebRequest("if_weak"))
        assert weak.web is not None
        assert (await library.search("thirty days of holiday a year", live=LiveWebRequest("if_weak"))).web is None


_OFF = """
import asyncio, json, socket, sys
from pathlib import Path
from bot.config.settings import load_settings
from bot.wheels import WheelCache
from knowledge.interfaces import LiveWebRequest
from knowledge.opening import open_library

home, cache = map(Path, sys.argv[1:])
settings = load_settings({"KVASIR_HOME": str(home / "state"), "KVASIR_CACHE": str(cache)}, home).knowledge
dialled = []
connect, connect_ex = socket.socket.connect, socket.socket.connect_ex
socket.socket.connect = lambda self, to: dialled.append(to) or connect(self, to)
socket.socket.connect_ex = lambda self, to: dialled.append(to) or connect_ex(self, to)

def resolve(*args, **kwargs):
    dialled.append(args)
    raise socket.gaierror("no name is asked for")

socket.getaddrinfo = resolve

async def main():
    async with open_library(settings, WheelCache(cache / "wheels").unpack_wheel) as library:
        await library.refresh()
        live = LiveWebRequest("always", links=("http://127.0.0.1:9/", "http://a.example/"), words="holiday")
        found = await library.search("how many days of holiday", live=live)
        return found.web.trouble, len(found.hits)

trouble, hits = asyncio.run(main())
names = ("live.live_web", "opening", "reading.page_loader", "searching", "http.fetch", "http.connections")
loaded = [name for name in sys.modules if name.startswith(tuple(f"knowledge.web.{one}" for one in names))]
print(json.dumps({"trouble": trouble, "hits": hits, "loaded": loaded, "dialled": [repr(one) for one in dialled]}))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", ["off", "on"])
def test_a_disabled_web_imports_no_code_that_fetches(tmp_path: Path, mode: str) -> None:
    """In a process of its own: nothing of the live web is loaded, and no socket is opened for an answer."""
    cache = Path(os.environ.get("KVASIR_CACHE") or Path.home() / ".cache" / "kvasir")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "holiday.md").write_text("# Holidays\n\nThirty days of holiday a year.\n")
    source = '[[source]]\nname = "docs"\nkind = "folder"\npath = "docs"\n'
    (tmp_path / "kvasir.toml").write_text(f'{source}[web]\nmode = "{mode}"\n')
    argv = [sys.executable, "-c", _OFF, str(tmp_path), str(cache)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=240)
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert outcome["hits"] == 1
    if mode == "off":
        assert (outcome["loaded"], outcome["dialled"], outcome["trouble"]) == ([], [], WebTrouble.SWITCHED_OFF)
    else:
        assert outcome["loaded"], "the test can tell"
        assert outcome["dialled"], "the test can tell"
