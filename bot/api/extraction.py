"""Takes values out of a file that a request sends. Nothing of the file is stored."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final

from bot.api.access import Caller
from bot.api.answers import ApiParts
from bot.api.errors import ApiError
from bot.api.requests import ExtractQuery
from bot.messages.errors import describe_error
from bot.profiles.document_reader import read_document
from bot.profiles.extraction.extraction import build_extraction_json
from bot.profiles.extraction.profile import load_extraction_profile
from bot.profiles.profile import ProfileError
from engine.interfaces import Requester
from knowledge.errors import ParseError

EXTRACT_PATH: Final = "/v1/extract"
MAX_FILE_BYTES: Final = 20_000_000


async def extract_values(parts: ApiParts, caller: Caller, asked: ExtractQuery, data: bytes) -> dict[str, object]:
    """Return the values of a file.

    Raises:
        ApiError: there is no such profile, the file cannot be read, or the key was revoked.
        AuditFailed: the audit is strict and cannot be written.

    """
    person, key, extractor = caller.person, caller.key, parts.extractor
    if extractor is None:
        raise ApiError(HTTPStatus.NOT_FOUND, "This Kvasir takes no values out of files.", "no_extraction")
    try:
        profile = await asyncio.to_thread(load_extraction_profile, extractor.profiles, asked.profile)
    except ProfileError:  # its text names paths of this machine
        text = "There is no such profile for extraction. `kvasir profiles` lists and checks all of them."
        raise ApiError(HTTPStatus.NOT_FOUND, text, "unknown_profile", param="profile") from None
    try:
        document = await read_document(extractor.library, asked.file, data)
    except ParseError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, describe_error(error), "unreadable_file", param="file") from None
    salt = document.mix_salt(await parts.find_salt(person.viewers))
    requester = Requester(person.id, cache_salt=salt)
    extraction = await extractor.extract(profile, document, requester, team=person.team, key=key.id)
    await parts.access.confirm_caller(caller)
    return build_extraction_json(extraction)
