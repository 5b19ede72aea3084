"""Test of questions about a file and about a thread, with the whole of Kvasir and a model that repeats a passage."""

from __future__ import annotations

import base64
import re

import pytest
from aiohttp import web

from tests.e2e.conftest import Place
from tests.engine.fakes import DONE, USAGE, chosen, delta, fake_sglang
from tests.parsing import makers
from tests.slack.running_bot import get_text

pytestmark = [pytest.mark.slow, pytest.mark.timeout(720)]

ADA = "U0ADA00001"
OFFER = makers.pdf(
    [
        [
            "Offer of the North Shipyard",
            "The shipyard builds one ferry for 120 passengers.",
            "The price is 4.2 million euros.",
        ],
        ["Delivery and penalties", "The ferry is delivered on 3 May 2027.", "Each week of delay costs 25,000 euros."],
        ["Guarantee", "The guarantee for the hull lasts five years."],
    ]
)
_FRAME = re.compile(r"<passage (\d+): [^\n>]*>\n(.*?)\n</passage>", re.DOTALL)


def repeat_fact(prompt: str) -> str:
    """Return the sentence of the prompt's passages that has the word after "about", with its number."""
    word = re.findall(r"about (\w+)", prompt)[-1]
    for number, text in _FRAME.findall(prompt):
        for sentence in re.split(r"(?<=\.)\s+", text):
            if word in sentence:
                return f"{' '.join(sentence.split())} [{number}]"
    return "I found nothing."


async def test_answer_cites_a_page_of_a_file_and_messages_of_a_thread(place: Place) -> None:
    async with fake_sglang() as server:

        async def chat(request: web.Request) -> web.StreamResponse:
            body = await request.json()
            if not body.get("stream"):
                return web.json_response(chosen([("yes", -0.1), ("no", -2.4)]))
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            prompt = "\n".join(str(message["content"]) for message in body["messages"])
            for chunk in (delta(content=repeat_fact(prompt)), delta(finish="stop"), USAGE, DONE):
                await response.write(chunk)
            return response

        server.chat = chat
        (place.folder / "docs").mkdir()
        (place.folder / "docs" / "leave.md").write_text("# Leave\n\nWe have thirty days of leave.\n", encoding="utf-8")
        (place.folder / "kvasir.toml").write_text(
            '[[source]]\nname = "docs"\nkind = "folder"\npath = "docs"\n', encoding="utf-8"
        )
        async with place.run(KVASIR_ENGINE_URL=server.url) as run:
            await run.line("docs: 1 added")
            await run.line("ready")
            box = run.box
            offer = {"name": "offer.pdf", "base64": base64.b64encode(OFFER).decode()}
            said = {
                "person": "ada",
                "channel": "#general",
                "text": "@Kvasir what do we know about delay?",
                "files": [offer],
            }
            root = (await box.control("POST", "say", said))["ts"]
            answer = await box.wait_for_message(lambda m: m["root"] == root and m.get("metadata"))
            assert "Each week of delay costs 25,000 euros." in get_text(answer)
            assert "offer.pdf, page 2" in get_text(answer)
            assert f"/archives/C0GENERAL1/p{root.replace('.', '')}" in str(answer["blocks"])
            await box.say("ada", "#general", "what does the file say about hull?", thread_ts=root)
            await box.wait_for_message(lambda m: m["root"] == root and "offer.pdf, page 3" in get_text(m))

            thread = await box.say("bo", "#general", "Who meets the shipyard?")
            await box.say("bo", "#general", "Grace travels to Bergen on Monday.", thread_ts=thread)
            await box.shortcut("ada", "ask_about_message", channel="#general", ts=thread)
            view = await box.wait_for_modal(ADA)
            question = {"type": "plain_text_input", "value": "What do we know about Grace?"}
            await box.submit("ada", view["id"], {"question": {"question": question}})
            answer = await box.wait_for_message(
                lambda m: m.get("metadata") and "Grace travels to Bergen" in get_text(m), channel="@kvasir"
            )
            assert re.search(r"bo, \d{4}-\d\d-\d\d \d\d:\d\d UTC", get_text(answer))
            assert f"?thread_ts={thread}&cid=C0GENERAL1" in str(answer["blocks"])
        ours = [path for path in place.home.rglob("*") if path.is_file() and "sandbox" not in path.parts]
        assert [path for path in ours if b"120 passengers" in path.read_bytes()] == [], "the file was stored"
