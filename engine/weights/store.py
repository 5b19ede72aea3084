"""Provide the folder from which SGLang loads a checkpoint: used in place, or downloaded and verified once.

``KVASIR_CACHE/weights`` has a folder for each model. It contains a folder for each commit, ``pin.json`` (the commit of
the first download, kept for later starts) and a lock. ``engine.weights.wheel_pieces`` assembles models from a package
index there.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path

from engine.errors import InstallError
from engine.files import hold_file_lock, make_shared_folder, share_tree
from engine.installation.installer import ReportProgress
from engine.notes import EngineNote, NoteCode
from engine.planning.catalogue import find_fallback
from engine.planning.hardware import read_free_disk_bytes
from engine.planning.plans import LaunchPlan
from engine.planning.variant import GIB, Checkpoint, Variant, WheelPieces
from engine.weights.bucket import BucketOrigin
from engine.weights.download import Downloader, DownloadProgress, DownloadRetryPolicy, retry_call
from engine.weights.hub import HubOrigin
from engine.weights.listing import ModelListing, RemoteFile, is_needed, select_needed
from engine.weights.origin import Origin, WeightsSource
from engine.weights.safetensors import find_damage
from engine.weights.verified_files import VerifiedFiles, verify_file, verify_folder
from engine.weights.wheel_pieces import PieceAssembler, compute_revision
from engine.weights.worker_threads import WorkerThreads

_SPARE_BYTES = GIB
"""The space that stays free next to the weights, for logs, compiled kernels and the state."""
_ASSEMBLY_FACTOR = 5
"""Disk space for the pieces, the joined file and its bfloat16, as a multiple of the joined file."""
_HUB_DEADLINE_S = 8.0
"""The limit of one query of the hub. A firewall that drops packets would otherwise block it forever."""
_PACKAGE_INDEX = "a package index"
_VERIFIED_NAME = "checked.json"


class WeightsStore:
    """The checkpoints on this machine."""

    def __init__(
        self,
        cache: Path,
        source: WeightsSource,
        assembler: PieceAssembler | None = None,
        *,
        free_bytes: Callable[[Path], int] = read_free_disk_bytes,
        retry_policy: DownloadRetryPolicy | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Read nothing yet.

        Without an ``assembler``, a model in pieces is used but never assembled.
        """
        self._root = cache / "weights"
        self._source = source
        self._assembler = assembler
        self._free_bytes = free_bytes
        self._retry_policy = retry_policy or DownloadRetryPolicy()
        self._sleep = sleep

    @property
    def uses_hub(self) -> bool:
        """Return whether weights come from a hub, not from a folder or bucket."""
        return self._source.place is None

    def is_ready(self, checkpoint: Checkpoint) -> bool:
        """Return whether a start can load the checkpoint at once, without download or verification; blocking."""
        folder = self.find_folder(checkpoint)
        return folder is not None and self._open_verified_files(folder).is_complete()

    def find_folder(self, checkpoint: Checkpoint) -> Path | None:
        """Return the folder that a start would load, None if it has to be downloaded; blocking, a ``stat`` per file."""
        return self._find_external_folder(checkpoint) or self._find_verified_folder(checkpoint)

    def count_missing_bytes(self, checkpoint: Checkpoint, size_bytes: int) -> int:
        """Return the bytes of an incomplete checkpoint of that size that are not downloaded yet; blocking."""
        files = (path for path in self._model_folder(checkpoint).glob("*/*") if path.is_file())
        return max(0, size_bytes - sum(path.stat().st_size for path in files))

    def list_superseded(self, pinned: Iterable[Checkpoint]) -> list[tuple[Path, int]]:
        """Return the folders of commits that no start loads any more, with their bytes; blocking.

        ``pinned`` are the checkpoints of the catalogue, which may pin a commit.
        """
        pinned_revisions = {
            self._model_folder(one): revision for one in pinned if (revision := self._find_pinned_revision(one))
        }
        found = []
        for home in sorted(self._root.glob("*/pin.json")):
            revisions = pinned_revisions.get(home.parent) or _read_pin(home.parent)
            found += [
                path for path in sorted(home.parent.iterdir()) if revisions and path.is_dir() and path.name != revisions
            ]
        return [(folder, sum(path.stat().st_size for path in folder.iterdir())) for folder in found]

    async def query_origin(self, checkpoint: Checkpoint, timeout_s: float | None = None) -> tuple[str, ModelListing]:
        """Query the origin once for a checkpoint; return the origin's name and the needed files.

        ``timeout_s`` bounds the wait for a hub: a thread waits for it, and the process waits for the thread.

        Raises:
            InstallError: the origin does not have it, or does not answer.

        """
        async with aclosing(_create_origin(self._source, timeout_s)) as origin:
            return origin.label, await self._list_files(origin, checkpoint, DownloadRetryPolicy(max_attempts=1))

    async def provide_checkpoint(self, checkpoint: Checkpoint, report: ReportProgress) -> Path:
        """Return the folder of a checkpoint, complete and verified; download what is missing.

        Raises:
            InstallError: it cannot be downloaded, the disk is full, or files are damaged; the text has the next step.

        """
        threads = WorkerThreads()
        try:
            folder = self._find_external_folder(checkpoint)
            if folder is not None:
                return await verify_folder(folder, self._open_verified_files(folder), threads, report)
            return await self._download_checkpoint(checkpoint, threads, report)
        except OSError as error:
            raise self._map_os_error(error) from error
        finally:
            threads.close()

    def require_verification(self, checkpoint: Checkpoint) -> None:
        """Verify all bytes of a checkpoint at the next start, because loading failed."""
        folder = self._find_external_folder(checkpoint) or self._find_revision_folder(checkpoint)
        if folder is not None:
            self._open_verified_files(folder).clear()

    # ── Used in place ────────────────────────────────────────────────────────────────────────────────────────────────

    def _find_external_folder(self, checkpoint: Checkpoint) -> Path | None:
        """Return the external folder with the weights, existing or not; None if they are downloaded."""
        if os.path.isabs(checkpoint.repo):  # noqa: PTH117  # a hub id is no path
            return Path(checkpoint.repo)
        root = self._source.folder
        folder = None if root is None else root / checkpoint.repo
        return folder if folder is None or checkpoint.pieces is None or folder.is_dir() else None

    # ── Download ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _download_checkpoint(
        self, checkpoint: Checkpoint, threads: WorkerThreads, report: ReportProgress
    ) -> Path:
        if (whole := await threads.run(lambda: self._find_verified_folder(checkpoint))) is not None:
            return whole
        home = self._model_folder(checkpoint)
        make_shared_folder(home)
        waiting = NoteCode.DOWNLOADED_ELSEWHERE.fill(repo=checkpoint.repo)
        async with hold_file_lock(home / "lock", lambda: report(None, waiting)):
            if (whole := await threads.run(lambda: self._find_verified_folder(checkpoint))) is not None:
                return whole
            if checkpoint.pieces is not None and self._assembler is not None:
                return await self._assemble_model(self._assembler, home, checkpoint.pieces, threads, report)
            async with aclosing(_create_origin(self._source)) as origin:
                report(None, NoteCode.LISTING_FILES.fill(repo=checkpoint.repo, origin=origin.label))
                listing = await self._list_files(origin, checkpoint, self._retry_policy)
                _write_pin(home, origin.label, listing.revision)
                return await self._complete_folder(
                    home / listing.revision, checkpoint, origin, listing, threads, report
                )

    async def _assemble_model(
        self, assembler: PieceAssembler, home: Path, pieces: WheelPieces, threads: WorkerThreads, report: ReportProgress
    ) -> Path:  # fmt: skip
        """Assemble a model from its pieces in a temporary folder, and rename that when it is complete."""
        folder, scratch = home / compute_revision(pieces), home / "scratch"
        free, needed_bytes = self._free_bytes(home), estimate_assembly_bytes(pieces)
        if free < needed_bytes:
            raise InstallError(
                NoteCode.NO_ROOM_FOR_SMALL_MODEL.fill(
                    needed_gib=needed_bytes / GIB, folder=str(self._root), free_gib=free / GIB
                )
            )
        for leftover in (folder, scratch):
            await threads.run(partial(shutil.rmtree, leftover, ignore_errors=True))
        scratch.mkdir()
        try:
            await assembler.assemble_model(pieces, scratch, report)
            scratch.rename(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        _write_pin(home, _PACKAGE_INDEX, folder.name)
        verified = self._open_verified_files(folder)
        await threads.run(
            lambda: verified.mark_complete(path.name for path in folder.iterdir() if is_needed(path.name))
        )
        await threads.run(lambda: share_tree(home))
        return folder

    async def _complete_folder(
        self,
        folder: Path,
        checkpoint: Checkpoint,
        origin: Origin,
        listing: ModelListing,
        threads: WorkerThreads,
        report: ReportProgress,
    ) -> Path:
        """Download the missing files of a folder; verify existing files first."""
        folder.mkdir(exist_ok=True)
        verified = self._open_verified_files(folder)
        missing = [file for file in listing.files if not await verify_file(folder, file, verified, threads)]
        here = listing.size_bytes - sum(file.size_bytes for file in missing) + _count_part_bytes(folder, missing)
        self._check_disk(checkpoint, origin, listing.size_bytes, here)
        step = NoteCode.FETCHING_WEIGHTS.fill(repo=checkpoint.repo, origin=origin.label)
        progress = DownloadProgress(listing.size_bytes, here, report, step)
        downloader = Downloader(
            origin,
            checkpoint.repo,
            listing.revision,
            folder,
            progress,
            threads,
            retry_policy=self._retry_policy,
            sleep=self._sleep,
        )
        await downloader.download_files(missing, verified.add_file)
        for found in await threads.run(lambda: list(find_damage(folder))):
            await threads.run(verified.clear)
            raise InstallError(
                NoteCode.PUBLISHED_DAMAGED.fill(
                    file=found.name, repo=checkpoint.repo, why=found.why, origin=origin.label
                )
            )
        await threads.run(lambda: verified.mark_complete(file.name for file in listing.files))
        await threads.run(lambda: share_tree(folder.parent))
        return folder

    async def _list_files(
        self, origin: Origin, checkpoint: Checkpoint, retry_policy: DownloadRetryPolicy
    ) -> ModelListing:
        revision = self._find_pinned_revision(checkpoint) or _read_pin(self._model_folder(checkpoint), origin.label)
        found = await retry_call(
            lambda: origin.list_files(checkpoint.repo, revision), origin.label, retry_policy, self._sleep
        )  # fmt: skip
        if not found.revision.isalnum():  # it becomes a folder's name
            raise InstallError(NoteCode.NOT_A_HUB.fill(origin=origin.label))
        return select_needed(found, f"{origin.label}/{checkpoint.repo}")

    def _find_verified_folder(self, checkpoint: Checkpoint) -> Path | None:
        folder = self._find_revision_folder(checkpoint)
        return folder if folder is not None and self._open_verified_files(folder).is_complete() else None

    def _find_revision_folder(self, checkpoint: Checkpoint) -> Path | None:
        """Return the folder of the wanted commit, None while it is unknown."""
        home = self._model_folder(checkpoint)
        revision = self._find_pinned_revision(checkpoint) or _read_pin(home)
        return None if revision is None else home / revision

    def _find_pinned_revision(self, checkpoint: Checkpoint) -> str | None:
        """Return the commit that the catalogue pins; buckets have no commits."""
        if checkpoint.pieces is not None:
            return compute_revision(checkpoint.pieces)
        return None if self._source.is_bucket else checkpoint.revision

    def _model_folder(self, checkpoint: Checkpoint) -> Path:
        return self._root / checkpoint.repo.replace("/", "--")

    def _open_verified_files(self, folder: Path) -> VerifiedFiles:
        if folder.is_relative_to(self._root):
            return VerifiedFiles(folder / _VERIFIED_NAME, folder)
        name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
        return VerifiedFiles(self._root / "in-place" / f"{name}.json", folder)

    def _check_disk(self, checkpoint: Checkpoint, origin: Origin, size: int, here: int) -> None:
        free, needed_bytes = self._free_bytes(self._root), size - here + _SPARE_BYTES * (size > here)
        if free < needed_bytes:
            raise InstallError(
                NoteCode.NO_ROOM_FOR_WEIGHTS.fill(
                    repo=checkpoint.repo,
                    origin=origin.label,
                    missing_gib=(size - here) / GIB,
                    size_gib=size / GIB,
                    spare_gib=_SPARE_BYTES / GIB,
                    folder=str(self._root),
                    free_gib=free / GIB,
                )
            )

    def _map_os_error(self, error: OSError) -> InstallError:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return InstallError(NoteCode.DOWNLOAD_DISK_FULL.fill(folder=str(self._root)))
        return InstallError(
            NoteCode.WEIGHTS_NOT_ACCESSIBLE.fill(reason=str(error.strerror), path=str(error.filename or self._root))
        )


async def choose_obtainable_plan(plan: LaunchPlan, weights: WeightsStore) -> LaunchPlan:
    """Return the plan if its model can be downloaded, else the plan for its fallback from a package index.

    If the weights are on this machine already, nothing is queried.
    """
    fallback = find_fallback(plan.variant)
    if fallback is None or await asyncio.to_thread(_is_local, weights, plan.weights):
        return plan
    if await asyncio.to_thread(_is_local, weights, fallback.checkpoints[0]):
        return _use_fallback(plan, fallback, NoteCode.FALLBACK_PRESENT.fill(model=fallback.name))
    try:
        async with asyncio.timeout(_HUB_DEADLINE_S):
            await weights.query_origin(plan.weights, _HUB_DEADLINE_S)
    except (InstallError, TimeoutError):
        if weights.uses_hub:
            return _use_fallback(plan, fallback, NoteCode.HUB_NOT_REACHED.fill(model=fallback.name))
        why = NoteCode.PLACE_LACKS_MODEL.fill(repo=plan.weights.repo, model=fallback.name)
        return _use_fallback(plan, fallback, why)
    return plan


def _is_local(weights: WeightsStore, checkpoint: Checkpoint) -> bool:
    folder = weights.find_folder(checkpoint)
    return folder is not None and folder.is_dir()


def _use_fallback(plan: LaunchPlan, fallback: Variant, why: EngineNote) -> LaunchPlan:
    return replace(plan, variant=fallback, checkpoint=None, notes=(*plan.notes, why))


def _create_origin(source: WeightsSource, timeout_s: float | None = None) -> Origin:
    """Return the origin of downloads; ``timeout_s`` bounds how long a listing waits for a hub."""
    if source.place is None:
        return HubOrigin(source.endpoint, source.token, timeout_s)
    if source.is_bucket:
        return BucketOrigin(source.place)
    raise InstallError(NoteCode.NO_DOWNLOADS.fill(folder=str(source.place)))


def estimate_assembly_bytes(pieces: WheelPieces) -> int:
    """Return the disk space that assembling a model needs."""
    return _ASSEMBLY_FACTOR * pieces.size_bytes + _SPARE_BYTES


def _count_part_bytes(folder: Path, files: list[RemoteFile]) -> int:
    parts = [folder / file.part_name for file in files]
    return sum(part.stat().st_size for part in parts if part.exists())


def _read_pin(home: Path, origin: str | None = None) -> str | None:
    """Return the commit of an earlier download, at that origin if one is given."""
    try:
        pin = json.loads((home / "pin.json").read_text(encoding="utf-8"))
        pinned_origin, revision = str(pin["origin"]), str(pin["revision"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return revision if revision.isalnum() and origin in {None, pinned_origin} else None


def _write_pin(home: Path, origin: str, revision: str) -> None:
    scratch = home / "pin.new"
    scratch.write_text(json.dumps({"origin": origin, "revision": revision}), encoding="utf-8")
    scratch.replace(home / "pin.json")
