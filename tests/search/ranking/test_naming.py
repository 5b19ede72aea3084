"""A document that a question calls by its name comes first."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.interfaces import WEB, Candidate, Chunk
from knowledge.lexical.terms import query_terms
from knowledge.search.plan import plan_words
from knowledge.search.ranking.fusion import fuse_candidates, profile_query
from knowledge.search.ranking.naming import NAME_GAIN, WRITTEN_NAME_GAIN, weigh_document_names
from tests.growth import takes_linear_time
from tests.search.search_bench import CALIBRATION, EVERYWHERE, SearchBench


def candidate(document: str, title: str = "", heading: str = "", *, cosine: float = 0.5) -> Candidate:
    return Candidate(Chunk(f"{document}#{heading}", "docs", document, title, heading, "Text.", None), 5.0, cosine)


PLUGINS = (
    candidate("plugins/graphql-limit-count.md", "graphql-limit-count", "Description", cosine=0.6),
    candidate("plugins/limit-count.md", "limit-count", "Description"),
    candidate("plugins/limit-req.md", "limit-req", "Description"),
    candidate("zh/limits.md", "限流插件", "描述"),
    candidate("plugin.md", "Plugin", "Overview"),
)


def first(question: str, candidates: tuple[Candidate, ...] = PLUGINS) -> str:
    described = profile_query(question, query_terms(question), 1000, CALIBRATION)
    return fuse_candidates(candidates, described, weigh_document_names(candidates, question))[
        0
    ].candidate.chunk.document


@pytest.mark.parametrize(
    ("question", "document"),
    [
        ("What does the limit-count plugin do?", "plugins/limit-count.md"),
        ("What does the LIMIT_COUNT plugin do?", "plugins/limit-count.md"),
        ("what does limit count do", "plugins/limit-count.md"),
        ("What does the graphql-limit-count plugin do?", "plugins/graphql-limit-count.md"),
        ("limit-count 插件是做什么的？", "plugins/limit-count.md"),
        ("限流插件有什么用？", "zh/limits.md"),
        ("What is a plugin?", "plugin.md"),
    ],
)
def test_a_named_document_comes_first(question: str, document: str) -> None:
    assert first(question) == document


def test_a_heading_that_is_the_question_comes_first() -> None:
    page = "sources.md"
    candidates = (
        candidate(page, "Add a source", "Git", cosine=0.6),
        candidate(page, "Add a source", "How do I add a source?"),
        candidate("other.md", "Sources", cosine=0.6),
    )
    gains = weigh_document_names(candidates, "how do I add a source?")
    assert gains == {"sources.md#How do I add a source?": NAME_GAIN}, "a name within a longer one does not count"
    assert set(weigh_document_names(candidates, "please add a source")) == {
        f"{page}#Git",
        f"{page}#How do I add a source?",
    }


@pytest.mark.parametrize(
    "question",
    [
        "What does the plugin-runner do?", "What is limit-count-advanced?", "How is my-limit-count set up?",
        "What is the limit?", "流插", "", "the and of",
    ],
)  # fmt: skip
def test_a_part_of_a_word_is_not_a_name(question: str) -> None:
    assert weigh_document_names(PLUGINS, question) == {}


def test_one_common_word_of_many_means_little() -> None:
    [gain] = weigh_document_names(PLUGINS, "how do I write a plugin that reads the whole body of a request?").values()
    assert gain < 0.05
    [gain] = weigh_document_names(PLUGINS, "在很长很长的问题里提到 limit-req 会怎么样呢，我想知道这个").values()
    assert gain == pytest.approx(WRITTEN_NAME_GAIN)


def test_a_common_name_counts_less() -> None:
    many = tuple(candidate(f"{n}.md", f"Page {n}", "Examples") for n in range(9))
    gains = weigh_document_names((*many, candidate("one.md", "Page", "Samples")), "examples samples")
    assert gains["one.md#Samples"] == pytest.approx(0.25)
    assert gains["0.md#Examples"] < 0.02


def test_a_web_page_has_no_name() -> None:
    page = Candidate(replace(PLUGINS[1].chunk, source=WEB), 5.0, 0.5)
    assert weigh_document_names([page], "What does the limit-count plugin do?") == {}


@given(
    st.text(alphabet="limit-count_plugin 限流插件?.", max_size=60),
    st.lists(st.text(alphabet="limit-count_ 限流插", max_size=20), max_size=8),
)
def test_gains_are_bounded_and_only_of_candidates(question: str, titles: list[str]) -> None:
    candidates = [candidate(f"{n}.md", title) for n, title in enumerate(titles)]
    gains = weigh_document_names(candidates, question)
    assert gains.keys() <= {one.chunk.id for one in candidates}
    assert all(0 < gain <= NAME_GAIN + 1e-9 for gain in gains.values())


async def test_the_search_ranks_a_named_document_first(bench: SearchBench) -> None:
    text = "The plugin limits requests by count and returns 429 beyond the limit."
    await bench.add({"a": f"{text} It reads GraphQL."}, document="graphql-limit-count.md")
    await bench.add({"b": "The plugin limits requests by count."}, document="limit-count.md")
    hits = (
        await bench.search().find_documents(plan_words("What does the limit-count plugin do?", EVERYWHERE))
    ).make_hits()
    assert [hit.document for hit in hits] == ["limit-count.md", "graphql-limit-count.md"]


@pytest.mark.parametrize(("repeated", "times"), [("api limit count ", 512), ("limit-count ", 680), ("限流插件", 2048)])
def test_a_pasted_text_that_repeats_names_takes_linear_time(repeated: str, times: int) -> None:
    headings = ("api › limit count › api limit", "限流 › 流插 › 插件限")
    borne = tuple(candidate(f"{i}.md", f"limit-count {i}", f"{headings[i % 2]} › {i}") for i in range(200))
    assert takes_linear_time(lambda size: weigh_document_names(borne, repeated * size), times)
