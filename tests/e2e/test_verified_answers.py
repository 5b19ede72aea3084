"""Test of verified answers in the demo: who gets one, and what a changed document does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ROOT, Place
from tests.slack.features.verified.test_verified_answers import ADA, list_buttons, make_values
from tests.slack.running_bot import get_text
from tests.slack_sandbox import SandboxClient

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

QUESTION = "Which office will the board close?"


async def wait_for_answer(box: SandboxClient, root: str, channel: str, person: str, contains: str) -> dict[str, Any]:
    return await box.wait_for_message(
        lambda m: m["root"] == root and m.get("metadata") and contains in get_text(m), channel=channel, person=person
    )


async def test_verified_answer_is_for_those_who_may_read_its_sources(place: Place, tmp_path: Path) -> None:
    """Without a model, extracts answer. The minutes are for Ada alone."""
    demo = tmp_path / "demo"
    shutil.copytree(ROOT / "deploy" / "demo", demo)
    async with place.run("--config", str(demo / "kvasir.toml"), KVASIR_ENGINE_URL="http://127.0.0.1:9") as run:
        for source in ("handbook", "project", "board", "reorg"):
            await run.line(f"{source}: 1 added")
        box = run.box
        root = await box.say("ada", "@kvasir", QUESTION)
        answer = await wait_for_answer(box, root, "@kvasir", "ada", "Tromsø")
        await box.press("ada", "@kvasir", answer["ts"], list_buttons(answer)["Verify…"])
        view = await box.wait_for_modal(ADA)
        await box.submit("ada", view["id"], make_values(view, answer="It closes Tromsø in June [1]."))
        await box.wait_for_message(lambda m: "Verified until" in get_text(m), channel="@kvasir")

        root = await box.say("ada", "@kvasir", f"Hi, can you tell me {QUESTION.lower()}")
        await wait_for_answer(box, root, "@kvasir", "ada", "It closes Tromsø in June")
        near = await box.say("ada", "@kvasir", "Which office will the board open?")
        await wait_for_answer(box, near, "@kvasir", "ada", f"similar question: “{QUESTION}”")
        for person, channel in (("bo", "@kvasir"), ("ada", "#general")):
            mention = "" if channel == "@kvasir" else "@Kvasir "
            for question in (QUESTION, "Which office will the board open?"):
                root = await box.say(person, channel, mention + question)
                answer = await wait_for_answer(box, root, channel, person, "")
                answer_text = get_text(answer)
                assert [text for text in ("in June", "verified", "similar", "close?") if text in answer_text] == [], (
                    answer_text
                )

        [minutes] = (demo / "board").glob("*.md")
        minutes.write_text(minutes.read_text(encoding="utf-8").replace("Tromsø", "Bergen"), encoding="utf-8")
        await box.command("ada", "#general", "/kb refresh board")
        await box.wait_for_message(lambda m: "Refreshed in" in get_text(m), channel="@kvasir")
        root = await box.say("ada", "@kvasir", QUESTION)
        await wait_for_answer(box, root, "@kvasir", "ada", "Bergen")
        await box.command("ada", "#general", "/kb verified")
        await box.wait_for_message(lambda m: "a source has changed" in get_text(m))
