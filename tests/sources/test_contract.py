"""The contract of all kinds of source. A new kind joins with a workbench (``contract.py``)."""

from __future__ import annotations

import asyncio
import json
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from knowledge.errors import SourceError
from knowledge.interfaces import RightsSource, Source
from knowledge.sources import registry
from tests.sources.contract import Ability, Workbench, listing, needs, opened, workbenches

READERS = frozenset({"U1", "C2"})
NAMES = ("a.md", "deep/er/b.md", "c d.txt")
ODD_NAMES = (
    "-rf.md", "--upload-pack=x.md", "100%25.md", "a#b?c=d&e.md", "a\\b.md", "c:d.md", "emoji 🦔.md", "new\nline.md",
    "quote\"'.md", "tab\there.md", "über/é.md", "文档/请假.md",
)  # fmt: skip


def test_every_kind_has_a_workbench() -> None:
    assert set(registry.KINDS) - {bench.kind for bench in workbenches().values()} == set()


async def test_a_bench_declares_the_abilities_that_its_source_lacks(bench: Workbench) -> None:
    kept: dict[str, bytes] = {}
    await bench.put("a.md", b"one")
    source = bench.source(kept=kept)
    await listing(source)
    assert isinstance(source, RightsSource) == (Ability.RIGHTS not in bench.cannot)
    assert bool(kept) == (Ability.MEMORY not in bench.cannot)
    await source.close()


# ── Listing and reading ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_everything_is_listed_once_and_read_as_it_is(bench: Workbench) -> None:
    documents = {name: f"# {name}\nsomething 二".encode() for name in NAMES}
    for name, data in documents.items():
        await bench.put(name, data)
    source = bench.source()
    listed = [one async for batch in source.list() for one in batch]
    assert sorted(one.document for one in listed) == sorted(bench.document(name) for name in documents)
    by_document = {one.document: one for one in listed}
    for name, data in documents.items():
        content = await source.read(by_document[bench.document(name)])
        assert bench.holds(content, data)
        assert content.version == by_document[bench.document(name)].version
    await source.close()


@needs(Ability.BYTES)
async def test_bytes_are_not_changed(bench: Workbench) -> None:
    data = bytes(range(256)) + b"\r\n\xff\xfe\0"
    await bench.put("a.txt", data)
    source = bench.source()
    assert (await source.read((await listing(source))[bench.document("a.txt")])).data == data
    await source.close()


@needs(Ability.NAMES)
async def test_odd_names_are_names(bench: Workbench) -> None:
    names = [name for name in ODD_NAMES if not bench.unnameable & set(name)]
    for name in names:
        await bench.put(name, name.encode())
    source = bench.source()
    listed = await listing(source)
    assert set(listed) == {bench.document(name) for name in names}
    for name in names:
        one = listed[bench.document(name)]
        assert bench.holds(await source.read(one), name.encode())
        assert one.url is None or (one.url.isascii() and not set(one.url) & set(" \n\t\"'\\<>")), one.url
    await source.close()


@needs(Ability.EMPTY)
async def test_an_empty_prefix_is_an_empty_listing(bench: Workbench) -> None:
    source = bench.source()
    assert await listing(source) == {}
    await source.close()


async def test_a_listing_twice_is_equal(bench: Workbench) -> None:
    for name in NAMES:
        await bench.put(name, name.encode())
    source = bench.source()
    first = await listing(source)
    assert await listing(source) == first
    assert await listing(bench.source("afresh")) == first
    await source.close()


@pytest.mark.slow
@needs(Ability.MANY)
async def test_many_documents_are_each_listed_once(bench: Workbench) -> None:
    names = [f"{number % 7}/{number}.md" for number in range(120)]
    await bench.put_all({name: name.encode() for name in names})
    source = bench.source()
    listed = [one.document async for batch in source.list() for one in batch]
    assert sorted(listed) == sorted(bench.document(name) for name in names)
    await source.close()


async def test_a_version_stays_until_the_document_changes(bench: Workbench) -> None:
    await bench.put("a.md", b"one")
    await bench.put("b.md", b"one")
    source = bench.source()
    first = await listing(source)
    await bench.put("a.md", b"another")
    second = await listing(source)
    a, b = bench.document("a.md"), bench.document("b.md")
    assert second[a].version != first[a].version
    assert second[b].version == first[b].version
    assert bench.holds(await source.read(second[a]), b"another")
    assert bench.holds(await source.read(second[b]), b"one")
    await source.close()


async def test_a_document_has_the_version_of_its_reading(bench: Workbench) -> None:
    """Changed between listing and reading: the old text under its old version, or the new one under its new."""
    await bench.put("a.md", b"the old one")
    source = bench.source()
    old = (await listing(source))[bench.document("a.md")]
    await bench.put("a.md", b"a newer one")
    content = await source.read(old)
    new = (await listing(source))[bench.document("a.md")]
    assert content.version in {old.version, new.version}
    assert bench.holds(content, b"the old one" if content.version == old.version else b"a newer one")
    await source.close()


@needs(Ability.LINK)
async def test_every_document_has_a_link(bench: Workbench) -> None:
    for name in NAMES:
        await bench.put(name, b"one")
    source = bench.source()
    links = [one.url for one in (await listing(source)).values()]
    assert all(link and ":" in link for link in links)
    assert len(set(links)) == len(links)
    await source.close()


# ── What goes away ───────────────────────────────────────────────────────────────────────────────────────────────────


@needs(Ability.REMOVE)
async def test_removed_documents_are_not_listed_and_cannot_be_read(bench: Workbench) -> None:
    await bench.put("a.md", b"one")
    await bench.put("b.md", b"two")
    source = bench.source()
    before = await listing(source)
    await bench.remove("a.md")
    assert set(await listing(source)) == {bench.document("b.md")}
    with pytest.raises(SourceError) as caught:
        await source.read(before[bench.document("a.md")])
    assert bench.document("a.md") in str(caught.value)
    await source.close()


@needs(Ability.REMOVE, Ability.RIGHTS)
async def test_the_rights_of_documents_are_those_of_a_listing(bench: Workbench) -> None:
    """Also where the process has not listed the source, as after a restart."""
    for name in NAMES:
        await bench.put(name, name.encode())
    source = bench.source(readers=READERS)
    assert isinstance(source, RightsSource)
    listed = {one.document: one.readers for one in (await listing(source)).values()}
    fresh = bench.source("afresh", readers=READERS)
    assert isinstance(fresh, RightsSource)
    gone = bench.document(NAMES[0])
    unknown = f"{'1' if gone[0] == '0' else '0'}{gone[1:]}"
    for either in (source, fresh):
        assert await either.read_rights([*listed, unknown]) == listed
    await bench.remove(NAMES[0])
    for either in (source, fresh):
        assert await either.read_rights([*listed, unknown]) == {
            one: readers for one, readers in listed.items() if one != gone
        }
    await fresh.close()
    await source.close()


@needs(Ability.RIGHTS)
async def test_an_unavailable_source_names_no_readers(bench: Workbench) -> None:
    await bench.put("a.md", b"one")
    source = bench.source()
    assert isinstance(source, RightsSource)
    await bench.break_down()
    (outcome,) = await asyncio.gather(source.read_rights([bench.document("a.md")]), return_exceptions=True)
    assert isinstance(outcome, BaseException)
    assert_reported(outcome, bench, source)
    await source.close()


async def test_an_unavailable_source_is_an_error(bench: Workbench) -> None:
    await bench.put("a.md", b"one")
    source = bench.source()
    before = await listing(source)
    await bench.break_down()
    listed, error = await broken_off(source)
    assert set(listed) <= set(before)
    assert_reported(error, bench, source)
    await source.close()
    _, error = await broken_off(afresh := bench.source("afresh"))
    assert_reported(error, bench, afresh)


async def test_an_unavailable_source_reveals_no_secret(bench: Workbench) -> None:
    await bench.put("a.md", b"one")
    source = bench.source()
    before = await listing(source)
    await bench.break_down()
    (outcome,) = await asyncio.gather(source.read(before[bench.document("a.md")]), return_exceptions=True)
    if isinstance(outcome, BaseException):
        assert_reported(outcome, bench, source)
    else:
        assert bench.holds(outcome, b"one")  # a clone has it still
    await source.close()


@needs(Ability.MIDWAY)
async def test_a_listing_that_fails_late_yields_its_first_documents(bench: Workbench) -> None:
    names = [f"{number:03}.md" for number in range(12)]
    for name in names:
        await bench.put(name, b"one")
    source = bench.source()
    await bench.break_midway()
    listed, error = await broken_off(source)
    assert set(listed) < {bench.document(name) for name in names}
    assert listed
    assert_reported(error, bench, source)
    await source.close()


@needs(Ability.LIMIT)
async def test_a_document_over_the_limit_is_listed_and_refused(bench: Workbench) -> None:
    await bench.put("big.md", b"x" * 200_000)
    await bench.put("small.md", b"x")
    source = bench.source()
    listed = await listing(source)
    with pytest.raises(SourceError, match="MB") as caught:
        await source.read(listed[bench.document("big.md")])
    assert bench.document("big.md") in str(caught.value)
    assert bench.holds(await source.read(listed[bench.document("small.md")]), b"x")
    await source.close()


# ── Who it is, and for whom ──────────────────────────────────────────────────────────────────────────────────────────


async def test_identity_is_name_kind_and_root(bench: Workbench) -> None:
    key = bench.source().key
    assert bench.source().key == key
    assert bench.source("other").key != key
    assert (key.name, key.kind) == ("bench", bench.kind)
    assert not any(secret in key.id for secret in bench.hushed())


async def test_readers_come_from_the_configuration(bench: Workbench) -> None:
    await bench.put("a.md", b"one")
    source = bench.source(readers=frozenset({"U1"}))
    assert (await listing(source))[bench.document("a.md")].readers == frozenset({"U1"})
    await source.close()


# ── Memory ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@needs(Ability.MEMORY)
async def test_lost_or_damaged_memory_gives_the_same_listing(bench: Workbench) -> None:
    for name in NAMES:
        await bench.put(name, name.encode())
    kept: dict[str, bytes] = {}
    first = await listing(bench.source(kept=kept))
    for data in mangled(next(iter(kept.values()))):
        memory = dict.fromkeys(kept, data)
        source = bench.source(kept=memory)
        assert await listing(source) == first, data[:200]
        await source.close()


@pytest.mark.slow
async def test_a_listing_with_memory_equals_one_without(make_bench: type[Workbench]) -> None:
    """After any changes, an incremental listing equals a whole one."""
    data = st.binary(max_size=30)  # shorter than a pointer of Git LFS, which Hypothesis knows from our modules
    step = st.tuples(st.sampled_from(["put", "put", "remove"]), st.sampled_from([*NAMES, "deep/z.md"]), data)
    if Ability.BYTES in make_bench.cannot:
        step = st.tuples(step.map(lambda s: s[0]), step.map(lambda s: s[1]), st.text("ab ", min_size=1).map(str.encode))

    @settings(
        max_examples=make_bench.examples, deadline=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate], derandomize=True, database=None,
    )  # fmt: skip
    @given(st.lists(st.lists(step, max_size=3), min_size=1, max_size=4))
    def property_(rounds: list[list[tuple[str, str, bytes]]]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(_follow(make_bench(Path(folder)), rounds))

    await asyncio.to_thread(property_)


async def _follow(bench: Workbench, rounds: list[list[tuple[str, str, bytes]]]) -> None:
    async with opened(bench):
        there: dict[str, bytes] = {}
        memory: dict[str, bytes] = {}
        await bench.put("always.md", b"always")
        for number, edits in enumerate(rounds):
            for edit, name, data in edits:
                await _edit(bench, there, edit, name, data)
            remembering, afresh = bench.source(kept=memory), bench.source(f"afresh{number}", kept={})
            found = await listing(remembering)
            assert set(found) == {bench.document(name) for name in (*there, "always.md")}
            assert found == await listing(afresh)
            for name, data in there.items():
                assert bench.holds(await remembering.read(found[bench.document(name)]), data)
            await remembering.close()
            await afresh.close()


async def _edit(bench: Workbench, there: dict[str, bytes], edit: str, name: str, data: bytes) -> None:
    if edit == "put":
        await bench.put(name, data)
        there[name] = data
    elif name in there and Ability.REMOVE not in bench.cannot:
        await bench.remove(name)
        del there[name]


# ── Cancelled, closed, used again ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [0, 0.003, 0.03])
async def test_a_source_is_usable_after_a_cancelled_listing(bench: Workbench, after_s: float) -> None:
    for name in NAMES:
        await bench.put(name, name.encode())
    source = bench.source()
    tasks = asyncio.all_tasks()
    listed = asyncio.create_task(listing(source))
    await asyncio.sleep(after_s)
    listed.cancel()
    await asyncio.gather(listed, return_exceptions=True)
    assert set(await listing(source)) == {bench.document(name) for name in NAMES}
    await source.close()
    assert left_over(tasks) == []


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [0, 0.002, 0.02])
async def test_a_source_is_usable_after_a_cancelled_read(bench: Workbench, after_s: float) -> None:
    await bench.put("a.md", b"one")
    source = bench.source()
    tasks = asyncio.all_tasks()
    listed = (await listing(source))[bench.document("a.md")]
    read = asyncio.create_task(source.read(listed))
    await asyncio.sleep(after_s)
    read.cancel()
    await asyncio.gather(read, return_exceptions=True)
    assert bench.holds(await source.read(listed), b"one")
    await source.close()
    assert left_over(tasks) == []


async def test_a_source_is_usable_after_an_abandoned_listing(bench: Workbench) -> None:
    for name in NAMES:
        await bench.put(name, name.encode())
    source = bench.source()
    batches = aiter(source.list())
    await anext(batches)
    await batches.aclose()  # type: ignore[attr-defined]
    assert set(await listing(source)) == {bench.document(name) for name in NAMES}
    await source.close()


async def test_concurrent_reads_work(bench: Workbench) -> None:
    for name in NAMES:
        await bench.put(name, name.encode())
    source = bench.source()
    listed = await listing(source)
    contents = await asyncio.gather(*(source.read(listed[bench.document(name)]) for name in NAMES * 4))
    assert all(bench.holds(content, name.encode()) for content, name in zip(contents, NAMES * 4, strict=True))
    await source.close()


async def test_closed_twice_and_used_again(bench: Workbench) -> None:
    await bench.put("a.md", b"one")
    source = bench.source()
    await source.close()
    first = await listing(source)
    await source.close()
    await source.close()
    assert await listing(source) == first
    assert bench.holds(await source.read(first[bench.document("a.md")]), b"one")
    await source.close()


# ── Instruments ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def broken_off(source: Source) -> tuple[list[str], SourceError | None]:
    """Return what a source listed before its listing failed, and its error."""
    listed: list[str] = []
    try:
        async for batch in source.list():
            listed += [one.document for one in batch]
    except SourceError as error:
        return listed, error
    return listed, None


def left_over(before: set[asyncio.Task[Any]]) -> list[asyncio.Task[Any]]:
    """Return the tasks that are new, those of a bench's own web server left out."""
    return [task for task in asyncio.all_tasks() - before if "aiohttp/web_" not in repr(task)]


def assert_reported(error: BaseException | None, bench: Workbench, source: Source) -> None:
    """Check an error: it is in the tree, has sentences, and reveals no secret in any form."""
    assert isinstance(error, SourceError)
    assert str(error).endswith(".")
    report = "".join(traceback.format_exception(error)) + repr(source)
    assert not any(secret in report for secret in bench.hushed()), report


def mangled(data: bytes) -> Iterator[bytes]:
    """Yield memories that an older version, a newer one or a bad disk may have written."""
    yield from (b"", b"{", b"\xff\0", b"null", b"[]", b"{}", b'"text"', b'{"version": 1}', data[: len(data) // 2])
    try:
        saved = json.loads(data)
    except ValueError:
        return
    for held in (None, [], "text", {}, 3):
        yield json.dumps({**saved, "held": held}).encode()
    for key in saved["held"]:
        for wrong in (None, {}, [], "text", 3, {"x": None}, [["x"]], {"x": ["y"]}):
            yield json.dumps({**saved, "held": {**saved["held"], key: wrong}}).encode()
