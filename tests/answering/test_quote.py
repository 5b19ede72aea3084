"""What is quoted where there is no answer of a model: whole short passages, whole blocks of longer ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.citations import Numbering
from bot.answering.events import Passage
from bot.answering.quote import excerpt, quoted
from bot.answering.sentences import split
from knowledge.chunking import chunk
from knowledge.parsing.markdown import parse_markdown

STEPS_EN = """1. Open `kvasir.toml` and add a table:

   ```toml
   [[source]]

   name = "handbook"
   ```

2. Restart Kvasir. It is read at once.
3. Ask something."""
STEPS_ZH = """1. 打开 `kvasir.toml`，添加一个表：

   ```toml
   [[source]]

   name = "handbook"
   ```

2. 重新启动 Kvasir。它会立即读取。
3. 提一个问题。"""
BLOCKS_EN = [
    "Leave is asked for in the portal. The manager answers within five days.",
    "## Expenses",
    "| kind | limit |\n| --- | --- |\n| hotel | 120 |\n| meal | 30 |",
    "```sh\nkvasir sync  # a source\n\nkvasir status\n```",
    "Run this:\n\n```\nmake run\n```",
    "> Nobody is asked twice.\n> Really.",
    "- Hotels are booked by the office.\n\n  Write to them early. They are kind.\n  - Not on Sundays.",
    "1. Go to the desk.\n\n       ```\n       deep <code>\n       in two lines\n       ```",
    "2. Ask for the form. Fill it in.",
    "Parking is free." + " It is behind the house." * 9,
]
BLOCKS_ZH = [
    "请假须在系统中申请。部门经理五天内答复。",
    "## 报销",
    "| 种类 | 上限 |\n| --- | --- |\n| 酒店 | 120 |\n| 餐费 | 30 |",
    "```sh\nkvasir sync  # 一个来源\n\nkvasir status\n```",
    "运行：\n\n```\nmake run\n```",
    "- 酒店由办公室预订。\n\n  请尽早写信。他们很友好。\n  - 星期日除外。",
    "1. 去前台。\n\n   ```\n   两行\n   代码\n   ```",
    "2. 领取表格。填写表格。",
    "停车免费。" + "停车场在房子后面，请不要停在门口。" * 12,
]


def of(text: str) -> Passage:
    return Passage(1, "docs", "g.md", "Guide", "Sources", None, text)


@pytest.mark.parametrize(("steps", "question"), [(STEPS_EN, "How do I restart?"), (STEPS_ZH, "如何重新启动？")])
def test_a_short_passage_is_quoted_whole(steps: str, question: str) -> None:
    assert excerpt(question, of(steps)) == steps


def test_a_newcomers_first_question_is_quoted_from_its_first_step() -> None:
    page = Path(__file__).parents[2] / "docs" / "sources.md"
    chunks = chunk(
        parse_markdown(page.read_bytes(), "sources.md"), source="docs", document_id="sources.md", url=None,
        readers=frozenset({"*"}), count_tokens=lambda text: len(text) // 4,
    )  # fmt: skip
    (text,) = [found.text for found in chunks if "How do I add a source?" in found.heading]
    shown = quoted("how do I add a source?", [of(text)], Numbering())
    assert shown.splitlines()[1].startswith("> 1. Open `kvasir.toml`")
    assert shown.count("```") == 2
    assert "\n> 2. Restart Kvasir." in shown
    assert "\n> 3. Ask something" in shown


@pytest.mark.parametrize(
    ("steps", "filler", "question"),
    [
        (STEPS_EN, "The kitchen is open all day. " * 30, "How do I restart Kvasir?"),
        (STEPS_ZH, "厨房全天开放，欢迎使用。" * 70, "如何重新启动 Kvasir？"),
    ],
)
def test_steps_in_a_long_passage_begin_with_the_first(steps: str, filler: str, question: str) -> None:
    assert excerpt(question, of(f"{filler}\n\n{steps}\n\n{filler}")) == steps


@pytest.mark.parametrize("blocks", [BLOCKS_EN, BLOCKS_ZH], ids=["en", "zh"])
@given(data=st.data())
def test_of_a_long_passage_whole_blocks_are_quoted(blocks: list[str], data: st.DataObject) -> None:
    chosen = [*data.draw(st.lists(st.sampled_from(blocks), max_size=25)), *blocks[-1:] * 4]
    question = data.draw(st.sampled_from(blocks))
    shown = excerpt(question, of("\n\n".join(chosen)))
    runs = {
        "\n\n".join(chosen[start:end])
        for start in range(len(chosen)) for end in range(start + 1, len(chosen) + 1)
        if chosen[end - 1] != blocks[1] or end - start == 1
    }  # fmt: skip
    assert shown in runs
    assert len(shown) <= 700


@pytest.mark.parametrize(("sentence", "needle"), [("The house is old. ", "Cats sleep."), ("房子很旧。", "猫在睡觉。")])
def test_a_long_paragraph_is_quoted_from_its_beginning_as_far_as_what_fits(sentence: str, needle: str) -> None:
    paragraph = f"{sentence * 150}{needle} {sentence * 150}".strip()
    shown = excerpt(needle, of(f"Other.\n\n{paragraph}"))
    assert paragraph.startswith(shown)
    assert shown.endswith(needle)


def test_likeness_decides_where_it_is_known() -> None:
    paragraphs = [f"Word{number} stands here. " * 20 for number in range(8)]
    passage = of("\n\n".join(paragraphs))
    likeness = np.full(160, 0.8, np.float32)
    likeness[20 * 5] = 0.9
    shown = excerpt("Word1?", passage, likeness)
    assert "Word5" in shown
    assert "Word1 " not in shown


def test_what_is_quoted_is_cited() -> None:
    numbering = Numbering()
    text = quoted("What do I run?", [replace(of("Run `kvasir sync handbook` afterwards."), n=7)], numbering)
    assert text == "**Guide › Sources** [1]\n> Run `kvasir sync handbook` afterwards."
    assert [passage.n for passage in numbering.passages] == [1]


@given(st.text(max_size=400), st.text(max_size=40))
def test_a_quote_is_the_passages_own(text: str, question: str) -> None:
    passage = Passage(1, "docs", "g.md", "Guide", "", None, text)
    letters = [char for char in excerpt(question, passage) if char.isalnum()]
    assert "".join(letters) in "".join(char for char in text if char.isalnum())


def test_titles_cannot_break_the_markup() -> None:
    passage = Passage(1, "docs", "g.md", "**[x](y)** `z`", "", None, "Text.")
    assert quoted("?", [passage], Numbering()).splitlines()[0] == "**x(y) z** [1]"
    assert [piece.kind for piece in split(quoted("?", [passage], Numbering()))] == ["prose", "item"]
