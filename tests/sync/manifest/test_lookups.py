"""Other look-ups in the manifest: neighbours, copies, kinds and dates."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge.sync.manifest.records import hash_text


def _ids(rig: Any, document: str) -> dict[str, str]:
    """Return the ids of a document's passages by their text."""
    return {row.chunk.text: id_ for id_, row in rig.store.rows_by_id.items() if row.chunk.document == document}


async def test_neighbours_come_from_the_same_document_in_order(rig: Any) -> None:
    rig.source.put("a.md", "one\n\ntwo\n\nthree\n\nfour\n\nfive\n\nsix")
    rig.source.put("b.md", "other")
    await rig.sync()
    a, b = _ids(rig, "a.md"), _ids(rig, "b.md")
    found = await rig.index.find_neighbours([a["one"], a["four"], b["other"], "unknown"], 2)
    assert found == {
        a["one"]: ((), (a["two"], a["three"])),
        a["four"]: ((a["two"], a["three"]), (a["five"], a["six"])),
        b["other"]: ((), ()),
    }
    assert await rig.index.find_neighbours([], 2) == {}


async def test_neighbours_come_from_the_current_version(rig: Any) -> None:
    rig.source.put("a.md", "one\n\ntwo\n\nthree")
    await rig.sync()
    gone = _ids(rig, "a.md")["three"]
    rig.source.put("a.md", "zero\n\none\n\ntwo")
    await rig.sync()
    a = _ids(rig, "a.md")
    assert await rig.index.find_neighbours([a["one"], gone], 1) == {a["one"]: ((a["zero"],), (a["two"],))}


@settings(max_examples=min(20, settings().max_examples), deadline=None, suppress_health_check=list(HealthCheck))
@given(length=st.integers(1, 12), reach=st.integers(0, 14))
async def test_neighbours_never_leave_out_or_invent_one(rig: Any, length: int, reach: int) -> None:
    texts = [f"part {n}" for n in range(length)]
    rig.source.put("a.md", "\n\n".join(texts))
    await rig.sync()
    ids = [_ids(rig, "a.md")[text] for text in texts]
    found = await rig.index.find_neighbours(ids, reach)
    for place, id_ in enumerate(ids):
        assert list(found[id_].before) == ids[max(0, place - reach) : place]
        assert list(found[id_].after) == ids[place + 1 : place + 1 + reach]


async def test_a_page_of_ids_needs_no_sorting(rig: Any) -> None:
    """Else the comparison of a million passages sorts them all five hundred times."""
    rig.source.put("a.md", "one\n\ntwo")
    await rig.sync()
    statements: list[tuple[str, Any]] = []

    def keep(*call: Any) -> None:
        statements.append((call[2], call[3]))

    sa.event.listen(sa.Engine, "before_cursor_execute", keep)
    try:
        assert len(await rig.index.list_chunk_ids("", 10)) == 2
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", keep)
    [(statement, values)] = [one for one in statements if "knowledge_chunks" in one[0]]
    plan = await rig.index.database.read(
        lambda connection: connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    )
    assert "PRIMARY KEY (id>?)" in str(plan)
    assert "TEMP B-TREE" not in str(plan)


async def test_a_copy_is_found_by_its_hash(rig: Any) -> None:
    for name in ("a.md", "b.md"):
        rig.source.put(name, "# Same\none\n\ntwo")
    await rig.sync()
    hashes = {row.chunk.text: hash_text(row.chunk.searchable_text) for row in rig.store.rows_by_id.values()}
    found = await rig.index.find_vectors([*hashes.values(), "", "unknown"])
    assert set(found) == set(hashes.values())
    assert {rig.store.rows_by_id[id_].chunk.text for id_ in found.values()} == {"one", "two"}
    rig.source.put("a.md", "# Same\ntwo")
    rig.source.put("b.md", "# Same\ntwo")
    await rig.sync()
    assert set(await rig.index.find_vectors(hashes.values())) == {hashes["two"]}


async def test_many_copies_are_found_at_once(rig: Any) -> None:
    rig.source.put("a.md", "\n\n".join(f"part {n}" for n in range(1500)))
    await rig.sync()
    hashes = [hash_text(row.chunk.searchable_text) for row in rig.store.rows_by_id.values()]
    assert len(await rig.index.find_vectors(hashes)) == 1500


async def test_the_date_belongs_to_the_indexed_version(rig: Any) -> None:
    def said() -> Any:
        return rig.index.find_current(list(rig.store.rows_by_id), [rig.source.key.id])

    made, touched = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 3, 4, tzinfo=UTC)
    rig.source.modified_at = made
    rig.source.put("a.md", "one")
    await rig.sync()
    rig.source.modified_at = touched
    rig.source.put("a.md", "one")
    await rig.sync()
    assert [row.modified_at for row in await said()] == [made.timestamp()]
    rig.source.put("a.md", "two")
    await rig.sync()
    assert [row.modified_at for row in await said()] == [touched.timestamp()]


@pytest.mark.parametrize("moment", [datetime(1969, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC), None])
async def test_any_date_is_stored(rig: Any, moment: datetime | None) -> None:
    rig.source.modified_at = moment
    rig.source.put("a.md", "one")
    await rig.sync()
    [row] = await rig.index.find_current(list(rig.store.rows_by_id), [rig.source.key.id])
    assert row.modified_at == (None if moment is None else moment.timestamp())
