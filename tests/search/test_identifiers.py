"""The exact names of a question, and whether a passage has them, as pure functions."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.search.identifiers import Identifier, find_identifiers, fold_text
from tests.growth import takes_linear_time


def match_identifiers(names: Sequence[Identifier], text: str) -> frozenset[str]:
    return frozenset(name.name for name in names if name.occurs_in(fold_text(text)))


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("what does E-1042 mean?", ["E-1042"]),
        ("E1042 是什么错误", ["E1042"]),
        ("错误ORA-00942是什么意思", ["ORA-00942"]),
        ("got 0x80070005 on update", ["0x80070005"]),
        ("status of OPS-1234 and ops-77", ["OPS-1234"]),
        ("is CVE-2024-3094 fixed", ["CVE-2024-3094"]),
        ("ERR_CONN_1042 and KB5001", ["ERR_CONN_1042", "KB5001"]),
        ("what is in nginx.conf and values.prod.yaml?", ["nginx.conf", "values.prod.yaml"]),
        ("where is conf/config.yaml, or /etc/apisix/admin", ["conf/config.yaml", "etc/apisix/admin"]),
        ("changes of v1.39 since 3.11.2", ["v1.39", "3.11.2"]),
        ("set --max-old-space-size", ["--max-old-space-size"]),
        ("what is max_fails or proxyPass or core.response.exit", ["max_fails", "proxyPass", "core.response.exit"]),
        ("std::chrono::steady_clock", ["std::chrono::steady_clock"]),
        ("NullPointerException in the log", ["NullPointerException"]),
        ("Ｅ-1042 in full width", ["E-1042"]),
    ],
)
def test_exact_names_are_found(question: str, names: list[str]) -> None:
    assert [one.name for one in find_identifiers(question)] == names


@pytest.mark.parametrize(
    "question",
    [
        "",
        "How do I reset my password?",
        "between 2026-01-31 and 1.2.2026",
        "ask 10.0.0.1 or jane.doe@example.com",
        "see https://example.com/a_b/c.conf?x=E-1042",
        "top-10 reasons, and/or a 24-hour day, well-known",
        "GitHub, JavaScript, iPhone 15 and the US",
        "年假有 15 天吗",
        "HTTP/2 over TLS 1.3",
        " ".join(f"E-{n}" for n in range(1000, 1020)),
    ],
)
def test_plain_language_names_nothing_exactly(question: str) -> None:
    assert find_identifiers(question) == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("E-1042", "Error e-1042: the disk is full"),
        ("E-1042", "错误E1042表示磁盘已满"),
        ("E1042", "(E-1042)"),
        ("ORA-00942", "ORA-00942."),
        ("0x80070005", "0X80070005"),
        ("nginx.conf", "edit /etc/nginx/nginx.conf, then"),
        ("nginx.conf", "`nginx.conf`"),
        ("conf/config.yaml", "/usr/local/apisix/conf/config.yaml"),
        ("v1.39.0", "since 1.39.0, it"),
        ("1.39.0", "apisix-v1.39.0.tgz"),
        ("--max-old-space-size", "NODE_OPTIONS=--max-old-space-size=4096"),
        ("--max-old-space-size", "max_old_space_size"),
        ("max_fails", "upstream.max_fails = 3"),
        ("proxyPass", "proxypass"),
        ("core.response.exit", "apisix.core.response.exit(401)"),
    ],
)
def test_a_passage_has_a_name_in_any_spelling(name: str, text: str) -> None:
    assert match_identifiers(find_identifiers(name), text) == {name}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("E-1042", "E-10421 E-104 E-1043 PRE-1042 E-1042-2"),
        ("OPS-1234", "DEVOPS-1234"),
        ("ORA-00942", "ORA-942"),
        ("0x80070005", "0x800700051"),
        ("nginx.conf", "nginx.conf.default my-nginx.conf nginx_conf"),
        ("values.yaml", "prod-values.yaml values.yaml.bak"),
        ("1.39.0", "1.39.01 11.39.0 1.39.0.1 0.1.39.0 1.39.0-rc1"),
        ("v1.39", "1.39.2"),
        ("--max-size", "--max-sizes"),
        ("max_fails", "max_fails_total plugin_max_fails"),
    ],
)
def test_a_similar_name_does_not_match(name: str, text: str) -> None:
    assert len(find_identifiers(name)) == 1
    assert match_identifiers(find_identifiers(name), text) == frozenset()


def test_versions_and_files_are_not_telling_names() -> None:
    assert {one.name: one.telling for one in find_identifiers("E-1042 in app.py of 3.2.1 with max_fails")} == {
        "E-1042": True,
        "app.py": False,
        "3.2.1": False,
        "max_fails": True,
    }


names = st.from_regex(
    r"[A-Z]{1,4}-[0-9]{3,5}|[a-z]{2,5}_[a-z]{2,5}|[a-z]{2,8}\.conf|v[0-9]\.[0-9]{1,2}\.[0-9]", fullmatch=True
)


@given(
    names,
    st.sampled_from(["", " ", "（", "错误", "`", "("]),
    st.sampled_from(["", " ", "。", "是", "`", "?", ")", ", x"]),
)
def test_an_exact_name_is_found_next_to_any_text(name: str, before: str, after: str) -> None:
    text = f"{before}{name}{after}"
    assert [one.name for one in find_identifiers(text)] == [name]
    assert match_identifiers(find_identifiers(name), text) == {name}


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_is_accepted(question: str, text: str) -> None:
    found = find_identifiers(question)
    assert match_identifiers(found, text) <= {one.name for one in found}


@pytest.mark.parametrize("piece", ["a.", "a-", "a/", "A1-", "a_", "aB", "::", "0x", "v1."])
def test_it_is_linear_in_the_length(piece: str) -> None:
    def match(times: int) -> None:
        match_identifiers(find_identifiers(piece * times), piece * times)

    assert takes_linear_time(match, 8000)
