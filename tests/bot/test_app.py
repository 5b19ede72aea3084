"""What the composition root decides by itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.app import Shelf


class Endless:
    """A library whose search never ends."""

    async def search(self, *_: object, **__: object) -> Any:
        await asyncio.Event().wait()


@pytest.mark.parametrize("turns", range(6))
async def test_a_search_is_cancelled_whatever_the_moment(turns: int) -> None:
    """A cancellation that arrives together with the end of the first sync is one all the same."""
    shelf = Shelf(Endless(), None)  # type: ignore[arg-type]
    search = asyncio.create_task(shelf.search("q", limit=1))
    await asyncio.sleep(0)
    shelf.read.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    search.cancel()
    done, _ = await asyncio.wait({search}, timeout=1.0)
    search.cancel()
    assert done
    assert search.cancelled()
