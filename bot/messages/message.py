"""One text for people in both languages, and how it is rendered. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from knowledge.language import Language

LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")


@dataclass(frozen=True, slots=True)
class Message:
    """One text in both languages, with the same named fields in braces."""

    en: str
    zh: str
    en_one: str = ""
    """The English text where ``count`` is 1 and the text differs."""

    def fill(self, **fields: object) -> Message:
        """Return the text with its fields filled in, for a reader whose language is not known yet."""
        return Message(*(_fill(self, language, fields).replace("{", "{{").replace("}", "}}") for language in LANGUAGES))


def render_message(message: Message, language: Language, **fields: object) -> str:
    """Return a text in a language, with its fields filled in; a field may be a text itself."""
    return _fill(message, language, fields).strip()


def render_both(message: Message, **fields: object) -> str:
    """Return a text in both languages, English first; once if both are the same."""
    return "\n".join(dict.fromkeys(render_message(message, language, **fields) for language in LANGUAGES))


def join_names(names: Iterable[str], language: Language) -> str:
    """Return names as a list within a sentence."""
    return ("、" if language == "zh" else ", ").join(names)


def join_clauses(clauses: Iterable[str], language: Language) -> str:
    """Return clauses as one part of a sentence."""
    return ("；" if language == "zh" else "; ").join(clauses)


def join_sentences(sentences: Iterable[str], language: Language) -> str:
    """Return sentences as one text, without the empty ones."""
    return ("" if language == "zh" else " ").join(filter(None, sentences))


def _fill(message: Message, language: Language, fields: Mapping[str, object]) -> str:
    english = message.en_one if message.en_one and fields.get("count") == 1 else message.en
    text = message.zh if language == "zh" else english
    return text.format_map(
        {name: _fill(one, language, {}) if isinstance(one, Message) else one for name, one in fields.items()}
    )
