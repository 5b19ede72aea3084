"""The list of commands names every one, in both languages."""

from __future__ import annotations

import ast
import re

from bot.messages.commands import HELP
from tests.test_architecture import ROOT, modules

WORDS = re.compile(r"\*/kb ([a-z]+|[\u4e00-\u9fff]+)\*")


def list_command_words() -> list[tuple[str, ...]]:
    """Return the words of each ``Subcommand(("refresh", "刷新"), …)`` of a feature."""
    found = []
    for path in modules("bot/slack/features"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name("Subcommand"), args=[ast.Tuple(words), *_]):
                    found.append(tuple(str(ast.literal_eval(word)) for word in words))
    return found


def test_help_and_the_guide_name_each_command() -> None:
    commands = list_command_words()
    guide = (ROOT / "docs/using.md").read_text(encoding="utf-8")
    assert len(commands) >= 9
    for words in commands:
        assert words[0] in WORDS.findall(HELP.en), words
        assert set(words) & set(WORDS.findall(HELP.zh)), words
        assert f"/kb {words[0]}" in guide, words
