"""A profile of kind ``extraction``: fields, each with a question, rules and a type, and what the engine is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, get_args

from bot.languages.registry import LANGUAGES, Language
from bot.profiles.profile import Profile, ProfileError
from bot.profiles.registry import Profiles
from bot.profiles.spans import ValueType

KIND: Final = "extraction"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_REFERENCE: Final = re.compile(r"\{([a-z_]+)\}")
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
    check = _Checks(profile)
    words = {
        name: check.read_words(name, value) for name, value in check.take(table, "words", dict, default={}).items()
    }
    given = check.take(table, "fields", list)
    if not 0 < len(given) <= _MAX_FIELDS or not all(isinstance(one, dict) for one in given):
        raise ProfileError(f"{profile.path}: write 1 to {_MAX_FIELDS} tables [[fields]].")
    fields = tuple(check.read_field(one, words) for one in given)
    if len({one.name for one in fields}) < len(fields):
        raise ProfileError(f"{profile.path}: two fields have one name. Rename one.")
    examples = check.read_texts(table, "examples", "the profile")
    return ExtractionProfile(
        profile,
        fields,
        check.read_texts(table, "instructions", "the profile", required=True),
        {language: profile.read_text(name) for language, name in examples.items()},
        check.take(table, "exclusive", bool, default=False),
    )


def load_extraction_profile(profiles: Profiles, name: str) -> ExtractionProfile:
    """Return a profile of kind ``extraction`` by its name.

    Raises:
        ProfileError: there is none, or it is wrong.

    """
    return read_extraction_profile(profiles.find_profile(name, KIND))


@dataclass(frozen=True, slots=True)
class _Checks:
    """Reads the keys of one profile."""

    profile: Profile

    def fail(self, reason: str) -> ProfileError:
        return ProfileError(f"{self.profile.path}: {reason}")

    def take(self, table: Mapping[str, Any], key: str, type_: type, *, default: Any = None, where: str = "") -> Any:  # noqa: ANN401 - as the type says
        value = table.get(key, default)
        if not isinstance(value, type_) or (type_ is int and isinstance(value, bool)):
            raise self.fail(f"{where or 'the profile'}: {key} should be of type {type_.__name__}.")
        return value

    def read_texts(
        self, table: Mapping[str, Any], key: str, where: str, *, required: bool = False
    ) -> Mapping[Language, str]:
        """Return texts by language."""
        texts: Mapping[Language, str] = self.take(table, key, dict, default={}, where=where)
        if not all(isinstance(one, str) for one in texts.values()) or not set(texts) <= set(LANGUAGES):
            raise self.fail(f"{where}: {key} should have a text for each of: {', '.join(LANGUAGES)}.")
        if required and not texts.get("en"):
            raise self.fail(f'{where}: {key} should have a text for "en".')
        return texts

    def read_words(self, name: str, value: object) -> str:
        """Return an expression for the words of a list, or of the lines of a file."""
        lines = self.profile.read_text(value).splitlines() if isinstance(value, str) else value
        if not isinstance(lines, list) or not all(isinstance(one, str) for one in lines):
            raise self.fail(f"words: {name} should be a list of words, or the name of a file with one on each line.")
        words = {one.strip() for one in lines if one.strip() and not one.startswith("#")}
        if not words:
            raise self.fail(f"words: {name} is empty.")
        return f"(?:{'|'.join(map(re.escape, sorted(words, key=len, reverse=True)))})"

    def read_field(self, table: Mapping[str, Any], words: Mapping[str, str]) -> Field:
        name = self.take(table, "name", str, default="")
        where = f"the field {name!r}"
        if not _NAME.fullmatch(name):
            raise self.fail(f"{where}: a name has small letters, digits and underscores.")
        self.profile.refuse_unknown_keys(table, _FIELD_KEYS, where)
        type_, unit = table.get("type", "text"), table.get("unit", "match")
        if type_ not in get_args(ValueType) or unit not in _UNITS:
            types, units = ", ".join(get_args(ValueType)), ", ".join(_UNITS)
            raise self.fail(f"{where}: type is one of {types}, and unit one of {units}.")
        most = self.take(table, "most", int, default=_MAX_VALUES if type_ in {"list", "entity"} else 3, where=where)
        if not 1 <= most <= _MAX_VALUES:
            raise self.fail(f"{where}: most is 1 to {_MAX_VALUES}.")

        def compile_all(key: str) -> tuple[re.Pattern[str], ...]:
            given = self.take(table, key, list, default=[], where=where)
            return tuple(self.compile_pattern(one, words, where) for one in given)

        return Field(
            name,
            self.read_texts(table, "title", where, required=True),
            self.read_texts(table, "question", where, required=True),
            type_,
            unit == "sentence",
            compile_all("patterns"),
            compile_all("exclude"),
            most,
            self.take(table, "opening", bool, default=False, where=where),
        )

    def compile_pattern(self, pattern: object, words: Mapping[str, str], where: str) -> re.Pattern[str]:
        """Return a compiled rule, in which ``{name}`` stands for a list of words."""

        def insert_words(match: re.Match[str]) -> str:
            if match[1] not in words:
                raise self.fail(f"{where}: {{{match[1]}}} names no list in [words].")
            return words[match[1]]

        try:
            return re.compile(_REFERENCE.sub(insert_words, str(pattern)), re.IGNORECASE)
        except re.error as error:
            raise self.fail(f"{where}: {pattern!r} is no regular expression: {error}.") from None


def build_reply_schema(most: int) -> dict[str, Any]:
    """Return the JSON schema of the engine's reply about one field."""
    values = {"type": "array", "maxItems": most, "items": {"type": "string"}}
    return {
        "type": "object",
        "properties": {"values": values},
        "required": ["values"],
        "additionalProperties": False,
    }
