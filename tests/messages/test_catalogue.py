"""Every text of ``bot/messages`` exists in both languages, and texts in Chinese stand nowhere else in ``bot``."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import string
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path

import pytest

import bot.messages
from bot.messages import answers, errors, status
from bot.messages.message import Message, render_both, render_message
from engine.interfaces import EngineState
from knowledge.errors import ErrorCode, FilterProblem, UnreadableReason
from knowledge.language import IDEOGRAPH, detect_language


def messages_in(name: str, value: object) -> Iterator[tuple[str, Message]]:
    """Yield the texts that a name of a module holds, also in tables and tuples."""
    if isinstance(value, Message):
        yield name, value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from messages_in(f"{name}[{getattr(key, '__name__', key)}]", one)
    elif isinstance(value, tuple | list):
        for one in value:
            yield from messages_in(name, one)


MODULES = [importlib.import_module(f"bot.messages.{one.name}") for one in pkgutil.iter_modules(bot.messages.__path__)]
MESSAGES = {
    f"{module.__name__}.{name}": message
    for module in MODULES
    for attribute, value in vars(module).items()
    for name, message in messages_in(attribute, value)
}


_NO_WORDS = re.compile(r"{[^}]*}|`[^`]*`|/\w+ \w+")
"""Fields, code and commands, which belong to no language."""


def fields_of(text: str) -> set[str]:
    return {re.split(r"[.\[]", name)[0] for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_both_languages_have_a_text_with_the_same_fields(message: Message) -> None:
    assert message.en
    assert message.zh
    assert fields_of(message.en) == fields_of(message.zh)
    assert fields_of(message.en_one) <= fields_of(message.en)
    assert "count" in fields_of(message.en) or not message.en_one
    english, chinese = (detect_language(_NO_WORDS.sub("", text)) for text in (message.en, message.zh))
    assert english != "zh"
    assert chinese != "en" or message.zh == message.en


def test_a_text_is_rendered_for_one_reader_or_for_all() -> None:
    removed = answers.REMOVED
    assert render_message(removed, "en", count=1) == "1 sentence was removed because the documents say otherwise."
    assert render_message(removed, "en", count=2) == "2 sentences were removed because the documents say otherwise."
    assert render_both(removed, count=1).split("\n") == [
        render_message(removed, "en", count=1),
        render_message(removed, "zh", count=1),
    ]
    assert render_both(Message("{name}", "{name}"), name="a{b}") == "a{b}"


def test_a_field_may_be_a_text_itself_and_hold_braces() -> None:
    reason = Message("“{word}” is no word.", "“{word}”不是词。").fill(word="{x}")
    assert render_message(answers.SEARCH_FAILED, "en", reason=reason) == (
        "The documents could not be searched. “{x}” is no word."
    )
    assert render_message(answers.SEARCH_FAILED.fill(reason=reason), "zh") == "无法检索文档。“{x}”不是词。"


@pytest.mark.parametrize(
    ("codes", "table"),
    [
        (ErrorCode, errors.CODES),
        (FilterProblem, errors.FILTERS),
        (UnreadableReason, errors.UNREADABLE),
        (EngineState, status.ENGINE_STATES),
    ],
)
def test_every_code_has_a_text(codes: type[Enum], table: Mapping[Enum, Message]) -> None:
    assert set(table) == set(codes)


# ── Nothing stands outside ───────────────────────────────────────────────────────────────────────────────────────────

ROOT = Path(__file__).parent.parent.parent
NOT_FOR_PEOPLE = (
    "bot/answering/extracts/answer_types.py",
    "bot/answering/markdown",
    "bot/answering/notices/small_talk.py",
    "bot/answering/notices/source_overview.py",
    "bot/answering/prompt.py",
    "bot/answering/retrieval",
    "bot/answering/sentence_roles.py",
    "bot/answering/verification",
    "bot/sandbox/state",
    "bot/slack/commands/parsing.py",
)
"""Word lists that recognise what people write, prompts for the model, and names in the sandbox."""


def strings_in(path: Path) -> Iterator[ast.Constant]:
    """Yield the strings of a module that are no docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in documentation:
            yield node


def test_no_text_in_chinese_stands_outside_the_catalogue() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "bot").rglob("*.py")
        if any(IDEOGRAPH.search(string.value) for string in strings_in(path))
    }
    elsewhere = {path for path in found if not path.startswith("bot/messages/")}
    assert {path for path in elsewhere if not path.startswith(NOT_FOR_PEOPLE)} == set()
    assert {one for one in NOT_FOR_PEOPLE if not any(path.startswith(one) for path in elsewhere)} == set()


def calls_with_messages(path: Path) -> Iterator[tuple[str, Message, set[str]]]:
    """Yield the place, the text and the fields of each ``render_message(area.NAME, …)`` and ``area.NAME.fill(…)``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "bot.messages"]
    names = {alias.asname or alias.name: alias.name for node in imported for alias in node.names}
    areas = {name: importlib.import_module(f"bot.messages.{module}") for name, module in names.items()}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or any(keyword.arg is None for keyword in node.keywords):
            continue
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Attribute(ast.Name(area), name), attr="fill")):
                pass
            case ast.Call(
                func=ast.Name("render_message" | "render_both"), args=[ast.Attribute(ast.Name(area), name), *_]
            ):
                pass
            case _:
                continue
        message = getattr(areas.get(area), name, None)
        if isinstance(message, Message):
            yield f"{path}:{node.lineno}", message, {str(keyword.arg) for keyword in node.keywords}


def test_callers_fill_in_every_field() -> None:
    calls = [call for path in (ROOT / "bot").rglob("*.py") for call in calls_with_messages(path)]
    assert len(calls) > 100
    assert [(place, message.en) for place, message, fields in calls if fields_of(message.en) - fields] == []


def test_every_text_is_used() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "bot").rglob("*.py"))
    names = {name.rpartition(".")[2].partition("[")[0] for name in MESSAGES}
    assert {name for name in names if len(re.findall(rf"\b{name}\b", source)) < 2} == set()
