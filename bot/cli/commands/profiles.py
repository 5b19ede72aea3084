"""``kvasir profiles``: list and check all profiles, or copy one to edit it."""

from __future__ import annotations

import argparse
import asyncio
import shutil
from pathlib import Path

from bot.cli.command_settings import load_command_settings
from bot.profiles.profile import PROFILE_FILE, Profile, ProfileError, check_profile_name
from bot.profiles.registry import Profiles
from bot.terminal.output import print_error, print_outcome


async def main(arguments: argparse.Namespace) -> int:
    """List and check the profiles, or copy one; exit status 1 if one is wrong."""
    settings = load_command_settings(arguments, required=False)
    own = settings.configuration.profiles
    profiles = Profiles(own)
    if arguments.copy is None:
        found, errors = await asyncio.to_thread(profiles.check_profiles)
        value = {"profiles": [{"name": one.name, "kind": one.kind, "title": dict(one.title)} for one in found]}
        print_outcome(
            value, "\n".join(f"{one.name:24}{one.kind:14}{one.find_title('en')}" for one in found), json=arguments.json
        )
        for error in errors:
            print_error(str(error))
        return 1 if errors else 0
    if own is None:
        raise ProfileError("There is no kvasir.toml, so there is no folder for your profiles. Write one first.")
    name, new = arguments.copy
    copy = await asyncio.to_thread(_copy_profile, profiles.find_profile(name), own, new)
    print_outcome(
        {"copied": str(copy)}, f"Edit {copy / PROFILE_FILE}, then check it by: kvasir profiles", json=arguments.json
    )
    return 0


def _copy_profile(profile: Profile, own: Path, new: str) -> Path:
    """Copy a profile's folder under a new name.

    Raises:
        ProfileError: the name is taken or no name of a folder.

    """
    check_profile_name(new)
    target = own / new
    own.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copytree(profile.folder, target)
    except FileExistsError:
        raise ProfileError(f"{target} exists already. Choose another name.") from None
    return target
