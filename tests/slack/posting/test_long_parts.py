"""Tests of what is shown in the place of long parts of an answer."""

from __future__ import annotations

from dataclasses import replace

from bot.slack.posting.long_parts import build_document, build_summary, build_title, find_long_code, shorten_code
from bot.slack.wire.text.cutting import split_message
from tests.slack.running_bot import PASSAGE

LINES = "".join(f"line {n}\n" for n in range(70))
CODE = f"Before.\n\n~~~~Python title\n{LINES}~~~~\n\nAfter."


def test_code_of_more_than_60_lines_or_4000_characters_is_long() -> None:
    [code] = find_long_code(CODE)
    assert (code.name, code.text, code.lines) == ("code-1.py", LINES, 70)
    assert [one.name for one in find_long_code("```\n" + "x" * 4_001 + "\n```")] == ["code-1.txt"]
    assert find_long_code("```\n" + "x\n" * 60 + "```") == []
    assert find_long_code("> ```\n" + "> x\n" * 70) == []
    assert [one.name for one in find_long_code("```c++\n" + "x\n" * 70 + "```")] == ["code-1.txt"]


def test_code_that_goes_on_in_another_message_is_not_taken_apart() -> None:
    first, second = split_message(f"Before.\n\n```\n{LINES * 2}```\n\nAfter.", 900)[:2]
    assert find_long_code(first, is_first=True, is_last=False) == []
    assert find_long_code(second, is_first=False, is_last=False) == []


def test_short_form_of_code_has_its_beginning_and_the_link() -> None:
    [code] = find_long_code(CODE)
    short = shorten_code(CODE, code, "https://files/F1", "en")
    beginning = "".join(f"line {n}\n" for n in range(12))
    assert short == (
        f"Before.\n\n~~~~Python title\n{beginning}~~~~\n\n"
        "All 70 lines of this code are in the file [code-1.py](https://files/F1).\n\nAfter."
    )


def test_summary_has_the_first_paragraph_and_the_headings() -> None:
    text = "# Trips\n\nTake the **train** [\\[1\\]](https://kb).\n\n## Fares & *rules*\n\nMore.\n\n- list\n"
    assert build_summary(text, "It is there.", "zh") == (
        "Take the **train** [\\[1\\]](https://kb).\n\n内容：\n- Trips\n- Fares & rules\n\nIt is there."
    )
    assert build_summary("| a |\n|---|\n| 1 |\n", "It is there.", "en") == "It is there."
    assert len(build_summary("word " * 2_000, "It is there.", "en")) < 1_300


def test_document_has_the_sources_and_at_most_three_levels() -> None:
    cited = [PASSAGE, replace(PASSAGE, n=2, title="a_b [c]", heading="", url=None)]
    assert build_document("##### Deep\ntext\n\n```\n#### code\n```", cited, "en") == (
        "### Deep\ntext\n\n```\n#### code\n```\n\n## Sources\n\n"
        "- \\[1\\] [Adding a source › kvasir.toml](https://kb.example/sources)\n- \\[2\\] a\\_b \\[c\\]\n"
    )
    assert build_document("text", [], "en") == "text\n"


def test_title_is_short_and_in_the_language_of_the_question() -> None:
    assert build_title("how\nmany?", "en") == "Answer: how many?"
    assert build_title("多少天？", "zh") == "回答：多少天？"
    assert len(build_title("why " * 200, "en")) < 140
