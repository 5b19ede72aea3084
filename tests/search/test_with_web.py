"""Documents and pages of the web in one ranking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.interfaces import EVERYONE, WEB, Candidate, Chunk, CurrentChunk, Hit, Scope, WebOrigin
from knowledge.lexical.terms import index_terms
from knowledge.search.plan import plan_words
from knowledge.search.ranking.candidates import PreparedQuery
from knowledge.search.ranking.fusion import QueryProfile, ScoredCandidate, fuse_candidates, penalise_repeats
from knowledge.search.results import DocumentResults, make_empty_results
from knowledge.search.with_web import DOCUMENT_PLACES, LINKED_PLACES, rank_with_web
from knowledge.web.live.web_passages import LivePage, PassageScore
from tests.search.search_bench import CALIBRATION, EVERYWHERE, SOURCE, SYNCED, SearchBench

FETCHED = datetime(2026, 11, 20, tzinfo=UTC)
QUESTION = "how many days of parental leave are there"
ON = WebOrigin("leave.example", None, FETCHED, stale=False)


def page(
    *texts: tuple[str, float],
    url: str = "https://leave.example/a",
    linked: bool = False,
    published: datetime | None = None,
    heading: str = "H",
) -> LivePage:
    """Return a page of these passages with their cosines."""
    chunks = tuple(
        Chunk(f"{url}#{n}", WEB, url, "Leave", heading, text, url, EVERYONE, "html", published)
        for n, (text, _) in enumerate(texts)
    )
    measured = {
        n: PassageScore(cosine, index_terms(chunk.searchable_text))
        for n, ((_, cosine), chunk) in enumerate(zip(texts, chunks, strict=True))
    }
    return LivePage(url, replace(ON, published=published), chunks, measured, linked)


def seen_of(
    *documents: tuple[str, float, float], question: str = QUESTION, limit: int = 8, scope: Scope = EVERYWHERE
) -> DocumentResults:
    """Return documents of one passage each with BM25 and cosine, as a search would show them."""
    usable = [
        Candidate(Chunk(f"d{n}", SOURCE, f"{n}.md", "T", "H", text, None), bm25, cosine)
        for n, (text, bm25, cosine) in enumerate(documents)
    ]
    plan = plan_words(question, scope, limit=limit)
    terms = len(plan.terms.split())
    whole = PreparedQuery(plan, None, QueryProfile(8.0 * terms, cjk=False, calibration=CALIBRATION, terms=terms))
    current = {one.chunk.id: CurrentChunk("docs", EVERYONE, SYNCED) for one in usable}
    ranked: Sequence[ScoredCandidate] = penalise_repeats(fuse_candidates(usable, whole.profile))
    return DocumentResults(whole, 5, usable, ranked[:limit], current)


def ids(hits: Sequence[Hit]) -> list[str]:
    return [hit.id for hit in hits]


# ── Over a real store ────────────────────────────────────────────────────────────────────────────────────────────────


async def measured(
    bench: SearchBench, question: str, *texts: str, url: str = "https://a.example/", linked: bool = False
) -> LivePage:
    vector = await bench.embedder.embed_query(question)
    rows = await bench.embedder.embed_passages([f"Leave › H\n{text}" for text in texts])
    return page(*zip(texts, map(float, rows @ vector), strict=True), url=url, linked=linked)


async def test_an_answer_on_the_web_ranks_before_weak_documents(bench: SearchBench) -> None:
    await bench.add({f"d{n}": f"The canteen serves soup number {n} at noon." for n in range(20)})
    seen = await bench.search().find_documents(plan_words(QUESTION, EVERYWHERE))
    read = await measured(bench, QUESTION, "There are forty days of parental leave.", "The weather is fine.")
    hits, answerable = rank_with_web(seen, [read])
    assert not rank_with_web(seen, [])[1]
    assert answerable
    first = hits[0]
    assert (first.text, first.source, first.document, first.synced_at) == (
        "There are forty days of parental leave.", "", "https://a.example/", FETCHED,
    )  # fmt: skip
    assert first.web == ON
    assert first.confidence >= CALIBRATION.answerable
    assert len(hits) == 8


async def test_an_answer_in_the_documents_ranks_before_weak_pages(bench: SearchBench) -> None:
    await bench.add({"d": "There are forty days of parental leave."})
    seen = await bench.search().find_documents(plan_words(QUESTION, EVERYWHERE))
    hits, answerable = rank_with_web(seen, [await measured(bench, QUESTION, "The weather is fine.", "Soup is served.")])
    assert answerable
    assert hits[0].id == "d"
    assert hits[0].web is None
    assert hits[0].confidence == pytest.approx(seen.make_hits()[0].confidence)


async def test_a_page_that_repeats_a_document_is_left_out(bench: SearchBench) -> None:
    text = "There are forty days of parental leave. They are taken within two years of the birth, and on full pay."
    await bench.add({"d": text})
    seen = await bench.search().find_documents(plan_words(QUESTION, EVERYWHERE))
    near = f"**{text[:-1].upper()}!**"
    other = text.replace("forty days", "40 days")
    hits, _ = rank_with_web(seen, [await measured(bench, QUESTION, text, near, other)])
    assert [hit.text for hit in hits] == [text, other], "another number is another statement"


async def test_a_name_on_a_web_page_is_not_missing(bench: SearchBench) -> None:
    question = "What does the error E-1042 mean?"
    await bench.add({f"d{n}": f"The error E-{n + 2000} means that the disk is full." for n in range(10)})
    seen = await bench.search().find_documents(plan_words(question, EVERYWHERE))
    hits, _ = rank_with_web(seen, [await measured(bench, question, "The error E-1042 means that the key is wrong.")])
    assert "E-1042" in hits[0].text
    assert hits[0].confidence > 2 * seen.make_hits()[0].confidence


async def test_only_the_web_is_ranked_without_a_store(bench: SearchBench) -> None:
    read = await measured(bench, QUESTION, "The weather is fine.", "There are forty days of parental leave.")
    hits, answerable = rank_with_web(make_empty_results(plan_words(QUESTION, EVERYWHERE), CALIBRATION), [read])
    assert ids(hits) == ["https://a.example/#1", "https://a.example/#0"]
    assert answerable


# ── What keeps a place ───────────────────────────────────────────────────────────────────────────────────────────────

GOOD = [(f"Parental leave is described in part {n}, with its days.", 30.0, 0.6) for n in range(8)]
POOR = "Opening words about nothing that was asked."


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_linked_page_keeps_places_whatever_its_score(count: int) -> None:
    pages = [
        page(*[(f"{POOR} {url} {n}", 0.05) for n in range(6)], url=f"https://{url}.example/", linked=True)
        for url in "abcde"[:count]
    ]
    hits, answerable = rank_with_web(seen_of(*GOOD), pages)
    found = [hit.document for hit in hits if hit.web]
    assert {url: found.count(url) for url in found} == {one.url: LINKED_PLACES[min(count, 3) - 1] for one in pages}
    assert len(hits) == 8
    assert answerable, "the question links to it"
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_a_weak_linked_page_shows_its_beginning_else_its_best() -> None:
    weak = page(*[(f"Passage {n} of other things.", 0.01 * n) for n in range(6)], linked=True)
    hits, _ = rank_with_web(seen_of(*GOOD), [weak])
    assert sorted(hit.id for hit in hits if hit.web) == [f"{weak.url}#{n}" for n in range(3)]
    strong = page(*[(f"Parental leave has {n} days.", 0.1 * n) for n in range(7)], linked=True)
    hits, _ = rank_with_web(seen_of(("Soup.", 0, 0.1)), [strong])
    assert ids(hits)[0] == f"{strong.url}#6"


def test_sure_documents_keep_their_places() -> None:
    pages = [
        page(*[(f"Parental leave days {url} {n}.", 0.9) for n in range(5)], url=f"https://{url}.example/")
        for url in "abc"
    ]
    hits, _ = rank_with_web(seen_of(*GOOD), pages)
    assert sum(hit.web is None for hit in hits) == DOCUMENT_PLACES
    hits, _ = rank_with_web(seen_of(*[("Soup.", 0.0, 0.1 + n / 100) for n in range(8)]), pages)
    assert all(hit.web for hit in hits), "what does not answer gives way"


def test_one_page_does_not_fill_every_place() -> None:
    long = page(*[(f"Parental leave, day {n}.", 0.8) for n in range(12)])
    other = page(("Leave of parents.", 0.3), url="https://b.example/")
    hits, _ = rank_with_web(seen_of(("Soup.", 0, 0.1), ("Bread.", 0, 0.1)), [long, other])
    assert {hit.document for hit in hits if hit.web} == {long.url, other.url}
    assert sum(hit.document == long.url for hit in hits) == 5


def test_filters_apply_to_pages_too() -> None:
    dated = page(("Parental leave in May.", 0.6), published=datetime(2026, 5, 1, tzinfo=UTC))
    undated = page(("Parental leave ever.", 0.6), url="https://b.example/")
    after = replace(EVERYWHERE, after=datetime(2026, 4, 1, tzinfo=UTC))
    for scope, found in (
        (EVERYWHERE, {dated.url, undated.url}),
        (after, {dated.url}),
        (replace(after, before=datetime(2026, 4, 30, tzinfo=UTC)), set()),
        (replace(EVERYWHERE, kinds=frozenset({"pdf"})), set()),
        (replace(EVERYWHERE, kinds=frozenset({"html", "htm"})), {dated.url, undated.url}),
    ):
        assert {hit.document for hit in rank_with_web(seen_of(scope=scope), [dated, undated])[0]} == found


def test_a_short_passage_is_joined_with_neighbours_and_no_other_hit() -> None:
    read = page(
        ("Leave: forty days.", 0.9), ("They are paid.", 0.1), ("And another matter.", 0.1), ("Leave again.", 0.85)
    )
    read = replace(read, scores={0: read.scores[0], 3: read.scores[3]})
    hits, _ = rank_with_web(seen_of(), [read])
    assert hits[0].context == "Leave: forty days.\n\nThey are paid.\n\nAnd another matter."
    assert hits[0].chunks == tuple(chunk.id for chunk in read.chunks[:3])
    assert "forty" not in hits[1].context


def test_a_newer_page_does_not_replace_a_document() -> None:
    """The newest of two versions is shown, but a page's date is only its own claim."""
    seen = seen_of(
        ("Leave is described in v1.2.3 of the rules, and there are forty days.", 30, 0.7), question="leave rules"
    )
    chunk = replace(
        seen.usable[0].chunk,
        id="w",
        source=WEB,
        text="Leave is described in v9.9.9 of the rules, and there are forty days.",
        modified_at=FETCHED,
    )
    read = LivePage(
        "https://x.example/", ON, (chunk,), {0: PassageScore(0.7, index_terms(chunk.searchable_text))}, is_linked=False
    )
    hits, _ = rank_with_web(seen, [read])
    assert "d0" in ids(hits)


# ── Any results ─────────────────────────────────────────────────────────────────────────────────────────────────────

sentences = st.sampled_from(
    ["Parental leave has forty days.", "Soup is served at noon.", "Leave days of parents.", "There are days.", "Bread."]
)
documents = st.lists(st.tuples(sentences, st.floats(0, 50), st.floats(-0.2, 0.9)), max_size=12)
passages = st.lists(st.tuples(sentences, st.floats(-0.2, 0.9)), min_size=1, max_size=6)
looks = st.lists(st.tuples(passages, st.booleans()), max_size=5)


def read_of(look: Sequence[tuple[list[tuple[str, float]], bool]]) -> list[LivePage]:
    return [page(*texts, url=f"https://{n}.example/", linked=linked) for n, (texts, linked) in enumerate(look)]


@given(documents, looks, st.integers(1, 9))
def test_the_fusion_s_properties(docs: list[tuple[str, float, float]], look: list, limit: int) -> None:  # type: ignore[type-arg]
    seen, pages = seen_of(*docs, limit=limit), read_of(look)
    hits, answerable = rank_with_web(seen, pages)
    known = {one.candidate.chunk.id for one in seen.ranked_hits} | {chunk.id for one in pages for chunk in one.chunks}
    assert len(hits) <= limit
    assert len(set(ids(hits))) == len(hits)
    assert set(ids(hits)) <= known
    assert all(0 <= hit.score <= 1 and 0 <= hit.confidence <= 1 for hit in hits)
    order = [(-hit.score, hit.web is not None) for hit in hits]
    assert order == sorted(order), "the best first, and documents first where both are as good"
    assert all((hit.web is not None) == (hit.source == "") for hit in hits)
    if any(hit.confidence >= CALIBRATION.answerable for hit in hits[:1]):
        assert answerable


@given(documents, looks, st.integers(5, 9))
def test_every_linked_page_is_shown(docs: list, look: list, limit: int) -> None:  # type: ignore[type-arg]
    """Unless it says nothing that the documents do not say."""
    seen, pages = seen_of(*docs, limit=limit), read_of(look)
    said = {one.candidate.chunk.text for one in seen.ranked_hits}
    missing = {one.url for one in pages if one.is_linked and not said.intersection(chunk.text for chunk in one.chunks)}
    assert missing <= {hit.document for hit in rank_with_web(seen, pages)[0]}


@given(documents)
def test_without_pages_nothing_changes(docs: list[tuple[str, float, float]]) -> None:
    seen = seen_of(*docs)
    assert rank_with_web(seen, [])[0] == seen.make_hits()
