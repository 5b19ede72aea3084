"""Tests of tables as Slack's table block."""

from __future__ import annotations

from bot.slack.wire.text.rich_text import read_plain_text
from bot.slack.wire.text.tables import build_text_blocks, read_table_block

HEAD = "| Kind | Limit |\n|:--|--:|\n"


def make_rows(count: int, text: str = "hotel") -> str:
    return "".join(f"| {text} {n} | {n} |\n" for n in range(count))


def make_cell(*elements: dict[str, object]) -> dict[str, object]:
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": list(elements)}]}


def test_a_table_becomes_a_block_between_the_texts_around_it() -> None:
    table = HEAD + "| **Hotel** | 120 [\\[1\\]](https://kb/a%28b%29) |\n| `a \\| b` &lt;x> https://kb/c. | |\n"
    before, block, after = build_text_blocks(f"Intro:\n\n{table}\nThat is all.\n")
    assert (before, after) == ({"type": "markdown", "text": "Intro:"}, {"type": "markdown", "text": "That is all."})
    assert [one["align"] for one in block["column_settings"]] == ["left", "right"]
    bold = {"bold": True}
    assert block["rows"] == [
        [make_cell({"type": "text", "text": one, "style": bold}) for one in ("Kind", "Limit")],
        [
            make_cell({"type": "text", "text": "Hotel", "style": bold}),
            make_cell({"type": "text", "text": "120 "}, {"type": "link", "url": "https://kb/a%28b%29", "text": "[1]"}),
        ],
        [
            make_cell(
                {"type": "text", "text": "a | b", "style": {"code": True}},
                {"type": "text", "text": " <x> "},
                {"type": "link", "url": "https://kb/c"},
                {"type": "text", "text": "."},
            ),
            {"type": "raw_text", "text": " "},
        ],
    ]
    assert read_table_block(block) == ("| Kind | Limit |\n|---|--:|\n| Hotel | 120 [1] |\n| a \\| b <x> . |  |"), (
        "a bare address has no text of its own"
    )


def test_only_the_longest_table_that_fits_is_a_block() -> None:
    short, long, too_long = make_rows(2), make_rows(90, "inn"), make_rows(100, "villa")
    text = f"{HEAD}{short}\nand\n\n{HEAD}{long}\nand\n\n{HEAD}{too_long}"
    blocks = build_text_blocks(text)
    assert [block["type"] for block in blocks] == ["markdown", "table", "markdown"]
    assert blocks[1]["rows"][1][0] == {"type": "raw_text", "text": "inn 0"}
    assert short in blocks[0]["text"]
    assert too_long.strip() in blocks[2]["text"]


def test_what_does_not_fit_or_is_no_table_stays_markdown() -> None:
    wide = "|" + " a |" * 21 + "\n|" + "---|" * 21 + "\n|" + " 1 |" * 21 + "\n"
    texts = (
        HEAD + make_rows(100),
        HEAD + make_rows(60, "x" * 200),
        wide,
        HEAD,
        f"```\n{HEAD}{make_rows(2)}```",
        f"> {HEAD.replace(chr(10), chr(10) + '> ')}| a | b |",
        "a | b",
        "",
    )
    for text in texts:
        assert [block["text"].strip() for block in build_text_blocks(text)] == ([text.strip()] if text else [])


def test_cells_hold_no_markup_and_no_foreign_links() -> None:
    assert read_plain_text("**a _b_** [c [\\[2\\]](https://x) ~~d~~ [e](ftp://y) \\*") == "a b [c [2] d e *"
