"""A profile of kind ``extraction``: fields, each with a question, rules and a type, and what the engine is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, get_args

from bot.languages.registry import Language
from bot.profiles.key_checks import KeyChecks
from bot.profiles.profile import Profile
from bot.profiles.spans import ValueType

KIND: Final = "extraction"
_PROFILE_KEYS: Final = ("instructions", "examples", "words", "exclusive", "fields")
_FIELD_KEYS: Final = ("name", "title", "question", "type", "unit", "patterns", "exclude", "most", "opening")
_UNITS: Final = ("match", "sentence")
_MAX_FIELDS: Final = 60
_MAX_VALUES: Final = 200


@dataclass(frozen=True, slots=True)
class Field:
    """One thing to take out of a document."""

    name: str
    title: Mapping[Language, str]
    question: Mapping[Language, str]
    """What the passages are searched for, and what the engine is asked."""
    type: ValueType
    is_sentence: bool
    """Whether a value is the whole sentence in which it was found."""
    patterns: tuple[re.Pattern[str], ...] = field(repr=False)
    """Rules that find values without the engine; a group named ``value`` is the value."""
    exclude: tuple[re.Pattern[str], ...] = field(repr=False)
    """A value, or its sentence, that one of these finds something in is none."""
    most: int
    """The most values. With 1, an earlier pattern goes before a later one."""
    opening: bool
    """Whether the rules read only the beginning of the document."""


@dataclass(frozen=True, slots=True)
class ExtractionProfile:
    """What is taken out of a document."""

    profile: Profile
    fields: tuple[Field, ...]
    instructions: Mapping[Language, str] = field(repr=False)
    examples: Mapping[Language, str] = field(repr=False)
    exclusive: bool
    """Whether a stretch of text is a value of one field alone: the one whose value begins first there, or is longest.
    Sentences do not count."""


def read_extraction_profile(profile: Profile) -> ExtractionProfile:
    """Return what a profile takes out of documents.

    Raises:
        ProfileError: a key or a file is wrong.

    """
    table = profile.table
    profile.refuse_unknown_keys(table, _PROFILE_KEYS, "the profile")
    check = KeyChecks(profile)
    words = check.read_word_lists(table)
    fields = check.read_named_tables(table, "fields", _MAX_FIELDS, lambda one: _read_field(check, one, words))
    examples = check.read_texts(table, "examples", "the profile")
    return ExtractionProfile(
        profile,
        fields,
        check.read_texts(table, "instructions", "the profile", required=True),
        {language: profile.read_text(name) for language, name in examples.items()},
        check.take(table, "exclusive", bool, default=False),
    )


def _read_field(check: KeyChecks, table: Mapping[str, Any], words: Mapping[str, str]) -> Field:
    name = check.read_name(table, "field")
    where = f"the field {name!r}"
    check.profile.refuse_unknown_keys(table, _FIELD_KEYS, where)
    type_, unit = table.get("type", "text"), table.get("unit", "match")
    if type_ not in get_args(ValueType) or unit not in _UNITS:
        types, units = ", ".join(get_args(ValueType)), ", ".join(_UNITS)
        raise check.fail(f"{where}: type is one of {types}, and unit one of {units}.")
    return Field(
        name,
        check.read_texts(table, "title", where, required=True),
        check.read_texts(table, "question", where, required=True),
        type_,
        unit == "sentence",
        check.compile_patterns(table, "patterns", words, where),
        check.compile_patterns(table, "exclude", words, where),
        check.read_most(table, _MAX_VALUES if type_ in {"list", "entity"} else 3, _MAX_VALUES, where),
        check.take(table, "opening", bool, default=False, where=where),
    )


def build_reply_schema(most: int) -> dict[str, Any]:
    """Return the JSON schema of the engine's reply about one field."""
    values = {"type": "array", "maxItems": most, "items": {"type": "string"}}
    return {
        "type": "object",
        "properties": {"values": values},
        "required": ["values"],
        "additionalProperties": False,
    }
