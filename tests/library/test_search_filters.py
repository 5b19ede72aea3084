"""Filters in a question, through the whole library."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from knowledge.errors import InvalidFilter, UnknownSource
from tests.library.library_bench import Bench, texts


@pytest.fixture
def handbook(new_source: Any) -> Any:
    source = new_source("handbook", "/handbook")
    source.put("holiday.md", "# Holidays\nThirty days of holiday a year.\n\nAsk your manager for a holiday in time.")
    return source


OLD, NEW = datetime(2025, 6, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)


async def test_typed_filters_only_narrow_the_callers_scope(bench: Bench, handbook: Any, new_source: Any) -> None:
    wiki = new_source("Wiki pages", "/wiki")
    wiki.put("w.md", "The wiki on holiday")
    handbook.modified_at, wiki.modified_at = OLD, NEW
    async with bench.library(handbook, wiki) as library:
        await library.refresh()
        everything = set(await texts(library, "holiday"))
        assert len(everything) > 1
        assert await texts(library, 'holiday in:"wiki pages"') == ["The wiki on holiday"]
        assert set(await texts(library, "holiday in:handbook in:'Wiki pages'")) == everything
        assert await texts(library, "holiday after:2026-01-01") == ["The wiki on holiday"]
        assert set(await texts(library, "holiday before:2026-01-01")) == everything - {"The wiki on holiday"}
        assert set(await texts(library, "holiday before:2026-01-01", sources=["Wiki pages"])) == set()
        assert (await library.search("holiday in:handbook")).query == "holiday in:handbook"
        with pytest.raises(UnknownSource, match=r"no source “handbok”\. Did you mean “handbook”"):
            await library.search("holiday in:handbok")
        with pytest.raises(UnknownSource, match=r"Sources are: Wiki pages\."):
            await library.search("holiday in:handbook", sources=["Wiki pages"])
        with pytest.raises(InvalidFilter, match="is not a date"):
            await library.search("holiday after:soon")


async def test_neighbours_come_from_the_real_manifest(bench: Bench, handbook: Any) -> None:
    handbook.put("steps.md", "zebra step one\n\nzebra step two\n\nzebra step three")
    async with bench.library(handbook) as library:
        await library.refresh()
        first = (await library.search("zebra step two", limit=1)).hits[0]
        assert first.context == "zebra step one\n\nzebra step two\n\nzebra step three"
        assert len(first.chunks) == 3
