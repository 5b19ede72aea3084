"""Finds the passages of the company's policy that rules follow, for some viewers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bot.profiles.transactions.profile import RulePolicy
from knowledge.errors import KnowledgeError
from knowledge.interfaces import Hit, SearchResult, Viewers

_MOST_PASSAGES = 20


class SearchDocuments(Protocol):
    """Searches the documents; ``bot.ready_library`` has the real one."""

    async def __call__(self, query: str, *, limit: int, viewers: Viewers) -> SearchResult:
        """Return the best passages that all viewers may read."""


class PolicyPassages:
    """The passages for some viewers; each policy is searched once."""

    def __init__(self, search: SearchDocuments, viewers: Viewers) -> None:
        self._search = search
        self._viewers = viewers
        self._found: dict[RulePolicy, Hit | None] = {}
        self.failure: KnowledgeError | None = None
        """Why a search failed, so that passages may be missing."""

    @property
    def hits(self) -> Sequence[Hit]:
        """Return the passages that were found."""
        return [hit for hit in self._found.values() if hit is not None]

    async def find_passage(self, policy: RulePolicy) -> Hit | None:
        """Return the passage of a policy; None if no document that the viewers may read has one."""
        query = policy.query or policy.heading or policy.document
        if query and policy not in self._found:
            try:
                result = await self._search(query, limit=_MOST_PASSAGES, viewers=self._viewers)
            except KnowledgeError as error:
                self.failure = error
                return None
            self._found[policy] = _pick_passage(policy, result)
        return self._found.get(policy)


def _pick_passage(policy: RulePolicy, result: SearchResult) -> Hit | None:
    """Return the first passage of the document and the section that a policy names."""
    if not (policy.document or policy.heading):
        return result.hits[0] if result.hits and result.related else None
    for hit in result.hits:
        is_document = policy.document in {"", hit.document, hit.title, f"{hit.source}/{hit.document}"}
        # The passage of a short document has all of its headings in the text.
        if is_document and policy.heading.casefold() in f"{hit.heading}\n{hit.text}".casefold():
            return hit
    return None
