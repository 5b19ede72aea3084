"""Tests of the text of ``/kb`` and ``/think``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.features.kit.parsing import (
    FeedbackCommand,
    HelpCommand,
    RefreshCommand,
    SearchCommand,
    SourcesCommand,
    StatusCommand,
    parse_kb,
)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("", HelpCommand()),
        ("help", HelpCommand()),
        ("帮助", HelpCommand()),
        ("refresh", RefreshCommand(None)),
        ("  Refresh  'team wiki' ", RefreshCommand("team wiki")),
        ("刷新 文档", RefreshCommand("文档")),
        ("status", StatusCommand()),
        ("状态", StatusCommand()),
        ("sources", SourcesCommand()),
        ("feedback", FeedbackCommand()),
        ("评价", FeedbackCommand()),
        ("search how do logs rotate", SearchCommand("how do logs rotate")),
        ("search", HelpCommand("search", "search …")),
        ("refrsh docs", HelpCommand("refrsh", "refresh")),
        ("statsu", HelpCommand("statsu", "status")),
        ("xyzzy", HelpCommand("xyzzy", None)),
    ],
)
def test_kb_text_is_parsed(text: str, command: object) -> None:
    assert parse_kb(text) == command


@given(st.text(max_size=60))
def test_any_kb_text_is_parsed(text: str) -> None:
    parse_kb(text)
