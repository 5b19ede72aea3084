"""The database counts the documents and chunks of each source, and numbers the audiences, whenever documents change."""

# ruff: noqa: S608 - the statements are made of constants
from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
compatible_since = "0008"

_COUNTED = {
    "documents": "1",
    "indexed": "CASE WHEN {row}read_at > 0 THEN 1 ELSE 0 END",
    "chunks": "{row}chunks",
    "failed": "CASE WHEN {row}reason IS NOT NULL THEN 1 ELSE 0 END",
    "pending_deletions": "CASE WHEN {row}held THEN 1 ELSE 0 END",
    "lost": (
        "CASE WHEN {row}sha256 = '' AND {row}version = '' AND NOT {row}held AND {row}read_at > 0 THEN 1 ELSE 0 END"
    ),
}
"""What one document adds to each counter of its source."""
_MARK = "CASE WHEN substr({row}url, 1, 1) = {separator} THEN {row}url ELSE '' END"
"""The link of a document whose rows in the store may have other readers (``records.UNSETTLED``), or ""."""


def upgrade() -> None:
    """Create the tables, and the triggers that keep them right.

    The version before does not know the tables, and its writes are counted, too. Revision 0011 gives the documents that
    exist their audience, found by an index.
    """
    op.create_table(
        "knowledge_source_counts",
        sa.Column("source_id", sa.Integer, sa.ForeignKey("knowledge_sources.id", ondelete="CASCADE"), primary_key=True),
        *(sa.Column(name, sa.Integer, server_default="0", nullable=False) for name in _COUNTED),
        sa.Column("removed_audiences", sa.Integer, server_default="0", nullable=False),
    )
    op.create_table(
        "knowledge_audiences",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("source_id", sa.Integer, sa.ForeignKey("knowledge_sources.id", ondelete="CASCADE"), nullable=False),
        sa.Column("readers", sa.Text, nullable=False),
        sa.Column("mark", sa.Text, nullable=False),
        sa.Column("documents", sa.Integer, server_default="0", nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("knowledge_audiences_source", "knowledge_audiences", ["source_id"])
    # The readers may be longer than PostgreSQL's trees accept.
    op.create_index("knowledge_audiences_readers", "knowledge_audiences", ["readers"], postgresql_using="hash")
    op.add_column("knowledge_documents", sa.Column("audience_id", sa.Integer))
    due = sa.text("audience_id IS NULL AND chunks > 0")
    op.create_index("knowledge_documents_due", "knowledge_documents", ["id"], sqlite_where=due, postgresql_where=due)
    is_server = op.get_bind().dialect.name == "postgresql"
    for statement in _list_postgresql_triggers() if is_server else _list_sqlite_triggers():
        op.execute(statement)
    sums = ", ".join(f"sum({value.format(row='')})" for value in _COUNTED.values())
    op.execute(
        f"INSERT INTO knowledge_source_counts (source_id, {', '.join(_COUNTED)}) "
        f"SELECT source_id, {sums} FROM knowledge_documents GROUP BY source_id"
    )


# ── SQLite: for each row ─────────────────────────────────────────────────────────────────────────────────────────────


def _list_sqlite_triggers() -> list[str]:
    counted, on = ", ".join([*_COUNTED.values(), "{row}source_id"]), "knowledge_documents"
    grouped = f"{{row}}source_id, {{row}}readers, {_MARK}, {{row}}chunks > 0"
    before, after = (counted.format(row=row) for row in ("OLD.", "NEW."))
    group_before, group_after = (grouped.format(row=row, separator="char(31)") for row in ("OLD.", "NEW."))
    columns = "source_id, chunks, read_at, reason, held, sha256, version"
    leave = (
        "UPDATE knowledge_audiences SET documents = documents - 1 WHERE id = OLD.audience_id; "
        "DELETE FROM knowledge_audiences WHERE id = OLD.audience_id AND documents = 0;"
    )
    join = "UPDATE knowledge_audiences SET documents = documents + 1 WHERE id = NEW.audience_id;"
    bodies = {
        f"added AFTER INSERT ON {on}": f"{_add_row()} {_choose_audience()}",
        f"removed AFTER DELETE ON {on}": f"{_subtract_row()} {leave}",
        f"changed AFTER UPDATE OF {columns} ON {on} WHEN ({before}) IS NOT ({after})": (
            f"{_add_row()} {_subtract_row()}"
        ),
        f"grouped AFTER UPDATE OF source_id, readers, url, chunks ON {on} "
        f"WHEN NEW.audience_id IS NULL OR ({group_before}) IS NOT ({group_after})": _choose_audience(),
        f"moved AFTER UPDATE OF audience_id ON {on} WHEN OLD.audience_id IS NOT NEW.audience_id": f"{join} {leave}",
        "emptied AFTER DELETE ON knowledge_audiences": (
            "UPDATE knowledge_source_counts SET removed_audiences = removed_audiences + 1 "
            "WHERE source_id = OLD.source_id;"
        ),
    }
    return [f"CREATE TRIGGER knowledge_documents_{name} BEGIN {body} END" for name, body in bodies.items()]


def _add_row() -> str:
    changes = ", ".join(f"{name} = {name} + {value.format(row='NEW.')}" for name, value in _COUNTED.items())
    return (
        "INSERT INTO knowledge_source_counts (source_id) SELECT NEW.source_id "
        "WHERE NOT EXISTS (SELECT 1 FROM knowledge_source_counts WHERE source_id = NEW.source_id); "
        f"UPDATE knowledge_source_counts SET {changes} WHERE source_id = NEW.source_id;"
    )


def _subtract_row() -> str:
    """Return the statement that no longer counts a row. While its source is deleted, it may find nothing."""
    changes = ", ".join(f"{name} = {name} - {value.format(row='OLD.')}" for name, value in _COUNTED.items())
    return f"UPDATE knowledge_source_counts SET {changes} WHERE source_id = OLD.source_id;"


def _choose_audience() -> str:
    """Return the statements that store a document's audience; that fires the trigger which counts it."""
    mark = _MARK.format(row="NEW.", separator="char(31)")
    # The plus keeps SQLite from searching by the source, which may have a million audiences.
    same = f"readers = NEW.readers AND +source_id = NEW.source_id AND mark = {mark}"
    return (
        f"INSERT INTO knowledge_audiences (source_id, readers, mark) SELECT NEW.source_id, NEW.readers, {mark} "
        f"WHERE NEW.chunks > 0 AND NOT EXISTS (SELECT 1 FROM knowledge_audiences WHERE {same}); "
        "UPDATE knowledge_documents SET audience_id = "
        f"(SELECT id FROM knowledge_audiences WHERE NEW.chunks > 0 AND {same}) WHERE id = NEW.id;"
    )


# ── PostgreSQL: it counts by statement, because a transaction may change a million rows of one source ────────────────


def _list_postgresql_triggers() -> list[str]:
    new, old = "SELECT *, 1 AS sign FROM new_rows", "SELECT *, -1 AS sign FROM old_rows"
    tables = {
        "INSERT": (new, "NEW TABLE AS new_rows"),
        "DELETE": (old, "OLD TABLE AS old_rows"),
        "UPDATE": (f"{new} UNION ALL {old}", "NEW TABLE AS new_rows OLD TABLE AS old_rows"),
    }
    statements = [
        _make_function("knowledge_choose_audience", _FIND_AUDIENCE, "NEW"),
        (
            "CREATE TRIGGER knowledge_choose_audience BEFORE INSERT OR UPDATE OF source_id, readers, url, chunks "
            "ON knowledge_documents FOR EACH ROW EXECUTE FUNCTION knowledge_choose_audience()"
        ),
    ]
    for event, (changed, transitions) in tables.items():
        name = f"knowledge_count_{event.lower()}"
        statements += [
            _make_function(name, _count_rows(changed), "NULL"),
            (
                f"CREATE TRIGGER {name} AFTER {event} ON knowledge_documents REFERENCING {transitions} "
                f"FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
            ),
        ]
    return statements


def _make_function(name: str, body: str, result: str) -> str:
    return (
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN {body} RETURN {result}; END $$"
    )


_FIND_AUDIENCE = """
    NEW.audience_id = NULL;
    IF NEW.chunks > 0 THEN
        SELECT min(id) INTO NEW.audience_id FROM knowledge_audiences
        WHERE readers = NEW.readers AND source_id = NEW.source_id AND mark = {mark};
        IF NEW.audience_id IS NULL THEN
            INSERT INTO knowledge_audiences (source_id, readers, mark) VALUES (NEW.source_id, NEW.readers, {mark})
            RETURNING id INTO NEW.audience_id;
        END IF;
    END IF;
""".format(mark=_MARK.format(row="NEW.", separator="chr(31)"))


def _count_rows(changed: str) -> str:
    """Return the statements that count rows with their signs; sources that are being deleted are left out."""
    sums = ", ".join(f"sum(sign * ({value.format(row='')})) AS {name}" for name, value in _COUNTED.items())
    sets = ", ".join(f"{name} = counts.{name} + excluded.{name}" for name in _COUNTED)
    names, is_changed = ", ".join(_COUNTED), " OR ".join(f"{name} <> 0" for name in _COUNTED)
    audiences = (
        f"SELECT audience_id, sum(sign) AS documents FROM ({changed}) AS changed WHERE audience_id IS NOT NULL "
        "GROUP BY audience_id HAVING sum(sign) <> 0"
    )
    return (
        f"INSERT INTO knowledge_source_counts AS counts (source_id, {names}) SELECT source_id, {names} "
        f"FROM (SELECT source_id, {sums} FROM ({changed}) AS changed GROUP BY source_id) AS changes "
        f"WHERE ({is_changed}) AND source_id IN (SELECT id FROM knowledge_sources) "
        f"ON CONFLICT (source_id) DO UPDATE SET {sets}; "
        "UPDATE knowledge_audiences AS known SET documents = known.documents + changes.documents "
        f"FROM ({audiences}) AS changes WHERE known.id = changes.audience_id; "
        f"WITH removed AS (DELETE FROM knowledge_audiences AS known USING ({audiences}) AS changes "
        "WHERE known.id = changes.audience_id AND known.documents = 0 RETURNING known.source_id) "
        "UPDATE knowledge_source_counts AS counts SET removed_audiences = counts.removed_audiences + removed.number "
        "FROM (SELECT source_id, count(*) AS number FROM removed GROUP BY source_id) AS removed "
        "WHERE counts.source_id = removed.source_id;"
    )
