from __future__ import annotations

from knowledge.language import detect_cjk_language


def test_services_get_the_language_of_cjk_queries() -> None:
    queries = (
        "rate limits",
        "限流怎么配置",
        "レート制限の設定",
        "요청 제한",
        "how is 限 read in a long English question",
    )
    assert [detect_cjk_language(query) for query in queries] == ["", "zh", "ja", "ko", ""]
