"""Test what commands print: results, without control characters of documents and pages."""

from __future__ import annotations

import json

import pytest

from bot.terminal.output import print_json, print_note, print_piece, print_result, print_rows

HOSTILE = "Ti\x1b[31mtle\x1b]0;owned\x07 \x1b]8;;http://evil\x1b\\here\x9b2J \u202eback\u202c\r\b\x7f tab\tand 中文"
SHOWN = "Title here2J back tab\tand 中文"


def test_printed_texts_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A page cannot set colours, titles and links, delete text or change its direction."""
    print_result(HOSTILE)
    print_piece(f"a\n{HOSTILE}")
    print_note(HOSTILE)
    printed = capsys.readouterr()
    assert printed.out == f"{SHOWN}\na\n{SHOWN}"
    assert printed.err == f"{SHOWN}\n"


def test_json_escapes_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"text": HOSTILE})
    out = capsys.readouterr().out
    assert json.loads(out) == {"text": HOSTILE}
    assert not set(out) & set("\x1b\x9b\u202e\x07")


def test_no_cell_is_a_formula(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters go first, because a sign of a formula may stand behind them."""
    print_rows([["=1+1", "+1", "-1", "@x", "\t=1", "\x07=1", "\r\x1b[31m=1", "a=1", -1, ""]])
    assert capsys.readouterr().out == "'=1+1,'+1,'-1,'@x,'\t=1,'=1,'=1,a=1,-1,\n"
