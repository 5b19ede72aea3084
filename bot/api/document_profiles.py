"""Applies a profile to a file that a request sends. Nothing of the file is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from bot.api.access import Caller
from bot.api.answers import ApiParts
from bot.api.errors import ApiError
from bot.api.requests import ProfileQuery
from bot.audit.audited_profiles import ProfileUser
from bot.messages.errors import describe_error
from bot.profiles.checklist import profile as checklists
from bot.profiles.document_profiles import build_result_json
from bot.profiles.document_reader import read_document
from bot.profiles.extraction import profile as extractions
from bot.profiles.notes import note as notes
from bot.profiles.notes.transcript import TranscriptError
from bot.profiles.profile import ProfileError
from engine.interfaces import Requester
from knowledge.errors import ParseError

PROFILE_KINDS: Final[Mapping[str, str]] = {
    "/v1/extract": extractions.KIND,
    "/v1/check": checklists.KIND,
    "/v1/note": notes.KIND,
}
"""The kind of profiles of each route."""
MAX_FILE_BYTES: Final = 20_000_000


async def apply_profile(
    parts: ApiParts, caller: Caller, kind: str, asked: ProfileQuery, data: bytes
) -> dict[str, object]:
    """Return what a profile of a kind makes of a file.

    Raises:
        ApiError: there is no such profile, the file cannot be read, or the key was revoked.
        AuditFailed: the audit is strict and cannot be written.
        EmbedderError: a conversation cannot be searched.

    """
    person, key, profiles = caller.person, caller.key, parts.document_profiles
    if profiles is None:
        raise ApiError(HTTPStatus.NOT_FOUND, "This Kvasir applies no profiles to files.", "no_profiles")
    try:
        profile = await asyncio.to_thread(profiles.profiles.load_profile, asked.profile, kind)
    except ProfileError:  # its text names paths of this machine
        text = f"There is no such profile of kind {kind}. `kvasir profiles` lists and checks all of them."
        raise ApiError(HTTPStatus.NOT_FOUND, text, "unknown_profile", param="profile") from None
    requester = Requester(person.id, cache_salt=await parts.find_salt(person.viewers))
    try:
        document = await read_document(profiles.library, asked.file, data)
        result = await profiles.apply(profile, document, ProfileUser(requester, person.team, key.id))
    except (ParseError, TranscriptError) as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, describe_error(error), "unreadable_file", param="file") from None
    await parts.access.confirm_caller(caller)
    return build_result_json(result)
