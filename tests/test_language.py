from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.notices.messages import MessageKey, format_message, format_progress
from knowledge.language import choose_language, detect_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How many days?", "en"),
        ("年假有几天？", "zh"),
        ("VPN 怎么连接？", "zh"),
        ("What does 年假 mean?", "en"),
        ("如何在 Kubernetes 里执行 kubectl rollout restart？", "zh"),
        ("`SELECT * FROM t` 报错", "zh"),
        ("Why does `年假` fail in the parser?", "en"),
        ("请看 https://a.example/how/do/i/do/this", "zh"),
        ("年假は何日ですか", None),
        ("Сколько дней?", None),
        ("Wie viele Urlaubstage gibt es?", "en"),
        ("", None),
        ("42?", None),
        ("報銷需要幾天？", "zh"),
    ],
)
def test_language(text: str, language: str | None) -> None:
    assert detect_language(text) == language


@given(st.text(alphabet=string.ascii_letters + " .,?", min_size=1).filter(str.strip))
def test_latin_text_is_answered_in_english(text: str) -> None:
    assert choose_language(text) == "en"


@pytest.mark.parametrize("phrase", list(MessageKey))
def test_both_languages_say_the_same(phrase: MessageKey) -> None:
    def fields(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    assert fields(phrase.value.en) == fields(phrase.value.zh)
    assert [detect_language(re.sub(r"{\w+}", "", text)) for text in (phrase.value.en, phrase.value.zh)] == ["en", "zh"]


def test_progress_is_told_where_it_is_known() -> None:
    assert format_message(MessageKey.ENGINE_LOADING, "en", progress=format_progress(0.4, "en")).startswith(
        "The engine is still loading (40 %);"
    )
    assert format_progress(None, "zh") == ""
    assert "（100 %）" in format_message(MessageKey.ENGINE_LOADING, "zh", progress=format_progress(1.7, "zh"))
