"""Name and count the documents that viewers may see, by source."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from knowledge.interfaces import EVERYONE, Viewers, may_read
from knowledge.search.access.rights_check import WITHIN_S
from knowledge.search.source_rules import SourceRules
from knowledge.sync.manifest.index_manifest import IndexManifest
from knowledge.sync.manifest.lookups import Lookups
from knowledge.sync.manifest.records import ListedTitle, decode_readers
from knowledge.sync.rights import RightsChecker

_TITLES: Final = 5
"""Titles of documents that describe a source."""
_MAX_LISTED: Final = 100
"""Documents from which those titles are chosen."""
_MAX_CHECKED: Final = 15
"""Documents about which the source is asked before their titles are shown."""
_MAX_COUNTED: Final = 5
"""Documents about which the source is asked before it is named and its documents are counted."""


@dataclass(frozen=True, slots=True)
class SourceDocuments:
    """The documents of a source that some viewers may see."""

    name: str
    kind: str
    documents: int
    synced_at: datetime | None
    """As ``SourceStatus.synced_at``."""
    titles: tuple[str, ...]
    """Titles of some of them, by weight and name."""


@dataclass(frozen=True, slots=True)
class RecentDocument:
    """A document that some viewers may see."""

    source: str
    title: str
    changed_at: float
    """When it changed, or when it was first read if its source does not say that, in seconds since the epoch."""


class ReadableDocuments:
    """Describes sources to viewers. A source is asked about some of the documents that they may see by the manifest.

    If it confirms none of them, the viewers do not hear of it. The count is the manifest's, without those that it does
    not confirm.
    """

    def __init__(
        self,
        rules: Collection[SourceRules],
        checker: RightsChecker,
        find_manifest: Callable[[], Awaitable[IndexManifest]],
    ) -> None:
        """Take the rules of all sources, and a function that returns the manifest of the active index."""
        self._rules = {one.key.name: one for one in rules}
        self._checker = checker
        self._find_manifest = find_manifest

    async def describe_sources(self, viewers: Viewers, names: Collection[str]) -> tuple[SourceDocuments, ...]:
        """Return the documents of the named sources that all viewers may see; sources without any are left out.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        found = await self._find_documents(
            viewers, [rules for name, rules in self._rules.items() if name in names], _MAX_CHECKED
        )
        return tuple(one for one in found if one.documents)

    async def list_sources(self, viewers: Viewers) -> frozenset[str]:
        """Return the names of the sources of which all viewers may read something; no document is counted.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        manifest = await self._find_manifest()

        async def has_documents(rules: SourceRules) -> bool:
            return bool((await self._confirm_documents(manifest, rules, viewers, _MAX_COUNTED)).titles)

        found = await asyncio.gather(*map(has_documents, self._rules.values()))
        return frozenset(name for name, has_some in zip(self._rules, found, strict=True) if has_some)

    async def count_documents(self, viewers: Viewers) -> Mapping[str, int]:
        """Return how many documents of each source all viewers may see; sources without any are left out.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        found = await self._find_documents(viewers, list(self._rules.values()), _MAX_COUNTED)
        return {one.name: one.documents for one in found if one.documents}

    async def list_recent(self, viewers: Viewers, names: Collection[str], limit: int) -> tuple[RecentDocument, ...]:
        """Return the documents of the named sources that all viewers may see, those that changed last first.

        Documents of less weight are left out.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        manifest = await self._find_manifest()

        async def list_newest(rules: SourceRules) -> list[RecentDocument]:
            confirmed = await self._confirm_documents(manifest, rules, viewers, limit, newest=True)
            return [RecentDocument(rules.key.name, one.title, one.changed_at) for one in confirmed.titles if one.title]

        found = await asyncio.gather(*(list_newest(rules) for name, rules in self._rules.items() if name in names))
        by_title: dict[str, RecentDocument] = {}
        for one in sorted((one for listed in found for one in listed), key=lambda one: -one.changed_at):
            by_title.setdefault(one.title, one)
        return tuple(by_title.values())[:limit]

    async def _find_documents(
        self, viewers: Viewers, sources: Sequence[SourceRules], checked: int
    ) -> list[SourceDocuments]:
        manifest = await self._find_manifest()
        return await asyncio.gather(*(self._look_into(manifest, rules, viewers, checked) for rules in sources))

    async def _look_into(
        self, manifest: IndexManifest, rules: SourceRules, viewers: Viewers, checked: int
    ) -> SourceDocuments:
        confirmed = await self._confirm_documents(manifest, rules, viewers, checked)
        titles = dict.fromkeys(one.title or one.document for one in confirmed.titles)
        documents = await _count_documents(manifest, rules, confirmed.visible) if titles else 0
        listed_at = confirmed.visible.listed_at
        return SourceDocuments(
            name=rules.key.name,
            kind=rules.key.kind,
            documents=max(0, documents - confirmed.unanswered_count),
            synced_at=None if listed_at is None else datetime.fromtimestamp(listed_at, UTC),
            titles=tuple(titles)[:_TITLES],
        )

    async def _confirm_documents(
        self, manifest: IndexManifest, rules: SourceRules, viewers: Viewers, checked: int, *, newest: bool = False
    ) -> _ConfirmedTitles:
        """Return documents that the viewers may see now, after the source was asked about them."""
        visible = await _read_visible(manifest, rules, viewers)
        listed = await _list_titles(manifest, rules, visible, checked, newest=newest)
        rights = await manifest.find_named_rights(rules.key, [one.document for one in listed])
        answer = await self._checker.check_rights(manifest, rights, WITHIN_S)
        if answer.changed_rows:
            visible = await _read_visible(manifest, rules, viewers)
            listed = await _list_titles(manifest, rules, visible, checked, newest=newest)
        names = {one.document for one in rights if one.row not in answer.unanswered_rows}
        return _ConfirmedTitles(visible, [one for one in listed if one.document in names], len(answer.unanswered_rows))


@dataclass(frozen=True, slots=True)
class _Visible:
    """What viewers may see of a source by the manifest."""

    audiences: Mapping[str, int]
    """The audiences that include all viewers, with their numbers of documents."""
    admits: Callable[[str], bool] | None
    """Whether the configuration admits the viewers to a document; None if it admits them to all."""
    listed_at: float | None


@dataclass(frozen=True, slots=True)
class _ConfirmedTitles:
    """Documents that viewers may see, confirmed by their source."""

    visible: _Visible
    titles: Sequence[ListedTitle]
    unanswered_count: int
    """About how many others the source gave no answer."""


async def _read_visible(manifest: Lookups, rules: SourceRules, viewers: Viewers) -> _Visible:
    audiences = {
        audience: count
        for audience, count in (await manifest.count_audiences(rules.key)).items()
        if may_read(viewers, decode_readers(audience))
    }
    counts = await manifest.count_source(rules.key)
    # A document whose deletion is pending keeps readers of an earlier listing.
    find_readers = rules.find_readers if counts.pending_deletions else rules.choose_readers(counts.readers_key)
    # The limit concerns only people who are no full members.
    if find_readers is rules.find_limit and may_read(viewers, EVERYONE):
        return _Visible(audiences, None, counts.listed_at)
    return _Visible(audiences, lambda document: may_read(viewers, find_readers(document)), counts.listed_at)


async def _list_titles(
    manifest: Lookups, rules: SourceRules, visible: _Visible, limit: int, *, newest: bool
) -> Sequence[ListedTitle]:
    """Return some visible documents: by weight and name, or the newest ones of full weight."""
    listed = await manifest.list_titles(rules.key, visible.audiences, _MAX_LISTED, newest=newest)
    if visible.admits is not None:
        listed = [one for one in listed if visible.admits(one.document)]
    if newest:
        return [one for one in listed if rules.weigh(one.document) >= 1][:limit]
    return sorted(listed, key=lambda one: -rules.weigh(one.document))[:limit]


async def _count_documents(manifest: Lookups, rules: SourceRules, visible: _Visible) -> int:
    """Return how many documents are visible."""
    if not visible.audiences or visible.admits is None:
        return sum(visible.audiences.values())
    readers = await manifest.list_readers(rules.key)
    return sum(one in visible.audiences and visible.admits(document) for document, one in readers)
