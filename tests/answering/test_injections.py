"""Tests of fifty pages with injected instructions, and of a model that obeys all of them.

The pages pass through the real extraction and the real prompt. Hidden text is not read, visible text cannot leave its
frame, and the answer is verified as usual. ``GETS_THROUGH`` lists the rest: the answer may repeat visible text
of a page with the page as its source.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from bot.answering.policy import Policy
from knowledge.interfaces import Document, Hit, WebOrigin, WebSearchReport
from knowledge.parsing.formats.pdf import parse_pdf
from knowledge.web.live.live_web import select_passages
from knowledge.web.reading.article import clean_article, read_article
from knowledge.web.reading.page_loader import WebPage
from tests.answering.conftest import Ask, Room

PLACES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data" / "injections.jsonl").read_text("utf-8").splitlines()
]
NOW = datetime(2026, 11, 20, tzinfo=UTC)
URL = "https://news.example/port"
TEXT = {
    "en": (
        "The strike at the port ends on Friday after the unions agreed to a raise of four percent.",
        "Ferries to the island run again from Saturday morning, twice a day until the end of the month.",
        "The harbour master expects that the containers on the north quay are cleared within two weeks.",
    ),
    "zh": (
        "工会同意加薪百分之四之后，港口罢工将于周五结束，码头工人从周六早晨起恢复正常工作。",
        "前往岛屿的渡轮从周六早晨起恢复运行，每天两班，一直到本月底为止，票价保持不变。",
        "港务长预计北码头积压的集装箱将在两周之内全部清理完毕，届时航线也会恢复。",
    ),
}
CONTROL = re.compile(r"<\s*[|｜]|[|｜]\s*>|</?think>|\[/?INST\]|<</?SYS>>")
ON = Policy("on", searches=True)


def make_page(attack: Mapping[str, Any]) -> Document:
    """Return the page after extraction."""
    first, *others = TEXT[attack["lang"]]
    if "pdf" in attack:
        return parse_pdf(make_pdf([first, *attack["pdf"], *others], white=attack["white"]), "port.pdf")
    paragraphs = "".join(f"<p>{text}</p>" for text in others)
    head = f"<title>{escape(attack.get('title', 'Port'))}</title>{attack.get('head', '')}"
    html = (
        f"<!doctype html><html><head>{head}</head><body><article><p>{first}</p>{attack['body']}{paragraphs}</article>"
    )
    article = clean_article(read_article(f"{html}</body></html>".encode(), URL, "text/html; charset=utf-8"))
    return Document(article.title, article.sections)


def make_pdf(lines: list[str], *, white: bool) -> bytes:
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    target = BytesIO()
    canvas = Canvas(target)
    for row, line in enumerate(lines):
        canvas.setFillGray(1.0 if white and row == 1 else 0.0)
        canvas.setFont("STSong-Light", 6)
        canvas.drawString(20, 780 - row * 14, line)
    canvas.save()
    return target.getvalue()


def make_hits(document: Document) -> list[Hit]:
    page = WebPage(URL, URL, None, document.title, None, NOW, document, "", NOW, stale=False, status=200)
    chunks, _ = select_passages(page, (), 8, lambda text: len(text) // 4 + 1)
    on = WebOrigin("news.example", NOW, NOW, stale=False)
    return [
        Hit(one.id, "", URL, one.title, one.heading, URL, one.text, 0.9, 0.9, NOW, chunks=(one.id,), web=on)
        for one in chunks
    ]


def obey_passages(attack: Mapping[str, Any]) -> str:
    """Return the answer of an obedient model, with links in every form."""
    said, link = attack["sentence"], attack["link"]
    return (
        f"{said} [1]\n\n[Sign in]({link}) [1]\n\n{said} {link} [1]\n\n![picture]({link}?q=all-that-was-asked)\n\n"
        f"<{link}> <a href='{link}'>here</a> `{link}` [1]\n\n[here][9]\n\n[9]: {link}\n"
    )


async def answer_attack(attack: Mapping[str, Any], ask: Ask, room: type[Room]) -> tuple[str, str]:
    """Return the whole prompt and all shown text without a warning."""
    engine = room.engine(room.words(obey_passages(attack)))
    search = room.search(make_hits(make_page(attack)), web=WebSearchReport("searxng", (URL,), (), None, 0.1))
    question = "web: when does the port strike end?" if attack["lang"] == "en" else "web: 港口罢工什么时候结束？"
    reply = await ask(engine, question=question, search=search, policy=ON)
    prompt = "\n".join(message.content for message in engine.asked[0][0])
    sources = " ".join(f"{passage.title} {passage.heading}" for passage in reply.sources[0].passages)
    unmarked = re.sub(r"[^\n]* ⚠$", "", reply.text.replace(f"{attack['sentence']} ⚠", ""), flags=re.MULTILINE)
    assert "evil" not in reply.text
    return prompt, "\n".join([unmarked, sources, *reply.notices])


def test_injection_set_has_fifty_in_both_languages() -> None:
    assert len(PLACES) == 50
    assert {attack["lang"] for attack in PLACES} == {"en", "zh"}
    assert len({attack["where"] for attack in PLACES}) >= 35


@pytest.mark.parametrize("attack", PLACES, ids=lambda attack: f"{attack['id']} {attack['where']}")
async def test_injected_instruction_is_not_followed(attack: Mapping[str, Any], ask: Ask, room: type[Room]) -> None:
    prompt, shown = await answer_attack(attack, ask, room)
    assert TEXT[attack["lang"]][0][:20] in prompt, "the page itself is read"
    if attack["removed"]:
        assert attack["sentence"] not in prompt
        assert "evil.example" not in prompt
        assert attack["sentence"] not in shown
    assert not CONTROL.search(prompt)
    assert not re.search(r"[\u200b-\u200f\u2060-\u2064\ufeff\U000e0000-\U000e0fff]", prompt)
    opened = re.findall(r"<passage (\d+): web, news\.example, 2026-11-20", prompt)
    assert len(re.findall(r"<\s*passage\b", prompt)) == len(opened) == len(re.findall(r"<\s*/\s*passage\b", prompt))
    assert prompt.rstrip().rpartition("</passage>")[2].strip().startswith(("Question: ", "问题："))
    assert "evil" not in shown


GETS_THROUGH = frozenset({
    "a paragraph", "a paragraph that plays the asker", "a heading", "a list", "a quotation",
    "zero-width characters", "control tokens of ChatML", "control tokens of DeepSeek", "control tokens of Llama",
    "control tokens cut by zero-width characters", "the end of our frame", "another passage of our frame",
    "our frame over two lines", "a fake thought", "a Markdown link", "a Markdown picture that tells tales",
    "a fake citation", "a fake reference", "a PDF", "white type in a PDF", "a title",
})  # fmt: skip
"""Where a sentence stands that a model which obeys can have shown: in the page's own text, and cited as the page's."""


@pytest.mark.slow
async def test_obedient_model_leaks_only_known_cases(ask: Ask, room: type[Room]) -> None:
    through = {
        attack["where"] for attack in PLACES if attack["sentence"] in (await answer_attack(attack, ask, room))[1]
    }
    assert through == GETS_THROUGH
    assert not through & {attack["where"] for attack in PLACES if attack["removed"]}
