"""Test the one answer that ``make test`` has from a real SGLang: asked in Slack, written by the small model, cited."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Place, configure_few_pages
from tests.slack.running_bot import get_text

pytestmark = [pytest.mark.slow, pytest.mark.engine, pytest.mark.timeout(900)]

ENGINE_S = 600.0
ANSWER_S = 240.0


async def test_the_small_model_answers_in_slack_with_citations(place: Place) -> None:
    """It takes a minute, because SGLang starts and loads the model."""
    (place.folder / "kvasir.toml").write_text(configure_few_pages(place.folder), encoding="utf-8")
    async with place.run() as run:
        await run.line("docs: 2 added")
        await run.line("engine: ready", ENGINE_S)
        ts = await run.box.say("ada", "#general", "@Kvasir how do I add a document to the knowledge of Kvasir?")
        answer = await run.box.wait_for_message(
            lambda m: m["root"] == ts and m.get("bot_id") and m.get("stream") != "streaming" and m.get("metadata"),
            deadline_s=ANSWER_S,
        )
        assert "[1]" in get_text(answer) or "knowledge.md" in str(answer["blocks"])
        assert "loading" not in get_text(answer), "an extract, because the engine was not ready"
        status = await place.json("status")
        assert status["engine"]["state"] == "ready"
