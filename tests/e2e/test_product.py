"""Test the whole product: the page in a browser, a real SGLang, and a kill -9."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path

import psutil
import pytest
from playwright.async_api import async_playwright, expect

from scripts.page_tour import Tour, chromium
from tests.e2e.conftest import Place, Running
from tests.e2e.newcomer import ask_newcomer_questions

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ENGINE_S = 240.0
RIGHT = 6
"""Of the seven questions of a newcomer that it asks, with a right citation."""
# A browser beside a model on two cores takes longer than the five seconds that Playwright gives it.
expect.set_options(timeout=120_000)


def body(message: dict[str, object]) -> str:
    blocks = message.get("blocks")
    found = [str(block["text"]) for block in blocks if block["type"] == "markdown"] if isinstance(blocks, list) else []
    return "\n".join(found) or str(message.get("text"))


async def answered(run: Running, ts: str, deadline_s: float = 60.0) -> str:
    """Return the text of the complete answer in a thread."""
    message = await run.box.wait_for_message(
        lambda m: m["root"] == ts and m.get("bot_id") and m.get("stream") != "streaming" and m.get("metadata"),
        deadline_s=deadline_s,
    )
    return body(message)


async def early(run: Running, question: str, expected: str) -> None:
    """Ask until an answer has the expected text, because a slow machine has read only some documents at first."""
    async with asyncio.timeout(180):
        answer = ""
        while expected not in answer:
            answer = await answered(run, await run.box.say("ada", "#general", question))


@pytest.mark.alone
async def test_the_tour_of_a_newcomer(place: Place, tmp_path: Path) -> None:
    """Extracts come while the engine loads, then answers in a real browser, also to the newcomer questions.

    It takes two minutes, because a model on two cores answers each question.
    """
    async with place.run() as run, async_playwright() as playwright:
        await early(run, "@Kvasir how do I add a source?", "kvasir.toml")
        status = await place.json("status")
        assert status["engine"]["state"] in {"installing", "starting", "ready"}
        assert status["sources"]["docs"]["documents"] >= 4

        await run.line("engine: ready", ENGINE_S)
        status = await place.json("status")
        assert status["engine"]["state"] == "ready"
        assert status["engine"]["small_model"] is True

        browser = await chromium(playwright)
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        await page.goto(run.box.base_url)
        tour = Tour(page, tmp_path)
        answer = await tour.mention("how do I connect Kvasir to my Slack workspace?")
        await expect(answer).to_contain_text("Sources")
        await expect(answer.locator("a.cite").first).to_be_visible()
        link = await answer.locator("a.cite").first.get_attribute("href")
        assert link is not None
        assert link.startswith(f"{run.box.base_url}/files/docs/")  # of those found, the model chooses which
        assert "#" in link

        answer = await tour.follow_up("and over HTTP?")
        await expect(answer).to_contain_text("Sources")
        answer = await tour.direct("怎样添加一个来源？")
        await expect(answer).to_contain_text("来源")
        exact = await answer.locator("a.cite").first.get_attribute("href")
        assert exact is not None
        assert exact.startswith(f"{run.box.base_url}/files/docs/zh.md#")
        await tour.refresh()
        answer = await tour.mention("who painted the ceiling of the Sistine Chapel?")
        await expect(answer).to_contain_text(re.compile("I found nothing in the documents|no passage mentions Sistine"))

        document = await browser.new_page()
        await document.goto(link)
        await expect(document.locator(":target")).to_be_visible()
        await document.goto(exact)
        await expect(document.locator("h2:target")).to_contain_text("来源")
        assert wrong == []
        assert (tmp_path / "kvasir.toml").exists()
        await browser.close()

        results = await ask_newcomer_questions(place)
        wrongly = [str(one) for one in results if not one.score.good]
        assert len(results) - len(wrongly) >= RIGHT, "\n".join(wrongly)
        family = run.family()
    assert run.process.returncode == 0, run.lines
    assert [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.engine
async def test_kill_9_during_an_answer_and_a_restart(place: Place) -> None:
    """No process stays, and the question has one answer, or another one after an apology.

    It takes a minute, because SGLang loads a model.
    """
    async with place.run() as run:
        await run.line("engine: ready", ENGINE_S)
        ts = await run.box.say("ada", "#general", "@Kvasir how do I add a source?")
        await run.box.wait_for_message(lambda m: m["root"] == ts and m.get("bot_id"), deadline_s=60.0)
        family = run.family()
        os.kill(run.process.pid, signal.SIGKILL)
        await run.process.wait()
        _, alive = await asyncio.to_thread(psutil.wait_procs, family, 20.0)
        assert alive == []

    async with place.run(KVASIR_ENGINE_URL="http://127.0.0.1:9") as run:
        await answered(run, ts)
        await run.box.wait_delivered()
        mine = [m for m in await run.box.messages("#general") if m["root"] == ts and m.get("bot_id") and m["ts"] != ts]
        whole = [m for m in mine if m.get("metadata")]
        apologies = [m for m in mine if "interrupted" in body(m).lower()]
        assert len(mine) - len(apologies) == 1 or len(whole) == 1, [body(m) for m in mine]
