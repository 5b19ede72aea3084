"""Reads the keys of a profile whose rules are patterns, and says what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from bot.languages.registry import LANGUAGES, Language
from bot.profiles.profile import Profile, ProfileError

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_REFERENCE: Final = re.compile(r"\{([a-z_]+)\}")


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_N = TypeVar("_N", bound=_Named)


@dataclass(frozen=True, slots=True)
class KeyChecks:
    """Reads the keys of one profile."""

    profile: Profile

    def fail(self, reason: str) -> ProfileError:
        """Return the error that names the file and a reason."""
        return ProfileError(f"{self.profile.path}: {reason}")

    def take(self, table: Mapping[str, Any], key: str, type_: type, *, default: Any = None, where: str = "") -> Any:  # noqa: ANN401 - as the type says
        """Return the value of a key, which has to be of a type."""
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

    def read_word_lists(self, table: Mapping[str, Any]) -> Mapping[str, str]:
        """Return an expression for each list of words, by its name."""
        return {
            name: self.read_words(name, value) for name, value in self.take(table, "words", dict, default={}).items()
        }

    def read_named_tables(
        self, table: Mapping[str, Any], key: str, most: int, read: Callable[[Mapping[str, Any]], _N]
    ) -> tuple[_N, ...]:
        """Return what ``read`` makes of a key's tables: 1 to ``most``, each of another name."""
        given = self.take(table, key, list)
        if not 0 < len(given) <= most or not all(isinstance(one, dict) for one in given):
            raise self.fail(f"write 1 to {most} tables [[{key}]].")
        made = tuple(map(read, given))
        if len({one.name for one in made}) < len(made):
            raise self.fail(f"two {key} have one name. Rename one.")
        return made

    def read_most(self, table: Mapping[str, Any], default: int, limit: int, where: str) -> int:
        """Return the key ``most`` of a table: 1 to ``limit``."""
        most: int = self.take(table, "most", int, default=default, where=where)
        if not 1 <= most <= limit:
            raise self.fail(f"{where}: most is 1 to {limit}.")
        return most

    def read_name(self, table: Mapping[str, Any], what: str) -> str:
        """Return the name of a table, which ``what`` names in errors."""
        name: str = self.take(table, "name", str, default="")
        if not _NAME.fullmatch(name):
            raise self.fail(f"the {what} {name!r}: a name has small letters, digits and underscores.")
        return name

    def compile_patterns(
        self, table: Mapping[str, Any], key: str, words: Mapping[str, str], where: str
    ) -> tuple[re.Pattern[str], ...]:
        """Return the compiled rules of a key."""
        given = self.take(table, key, list, default=[], where=where)
        return tuple(self.compile_pattern(one, words, where) for one in given)

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
