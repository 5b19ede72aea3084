"""The checks that ask something: a server, the sources, the audit's records or a list of vulnerabilities."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import aiohttp

from bot.audit.chain import list_chains
from bot.audit.reading import EntryReader, summarise_entries
from bot.audit.settings import AuditSettings
from bot.audit.verification import verify_audit
from bot.config.settings import Settings
from bot.security.advisories import NotChecked, find_advisories
from knowledge.library import Library
from knowledge.parsing import describe_jail
from knowledge.stores.registry import STORES
from knowledge.web.http.fetch import create_tls_context

_CALL_S = 10.0
_SAMPLE = 50  # documents of each source whose readers are compared with what the source says
_READING_DAYS = 30
_FOREIGN = "NotOfKvasir"  # a collection to which the role of deploy/weaviate-role.json gives no right

Probe = Callable[[], Awaitable[Sequence[str]]]
"""Returns the places of a problem, none if there is none. Any error means that nothing was checked."""


def list_probes(settings: Settings, library: Library | None) -> Mapping[str, Probe | None]:
    """Return the checks by name; None for one that has nothing to ask, such as a library that cannot be opened."""
    where = settings.configuration.security.advisories
    return {
        "parser-sandbox": describe_jail,
        "weaviate-anonymous": functools.partial(_find_open_weaviate, settings),
        "weaviate-administrator": functools.partial(_find_wide_key, settings),
        "rights-drift": functools.partial(library.access.find_drift, _SAMPLE) if library is not None else None,
        "audit-chain": functools.partial(_find_changed_entries, settings.audit),
        "unusual-reading": functools.partial(_find_unusual_reading, settings.audit),
        "advisories": functools.partial(find_advisories, where, settings.config.parent),
    }


async def _find_changed_entries(audit: AuditSettings) -> Sequence[str]:
    """Return what was changed, cut or deleted in the audit.

    Raises:
        NotChecked: there is no audit.

    """
    _require_files(audit)
    return (await asyncio.to_thread(verify_audit, audit)).problems


async def _find_unusual_reading(audit: AuditSettings) -> Sequence[str]:
    """Return the pseudonyms of people who read far more documents than most in the last days.

    Raises:
        NotChecked: there is no audit.

    """
    _require_files(audit)
    since = (datetime.now(UTC) - timedelta(days=_READING_DAYS)).isoformat()
    summary = await asyncio.to_thread(lambda: summarise_entries(EntryReader(audit, ()).read_entries(since=since)))
    return [f"{person}: {count} documents" for person, count in summary.unusual.items()]


def _require_files(audit: AuditSettings) -> None:
    if not list_chains(audit.folder):
        raise NotChecked(f"There is no audit in {audit.folder}. Check [audit] in kvasir.toml.")


async def _find_open_weaviate(settings: Settings) -> Sequence[str]:
    """Return the addresses of a Weaviate that answers without a key."""
    answers = await _ask_weaviate(settings, "")
    return [url for url, status in answers.items() if status not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}]


async def _find_wide_key(settings: Settings) -> Sequence[str]:
    """Return the addresses of a Weaviate whose key may read a collection that is not Kvasir's."""
    key = settings.knowledge.store_variables.get("WEAVIATE_API_KEY", "")
    answers = await _ask_weaviate(settings, key) if key else {}
    return [url for url, status in answers.items() if status != HTTPStatus.FORBIDDEN]


async def _ask_weaviate(settings: Settings, key: str) -> Mapping[str, int]:
    """Return by its address the status with which each node answers about a collection that is not Kvasir's.

    Raises:
        NotChecked: it does not answer, or refuses the key.

    """
    knowledge, found = settings.knowledge, dict[str, int]()
    variables = knowledge.store_variables
    urls = STORES["weaviate"].list_addresses(variables)[::2] if "WEAVIATE_URL" in variables else ()
    headers, timeout = {"Authorization": f"Bearer {key}"} if key else {}, aiohttp.ClientTimeout(total=_CALL_S)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        for url in urls:
            try:
                async with session.get(f"{url}/v1/schema/{_FOREIGN}", ssl=create_tls_context(knowledge.web)) as answer:
                    found[url] = answer.status
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise NotChecked(f"Weaviate at {url} does not answer ({type(error).__name__}). Start it.") from None
            if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or (key and answer.status == HTTPStatus.UNAUTHORIZED):
                raise NotChecked(f"Weaviate at {url} answers {answer.status}. Check WEAVIATE_API_KEY and its log.")
    return found
