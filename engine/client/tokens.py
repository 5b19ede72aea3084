"""Count tokens as the served model does, with tiktoken encodings built from the model's own vocabulary files.

A vocabulary is recognised by the pre-tokenizer in its ``tokenizer.json`` (DeepSeek-R1, Qwen2 and Qwen3, Llama 3,
GPT-2). Any other is refused: a slightly wrong pattern would give wrong counts without an error.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import tiktoken

from engine.text import replace_surrogates

_MAX_STRETCH_CHARS = 50_000
"""Limit of one encoding call; the regular expression engine fails on runs of about a million characters."""
_SAFE_BREAK = re.compile(r"(?<=[a-z]) (?=[A-Za-z])|(?<=\S\n)(?=[A-Za-z\u4e00-\u9fa5])")
"""Places where every pattern below starts a new piece, with any text on either side."""

_CJK = "一-龥぀-ゟ゠-ヿ"
_DEEPSEEK = "|".join(
    (
        r"\p{N}{1,3}",
        # Inside a run of Chinese or kana, which DeepSeek splits off first.
        rf"[[{_CJK}]&&[^\p{{L}}\p{{P}}\p{{S}}]]?[[{_CJK}]&&[\p{{L}}\p{{M}}]]+",
        rf"[[{_CJK}]&&[\p{{P}}\p{{S}}]]+",
        rf"[[{_CJK}]&&[^\p{{L}}\p{{M}}\p{{P}}\p{{S}}]]+",
        r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+""",
        rf"[^\r\n\p{{L}}\p{{P}}\p{{S}}\p{{N}}{_CJK}]?[[\p{{L}}\p{{M}}]&&[^{_CJK}]]+",
        rf" ?[[\p{{P}}\p{{S}}]&&[^{_CJK}]]+[\r\n]*",
        r"\s*[\r\n]+",
        rf"\s+(?![^\s\p{{N}}{_CJK}])",
        r"\s+",
        rf"[^\s\p{{L}}\p{{M}}\p{{P}}\p{{S}}\p{{N}}{_CJK}]+(?![[\p{{L}}\p{{M}}]&&[^{_CJK}]])",
        rf"[^\s\p{{L}}\p{{M}}\p{{P}}\p{{S}}\p{{N}}{_CJK}]+",
    )
)
"""The three successive splits of DeepSeek's files as one expression."""

_GPT2 = r"'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3 = QWEN2.replace(r"\p{N}|", r"\p{N}{1,3}|")
"""Qwen2's pattern with up to three digits together."""


class UnknownTokenizer(ValueError):
    """A tokenizer file of an unknown kind; the text names the file and the kind."""


class ByteCounter:
    """Counts bytes: no byte-level vocabulary makes more tokens of a text than it has bytes."""

    def count_tokens(self, text: str) -> int:
        """Return the length in UTF-8 bytes, an upper bound of the number of tokens."""
        return len(replace_surrogates(text).encode())


class TokenEncoding:
    """The vocabulary of a model."""

    def __init__(
        self,
        name: str,
        pattern: str,
        ranks: dict[bytes, int],
        *,
        special: dict[str, int] | None = None,
        normalize: Callable[[str], str] | None = None,
    ) -> None:
        """``normalize`` is what the model's tokenizer does to a text first."""
        self.special: Mapping[str, int] = special or {}
        self._encoding = tiktoken.Encoding(
            name, pat_str=pattern, mergeable_ranks=ranks, special_tokens=dict(self.special)
        )
        self._normalize = normalize

    def encode(self, text: str) -> list[int]:
        """Return the tokens of ``text`` as ordinary text, without control tokens.

        Exact for almost any text. In a stretch of over 50,000 characters without a break between words or lines, the
        tokens at the cut may differ.
        """
        text = replace_surrogates(text)
        if self._normalize is not None:
            text = self._normalize(text)
        return [token for stretch in _split_stretches(text) for token in self._encoding.encode_ordinary(stretch)]

    def count_tokens(self, text: str) -> int:
        """Count the tokens of ``text`` as ordinary text."""
        return len(self.encode(text))


Vocabulary = ByteCounter | TokenEncoding


def load_tokenizer_json(path: Path) -> TokenEncoding:
    """Load the vocabulary of a ``tokenizer.json``; takes about a second for 130,000 tokens.

    Raises:
        UnknownTokenizer: its kind is unknown, or it is not a tokenizer file.

    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        model, special = data["model"], {item["content"]: item["id"] for item in data.get("added_tokens", ())}
        ranks = {
            bytes(map(_BYTE_OF_LETTER.__getitem__, token)): rank
            for token, rank in model["vocab"].items()
            if token not in special
        }
        pattern = _find_pattern(data["pre_tokenizer"])
        normalize = _create_normalizer(data.get("normalizer"))
        return TokenEncoding(path.parent.name, pattern, ranks, special=special, normalize=normalize)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnknownTokenizer(f"{path} is not a tokenizer of a known kind: {error!r}") from error


def load_tiktoken_ranks(path: Path, kind: Literal["qwen2", "llama3"], special: dict[str, int]) -> TokenEncoding:
    """Load a file with one base64 token and its rank a line, as Qwen and Meta publish them.

    ``special`` are the model's control tokens, which such a file lacks.

    Raises:
        UnknownTokenizer: the file has another format.

    """
    try:
        lines = (line.split() for line in path.read_bytes().splitlines() if line)
        ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
        if kind == "llama3":
            return TokenEncoding(path.stem, LLAMA3, ranks, special=special)
        return TokenEncoding(path.stem, QWEN2, ranks, special=special, normalize=_create_nfc())
    except (OSError, ValueError) as error:
        raise UnknownTokenizer(f"{path} is not a list of tokens: {error!r}") from error


def _split_stretches(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > _MAX_STRETCH_CHARS:
        end = start + _MAX_STRETCH_CHARS
        breaks = [found.start() for found in _SAFE_BREAK.finditer(text, start + _MAX_STRETCH_CHARS * 9 // 10, end)]
        end = breaks[-1] if breaks else end
        yield text[start:end]
        start = end
    yield text[start:]


def _find_pattern(declared: dict[str, Any]) -> str:
    """Return the expression that splits as the declared pre-tokenizer does."""
    steps = declared["pretokenizers"] if declared["type"] == "Sequence" else [declared]
    kinds = tuple(step["type"] for step in steps)
    if kinds == ("Split", "Split", "Split", "ByteLevel") and steps[0]["pattern"].get("Regex") == r"\p{N}{1,3}":
        return _DEEPSEEK
    if kinds == ("Split", "ByteLevel") and not steps[1]["use_regex"] and steps[0]["behavior"] == "Isolated":
        return str(steps[0]["pattern"]["Regex"])
    if kinds == ("ByteLevel",) and steps[0]["use_regex"] and not steps[0]["add_prefix_space"]:
        return _GPT2
    raise UnknownTokenizer(f"pre-tokenizer {' + '.join(kinds)}")


def _create_normalizer(declared: dict[str, Any] | None) -> Callable[[str], str] | None:
    if declared is None or (declared["type"] == "Sequence" and not declared["normalizers"]):
        return None
    if declared["type"] == "NFC":
        return _create_nfc()
    raise UnknownTokenizer(f"normalizer {declared['type']}")


def _create_nfc() -> Callable[[str], str]:
    """Return the NFC of ``tokenizers``, whose Unicode version differs from Python's."""
    from tokenizers import normalizers  # noqa: PLC0415  # only these vocabularies need it

    return normalizers.NFC().normalize_str


_VISIBLE_BYTES = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_HIDDEN_BYTES = (byte for byte in range(256) if byte not in _VISIBLE_BYTES)
_BYTE_OF_LETTER = {chr(byte): byte for byte in _VISIBLE_BYTES} | {
    chr(256 + n): byte for n, byte in enumerate(_HIDDEN_BYTES)
}
"""GPT-2's table of the visible characters that stand for bytes in vocabulary files."""
