"""The engine's prefix cache is shared by viewers who may read the same documents, and by nobody else."""

from __future__ import annotations

from functools import partial
from typing import Any

from bot.answering.cache_salts import find_cache_salt
from knowledge.errors import DatabaseError
from knowledge.interfaces import GUESTS, Viewers
from tests.library.library_bench import Bench
from tests.viewers import make_members


async def test_salt_follows_what_viewers_may_read(bench: Bench, new_source: Any) -> None:
    board, docs = new_source("board", "/board"), new_source("docs", "/docs")
    board.put("lyon.md", "# Lyon closes\nThe holiday house is sold.")
    board.readers = frozenset({"S1"})
    docs.put("holiday.md", "Thirty days of holiday a year.")
    async with bench.library(board, docs) as library:
        await library.refresh()
        find_salt = partial(find_cache_salt, library.find_rights_key, "secret")
        anybody = await find_salt(make_members())
        assert anybody == await find_salt(make_members("U1", "U2")), "nobody of them may read more"
        assert anybody == await find_salt(make_members("U3", "S1")), "not all of them are in the group"
        everything, nothing = await find_salt(make_members("S1")), await find_salt(Viewers.of({GUESTS}))
        assert len({anybody, everything, nothing}) == 3
        assert anybody != await find_cache_salt(library.find_rights_key, "another", make_members())
        assert "S1" not in everything


async def test_unknown_rights_share_nothing() -> None:
    async def fail(_viewers: Viewers) -> str:
        raise DatabaseError("The database is down. Start it.")

    find_salt = partial(find_cache_salt, fail, "secret")
    assert await find_salt(make_members()) != await find_salt(make_members())
