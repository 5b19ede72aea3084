"""Web pages that owners add: a list of addresses that every sync reads."""

from __future__ import annotations

from pathlib import Path

from bot.document_additions import RefreshableLibrary, sync_source
from bot.messages.message import Message
from knowledge.database.content import SharedContent
from knowledge.settings import SourceSpec
from knowledge.sources.pages.page_list import AddedPage, open_page_list


class PageAdditions:
    """Adds pages to one source and removes them."""

    def __init__(
        self, spec: SourceSpec, home: Path, library: RefreshableLibrary, content: SharedContent | None = None
    ) -> None:
        """``content`` is what several hosts share, if they do."""
        self.source = spec.name
        self._list = open_page_list(spec, home, content)
        self._library = library

    async def add_page(self, url: str, *, by: str) -> AddedPage | None:
        """Add a page to the list on disk; return None if the list has it already.

        Raises:
            KnowledgeError: the address is not one of a web page, or the disk refuses the list.

        """
        return await self._list.run(lambda: self._list.add_page(url, by))

    async def sync_page(self, document: str, *, patience_s: float = 0.0) -> Message | None:
        """Sync the source; return why the page cannot be found, None if it can.

        Raises:
            SyncRunning: another sync takes longer than ``patience_s``. It or the next one reads the page.
            KnowledgeError: the sync cannot start.

        """
        failures, error = await sync_source(self._library, self.source, None, patience_s)
        return failures.get(document, error)

    async def remove_page(self, url: str) -> bool:
        """Remove a page from the list and the index; return False if the list does not have it.

        Raises:
            SyncRunning: a sync is running. It or the next one deletes the page.
            KnowledgeError: the list or the manifest failed.

        """
        if not await self._list.run(lambda: self._list.remove_page(url)):
            return False
        await self._library.refresh(self.source)
        status = next(one for one in (await self._library.status()).sources if one.name == self.source)
        # Deleting the last page waits for approval. The owner removed it on purpose, so it is approved here.
        if status.pending_deletions and status.pending_deletions == len(status.first_pending_deletions):
            await self._library.refresh(self.source, approve={self.source: status.approval_mark})
        return True

    async def list_pages(self) -> list[AddedPage]:
        """Return the pages, oldest first.

        Raises:
            KnowledgeError: the list cannot be read.

        """
        return await self._list.run(self._list.list_pages)
