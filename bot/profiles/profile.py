"""A profile: a folder whose ``profile.toml`` says what is done with a document or a table, in data that people edit."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bot.errors import BotError
from bot.languages.registry import LANGUAGES, Language
from knowledge.errors import suggest_nearest

PROFILE_FILE: Final = "profile.toml"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_MAX_BYTES: Final = 1_000_000


def choose_text(texts: Mapping[Language, str], language: Language) -> str:
    """Return the text in a language, or the English one."""
    return texts.get(language) or texts["en"]


class ProfileError(BotError):
    """A profile is missing or wrong; the text names the file and the next step."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A folder with ``profile.toml`` and the files that it names."""

    name: str
    """The folder's name, which commands and Slack use."""
    folder: Path
    kind: str
    """Which code reads it: a name in ``bot.profiles.registry.KINDS``."""
    title: Mapping[Language, str]
    """What people read, by language."""
    table: Mapping[str, Any] = field(repr=False)
    """The keys of its kind."""

    @property
    def path(self) -> Path:
        """Return the path of ``profile.toml``, for errors."""
        return self.folder / PROFILE_FILE

    def find_title(self, language: Language) -> str:
        """Return the title in a language, or the English one."""
        return choose_text(self.title, language)

    def read_text(self, name: str) -> str:
        """Return the text of a file of the folder.

        Raises:
            ProfileError: the file is missing, outside the folder, too large or not UTF-8.

        """
        return _read_file(self.folder, name)

    def refuse_unknown_keys(self, table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
        """Refuse keys that its kind does not know.

        Raises:
            ProfileError: with the nearest known key.

        """
        for key in table:
            if key not in known:
                raise ProfileError(
                    f"{self.path}: {where} has the unknown key {key!r}.{suggest_nearest(key, known)}"
                    f" Known: {', '.join(known)}."
                )


def read_profile(folder: Path) -> Profile:
    """Return the profile of a folder; its kind reads the rest.

    Raises:
        ProfileError: its name, ``profile.toml`` or one of the common keys is wrong.

    """
    check_profile_name(folder.name)
    path = folder / PROFILE_FILE
    try:
        table = tomllib.loads(_read_file(folder, PROFILE_FILE))
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"{path} is not valid TOML: {error}.") from None
    kind, title = table.pop("kind", None), table.pop("title", None)
    if not isinstance(kind, str):
        raise ProfileError(f'{path}: kind is missing. Write kind = "extraction", for example.')
    if not (isinstance(title, dict) and isinstance(title.get("en"), str) and set(title) <= set(LANGUAGES)):
        raise ProfileError(f'{path}: [title] should have a text for "en", and may have others: {", ".join(LANGUAGES)}.')
    return Profile(folder.name, folder, kind, title, table)


def check_profile_name(name: str) -> None:
    """Check the name of a profile, which is the name of its folder.

    Raises:
        ProfileError: it has other signs than small letters, digits and hyphens.

    """
    if not _NAME.fullmatch(name):
        raise ProfileError(
            f"{name!r} is no name of a profile. Use small letters, digits and hyphens, such as lease-contract."
        )


def _read_file(folder: Path, name: str) -> str:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ProfileError(f"{folder / PROFILE_FILE}: {name} is outside the profile's folder. Copy the file into it.")
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ProfileError(f"{path} is larger than {_MAX_BYTES // 1_000_000} MB. Shorten it.")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path} cannot be read ({error.__class__.__name__}). Check the file.") from None
