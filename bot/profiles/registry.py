"""The kinds of profiles, and where profiles are found."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Final, TypeVar

import structlog

from bot.profiles.profile import PROFILE_FILE, Profile, ProfileError, read_profile
from knowledge.errors import suggest_nearest

_T = TypeVar("_T")
_log = structlog.get_logger("kvasir.profiles")

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
        ProfileKind("checklist", "bot.profiles.checklist.profile:read_checklist"),
        ProfileKind("note", "bot.profiles.notes.note:read_note_rules"),
    )
}


class Profiles:
    """The profiles that come with Kvasir, and those of the operator, which win where names are equal."""

    def __init__(self, own: Path | None) -> None:
        """``own`` is the operator's folder of profiles; None if there is none."""
        self._folders = [folder for folder in (own, SHIPPED) if folder is not None]

    def list_profiles(self, *kinds: str) -> tuple[Profile, ...]:
        """Return all profiles, or those of ``kinds``, by name; one that cannot be read is logged and left out."""
        return tuple(self._read_profiles(lambda profile: profile, kinds).values())

    def load_profiles(self, *kinds: str) -> dict[str, Any]:
        """Return what ``kinds`` make of their profiles, by name; a wrong one is logged and left out."""
        return self._read_profiles(load_profile, kinds)

    def load_profile(self, name: str, *kinds: str) -> Any:  # noqa: ANN401 - each kind has its own type
        """Return what its kind makes of a profile.

        Raises:
            ProfileError: as ``find_profile`` and the function ``load_profile``.

        """
        return load_profile(self.find_profile(name, *kinds))

    def check_profiles(self) -> tuple[Sequence[Profile], Sequence[ProfileError]]:
        """Return the profiles whose whole folders are right, and what is wrong with each other one."""
        errors: list[ProfileError] = []
        return tuple(self._read_profiles(_check_profile, (), errors.append).values()), errors

    def find_profile(self, name: str, *kinds: str) -> Profile:
        """Return a profile by its name; with ``kinds``, only one of them.

        Raises:
            ProfileError: there is none of this name, or it is of another kind; the ones to choose from are named.

        """
        found = self._find_folders()
        if name not in found:
            known = ", ".join(sorted(found))
            raise ProfileError(f"There is no profile {name!r}.{suggest_nearest(name, found)} Profiles are: {known}.")
        profile = read_profile(found[name])
        if kinds and profile.kind not in kinds:
            known = ", ".join(one.name for one in self.list_profiles(*kinds))
            raise ProfileError(
                f"The profile {name!r} is of kind {profile.kind}, and here one of kind {' or '.join(kinds)} is needed:"
                f" {known}."
            )
        return profile

    def _read_profiles(
        self,
        read: Callable[[Profile], _T],
        kinds: Collection[str],
        report: Callable[[ProfileError], None] = lambda error: _log.warning("profile left out", error=str(error)),
    ) -> dict[str, _T]:
        found: dict[str, _T] = {}
        for name, folder in self._find_folders().items():
            try:
                profile = read_profile(folder)
                if not kinds or profile.kind in kinds:
                    found[name] = read(profile)
            except ProfileError as error:
                report(error)
        return found

    def _find_folders(self) -> dict[str, Path]:
        """Return the folder of each profile, by name."""
        found = [path.parent for folder in self._folders for path in folder.glob(f"*/{PROFILE_FILE}")]
        return dict(sorted({folder.name: folder for folder in reversed(found)}.items()))


def _check_profile(profile: Profile) -> Profile:
    load_profile(profile)
    return profile


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
