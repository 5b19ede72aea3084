"""Chunks: nothing lost, nothing too long, and ids that stay where the text stays."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.chunking.blocks import split_blocks
from knowledge.chunking.chunker import MAX_TOKENS, TARGET_TOKENS, chunk_document
from knowledge.embedding.local_e5.embedder import E5Embedder
from knowledge.interfaces import EVERYONE, Chunk, Document, Section
from knowledge.parsing.formats.markdown import parse_markdown

TOKEN = re.compile(r"[\u3040-\u9fff]|[^\s\u3040-\u9fff]{1,6}")


def count(text: str) -> int:
    """Count as a vocabulary does, roughly: a Chinese character or six others."""
    return len(TOKEN.findall(text))


def cut(document: Document, url: str | None = "https://docs.example/a", document_id: str = "a.md") -> list[Chunk]:
    return chunk_document(document, source="s", document_id=document_id, url=url, readers=EVERYONE, count_tokens=count)


def letters(text: str) -> Counter[str]:
    return Counter("".join(text.split()))


WORDS = st.sampled_from(
    [
        "a",
        "an",
        "backup",
        "deploy",
        "every",
        "file",
        "guide",
        "handbook",
        "is",
        "nightly",
        "of",
        "policy",
        "setup",
        "the",
        "to",
    ]
)
PROSE = st.one_of(
    st.lists(WORDS, min_size=1, max_size=60).map(lambda words: " ".join(words) + "."),
    st.text("备份服务器休假天数，。；", min_size=1, max_size=200),
    st.lists(WORDS, min_size=1, max_size=9).map("\n- ".join),
    st.text(min_size=1, max_size=80),
)
FILLER = "This section is more than tiny, as it has a paragraph of some length. " * 4
TEXTS = st.lists(PROSE, min_size=1, max_size=12).map("\n\n".join)
HEADINGS = st.lists(st.sampled_from(["Setup", "安装", "Run it", "x" * 90]), max_size=3).map(tuple)
SECTIONS = st.builds(Section, HEADINGS, TEXTS, st.none(), st.sampled_from([None, "setup", "安装"]))
DOCUMENTS = st.builds(
    Document, st.sampled_from(["Handbook", "手册", "t" * 400]), st.lists(SECTIONS, max_size=6).map(tuple)
)


@settings(max_examples=min(50, settings().max_examples))
@given(DOCUMENTS)
def test_nothing_is_lost_and_nothing_too_long(document: Document) -> None:
    chunks = cut(document)
    held = letters("".join(f"{each.heading}{each.text}" for each in chunks))
    assert not letters("".join(section.text for section in document.sections)) - held
    for each in chunks:
        assert each.text.strip()
        assert count(each.searchable_text) <= MAX_TOKENS + 2


@settings(max_examples=min(50, settings().max_examples))
@given(DOCUMENTS)
def test_ids_are_unique_uuids_and_come_again(document: Document) -> None:
    chunks = cut(document)
    assert chunks == cut(document)
    assert len({each.id for each in chunks}) == len(chunks)
    for each in chunks:
        assert str(uuid.UUID(each.id)) == each.id


@settings(max_examples=min(50, settings().max_examples))
@given(st.lists(TEXTS.map(lambda text: f"{text}\n\n{FILLER}"), min_size=2, max_size=6), st.data())
def test_a_change_in_one_section_leaves_the_others_ids(texts: list[str], data: st.DataObject) -> None:
    sections = [Section((f"Part {number}",), text) for number, text in enumerate(texts)]
    place = data.draw(st.integers(0, len(sections) - 1))
    changed = [*sections]
    changed[place] = replace(sections[place], text=f"A new first sentence stands here.\n\n{texts[place]}")
    heading = f"Part {place}"
    before = {each.id for each in cut(Document("T", tuple(sections))) if each.heading != heading}
    after = {each.id for each in cut(Document("T", tuple(changed))) if each.heading != heading}
    assert before == after


def test_a_paragraph_put_in_moves_the_breaks_nearby_and_no_others() -> None:
    paragraphs = [f"Paragraph {number} of this long chapter. " + f"word{number} " * 40 for number in range(200)]
    before = {each.id for each in cut(Document("T", (Section((), "\n\n".join(paragraphs)),)))}
    paragraphs.insert(3, "This one is new. " + "fresh " * 50)
    after = {each.id for each in cut(Document("T", (Section((), "\n\n".join(paragraphs)),)))}
    assert len(before) > 20
    assert len(after - before) <= 8


def test_rows_put_into_a_long_table_of_records_change_few_chunks() -> None:
    rows = [f"Name: person {number}; Born: {1900 + number % 90}; City: Town{number % 37}" for number in range(2_000)]
    before = {each.id for each in cut(Document("T", (Section(("Sheet",), "\n".join(rows)),)))}
    rows.insert(10, "Name: somebody new; Born: 2001; City: Elsewhere")
    after = {each.id for each in cut(Document("T", (Section(("Sheet",), "\n".join(rows)),)))}
    assert len(before) > 50
    assert len(after - before) <= 8


@pytest.mark.parametrize(
    "change",
    [
        {"source": "other"},
        {"document_id": "b.md"},
        {"title": "U"},
        {"heading": "Other"},
        {"text": "Other text."},
        {"anchor": "elsewhere"},
    ],
)
def test_an_id_is_made_of_source_document_place_and_text(change: dict[str, str]) -> None:
    def made(
        *,
        source: str = "s",
        document_id: str = "a.md",
        title: str = "T",
        heading: str = "H",
        text: str = "A text.",
        anchor: str = "h",
    ) -> str:
        document = Document(title, (Section((heading,), text * 20, None, anchor),))
        (only,) = chunk_document(
            document, source=source, document_id=document_id, url=None, readers=EVERYONE, count_tokens=count
        )
        return only.id

    assert made() == made()
    assert made(**change) != made()


def test_parts_of_an_id_cannot_run_into_each_other() -> None:
    one = cut(Document("T", (Section(("ab",), "c" * 200),)))
    other = cut(Document("T", (Section(("a",), "b" + "c" * 200),)))
    assert {each.id for each in one}.isdisjoint(each.id for each in other)


def test_the_same_text_twice_has_two_ids() -> None:
    twice = Document("T", (Section(("A",), "The same words here. " * 9), Section(("A",), "The same words here. " * 9)))
    one, two = cut(twice)
    assert one.text == two.text
    assert one.id != two.id
    (alone,) = cut(Document("T", twice.sections[:1]))
    assert alone.id == one.id


def test_readers_and_url_are_no_part_of_an_id() -> None:
    document = Document("T", (Section((), "text " * 30),))
    assert [each.id for each in cut(document)] == [each.id for each in cut(document, url=None)]


# ── Shape ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_paragraph_that_fits_stays_whole() -> None:
    paragraph = " ".join(f"word{number % 10}" for number in range(MAX_TOKENS - 10))
    (only,) = cut(Document("T", (Section((), paragraph),)))
    assert only.text == paragraph


def test_paragraphs_are_packed_up_to_the_target() -> None:
    paragraphs = [f"p{number} " + "word " * 48 for number in range(60)]
    chunks = cut(Document("T", (Section((), "\n\n".join(paragraphs)),)))
    sizes = [count(each.text) for each in chunks]
    assert max(sizes) <= TARGET_TOKENS
    assert min(sizes[:-1]) >= TARGET_TOKENS // 2


@pytest.mark.parametrize(
    ("sentence", "end"),
    [("This is one sentence of several words in a row. ", "."), ("这是一个比较长的句子，里面有一些词。", "。")],
)
def test_a_paragraph_that_does_not_fit_is_split_at_sentences(sentence: str, end: str) -> None:
    chunks = cut(Document("T", (Section((), sentence * 200),)))
    assert len(chunks) > 2
    assert all(each.text.endswith(end) for each in chunks)


def test_a_table_repeats_its_header_row() -> None:
    rows = [f"| key{number} | value {number} |" for number in range(400)]
    table = "\n".join(["| Key | Value |", "| --- | --- |", *rows])
    chunks = cut(Document("T", (Section((), table),)))
    assert len(chunks) > 3
    assert all(each.text.startswith("| Key | Value |\n| --- | --- |\n| key") for each in chunks)
    assert [line for each in chunks for line in each.text.split("\n")[2:]] == rows


@pytest.mark.parametrize("before", ["The keys are these:", "- Keys:", "Line one\nline two."])
def test_a_table_after_a_line_of_text_repeats_its_header_row(before: str) -> None:
    """Also without an empty line around it, as in an item of a list."""
    rows = [f"  | key{number} | value {number} |" for number in range(400)]
    table = "\n".join(["  | Key | Value |", "  | --- | --- |", *rows])
    chunks = cut(Document("T", (Section((), f"{before}\n{table}\n- After the table."),)))
    assert chunks[0].text.startswith(before)
    assert chunks[-1].text.endswith("\n\n- After the table.")
    assert all("  | Key | Value |\n  | --- | --- |\n  | key" in each.text for each in chunks)
    assert [line for each in chunks for line in each.text.split("\n") if line in rows] == rows


def test_code_keeps_its_fence_and_its_indentation() -> None:
    code = "\n".join(f"    step({number})\n" for number in range(900))
    chunks = cut(Document("T", (Section((), f"```python\n{code}\n```"),)))
    assert len(chunks) > 2
    for each in chunks:
        lines = each.text.split("\n")
        assert (lines[0], lines[-1]) == ("```python", "```")
        assert lines[1].startswith("    step(")


def test_code_and_table_that_fit_stay_whole() -> None:
    table = "| A | B |\n|---|---|\n| 1 | 2 |"
    text = f"Before.\n\n```sh\na\n\nb\n```\n\n{table}\n\nAfter:\n{table}\nThe end."
    (only,) = cut(Document("T", (Section((), text),)))
    assert only.text == text


def test_an_introducing_line_stays_with_the_next_block() -> None:
    filler = "word " * 250
    code = "```sh\n" + "run " * 120 + "\n```"
    chunks = cut(Document("T", (Section((), f"{filler}\n\nFor example:\n\n{code}"),)))
    assert [each.text.startswith("For example:\n\n```sh") for each in chunks] == [False, True]


def test_tiny_siblings_share_a_chunk_under_their_parent() -> None:
    sections = [Section(("Glossary", word), f"{word} means {word}.") for word in ("Alpha", "Beta", "伽马")]
    (only,) = cut(Document("T", tuple(sections)))
    assert only.heading == "Glossary"
    assert only.text == "Alpha\nAlpha means Alpha.\n\nBeta\nBeta means Beta.\n\n伽马\n伽马 means 伽马."


def test_tiny_sections_of_different_parents_or_pages_stay_apart() -> None:
    sections = (Section(("A", "x"), "one"), Section(("B", "x"), "two"), Section(("B", "y"), "three", 2))
    assert [each.heading for each in cut(Document("T", sections))] == ["A › x", "B › x", "B › y"]


def test_every_chunk_carries_its_title_path() -> None:
    document = parse_markdown(b"# Guide\n\n## Setup\n\n### Linux\n\n" + b"Install it. " * 90, "guide.md")
    assert {(each.title, each.heading) for each in cut(document)} == {("Guide", "Setup › Linux")}
    assert cut(document)[0].searchable_text.startswith("Guide › Setup › Linux\nInstall it.")


def test_a_path_longer_than_its_share_is_shortened() -> None:
    path = tuple(f"{'very long heading number ' * 9}{number}" for number in range(9))
    (only,) = cut(Document("t" * 5_000, (Section(path, "word " * 100),)))
    assert count(only.searchable_text) <= MAX_TOKENS
    assert "…" in only.heading


@pytest.mark.parametrize(
    ("url", "anchor", "link"),
    [
        ("https://x.example/a", "setup", "https://x.example/a#setup"),
        ("https://x.example/a", "page=3", "https://x.example/a#page=3"),
        ("https://x.example/a", "安装 1", "https://x.example/a#%E5%AE%89%E8%A3%85%201"),
        ("https://x.example/a", None, "https://x.example/a"),
        ("https://x.example/a#top", "setup", "https://x.example/a#top"),
        (None, "setup", None),
    ],
)
def test_a_link_leads_to_the_section(url: str | None, anchor: str | None, link: str | None) -> None:
    (only,) = cut(Document("T", (Section((), "word " * 40, None, anchor),)), url=url)
    assert only.url == link


def test_a_document_without_text_has_no_chunks() -> None:
    assert cut(Document("T", ())) == []


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["x", "ab ", "中", "好。", "- a\n", "a\n\n", "\n", "| a |\n", "```\n"])
def test_time_is_linear_in_the_length(unit: str) -> None:
    """Counted, not timed: the tokeniser sees no more than a few times the text."""
    length = 0

    def counting(text: str) -> int:
        nonlocal length
        length += len(text)
        return len(text) // 4 + 1

    text = unit * (100_000 // len(unit))
    document = Document("T", (Section((), text),))
    chunk_document(document, source="s", document_id="a", url=None, readers=EVERYONE, count_tokens=counting)
    assert length <= 8 * len(text) + 10_000


@pytest.mark.asyncio(loop_scope="session")
async def test_chunks_stay_within_the_embedders_tokens(embedder: E5Embedder) -> None:
    """Pieces are counted one by one; joined they must still be within what the model reads."""
    text = "服务器 backup v1.2.3 ﷺ ½ naïve… " * 400 + "中" * 3_000 + "x" * 9_000
    document = Document("Handbook", (Section(("Setup",), text),))
    chunks = chunk_document(
        document, source="s", document_id="a", url=None, readers=EVERYONE, count_tokens=embedder.count_tokens
    )
    assert max(embedder.count_tokens(each.searchable_text) for each in chunks) <= MAX_TOKENS


@pytest.mark.parametrize(
    "text", ["." * 200_000, ".…" * 100_000, f"|a|\n|{'-' * 200_000}x"], ids=["dots", "mixed dots", "almost a rule"]
)
def test_runs_of_marks_are_as_fast_as_words(text: str) -> None:
    """At once, where a pattern that searches anew from each mark takes minutes."""
    blocks = list(split_blocks(text, 400, 300, len))
    assert "".join(block.text for block in blocks).replace("\n", "") == text.replace("\n", "")
