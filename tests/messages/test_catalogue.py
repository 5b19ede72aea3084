"""Every text of ``bot/messages`` exists in both languages, and texts in Chinese stand nowhere else in ``bot``."""

from __future__ import annotations

import importlib
import pkgutil
import re
import string
from collections.abc import Iterator, Mapping

import pytest

import bot.messages
from bot.messages import answers
from bot.messages.message import Message, render_both, render_message
from knowledge.language import detect_language


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
