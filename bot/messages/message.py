"""One text for people in every language of Kvasir, and how it is rendered. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from bot.languages.registry import LANGUAGES, Language, find_pack


@dataclass(frozen=True, slots=True)
class Message:
    """One text in English and Chinese, with the same named fields in braces; a ``LanguagePack`` has other languages."""

    en: str
    zh: str
    en_one: str = ""
    """The English text where ``count`` is 1 and the text differs."""
    fields: Mapping[str, object] = field(default_factory=dict, hash=False)

    def fill(self, **fields: object) -> Message:
        """Return the text with its fields filled in, for a reader whose language is not known yet."""
        return replace(self, fields={**self.fields, **fields})


def render_message(message: Message, language: Language, **fields: object) -> str:
    """Return a text in a language, with its fields filled in; a field may be a text itself."""
    return _fill_in(message, language, fields).strip()


def _fill_in(message: Message, language: Language, fields: Mapping[str, object]) -> str:
    fields = {**message.fields, **fields}
    english = message.en_one if message.en_one and fields.get("count") == 1 else message.en
    text = message.zh if language == "zh" else find_pack(language).translations.get(english, english)
    return text.format_map(
        {name: _fill_in(one, language, {}) if isinstance(one, Message) else one for name, one in fields.items()}
    )


def render_both(message: Message, **fields: object) -> str:
    """Return a text in all languages, English first; once if all are the same."""
    return "\n".join(dict.fromkeys(render_message(message, language, **fields) for language in LANGUAGES))


def join_names(names: Iterable[str], language: Language) -> str:
    """Return names as a list within a sentence."""
    return find_pack(language).list_separator.join(names)


def join_clauses(clauses: Iterable[str], language: Language) -> str:
    """Return clauses as one part of a sentence."""
    return find_pack(language).clause_separator.join(clauses)


def join_sentences(sentences: Iterable[str], language: Language) -> str:
    """Return sentences as one text, without the empty ones."""
    return find_pack(language).sentence_separator.join(filter(None, sentences))
