"""Open the index of a store on a server, now or as soon as the server answers."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

from knowledge.errors import StoreError, StoreUnavailable
from knowledge.stores.common import enforce_deadline

Index = TypeVar("Index")

_log = logging.getLogger(__name__)


class ServerStore(ABC, Generic[Index]):
    """What stores on a server share: one that is down when the store opens does not stop Kvasir.

    The first call that reaches the server then checks the index; until then every call reports the error. Only ``open``
    creates an index, so a late call finds that it is lost, if another process has deleted it meanwhile.

    Args:
        server: what the server is called.
        make_timeout_text: returns the text of a ``StoreUnavailable`` after so many seconds.

    """

    def __init__(self, server: str, make_timeout_text: Callable[[float], str]) -> None:
        self._server = server
        self._make_timeout_text = make_timeout_text
        self._index: Index | None = None
        """None while the store is not open."""
        self._is_ready = False
        self._preparing = asyncio.Lock()

    async def _open_index(self, index: Index, seconds: float) -> None:
        """Create and check an index. If the server does not answer, do it later."""
        self._index, self._is_ready = index, False
        try:
            await self._wait_until_ready(seconds, creates=True)
        except StoreUnavailable as error:
            _log.warning("%s Kvasir continues without it, and uses it as soon as it answers.", error)

    def _get_index(self) -> Index:
        if self._index is None:
            raise StoreError(f"The connection to {self._server} is not open: start Kvasir again.")
        return self._index

    async def _wait_until_ready(self, seconds: float, *, creates: bool = False) -> Index:
        """Check the index once, and return it. Concurrent calls wait for it."""
        index = self._get_index()
        if not self._is_ready:
            async with enforce_deadline(seconds, self._make_timeout_text(seconds)), self._preparing:
                if not self._is_ready:
                    await self._prepare_index(index, seconds, creates=creates)
                    self._is_ready = index is self._index  # not if another one was opened meanwhile
        return index

    @abstractmethod
    async def _prepare_index(self, index: Index, seconds: float, *, creates: bool) -> None:
        """Check the index, and create it before if it is missing and ``creates`` says so.

        Raises:
            StoreUnavailable: the server does not answer.
            IndexLost: it is missing.
            StoreError: it cannot be used.

        """
