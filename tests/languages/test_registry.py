from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.languages.registry import choose_language, detect_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How many days?", "en"), ("年假有几天？", "zh"), ("VPN 怎么连接？", "zh"), ("What does 年假 mean?", "en"),
        ("如何在 Kubernetes 里执行 kubectl rollout restart？", "zh"), ("`SELECT * FROM t` 报错", "zh"),
        ("Why does `年假` fail in the parser?", "en"), ("请看 https://a.example/how/do/i/do/this", "zh"),
        ("年假は何日ですか", None), ("Сколько дней?", None), ("Wie viele Urlaubstage gibt es?", "en"), ("", None),
        ("42?", None), ("報銷需要幾天？", "zh"), ("How do I add a 来源?", "en"), ("Kvasir 怎么用", "zh"),
    ],
)  # fmt: skip
def test_language(text: str, language: str | None) -> None:
    assert detect_language(text) == language


@given(st.text(alphabet=string.ascii_letters + " .,?", min_size=1).filter(str.strip))
def test_latin_text_is_answered_in_english(text: str) -> None:
    assert choose_language(text) == "en"
