"""Every text of ``bot/messages`` exists in both languages, and texts in Chinese stand nowhere else in ``bot``."""

from __future__ import annotations

import ast
import functools
import importlib
import pkgutil
import re
import string
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from enum import Enum
from pathlib import Path

import pytest

import bot.messages
from bot.languages.english import ENGLISH
from bot.languages.registry import LANGUAGES, detect_language
from bot.messages import answers, commands, engine, errors, status
from bot.messages.forms import asking
from bot.messages.message import Message, render_both, render_message
from engine.errors import EngineTimeout
from engine.interfaces import EngineState
from engine.notes import NoteCode
from knowledge.errors import ErrorCode, FilterProblem, UnreadableReason
from knowledge.language import IDEOGRAPH


def messages_in(name: str, value: object) -> Iterator[tuple[str, Message]]:
    """Yield the texts that a name of a module holds, also in tables and tuples."""
    if isinstance(value, Message):
        yield name, value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from messages_in(f"{name}[{getattr(key, 'name', getattr(key, '__name__', key))}]", one)
    elif isinstance(value, tuple | list):
        for one in value:
            yield from messages_in(name, one)


MODULES = [importlib.import_module(one.name) for one in pkgutil.walk_packages(bot.messages.__path__, "bot.messages.")]
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


def test_both_languages_have_a_text_with_the_same_fields() -> None:
    for name, message in MESSAGES.items():
        assert message.en, name
        assert message.zh, name
        assert fields_of(message.en) == fields_of(message.zh), name
        assert fields_of(message.en_one) <= fields_of(message.en), name
        assert "count" in fields_of(message.en) or not message.en_one, name
        english, chinese = (detect_language(_NO_WORDS.sub("", text)) for text in (message.en, message.zh))
        assert english != "zh", name
        assert chinese != "en" or message.zh == message.en, name


def test_chinese_texts_address_the_reader_politely() -> None:
    assert {name for name, message in MESSAGES.items() if "你" in message.zh} == set()


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


def test_a_third_language_needs_only_its_translations_and_falls_back_to_english(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = {"Cancel": "lecnaC", answers.SEARCH_FAILED.en: "{reason} !", answers.REMOVED.en_one: "1 enog."}
    monkeypatch.setitem(LANGUAGES, "qaa", replace(ENGLISH, code="qaa", translations=texts))
    assert [render_message(asking.CANCEL, language) for language in LANGUAGES] == ["Cancel", "取消", "lecnaC"]
    assert render_message(answers.SEARCH_FAILED.fill(reason=asking.CANCEL), "qaa") == "lecnaC !"
    assert render_message(answers.REMOVED, "qaa", count=1) == "1 enog."
    assert render_message(answers.REMOVED, "qaa", count=2) == render_message(answers.REMOVED, "en", count=2)


def test_translations_are_of_existing_texts_and_have_their_fields() -> None:
    english = {text for message in MESSAGES.values() for text in (message.en, message.en_one) if text}
    for pack in LANGUAGES.values():
        assert set(pack.translations) <= english
        wrong = {one for one, other in pack.translations.items() if fields_of(one) != fields_of(other)}
        assert wrong == set()


@pytest.mark.parametrize(
    ("codes", "table"),
    [
        (ErrorCode, errors.CODES),
        (FilterProblem, errors.FILTERS),
        (UnreadableReason, errors.UNREADABLE),
        (EngineState, status.ENGINE_STATES),
        (NoteCode, engine.NOTES),
    ],
)
def test_every_code_has_a_text(codes: type[Enum], table: Mapping[Enum, Message]) -> None:
    assert set(table) == set(codes)


def test_a_note_of_the_engine_is_worded_with_the_notes_in_it() -> None:
    summary = "OSError: {x}"
    why = NoteCode.RUN_ENDED.fill(how=NoteCode.EXITED.fill(status="1"), summary=summary)
    note = NoteCode.RESTARTING_LATER.fill(delay_s=2.4, why=why)
    english = "Restarting in 2 s: it ended with status 1: OSError: {x}"
    assert (str(note), engine.render_notes((note,), "en")) == (english, english)
    assert engine.render_notes((note, NoteCode.STARTING.fill()), "zh") == (
        "2 秒后重新启动：进程结束，状态码 1：OSError: {x}引擎正在启动。"
    )
    error = EngineTimeout(NoteCode.NO_REPLY.fill(seconds=2.5))
    assert errors.describe_error(error) == str(error) == "The engine did not reply within 2.5 s. It may be busy."
    assert render_message(errors.explain_error(error), "zh") == "引擎在 2.5 秒内没有答复，可能正忙。"


# ── Nothing stands outside ───────────────────────────────────────────────────────────────────────────────────────────

ROOT = Path(__file__).parent.parent.parent
NOT_FOR_PEOPLE = (
    "bot/answering/extracts/answer_types.py",
    "bot/answering/extracts/evidence.py",
    "bot/answering/markdown",
    "bot/answering/notices/small_talk.py",
    "bot/answering/notices/source_overview.py",
    "bot/answering/quoting.py",
    "bot/answering/retrieval",
    "bot/answering/sentence_roles.py",
    "bot/answering/support",
    "bot/answering/verified_answers",
    "bot/languages",
    "bot/profiles/guidance/guidance.py",
    "bot/profiles/notes/polarity.py",
    "bot/profiles/spans.py",
    "bot/sandbox/state",
    "bot/slack/conversations/addressing.py",
    "bot/slack/features/cases.py",
    "bot/slack/features/feedback/__init__.py",
    "bot/slack/features/kb/__init__.py",
    "bot/slack/features/kb/kb_command.py",
    "bot/slack/features/refreshes/__init__.py",
    "bot/slack/features/settings/__init__.py",
    "bot/slack/features/settings/think_command.py",
    "bot/slack/features/sharing/__init__.py",
    "bot/slack/features/verified/__init__.py",
)
"""Word lists that recognise what people write, prompts for the model, and names in the sandbox."""


@functools.cache
def list_nodes(path: Path) -> list[ast.AST]:
    """Return every node of a module's syntax tree."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def find_modules(package: str, pattern: str) -> Iterator[Path]:
    """Yield the modules whose text has a match: to parse all of them takes a second."""
    for path in (ROOT / package).rglob("*.py"):
        if re.search(pattern, path.read_text(encoding="utf-8")):
            yield path


def strings_in(path: Path) -> Iterator[ast.Constant]:
    """Yield the strings of a module that are no docstrings."""
    documentation = {node.value for node in list_nodes(path) if isinstance(node, ast.Expr)}
    for node in list_nodes(path):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in documentation:
            yield node


def test_no_text_in_chinese_stands_outside_the_catalogue() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for path in find_modules("bot", IDEOGRAPH.pattern + r"|\\[uUN]")
        if any(IDEOGRAPH.search(string.value) for string in strings_in(path))
    }
    elsewhere = {path for path in found if not path.startswith("bot/messages/")}
    assert {path for path in elsewhere if not path.startswith(NOT_FOR_PEOPLE)} == set()
    assert {one for one in NOT_FOR_PEOPLE if not any(path.startswith(one) for path in elsewhere)} == set()


def list_command_words() -> Iterator[tuple[str, ...]]:
    """Yield the words of each ``Subcommand(("refresh", "刷新"), …)`` of a feature."""
    for path in find_modules("bot/slack/features", r"Subcommand\("):
        for node in list_nodes(path):
            match node:
                case ast.Call(func=ast.Name("Subcommand"), args=[ast.Tuple(words), *_]):
                    yield tuple(ast.literal_eval(word) for word in words)


def test_help_and_the_guide_name_each_command() -> None:
    named = re.findall(r"\*/kb ([a-z]+|[\u4e00-\u9fff]+)\*", commands.HELP.en + commands.HELP.zh)
    guide = (ROOT / "docs/using.md").read_text(encoding="utf-8")
    found = list(list_command_words())
    assert len(found) >= 9
    for words in found:
        assert words[0] in named, words
        assert any(IDEOGRAPH.match(word) and word in named for word in words), words
        assert f"/kb {words[0]}" in guide, words


def calls_with_messages(path: Path) -> Iterator[tuple[str, Message, set[str]]]:
    """Yield the place, the text and the fields of each ``render_message(area.NAME, …)`` and ``area.NAME.fill(…)``."""
    nodes = list_nodes(path)
    imported = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "bot.messages"]
    names = {alias.asname or alias.name: alias.name for node in imported for alias in node.names}
    areas = {name: importlib.import_module(f"bot.messages.{module}") for name, module in names.items()}
    for node in nodes:
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


def notes_in(path: Path) -> Iterator[tuple[str, NoteCode, set[str] | None]]:
    """Yield the place, the code and the fields of each ``NoteCode.NAME`` in the engine; None where it is not filled."""
    filled = {}
    for node in list_nodes(path):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Attribute(ast.Name("NoteCode")) as code, attr="fill")):
                if all(keyword.arg for keyword in node.keywords):
                    filled[code] = {str(keyword.arg) for keyword in node.keywords}
    for node in list_nodes(path):
        match node:
            case ast.Attribute(value=ast.Name("NoteCode"), attr=name) if name in NoteCode.__members__:
                yield f"{path}:{node.lineno}", NoteCode[name], filled.get(node)


def test_the_engine_fills_in_every_field_of_its_notes() -> None:
    paths = [path for path in find_modules("engine", "NoteCode") if path.name != "notes.py"]
    used = [note for path in paths for note in notes_in(path)]
    later = {"done_gib", "total_gib", "left"}
    """Fields that the progress of a download adds."""
    wrong = [
        place
        for place, code, fields in used
        if fields is not None and fields != fields_of(code.value) and fields | later != fields_of(code.value)
    ]
    assert wrong == []
    own = {code for _, code, _ in notes_in(ROOT / "engine/notes.py")}
    assert {code.name for code in NoteCode} - {code.name for _, code, _ in used} - {code.name for code in own} == set()


ENGLISH_ERRORS = {
    "engine/control/commands.py",
    "engine/control/control_socket.py",
    "engine/planning/cards.py",
    "engine/process/preflight.py",
    "engine/service.py",
}
"""Errors that only the command line shows, and a package index's own words."""


def test_errors_of_the_engine_have_codes() -> None:
    found = set()
    for path in find_modules("engine", "EngineRefused|InstallError"):
        for node in list_nodes(path):
            match node:
                case ast.Call(
                    func=ast.Name("EngineRefused" | "InstallError"),
                    args=[
                        ast.Constant() | ast.JoinedStr() | ast.Call(func=ast.Name("str") | ast.Attribute(attr="join"))
                    ],
                ):
                    found.add(path.relative_to(ROOT).as_posix())
    assert found == ENGLISH_ERRORS


def test_no_english_text_of_the_engine_reaches_slack_or_the_page() -> None:
    """The bot words notes and errors of the engine; their English is for logs, metrics and the command line."""
    parts = ("bot/answering", "bot/slack", "bot/workspace_page.py")
    found = []
    for part in parts:
        for path in (ROOT / part).rglob("*.py") if (ROOT / part).is_dir() else [ROOT / part]:
            text = path.read_text(encoding="utf-8")
            if re.search(r"\.detail\b|\bjoin_notes\b|str\([\w.]*note\b", text):
                found.append(path.relative_to(ROOT).as_posix())
    assert found == []


def test_callers_fill_in_every_field() -> None:
    calls = [call for path in find_modules("bot", r"bot\.messages") for call in calls_with_messages(path)]
    assert len(calls) > 100
    assert [(place, message.en) for place, message, fields in calls if fields_of(message.en) - fields] == []


def test_every_text_is_used() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "bot").rglob("*.py"))
    names = {name.rpartition(".")[2].partition("[")[0] for name in MESSAGES}
    uses = Counter(re.findall(r"\w+", source))
    assert {name for name in names if uses[name] < 2} == set()
