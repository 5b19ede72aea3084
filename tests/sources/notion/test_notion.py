"""Notion against a fake that was written from its documentation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge.errors import SourceDenied, SourceError, SourceMisconfigured, SourceUnavailable
from knowledge.interfaces import Source
from knowledge.parsing.formats.web_page import parse_html
from knowledge.sources.notion import source as notion
from knowledge.sources.notion.api import parse_page_id
from knowledge.sources.notion.blocks import NotionBlock, render_page_html
from tests.sources.hosted.fake_service import Fault
from tests.sources.hosted.world import World, listing, seal_malformed_states
from tests.sources.notion.fake_notion import FakeNotion, rich

TOKEN = "ntn_s3cret"


@pytest.fixture
async def fake() -> AsyncIterator[FakeNotion]:
    async with FakeNotion(TOKEN) as fake:
        yield fake


@pytest.fixture
def world() -> World:
    return World()


def build(fake: FakeNotion, world: World, **options: Any) -> Source:
    settings = {"token_env": "T", "rights": "ignore", "url": fake.url, "requests_per_s": 1e6, **options}
    return world.build(notion.KIND, {"token": TOKEN}, **settings)


def ids(*pages: str) -> set[str]:
    return {page.replace("-", "") for page in pages}


# ── Listing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_child_pages_are_found_at_any_place(fake: FakeNotion, world: World) -> None:
    root = fake.page("root")
    child = fake.page("child", root)
    column = fake.block(fake.block(root, "column_list"), "column")
    nested = fake.page("nested", column)
    database, source_id = fake.database("tasks", child)
    row = fake.page("row", source=source_id)
    below = fake.page("below a row", row)
    fake.page("elsewhere")
    source = build(fake, world, pages=[f"https://www.notion.so/acme/Root-{root.replace('-', '')}?pvs=4"])
    assert set(await listing(source)) == ids(root, child, nested, row, below)
    only = build(fake, World(), databases=[database])
    assert set(await listing(only)) == ids(row, below)
    for one in (source, only):
        await one.close()


async def test_the_walk_finds_pages_that_search_misses(fake: FakeNotion, world: World) -> None:
    shared = fake.page("shared")
    unindexed = fake.page("unindexed", shared)
    fake.unindexed.add(unindexed)
    source = build(fake, world)
    assert set(await listing(source)) == ids(shared, unindexed)
    assert set(await listing(source)) == ids(shared, unindexed)
    await source.close()


async def test_a_second_listing_searches_only_edited_pages(fake: FakeNotion, world: World) -> None:
    root = fake.page("root")
    pages = [fake.page(f"p{number}", root) for number in range(10)]
    source = build(fake, world, pages=[root])
    first = await listing(source)
    fake.calls.clear()
    assert await listing(source) == first
    assert fake.asked("/children") == 0
    fake.text(pages[3], "new")
    second = await listing(source)
    assert {one for one in second if second[one] != first[one]} == ids(pages[3])
    assert fake.asked("/children") == 1
    await source.close()


async def test_once_a_day_everything_is_fetched_again(fake: FakeNotion, world: World) -> None:
    root = fake.page("root")
    source = build(fake, world, pages=[root])
    await listing(source)
    world.now += 24 * 3600
    fake.calls.clear()
    await listing(source)
    assert fake.asked("/children") == 1
    await source.close()


@pytest.mark.parametrize("counts", [True, False])
async def test_a_page_can_move_out_of_the_root_and_back(fake: FakeNotion, world: World, *, counts: bool) -> None:
    """Whether or not Notion counts a move as an edit of the pages that it concerns."""
    root, elsewhere = fake.page("root"), fake.page("elsewhere")
    page = fake.page("page", root)
    below = fake.page("below", page)
    source = build(fake, world, pages=[root])
    assert set(await listing(source)) == ids(root, page, below)
    fake.move(page, elsewhere, counts=counts)
    assert set(await listing(source)) == ids(root)
    fake.move(page, root, counts=counts)
    assert set(await listing(source)) == ids(root, page, below)
    await source.close()


async def test_trashed_and_unshared_pages_leave_and_restored_ones_return(fake: FakeNotion, world: World) -> None:
    root = fake.page("root")
    page, other = fake.page("page", root), fake.page("other", root)
    database, source_id = fake.database("tasks", root)
    row = fake.page("row", source=source_id)
    source = build(fake, world, pages=[root])
    assert set(await listing(source)) == ids(root, page, other, row)
    fake.trash(page)
    fake.unshared.add(other)
    fake.trash(database)
    assert set(await listing(source)) == ids(root)
    fake.pages[page]["in_trash"] = False
    fake.unshared.clear()
    fake.databases[database]["in_trash"] = False
    assert set(await listing(source)) == ids(root, page, other, row)
    await source.close()


async def test_a_missing_root_is_an_error(fake: FakeNotion, world: World) -> None:
    root = fake.page("root")
    source = build(fake, world, pages=[root])
    await listing(source)
    fake.trash(root)
    with pytest.raises(SourceError, match="shared with Kvasir"):
        await listing(source)
    await source.close()


async def test_a_circle_of_child_pages_stops_the_walk(fake: FakeNotion, world: World) -> None:
    one = fake.page("one")
    other = fake.page("other", one)
    fake.blocks[one] = {"object": "block", "id": one, "type": "child_page", "child_page": {}, "has_children": True}
    fake.children[other].append(one)
    synced = fake.block(one, "synced_block", synced_from={"type": "block_id", "block_id": one})
    fake.blocks[synced]["has_children"] = True
    source = build(fake, world, pages=[one])
    found = await listing(source)
    assert set(found) == ids(one, other)
    await source.read(found[one.replace("-", "")])
    await source.close()


async def test_an_edit_in_the_same_minute_is_not_missed(fake: FakeNotion, world: World) -> None:
    """Times are given by the minute: until it is over for sure, a version is not the last word."""
    page = fake.page("page")
    fake.text(page, "first")
    world.now = fake.now.timestamp() + 10
    source = build(fake, world)
    (one,) = (await listing(source)).values()
    stored = (await source.read(one)).version
    fake.now -= timedelta(minutes=1)  # ``text`` lets a minute pass
    fake.text(page, "second")
    world.now += 600
    (after,) = (await listing(source)).values()
    assert after.version != stored
    content = await source.read(after)
    assert b"second" in content.data
    assert content.version == after.version
    await source.close()


@pytest.mark.slow
@settings(
    max_examples=min(25, settings().max_examples),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)
@given(st.lists(st.lists(
    st.tuples(st.sampled_from(["new", "edit", "trash", "restore", "move", "row", "database"]), st.integers(0, 9),
              st.integers(0, 9), st.booleans()), max_size=4), min_size=1, max_size=5))  # fmt: skip
def test_a_walk_with_memory_finds_what_a_full_one_finds(rounds: list[list[tuple[str, int, int, bool]]]) -> None:
    asyncio.run(_follow(rounds))


async def _follow(rounds: list[list[tuple[str, int, int, bool]]]) -> None:
    async with FakeNotion(TOKEN) as fake:
        root, outside = fake.page("root"), fake.page("outside")
        sources: list[str] = []
        world = World()
        for edits in rounds:
            for edit, number, other, counts in edits:
                _edit(fake, sources, (root, outside), edit, number, other, counts=counts)
            remembering, afresh = build(fake, world, pages=[root]), build(fake, World(), pages=[root])
            assert await listing(remembering) == await listing(afresh)
            await remembering.close()
            await afresh.close()


def _edit(
    fake: FakeNotion, sources: list[str], fixed: tuple[str, str], edit: str, number: int, other: int, *, counts: bool
) -> None:
    pages = list(fake.pages)
    page, target = pages[number % len(pages)], pages[other % len(pages)]
    if edit == "new":
        fake.page("new", page)
    elif edit == "database":
        sources.append(fake.database("database", page)[1])
    elif edit == "row" and sources:
        fake.page("row", source=sources[number % len(sources)])
    elif edit == "edit":
        fake.text(page, "edited")
    elif edit == "restore":
        fake.pages[page]["in_trash"] = False
    elif edit == "trash" and page not in fixed:
        fake.trash(page)
    elif edit == "move" and page not in fixed and page != target and page in fake.blocks:
        fake.move(page, target, counts=counts)


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_no_text_of_a_page_is_lost(fake: FakeNotion, world: World) -> None:
    page = fake.page("Leave")
    fake.block(page, "heading_1", rich_text=rich("How many"))
    formula = [*rich("so "), {"type": "equation", "equation": {"expression": "d=30"}, "plain_text": "d=30"}]
    mention = {"type": "mention", "mention": {"type": "user"}, "plain_text": "@Ada", "annotations": {}}
    fake.block(page, "paragraph", rich_text=[*formula, mention, *rich("x<y", code=True)])
    toggle = fake.block(page, "toggle", rich_text=rich("Why?"))
    fake.block(fake.block(toggle, "bulleted_list_item", rich_text=rich("outer")), "paragraph", rich_text=rich("inner"))
    fake.block(page, "to_do", rich_text=rich("sign"), checked=True)
    fake.block(page, "callout", rich_text=rich("Not in August"), icon={"type": "emoji", "emoji": "⚠️"})
    fake.block(page, "code", rich_text=rich("if (a < b)\n  c();"), language="c", caption=rich("an example"))
    fake.block(page, "equation", expression="E=mc^2")
    fake.block(page, "image", type="external", external={"url": "https://x/y.png"}, caption=rich("The calendar"))
    fake.block(page, "bookmark", url="https://example.com/form", caption=[])
    table = fake.block(page, "table", has_column_header=True, table_width=2)
    fake.block(table, "table_row", cells=[rich("Role"), rich("Days")])
    fake.block(table, "table_row", cells=[rich("Nurse | ward"), rich("30")])
    original = fake.block(page, "synced_block", synced_from=None)
    fake.block(original, "quote", rich_text=rich("synced words"))
    copy = fake.block(page, "synced_block", synced_from={"type": "block_id", "block_id": original})
    fake.blocks[copy]["has_children"] = True
    fake.block(page, "unsupported")
    source = build(fake, world)
    (one,) = (await listing(source)).values()
    content = await source.read(one)
    document = parse_html(content.data, one.document)
    said = "\n".join(section.text for section in document.sections)
    assert (document.title, content.title) == ("Leave", "Leave")
    assert document.sections[0].headings == ("How many",)
    for what in (
        "so $d=30$@Ada`x<y`", "Why?", "outer", "inner", "[x] sign", "⚠️ Not in August", "if (a < b)\n  c();",
        "an example", "$$E=mc^2$$", "The calendar", "https://example.com/form", "| Role | Days |", "Nurse", "| 30 |",
    ):  # fmt: skip
        assert what in said, what
    assert said.count("synced words") == 2
    await source.close()


async def test_a_row_has_its_properties_as_text(fake: FakeNotion, world: World) -> None:
    _, source_id = fake.database("tasks", fake.page("home"))
    row = fake.page(
        "Fix the door", source=source_id,
        Status={"type": "status", "status": {"name": "Open"}}, Due={"type": "date", "date": {"start": "2026-03-01"}},
        Tags={"type": "multi_select", "multi_select": [{"name": "house"}, {"name": "urgent"}]},
        Who={"type": "people", "people": [{"name": "Ada"}]}, Cost={"type": "number", "number": 12.5},
        Done={"type": "checkbox", "checkbox": False},
        Ticket={"type": "unique_id", "unique_id": {"prefix": "OP", "number": 7}},
        Sum={"type": "formula", "formula": {"type": "number", "number": 3}}, Empty={"type": "select", "select": None},
        All={"type": "rollup", "rollup": {"type": "array", "array": [{"type": "number", "number": 1}]}},
    )  # fmt: skip
    source = build(fake, world)
    found = await listing(source)
    said = parse_html((await source.read(found[row.replace("-", "")])).data, "x").sections[0].text
    for what in ("Status | Open", "Due | 2026-03-01", "Tags | house, urgent", "Who | Ada", "Cost | 12.5", "Done | no",
                 "Ticket | OP-7", "Sum | 3", "All | 1"):  # fmt: skip
        assert what in said, what
    assert "Empty" not in said
    await source.close()


async def test_deleted_between_listing_and_reading(fake: FakeNotion, world: World) -> None:
    page, other = fake.page("page"), fake.page("other")
    source = build(fake, world)
    found = await listing(source)
    fake.trash(page)
    fake.unshared.add(other)
    for one in ids(page, other):
        with pytest.raises(SourceError, match=f"{one} is gone"):
            await source.read(found[one])
    await source.close()


# ── What the wire can do ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_memory_in_another_form_is_not_used(fake: FakeNotion, world: World) -> None:
    fake.page("p")
    source = build(fake, world)
    first = await listing(source)
    ((key, saved),) = world.kept.items()
    for malformed in seal_malformed_states(saved):
        world.kept[key] = malformed
        assert await listing(source) == first, malformed
    await source.close()


async def test_a_listing_that_fails_on_page_7_keeps_what_was_remembered(fake: FakeNotion, world: World) -> None:
    fake.most = 2
    for number in range(20):
        fake.page(f"p{number}")
    source = build(fake, world)
    first = await listing(source)
    remembered = dict(world.kept)
    fake.faults = [Fault("/v1/search", status=400, after=6)]
    with pytest.raises(SourceError):
        await listing(source)
    assert world.kept == remembered
    fake.faults = []
    assert await listing(source) == first
    await source.close()


async def test_throttling_denials_and_circles_end(fake: FakeNotion, world: World) -> None:
    fake.page("page")
    source = build(fake, world)
    fake.faults = [Fault("/v1/search", status=429, headers={"Retry-After": "5"}, times=3)]
    assert len(await listing(source)) == 1
    assert len(world.slept) == 3
    fake.faults = [Fault("/v1/search", status=429)]
    with pytest.raises(SourceUnavailable):
        await listing(source)
    page = '{"results": [], "has_more": true, "next_cursor": "again"}'
    fake.faults = [Fault("/v1/search", status=200, body=page)]
    with pytest.raises(SourceError, match="same page of a listing twice"):
        await listing(source)
    fake.faults, fake.token = [], "other"
    with pytest.raises(SourceDenied) as caught:
        await listing(source)
    assert TOKEN not in str(caught.value)
    await source.close()


async def test_a_source_must_say_who_may_read(fake: FakeNotion, world: World) -> None:
    with pytest.raises(SourceMisconfigured, match="readers"):
        world.build(notion.KIND, {"token": TOKEN}, token_env="T")
    world.build(notion.KIND, {"token": TOKEN}, readers=frozenset({"C1"}), token_env="T")
    for wrong in ({"rights": "own"}, {"pages": ["no id"]}, {"requests_per_s": 0.0}, {"url": "http://evil.example"}):
        with pytest.raises(SourceMisconfigured):
            build(fake, world, **wrong)


def test_an_address_contains_an_id() -> None:
    address = (
        "https://www.notion.so/acme/0123456789abcdef0123456789abcdef-notes-fedcba98-7654-3210-fedc-ba9876543210?v=1"
    )
    assert parse_page_id(address) == "fedcba9876543210fedcba9876543210"


_json = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "rich_text", "caption", "cells", "icon", "text", "plain_text", "properties", "formula"]), inner, max_size=4), max_leaves=12)  # fmt: skip  # noqa: E501


@given(st.sampled_from(["paragraph", "table", "table_row", "image", "callout", "code", "meeting_notes", "x"]), _json)
def test_any_block_becomes_html(kind: str, content: object) -> None:
    block = NotionBlock({"type": kind, kind: content}, (NotionBlock({"type": "table_row", "table_row": content}),))
    assert render_page_html({"properties": content}, [block]).endswith("</html>")
