"""Masking: what it removes from a question, and what it keeps."""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.masking import MASK, mask_secrets

SECRETS = {
    "e-mail": [
        "ann.lee@example.com", "ann+tag@mail.example.co.uk", "o'hara_1@ex-ample.io", "ann＠example．com",
        "<mailto:ann@example.com|ann@example.com>", "ANN@EXAMPLE.COM",
        "ada@exämple.de", "jürgen@example.com", "ann@example。com", "ann@exa\u200bmple.com",
    ],
    "phone": [
        "+49 30 1234567", "+1 (415) 555-2671", "+44 (0)20 7946 0958", "+86 138 0013 8000", "+8613800138000",
        "0049 30 1234567",
        "13800138000", "138-0013-8000", "138 0013 8000", "86 13800138000", "(415) 555-2671", "415-555-2671",
        "415.555.2671",
        "010-12345678", "0571-87654321", "020 7946 0958", "0171 1234567", "400-820-8820", "１３８００１３８０００",
        "+81-3-1234-5678", "+91 98765 43210",
        "030–12345678", "+49\u202f170\u20091234567", "+49 170\n1234567", "138\u200b1234\u200b5678",
    ],
    "card": [
        "4111 1111 1111 1111", "4111111111111111", "5500-0000-0000-0004", "378282246310005", "3782 822463 10005",
        "6011000990139424", "6222021234567890128",
        "4111\u200b1111\u200b1111\u200b1111", "4111\u00ad1111\u00ad1111\u00ad1111",
        "4111\u20111111\u20111111\u20111111",
        "4111\u00a01111\u00a01111\u00a01111", "4111\t1111\t1111\t1111", "4111  1111  1111  1111",
        "4111 1111\r\n1111 1111",
        "4111\n1111\n1111\n1111", "٤١١١١١١١١١١١١١١١", "𝟒𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏",
    ],
    "account": [
        "DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819", "NO9386011117947",
        "FR14 2004 1010 0505 0001 3M02 606",
        "DE89\u200b3704\u200b0044\u200b0532\u200b0130\u200b00", "DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000",
        "DE89\n3704\n0044\n0532\n0130\n00",
    ],
    "national id": ["123-45-6789", "11010519491231002X", "440524188001010014"],
    "Slack": [
        "<@U012AB3CD>", "<@U012AB3CD|ann>", "<#C034EF5GH|general>", "<!subteam^S0123ABCD|@ops>", "U012AB3CD",
        "C06ABCDEF12",
    ],
    "token": [
        "xoxb-2123456789012-2123456789012-abcdefABCDEF123456", "xapp-1-A012BCD3EFG-1234567890123-abcdef0123456789",
        "sk-proj-abcdefghij0123456789", "sk-ant-api03-abcDEF0123456789", "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "github_pat_11ABCDEFG0abcdefghijkl_0123456789", "glpat-abcdEFGH12345678", "hf_abcdefghijklmnopQRST1234",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        "AIzaSyA1234567890abcdefghijklmnopqrstuv", "tvly-dev-abcdEFGH12345678",
        "SG.abcdefghij1234567890.abcdefghij1234567890",
        "kvasir_0a1b2c3d_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP_",
    ],
    "hexadecimal": [
        "5f4dcc3b5aa765d61d8327deb882cf99", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ],
    "uuid": ["123e4567-e89b-12d3-a456-426614174000", "123E4567-E89B-12D3-A456-426614174000"],
    "inner address": [
        "10.1.2.3", "192.168.0.17", "172.16.5.4", "172.31.255.1", "169.254.10.1", "100.64.3.2",
        "fd12:3456:789a::1", "fe80::1ff:fe23:4567:890a",
    ],
}  # fmt: skip

ASSIGNED = {
    "_123-45-6789_ and _+49 170 1234567_": "_…_ and _…_",
    "my SSN, _123 45 6789_, _030 12345678_": "my SSN, _…_, _…_",
    "order 5501 4111 1111 1111 1111 123": "order 5501 … 123",
    "password=hunter22": "password=…",
    "postgres://app:p@ss@db.example.com/kb": "postgres://…/kb",
    "curl -u ada:hunter22 example.com": "curl -u … example.com",
    "run -u 1000:1000 image": "run -u 1000:1000 image",
    "set api_key=$API_KEY1 and token=your-token1": "set api_key=$API_KEY1 and token=your-token1",
    "Cookie: d=xoxd-AbCdEfGh12345678%2Fabc; b=1": "Cookie: d=…; b=1",
    "authorization: Bearer $OPENAI_API_KEY": "authorization: Bearer $OPENAI_API_KEY",
    "my password is Summer2026!": "my password is …",
    "my password is: Summer2026!": "my password is: …",
    "the token is “a1b2c3d4e5”.": "the token is “…”.",
    "密码：“Abc12345”": "密码：“…”",
    "redis://:s3cret@db.example.com/0": "redis://…/0",
    "authorization: ApiKey a1b2c3d4e5f6": "authorization: ApiKey …",
    "authorization: a1b2c3d4e5f6": "authorization: …",
    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEow12\n-----END RSA PRIVATE KEY-----\nend": "…\nend",
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOYBF12\n-----END PGP PRIVATE KEY BLOCK-----\nend": "…\nend",
    "a cut -----BEGIN PRIVATE KEY-----\nMIIEow12": "a cut …",
    "密码是abc12345": "密码是…",
    'api_key: "a1b2c3d4e5"': 'api_key: "…"',
    "Authorization: Bearer abcDEF0123456789xyz": "Authorization: Bearer …",
    "postgres://app:s3cret@db.example.com/kb": "postgres://…/kb",
    "https://hooks.slack.com/services/T012AB3CD/B012AB3CD/abcdefghijklmnop": "https://hooks.slack.…",
    "call me, tel: 1234567": "call me, tel: …",
    "电话：8765432": "电话：…",
    "ping 10.1.2.3:8080": "ping …:8080",
    "what is files.example/s/plan?sig=ab12cd&x=1 about": "what is files.example/s/plan?… about",
    "看看wiki.corp:8443/a?share=Qx7吧": "看看wiki.corp:8443/a?…吧",
    "authorization: Basic dXNlcjpwYXNz": "authorization: Basic …",
}

KEPT = [
    "How do I set the rate limit in APISIX 3.11.2?", "CVE-2024-3094 in xz 5.6.1", "GHSA-jfh8-c2jp-5v3q",
    "ORA-00942 and ORA-12154: TNS", "error 0x80070005", "KB5034441", "HTTP 503 on port 8080", "RFC 9111",
    "ISO/IEC 27001:2022",
    "Windows 10.0.19045.3803", "Chrome 120.0.6099.129", "GPT-4 or DeepSeek-R1-Distill-Qwen-32B on 8 H200",
    "between 2024-05-01 and 2026-11-25", "2024-05-01T10:11:12.123456Z", "20240501101112",
    "at 1700000000 or 1700000000000 ms",
    "127.0.0.1:8888 connection refused", "0.0.0.0 and ::1 and 8.8.8.8", "C++ 11, C# 12", "UTC+8 and GMT+0800",
    "café naïve",
    "population of 1,411,750,000", "3.14159265358979", "part no. 0201-06", "What is my password for?",
    "token: refresh",
    "secret is out of date", "how long may a passphrase be", "the api key is wrong", "password policy: 12 characters",
    "/usr/local/lib/python3.11/site-packages/torch/nn/modules/module.py",
    "org.springframework.boot.autoconfigure.EnableAutoConfiguration",
    "AbstractSingletonProxyFactoryBean", "KVASIR_ENGINE_API_KEY", "kubernetes-deployment-rollout-restart-v2-example",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES128-GCM-SHA256", "EXT4-fs error",
    "SHA256SUMS BASE64URL D3D11", "UTF8MB4",
    "git commit 1a2b3c4", "@channel and #general", "Ctrl+Alt+Del", "1-800 numbers", "2001:db8::1", "12:34:56",
    "年收入 300000 元",
    "2026年11月25日 的 第 12345678 号 公告", "GB/T 22239-2019 等级保护", "《网络安全法》第二十一条",
    "iPhone 15 Pro Max 512GB", "A4 297x210",
    "#4711 #12345", "v1.2.3-rc.4+build.5678", "$1,234,567.89", "WD40EFRX-68N32N0", "E11000 duplicate key",
    "NVIDIA-SMI 550.54.15", "what does GET /users?limit=10 return", "is it node.js? or deno",
    "authorization: how is it done",
    "1000000 + 25000000?", "open ports 443 80 8443", "allocate 17179869184 bytes", "of 13958643712",
    "in 13800138123 ms",
    "mobile phones were sold 2010-2020", "mobile data prices 2024/2025", "mobile 14.0.0 20240501",
    "WhatsApp 2.24.10.75", "Tel Aviv population 2023 474530",
    "is example.com/docs/limits?", "docs.example.com/?", "authorization: required",
]  # fmt: skip


@pytest.mark.parametrize("secret", [one for kind in SECRETS.values() for one in kind])
def test_secrets_are_masked(secret: str) -> None:
    for around in ("{}", "why is {} refused?", "（{}）", "给{}打过电话", '"{}", and then', "a\n{}\nb", "see {}."):
        assert mask_secrets(around.format(secret)) == around.format(MASK)


@pytest.mark.parametrize(("text", "masked"), ASSIGNED.items())
def test_a_labelled_secret_is_masked(text: str, masked: str) -> None:
    assert mask_secrets(text) == masked


@pytest.mark.parametrize("text", KEPT)
def test_useful_words_are_not_masked(text: str) -> None:
    assert mask_secrets(text) == text


# ── Properties ───────────────────────────────────────────────────────────────────────────────────────────────────────

WORDS = st.lists(
    st.one_of(
        st.sampled_from(KEPT),
        st.text(string.ascii_lowercase, min_size=1, max_size=15),
        st.text("的一是在不了有和人这中大为上个国我以要他时来用们生到作地", min_size=1, max_size=12),
        st.integers(0, 9_999).map(str),
    ),
    max_size=8,
).map(" ".join)


def luhn(digits: str) -> str:
    """Return the digits with their check digit."""
    return next(f"{digits}{last}" for last in string.digits if _sum(f"{digits}{last}") % 10 == 0)


def _sum(digits: str) -> int:
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(int(digit) for number in doubled for digit in str(number))


def resident(place: int, born: tuple[int, int, int], order: int) -> str:
    body = f"{place}{born[0]:04}{born[1]:02}{born[2]:02}{order:03}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True)) % 11]


def iban(country: str, account: str) -> str:
    number = "".join(str(int(character, 36)) for character in f"{account}{country}00")
    return f"{country}{98 - int(number) % 97:02}{account}"


GENERATED = st.one_of(
    st.tuples(st.sampled_from(["ann", "bob.lee", "x_1", "li+a"]), st.sampled_from(["a.com", "b.c.cn"])).map("@".join),
    st.text(string.digits, min_size=8, max_size=8).map("138{}".format),
    st.tuples(st.integers(1, 99), st.text(string.digits, min_size=8, max_size=10)).map(
        lambda one: "+{} {}".format(*one)
    ),
    st.text(string.digits, min_size=14, max_size=14).map(lambda rest: luhn(f"4{rest}")),
    st.text(string.digits, min_size=18, max_size=18).map(lambda rest: iban("DE", rest)),
    st.tuples(st.integers(110_000, 659_999), st.dates(), st.integers(0, 999))
    .filter(lambda one: 1_900 <= one[1].year <= 2_026)
    .map(lambda one: resident(one[0], (one[1].year, one[1].month, one[1].day), one[2])),
    st.tuples(st.integers(1, 665), st.integers(1, 99), st.integers(1, 9_999)).map(
        lambda one: "{:03}-{:02}-{:04}".format(*one)
    ),
    st.uuids().map(str),
    st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=8, max_size=8).map("U0{}".format),
    st.text(string.ascii_letters + string.digits, min_size=20, max_size=40).map("xoxb-12345678-{}".format),
    st.text(string.ascii_letters + string.digits, min_size=36, max_size=36).map("ghp_1{}".format),
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", min_size=16, max_size=16).map("AKIA{}".format),
    st.binary(min_size=16, max_size=32).map(lambda data: f"a1{data.hex()}"),
    st.tuples(*[st.integers(0, 255)] * 3).map(lambda one: "10.{}.{}.{}".format(*one)),
)  # fmt: skip


@given(before=WORDS, secret=GENERATED, after=WORDS)
def test_no_generated_secret_is_left_in_any_sentence(before: str, secret: str, after: str) -> None:
    assert secret not in mask_secrets(f"{before} {secret}, {after}")


@given(st.one_of(st.text(), st.lists(st.one_of(WORDS, GENERATED, st.text())).map(" ".join)))
def test_masking_twice_changes_nothing(text: str) -> None:
    once = mask_secrets(text)
    assert mask_secrets(once) == once


@given(st.lists(st.one_of(WORDS, GENERATED, st.text(max_size=30))).map(" ".join))
def test_masking_keeps_the_rest_of_a_text(text: str) -> None:
    """Masking adds only masks and moves nothing."""
    place = 0
    for part in mask_secrets(text).replace(MASK, "\0").split("\0"):
        place = text.replace(MASK, "\0").index(part, place) + len(part)


@given(st.lists(st.text(string.ascii_letters, min_size=1, max_size=12), min_size=1, max_size=30).map(" ".join))
def test_plain_words_are_not_masked(text: str) -> None:
    assert mask_secrets(text) == text


KEYS: dict[str, Callable[[random.Random], str]] = {
    "base64 of 24 bytes": lambda chance: base64.b64encode(chance.randbytes(24)).decode(),
    "base64 of 30 bytes": lambda chance: base64.b64encode(chance.randbytes(30)).decode(),
    "32 bytes for URLs": lambda chance: base64.urlsafe_b64encode(chance.randbytes(32)).decode().rstrip("="),
    "32 letters and digits": lambda chance: "".join(chance.choices(string.ascii_letters + string.digits, k=32)),
    "32 small letters and digits": lambda chance: "".join(chance.choices(string.ascii_lowercase + string.digits, k=32)),
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_without_a_prefix_are_known_by_randomness(kind: str) -> None:
    """They have no checksum; 99 of 100 are masked."""
    chance = random.Random(kind)
    keys = [KEYS[kind](chance) for _ in range(2_000)]
    left = [key for key in keys if mask_secrets(f"why is {key} refused") != f"why is {MASK} refused"]
    assert len(left) < 20, left[:5]
