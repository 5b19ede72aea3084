"""What commands print: results, and nothing that a stranger's page could have a terminal do."""

from __future__ import annotations

import json

import pytest

from bot.cli.output import print_json, print_note, print_piece, print_result

HOSTILE = "Ti\x1b[31mtle\x1b]0;owned\x07 \x1b]8;;http://evil\x1b\\here\x9b2J \u202eback\u202c\r\b\x7f tab\tand 中文"
SHOWN = "Title here2J back tab\tand 中文"


def test_a_terminal_is_told_nothing_by_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a page's words only words are printed: no colours, titles, links, deletions or turned directions."""
    print_result(HOSTILE)
    print_piece(f"a\n{HOSTILE}")
    print_note(HOSTILE)
    shown = capsys.readouterr()
    assert shown.out == f"{SHOWN}\na\n{SHOWN}"
    assert shown.err == f"{SHOWN}\n"


def test_json_holds_all_of_it_without_letting_it_out(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"text": HOSTILE})
    out = capsys.readouterr().out
    assert json.loads(out) == {"text": HOSTILE}
    assert not set(out) & set("\x1b\x9b\u202e\x07")
