"""BM25 terms: what must find what, and what no text may produce."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.lexical.terms import (
    MAX_INDEX_TERMS,
    MAX_QUERY_TERMS,
    MAX_TERM_CHARACTERS,
    index_terms,
    query_terms,
    stem,
)

MIXED = st.text(
    st.one_of(
        st.sampled_from("aB1_-./:@'’#+&=,  \n\t中文かなカ한ไทé\u0301\u200b\"*()|!^~?\\{}[]"),
        st.characters(),
    ),
    max_size=200,
)


@pytest.mark.parametrize(
    ("passage", "question"),
    [
        ("Set KVASIR_ENGINE_URL first.", "kvasir_engine_url"),
        ("Set KVASIR_ENGINE_URL first.", "what is the engine url"),
        ("Released as v1.2.3 in May", "v1.2.3"),
        ("It fails with ERR-4012.", "err_4012"),
        ("It fails with ERR4012.", "4012"),
        ("Edit /etc/nginx/nginx.conf now", "nginx.conf"),
        ("tagged v1.39.0 today", "1.39.0"),
        ("it is in /usr/local/app/conf/config.yaml", "conf/config.yaml"),
        ("node --max-old-space-size=4096", "max-old-space-size"),
        ("values.prod.yaml and values.yaml", "values.prod.yaml"),
        ("raised 0x80070005 again", "0x80070005"),
        ("calls getUserName() twice", "user name"),
        ("1,000,000 rows", "1000000"),
        ("two companies were indexed", "company index"),
        ("the company’s handbook", "the company's handbook"),
        ("Zürich café", "zurich cafe"),
        ("written in C++ and C#", "c++ c#"),
        ("C++和C#都可以", "c++ c#"),
        ("用C++写的程序", "c++"),
        ("SageMaker, LibreOffice and YouTube", "sagemaker libreoffice youtube"),
        ("SageMaker’s limits", "SageMaker"),
        ("使用SGLang部署模型", "部署 sglang"),
        ("東京タワーへ行く", "タワー"),
        ("문서를 검색한다", "문서"),
        ("ＫＶＡＳＩＲ", "kvasir"),
        ("ask ops@example.com", "ops@example.com"),
    ],
)
def test_question_finds_passage(passage: str, question: str) -> None:
    """Every term of the question, or its pairs where the script has no words, is among the passage's."""
    assert set(query_terms(question).split()) <= set(index_terms(passage).split())


def test_identifiers_are_whole_and_in_parts() -> None:
    assert index_terms("KVASIR_ENGINE_URL") == "kvasir_engine_url kvasir engin url"
    assert index_terms("v1.2.3") == "1_2_3 v1_2_3 1 2 3"


def test_chinese_gives_characters_and_pairs() -> None:
    assert index_terms("知识库") == "知 识 库 知识 识库"


@pytest.mark.parametrize(
    ("question", "terms"),
    [
        ("how many vacation days do I get?", "vacat day get"),
        ("Where is the state kept?", "state kept"),
        ("What’s new? Why can't I log in? They won't start.", "new log start"),
        ("dense retrieval without a GPU, not before the release", "dens retriev without gpu not befor releas"),
        ("目的是什么", "目 目的 的是 是什 什么"),
        ("可以了吗", "可 以 可以 以了 了吗"),
        ("和食の店", "和 食 の 店 和食 食の の店"),
    ],
)
def test_function_words_are_not_searched(question: str, terms: str) -> None:
    """Neither in English nor in Chinese, where the pairs stay."""
    assert query_terms(question) == " ".join(dict.fromkeys(terms.split()))


@pytest.mark.parametrize(
    ("question", "terms"),
    [
        ("how do I contact IT?", {"it", "contact"}),
        ("what does OR do", {"or"}),
        ('what does "or" do', {"or"}),
        ("what does `with` do", {"with"}),
        ("“的”怎么用", {"的"}),
        ("songs of The Who", {"the", "who", "song"}),
        ("when did World War I begin", {"i", "war"}),
        ("which foods hold vitamin A", {"a", "vitamin"}),
        ("the I/O limit", {"i_o", "i", "o", "limit"}),
        ("is_a", {"is_a", "is"}),
        ("a-z", {"a_z"}),
        ("to/from", {"to_from", "to", "from"}),
    ],
)
def test_names_are_searched_even_if_they_look_like_function_words(question: str, terms: set[str]) -> None:
    assert terms <= set(query_terms(question).split())


@pytest.mark.parametrize("question", ["what is it", "The Who", "IT", "or", "Who are you?", "的", "了吗", "是的"])
def test_a_question_of_only_function_words_keeps_them(question: str) -> None:
    assert query_terms(question)


SPOKEN = st.sampled_from(
    [
        "what's",
        "The",
        "who",
        "are",
        "is",
        "it",
        "IT",
        "I",
        "a",
        "的",
        "了吗",
        "can't",
        "WHERE",
        "won't",
        "“or”",
        "if,",
        "of?",
    ]
)
NAMED = st.from_regex(
    r"[a-z]{1,6}_[a-z]{1,6}|v?[0-9]{1,4}(\.[0-9]{1,3})?|[A-Z]{2,4}(-[0-9]{1,4})?|(is|the|a)[-/.](is|the|a)|[的了]{2}",
    fullmatch=True,
)


@given(st.lists(st.one_of(SPOKEN, NAMED, MIXED), max_size=8).map(" ".join))
def test_no_question_is_left_without_terms(text: str) -> None:
    assert bool(query_terms(text)) == bool(index_terms(text))


@given(st.lists(st.one_of(SPOKEN, NAMED), max_size=8), NAMED)
def test_identifiers_numbers_and_pairs_are_always_searched(words: list[str], name: str) -> None:
    terms = set(query_terms(" ".join([*words, name, *words])).split())
    assert {term for term in index_terms(name).split() if term not in {"的", "了"}} <= terms


def test_different_versions_differ() -> None:
    assert "v1_2_4" not in index_terms("v1.2.3").split()


@given(MIXED)
def test_terms_are_plain(text: str) -> None:
    """A term is bounded and holds nothing that a store's query parser could take for an operator."""
    for term in index_terms(text).split(" ") if index_terms(text) else []:
        assert 0 < len(term) <= MAX_TERM_CHARACTERS
        assert not any(character in "\"'*()|!^~?\\{}[]:/+-&,.#@= \n\t" for character in term)


@given(MIXED)
def test_a_text_finds_itself(text: str) -> None:
    assert set(query_terms(text).split()) <= set(index_terms(text).split())


@given(MIXED)
def test_case_and_width_do_not_matter_to_words(text: str) -> None:
    """Splitting at capitals aside, an upper-cased text holds the whole words of the lower-cased one."""
    words = [word for word in text.lower().split() if word.isascii() and word.isalpha()]
    assert set(index_terms(" ".join(words)).split()) == set(index_terms(" ".join(words).upper()).split())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("unit", "characters"),
    [
        ("a1", 1_000_000),
        *((unit, 100_000) for unit in ["a", "a-", "中", "a'", "aB", "1,", "é", "_", ".", "ก", "한", "a/"]),
    ],
)
def test_an_endless_line_is_bounded(unit: str, characters: int) -> None:
    line = unit * (characters // len(unit))
    assert len(index_terms(line).split()) <= MAX_INDEX_TERMS
    assert len(query_terms(line).split()) <= MAX_QUERY_TERMS


def test_a_version_of_many_parts_is_read_at_once() -> None:
    """A search that tries every way to cut it would be seen as a test that hangs."""
    assert "v1_1" in index_terms(f"v{'_'.join('1' * 60)}+1")
    assert index_terms("v3.11-rc_2").split()[0] == index_terms("3.11-rc_2").split()[0] == "3_11_rc_2"


def test_a_long_question_keeps_its_first_and_last_terms() -> None:
    words = [f"word{number}x" for number in range(8_000)]
    terms = query_terms(" ".join(["first", *words, "last"])).split()
    assert len(terms) == MAX_QUERY_TERMS
    assert (terms[0], terms[-1]) == ("first", "last")


def test_threads_do_not_mix() -> None:
    """The stemmer is called from the event loop and from worker threads at once."""
    words = [f"{stem}{ending}" for stem in ("connect", "relate", "nation") for ending in ("ing", "ed", "s", "ional")]
    texts = [" ".join([*words[start:], f"q{start}ations"]) for start in range(len(words))] * 50
    expected = [index_terms(text) for text in texts]
    wrong: list[str] = []
    stem.cache_clear()

    def check() -> None:
        wrong.extend(text for text, terms in zip(texts, expected, strict=True) if index_terms(text) != terms)

    threads = [threading.Thread(target=check) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
