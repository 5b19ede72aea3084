"""Readers in ``kvasir.toml`` count from the next start on, before any sync."""

from __future__ import annotations

from typing import Any
from unicodedata import normalize

import pytest

from knowledge.interfaces import EVERYONE, Viewers
from knowledge.settings import PathRights
from tests.library.library_bench import Bench, texts

pytestmark = pytest.mark.slow

MEMBER, BOARD, GUEST = Viewers.of({"*"}), Viewers.of({"*", "S012"}), Viewers.of({"guests", "C1"})


@pytest.fixture
def handbook(new_source: Any) -> Any:
    source = new_source("handbook", "/handbook")
    source.put("holiday.md", "# Holidays\nThirty days of holiday a year.")
    source.put("hr/pay.md", "# Pay\nHoliday pay is paid in May.")
    return source


async def find_all(bench: Bench, source: Any, viewers: Viewers) -> tuple[set[str], list[int], list[str], bool]:
    """Return what these viewers get in every way, in a new process that has not synced."""
    async with bench.library(source) as library:
        everything = Viewers.of({"*", "S012", "C1", "guests"})
        hits = (await library.search("holiday pay", viewers=everything)).hits
        chunks = {chunk for hit in hits for chunk in hit.chunks}
        listed = await library.list_documents(viewers)
        left = await library.filter_current(chunks, viewers)
        passage = await library.read_passage(sorted(left), viewers) if left else None
        found = set(await texts(library, "holiday pay", viewers=viewers))
        assert len(left) == len(found) == sum(one.documents for one in listed)
        return found, [one.documents for one in listed], [t for one in listed for t in one.titles], passage is not None


async def test_narrower_readers_count_before_the_next_sync(bench: Bench, handbook: Any) -> None:
    handbook.readers = bench.readers = frozenset({"*", "C1"})
    async with bench.library(handbook) as library:
        await library.refresh()
    days, pay = "Thirty days of holiday a year.", "Holiday pay is paid in May."
    for viewers in (MEMBER, BOARD, GUEST):
        assert await find_all(bench, handbook, viewers) == ({days, pay}, [2], ["Holidays", "Pay"], True)
    bench.readers = EVERYONE
    assert await find_all(bench, handbook, GUEST) == (set(), [], [], False)
    assert await find_all(bench, handbook, MEMBER) == ({days, pay}, [2], ["Holidays", "Pay"], True)
    bench.readers = frozenset({"S012"})
    assert await find_all(bench, handbook, MEMBER) == (set(), [], [], False)
    assert await find_all(bench, handbook, BOARD) == ({days, pay}, [2], ["Holidays", "Pay"], True)


async def test_readers_of_a_path_count_before_the_next_sync(bench: Bench, handbook: Any) -> None:
    async with bench.library(handbook) as library:
        await library.refresh()
    bench.rights = (PathRights("hr/**", frozenset({"S012"})),)
    days, pay = "Thirty days of holiday a year.", "Holiday pay is paid in May."
    assert await find_all(bench, handbook, MEMBER) == ({days}, [1], ["Holidays"], True)
    assert await find_all(bench, handbook, BOARD) == ({days, pay}, [2], ["Holidays", "Pay"], True)


async def test_after_a_sync_the_manifest_decides_alone(bench: Bench, handbook: Any) -> None:
    """A source may name readers of its own, such as guests, whom ``kvasir.toml`` does not name."""
    handbook.readers = frozenset({"C1"})
    async with bench.library(handbook) as library:
        await library.refresh()
        assert len(await texts(library, "holiday pay", viewers=GUEST)) == 2
    bench.rights = (PathRights("hr/**", EVERYONE),)
    assert (await find_all(bench, handbook, GUEST))[0] == set(), "until a sync has applied the new configuration"
    async with bench.library(handbook) as library:
        await library.refresh()
        assert len(await texts(library, "holiday pay", viewers=GUEST)) == 2


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (normalize("NFD", "hr/Gehälter/may.md"), "hr/Gehälter/**"),
        ("hr/Gehälter/may.md", normalize("NFD", "hr/Gehälter")),
        ("hr/pay/may.md", "./hr/**"),
        ("hr/pay/may.md", "/hr/"),
    ],
)
async def test_a_path_matches_however_it_is_written(bench: Bench, new_source: Any, document: str, path: str) -> None:
    bench.rights = (PathRights(path, frozenset({"S012"})),)
    source = new_source("handbook", "/handbook")
    source.put(document, "# Pay\nHoliday pay is paid in May.")
    assert (await find_synced(bench, source, MEMBER), await find_synced(bench, source, BOARD)) == (0, 1)


async def find_synced(bench: Bench, source: Any, viewers: Viewers) -> int:
    async with bench.library(source) as library:
        await library.refresh()
        return len(await texts(library, "holiday pay", viewers=viewers))


async def test_named_readers_keep_out_whom_only_the_source_admits(bench: Bench, handbook: Any) -> None:
    """``readers = ["*"]`` is for full members, although the source admits a guest by name. Without it, he may read."""
    handbook.readers = frozenset({"C1"})
    async with bench.library(handbook) as library:
        await library.refresh()
    for names_readers, count in ((False, 2), (True, 0)):
        bench.names_readers = names_readers
        assert len((await find_all(bench, handbook, GUEST))[0]) == count


async def test_a_path_without_readers_keeps_the_guests_of_its_source(bench: Bench, handbook: Any) -> None:
    handbook.readers = bench.readers = frozenset({"*", "guests"})
    bench.rights = (PathRights("hr/**", frozenset({"S012"})),)
    async with bench.library(handbook) as library:
        await library.refresh()
    assert (await find_all(bench, handbook, GUEST))[0] == {"Thirty days of holiday a year."}


async def test_a_path_for_all_full_members_ends_what_an_earlier_pattern_limits(bench: Bench, handbook: Any) -> None:
    bench.rights = (PathRights("**", frozenset({"S012"})), PathRights("hr/**", EVERYONE))
    async with bench.library(handbook) as library:
        await library.refresh()
        assert await texts(library, "holiday pay", viewers=MEMBER) == ["Holiday pay is paid in May."]


async def test_what_explains_rights_agrees_with_the_search_on_guests(bench: Bench, handbook: Any) -> None:
    handbook.readers = frozenset({"C1"})
    for names_readers in (False, True):
        bench.names_readers = names_readers
        async with bench.library(handbook) as library:
            await library.refresh()
            [access] = await library.access.find_documents("handbook/holiday.md")
            found = await texts(library, "thirty days of holiday", viewers=GUEST)
            assert access.may_be_read(GUEST) is ("Thirty days of holiday a year." in found) is not names_readers


async def test_a_source_that_names_other_readers_displaces_nothing(bench: Bench, new_source: Any) -> None:
    """Nine hundred better passages that the configuration refuses must not fill the pool of candidates."""
    board, wiki = new_source("board", "/board"), new_source("wiki", "/wiki")
    board.readers = wiki.readers = frozenset({"C1"})
    for n in range(900):
        board.put(f"{n}.md", f"holiday {n}")
    wiki.put("guests.md", "a very long text about everything else which names one holiday of guests at its end")
    async with bench.library(board, wiki) as library:
        await library.refresh()
    bench.names_readers, bench.unnamed = True, frozenset({"wiki"})
    async with bench.library(board, wiki) as library:
        assert len(await texts(library, "holiday", viewers=GUEST)) == 1
