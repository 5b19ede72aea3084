"""One text for people in every language of Kvasir, and how it is rendered. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from bot.messages.translations import TRANSLATIONS
from knowledge.language import Language

LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh", *TRANSLATIONS)


@dataclass(frozen=True, slots=True)
class Message:
    """One text in English and Chinese, with the same named fields in braces; ``TRANSLATIONS`` has other languages."""

    en: str
    zh: str
    en_one: str = ""
    """The English text where ``count`` is 1 and the text differs."""
    fields: Mapping[str, object] = field(default_factory=dict, hash=False)
    """What is already filled in."""

    def fill(self, **fields: object) -> Message:
        """Return the text with its fields filled in, for a reader whose language is not known yet."""
        return replace(self, fields={**self.fields, **fields})


class Catalogue:
    """Renders texts in each language, and in English what a translation lacks."""

    def __init__(self, translations: Mapping[Language, Mapping[str, str]]) -> None:
        """Take the translations of English texts, by language."""
        self._translations = translations

    def render_message(self, message: Message, language: Language, fields: Mapping[str, object]) -> str:
        """Return a text in a language, with its fields filled in; a field may be a text itself."""
        fields = {**message.fields, **fields}
        english = message.en_one if message.en_one and fields.get("count") == 1 else message.en
        text = message.zh if language == "zh" else self._translations.get(language, {}).get(english, english)
        return text.format_map(
            {
                name: self.render_message(one, language, {}) if isinstance(one, Message) else one
                for name, one in fields.items()
            }
        )


_CATALOGUE: Final = Catalogue(TRANSLATIONS)


def render_message(message: Message, language: Language, **fields: object) -> str:
    """Return a text in a language, with its fields filled in; a field may be a text itself."""
    return _CATALOGUE.render_message(message, language, fields).strip()


def render_both(message: Message, **fields: object) -> str:
    """Return a text in all languages, English first; once if all are the same."""
    return "\n".join(dict.fromkeys(render_message(message, language, **fields) for language in LANGUAGES))


def choose_locale_language(locale: str) -> Language | None:
    """Return the language of a locale such as "de-DE", None if Kvasir has no texts in it."""
    return next((language for language in LANGUAGES if locale.startswith(language)), None)


def join_names(names: Iterable[str], language: Language) -> str:
    """Return names as a list within a sentence."""
    return ("、" if language == "zh" else ", ").join(names)


def join_clauses(clauses: Iterable[str], language: Language) -> str:
    """Return clauses as one part of a sentence."""
    return ("；" if language == "zh" else "; ").join(clauses)


def join_sentences(sentences: Iterable[str], language: Language) -> str:
    """Return sentences as one text, without the empty ones."""
    return ("" if language == "zh" else " ").join(filter(None, sentences))
