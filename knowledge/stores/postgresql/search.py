"""Find candidates in three statements: settings, what the scope and the terms amount to, and both retrievers.

Words are scored by Okapi BM25 over postings, which have the shelf, so that the scope costs no join. Vectors are
compared one by one if the scope has few passages. Otherwise pgvector's graph of half-precision vectors proposes some,
and the full ones decide. Passages of the wanted dates are listed once, from an index, for both retrievers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection

from knowledge.interfaces import Candidate, Chunk, Scope, Vector
from knowledge.stores.common import to_class_number, to_microseconds
from knowledge.stores.postgresql.rows import format_vector, hash_term
from knowledge.stores.postgresql.schema import IndexTables

_K1: Final = 1.2
_B: Final = 0.75
_WIDER: Final = 3
"""The graph proposes so many times the pool, because half precision orders near vectors differently."""
_MOST_EF: Final = 1000
"""The most that ``hnsw.ef_search`` may be."""

# A plan for any values would compare each row with each shelf. Compiling a query takes longer than running it. With the
# cost of a disk that turns, the planner would read all vectors instead of those of a few thousand passages.
_SETTINGS: Final = """
SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true),
set_config('work_mem', '32MB', true), set_config('hnsw.iterative_scan', 'relaxed_order', true),
set_config('idle_in_transaction_session_timeout', '15s', true), set_config('random_page_cost', '1.1', true)
"""
_SET_WIDTH: Final = "SELECT set_config('hnsw.ef_search', $1::text, true)"


@dataclass(frozen=True, slots=True)
class CandidateQuery:
    """What ``Store.find_candidates`` gets."""

    vector: Vector | None
    terms: str
    pool: int
    scope: Scope


@dataclass(frozen=True, slots=True)
class _Facts:
    """What an index has for a question: its size, the shelves of the scope, and the terms."""

    passages: int
    words: int
    has_graph: bool
    shelves: Sequence[int] | None
    """None if the scope has every passage."""
    in_scope: int
    """The passages on these shelves, or in the scope's dates if those are fewer."""
    weights: dict[int, float]
    """The terms that passages have, each with its inverse document frequency."""


@dataclass(slots=True)
class _Values:
    """The values of a statement; ``bind`` returns what stands for one in its text."""

    values: list[Any] = field(default_factory=list)

    def bind(self, value: object, kind: str) -> str:
        self.values.append(value)
        return f"${len(self.values)}::{kind}"


def find_candidates(
    connection: Connection, tables: IndexTables, query: CandidateQuery, most_compared: int
) -> list[Candidate]:
    """Return the candidates of both retrievers, each once. Up to ``most_compared`` vectors are compared exactly."""
    connection.exec_driver_sql(_SETTINGS)
    facts = _find_facts(connection, tables, query, most_compared)
    if not facts.in_scope:
        return []
    uses_graph = facts.has_graph and facts.in_scope > most_compared
    if uses_graph:
        # So many of the nearest passages have enough in the scope among them.
        width = min(_MOST_EF, max(100, _WIDER * query.pool * facts.passages // facts.in_scope))
        connection.exec_driver_sql(_SET_WIDTH, (str(width),))
    found = _search(connection, tables, query, facts, uses_graph=uses_graph)
    if uses_graph and sum(is_near for *_, is_near in found) < min(query.pool, facts.in_scope):
        # The walk ended early, because few of the nearest passages are in the scope.
        found = _search(connection, tables, query, facts, uses_graph=False)
    return [Candidate(Chunk(*[*texts, ""]), bm25, cosine) for *texts, bm25, cosine, _ in found]


def _find_facts(connection: Connection, tables: IndexTables, query: CandidateQuery, most_compared: int) -> _Facts:
    scope, values = query.scope, _Values()
    conditions = ["passages > 0", f"source = ANY({values.bind(sorted(scope.sources), 'text[]')})"]
    if scope.audiences is not None:
        conditions.append(f"class_number = ANY({values.bind(_list_classes(scope.audiences), 'bigint[]')})")
    if scope.kinds:
        conditions.append(f"kind = ANY({values.bind(sorted(scope.kinds), 'text[]')})")
    dated = "NULL::bigint"
    if dates := _list_dates(scope, values):
        limit = values.bind(most_compared + 1, "bigint")
        dated = f"(SELECT count(*) FROM (SELECT FROM {{index}}_passages WHERE {dates} LIMIT {limit}) d)"  # noqa: S608
    terms = values.bind([*map(hash_term, dict.fromkeys(query.terms.split()))], "bigint[]")
    statement = f"""
    SELECT t.passages, t.words, coalesce(g.indisvalid, false), s.numbers, s.passages, {dated}, w.terms, w.holders
    FROM {{index}}_totals t LEFT JOIN pg_index g ON g.indexrelid = to_regclass('{{index}}_graph'),
    (SELECT array_agg(number) AS numbers, coalesce(sum(passages), 0)::bigint AS passages
     FROM {{index}}_shelves WHERE {" AND ".join(conditions)}) s,
    (SELECT array_agg(term) AS terms, array_agg(holders) AS holders
     FROM {{index}}_terms WHERE holders > 0 AND term = ANY({terms})) w
    """  # noqa: S608 - values are bound
    passages, words, has_graph, shelves, on_shelves, dated_passages, found, holders = tables.run(
        connection, statement, *values.values
    ).one()
    weights = {
        term: math.log(1 + (passages - count + 0.5) / (count + 0.5))
        for term, count in zip(found or (), holders or (), strict=True)
    }
    in_scope = on_shelves if dated_passages is None or dated_passages > most_compared else dated_passages
    shelves = None if on_shelves == passages else shelves
    return _Facts(passages, words, has_graph, shelves, min(on_shelves, in_scope), weights)


@lru_cache(maxsize=64)
def _list_classes(audiences: frozenset[str]) -> list[int]:
    return [to_class_number(key) for key in audiences]


def _search(
    connection: Connection, tables: IndexTables, query: CandidateQuery, facts: _Facts, *, uses_graph: bool
) -> Sequence[Any]:
    """Return rows of texts, BM25, cosine and whether the vectors found it."""
    values = _Values()
    legs = []
    if facts.weights:
        legs.append(_make_lexical(query, facts, values))
    vector = None if query.vector is None else values.bind(format_vector(query.vector), "text::vector")
    if vector is not None:
        legs.append(_make_dense(query, facts, values, vector, tables.dimensions if uses_graph else None))
    if not legs:
        return ()
    dated = ""
    if dates := _list_dates(query.scope, values):
        within = f"{_match_shelves('p', facts, values)} AND {dates}"
        dated = f"dated AS MATERIALIZED (SELECT p.number FROM {{index}}_passages p WHERE {within}),"  # noqa: S608
    cosine = "0.0::float8" if vector is None else f"-(v.vector <#> {vector})"
    statement = f"""
    WITH {dated} found AS MATERIALIZED (
      SELECT passage, max(bm25) AS bm25, bool_or(is_near) AS is_near
      FROM ({" UNION ALL ".join(f"({leg})" for leg in legs)}) AS legs GROUP BY passage)
    SELECT p.id, s.source, p.document, p.title, p.heading, p.text, p.url, f.bm25, {cosine}, f.is_near FROM found f
    JOIN {{index}}_passages p ON p.number = f.passage JOIN {{index}}_shelves s ON s.number = p.shelf
    JOIN {{index}}_vectors v ON v.passage = f.passage
    """  # noqa: S608 - values are bound
    return tables.run(connection, statement, *values.values).all()


def _make_lexical(query: CandidateQuery, facts: _Facts, values: _Values) -> str:
    terms, weights = values.bind([*facts.weights], "bigint[]"), values.bind([*facts.weights.values()], "float8[]")
    base, slope = _K1 * (1 - _B), _K1 * _B * facts.passages / max(1, facts.words)
    norm = f"({values.bind(base, 'float8')} + {values.bind(slope, 'float8')} * r.length)"
    return f"""
    SELECT r.passage, sum(w.weight * {values.bind(_K1 + 1, "float8")} * r.frequency / (r.frequency + {norm})) AS bm25,
    false AS is_near FROM unnest({terms}, {weights}) AS w(term, weight) JOIN {{index}}_postings r USING (term)
    WHERE {_match_shelves("r", facts, values)} AND {_match_dated("r", query.scope)} GROUP BY r.passage
    ORDER BY bm25 DESC LIMIT {values.bind(query.pool, "bigint")}
    """  # noqa: S608 - values are bound


def _make_dense(query: CandidateQuery, facts: _Facts, values: _Values, vector: str, half_dimensions: int | None) -> str:
    shelves, pool = _match_shelves("n", facts, values), values.bind(query.pool, "bigint")
    within = f"{shelves} AND {_match_dated('n', query.scope)}"
    nearest = "{index}_vectors"
    if half_dimensions is not None:
        half = f"halfvec({half_dimensions})"
        if dates := _list_dates(query.scope, values):  # looked up one by one, because a join loses the graph's order
            within = f"{shelves} AND n.passage IN (SELECT number FROM {{index}}_passages WHERE {dates})"  # noqa: S608
        nearest = f"""
        (SELECT n.passage, n.shelf, n.vector FROM {nearest} n WHERE {within}
         ORDER BY n.vector::{half} <#> {vector}::{half} LIMIT {values.bind(_WIDER * query.pool, "bigint")})
        """  # noqa: S608 - values are bound
        within = "true"
    return f"""
    SELECT n.passage, 0.0::float8 AS bm25, true AS is_near FROM {nearest} n WHERE {within}
    ORDER BY n.vector <#> {vector} LIMIT {pool}
    """  # noqa: S608 - values are bound


def _match_shelves(rows: str, facts: _Facts, values: _Values) -> str:
    """Return the condition of the scope's shelves."""
    return "true" if facts.shelves is None else f"{rows}.shelf = ANY({values.bind(facts.shelves, 'int[]')})"


def _match_dated(rows: str, scope: Scope) -> str:
    """Return the condition of the scope's dates, by the list of their passages."""
    has_dates = scope.after is not None or scope.before is not None
    return f"{rows}.passage IN (SELECT number FROM dated)" if has_dates else "true"  # noqa: S608


def _list_dates(scope: Scope, values: _Values) -> str:
    """Return the condition of the scope's dates, "" if it has none."""
    return " AND ".join(
        f"modified_at {sign} {values.bind(to_microseconds(moment), 'bigint')}"
        for sign, moment in ((">=", scope.after), ("<", scope.before))
        if moment is not None
    )
