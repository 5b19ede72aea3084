"""Shows one table of rendered Markdown as Slack's table block. Pure.

Slack allows one table block a message, with 100 rows, 20 columns and 10,000 characters. Other tables stay Markdown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from markdown_it.token import Token

from bot.slack.wire.text.rich_text import PARSER, build_rich_text

MAX_ROWS = 100
MAX_COLUMNS = 20
MAX_CHARACTERS = 10_000
_EMPTY = " "
"""Slack refuses a cell without text."""
_RULES = {"center": ":-:", "right": "--:"}
_ALIGNMENTS = {"text-align:center": "center", "text-align:right": "right"}

Block = dict[str, Any]


class _Table(NamedTuple):
    lines: tuple[int, int]
    """The first line of the table and the one after it."""
    rows: list[list[Token]]
    """The content of the cells; the first row is the head."""
    alignments: list[str]

    @property
    def fits(self) -> bool:
        is_small = 1 < len(self.rows) <= MAX_ROWS and len(self.alignments) <= MAX_COLUMNS
        return is_small and sum(len(cell.content) for row in self.rows for cell in row) <= MAX_CHARACTERS


def build_text_blocks(markdown: str) -> list[Block]:
    """Return a text as markdown blocks, and the longest table that fits as a table block."""
    tables = [table for table in _find_tables(markdown) if table.fits] if "|" in markdown else []
    if not tables:
        return _build_markdown(markdown)
    table = max(tables, key=lambda one: len(one.rows))
    lines = [f"{line}\n" for line in markdown.split("\n")]
    first, end = table.lines
    return [
        *_build_markdown("".join(lines[:first])),
        _build_table(table),
        *_build_markdown("".join(lines[end:])),
    ]


def read_table_block(block: Mapping[str, Any]) -> str:
    """Return a table block as Markdown, with the texts of its links alone."""
    rows = [[_read_cell(cell) for cell in row] for row in block.get("rows") or ()]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    rules = [_RULES.get(str((column or {}).get("align")), "---") for column in block.get("column_settings") or ()]
    lines[1:1] = [f"|{'|'.join(rules or ['---'] * len(row))}|" for row in rows[:1]]
    return "\n".join(lines)


def _read_cell(cell: Mapping[str, Any]) -> str:
    sections = cell.get("elements") or ({"elements": (cell,)},)
    texts = (str(part.get("text", "")) for section in sections for part in section.get("elements") or ())
    return "".join(texts).replace("|", "\\|").strip()


def _build_markdown(text: str) -> list[Block]:
    return [{"type": "markdown", "text": text.strip("\n")}] if text.strip() else []


def _find_tables(markdown: str) -> list[_Table]:
    """Return the tables of a text that are in no list or quote."""
    tables: list[_Table] = []
    is_inside = False
    for token in PARSER.parse(markdown):
        if token.type == "table_open" and token.level == 0 and token.map:
            tables.append(_Table((token.map[0], token.map[1]), [], []))
            is_inside = True
        elif token.type == "table_close":
            is_inside = False
        elif is_inside:
            _add_to_table(tables[-1], token)
    return tables


def _add_to_table(table: _Table, token: Token) -> None:
    match token.type:
        case "tr_open":
            table.rows.append([])
        case "th_open":
            table.alignments.append(_ALIGNMENTS.get(str(token.attrs.get("style")), "left"))
        case "inline":
            table.rows[-1].append(token)


def _build_table(table: _Table) -> Block:
    head, *rows = table.rows
    return {
        "type": "table",
        "column_settings": [{"align": alignment, "is_wrapped": True} for alignment in table.alignments],
        "rows": [
            [_build_cell(cell, bold=True) for cell in head],
            *([_build_cell(cell) for cell in row] for row in rows),
        ],
    }


def _build_cell(cell: Token, *, bold: bool = False) -> Block:
    elements = build_rich_text(cell.children or (), bold=bold)
    if not elements:
        return {"type": "raw_text", "text": _EMPTY}
    if len(elements) == 1 and elements[0].keys() == {"type", "text"}:
        return {"type": "raw_text", "text": elements[0]["text"]}
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": elements}]}
