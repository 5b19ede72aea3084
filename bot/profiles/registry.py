"""The kinds of profiles, and where profiles are found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Final

from bot.profiles.profile import PROFILE_FILE, Profile, ProfileError, read_profile
from knowledge.errors import suggest_nearest

SHIPPED: Final = Path(__file__).parent / "shipped"
"""The folder of the profiles that come with Kvasir."""


@dataclass(frozen=True, slots=True)
class ProfileKind:
    """The declaration of a kind."""

    name: str
    reader: str
    """``module:function``, imported when such a profile is used. It takes a ``Profile``, checks all of its folder and
    returns what the kind works with. It raises ``ProfileError``."""


KINDS: Final = {
    kind.name: kind
    for kind in (
        ProfileKind("extraction", "bot.profiles.extraction.profile:read_extraction_profile"),
        ProfileKind("guidance", "bot.profiles.guidance.guidance:read_guidance"),
        ProfileKind("transactions", "bot.profiles.transactions.profile:read_transaction_profile"),
        ProfileKind("note", "bot.profiles.notes.note:read_note_rules"),
    )
}


class Profiles:
    """The profiles that come with Kvasir, and those of the operator, which win where names are equal."""

    def __init__(self, own: Path | None) -> None:
        """``own`` is the operator's folder of profiles; None if there is none."""
        self._folders = [folder for folder in (own, SHIPPED) if folder is not None]

    def list_profiles(self, kind: str | None = None) -> tuple[Profile, ...]:
        """Return all profiles, or those of a kind, by name.

        Raises:
            ProfileError: a ``profile.toml`` cannot be read.

        """
        found = dict(reversed(list(self._iterate_folders())))
        profiles = [read_profile(found[name]) for name in sorted(found)]
        return tuple(profile for profile in profiles if kind in (None, profile.kind))

    def find_profile(self, name: str) -> Profile:
        """Return a profile by its name.

        Raises:
            ProfileError: there is none of this name; the nearest one is named.

        """
        found = dict(reversed(list(self._iterate_folders())))
        if name not in found:
            known = ", ".join(sorted(found))
            raise ProfileError(f"There is no profile {name!r}.{suggest_nearest(name, found)} Profiles are: {known}.")
        return read_profile(found[name])

    def _iterate_folders(self) -> Iterator[tuple[str, Path]]:
        for folder in self._folders:
            for path in folder.glob(f"*/{PROFILE_FILE}"):
                yield path.parent.name, path.parent


def load_profile(profile: Profile) -> Any:  # noqa: ANN401 - each kind has its own type
    """Return what the profile's kind makes of its folder, all of which is checked.

    Raises:
        ProfileError: the kind is unknown, or a key or a file is wrong.

    """
    if profile.kind not in KINDS:
        raise ProfileError(
            f"{profile.path}: there is no kind {profile.kind!r}.{suggest_nearest(profile.kind, KINDS)}"
            f" Kinds are: {', '.join(KINDS)}."
        )
    return resolve_name(KINDS[profile.kind].reader)(profile)
