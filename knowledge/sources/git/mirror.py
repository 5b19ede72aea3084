"""A local copy of a repository's commits and trees, fetched in increments and read without a checkout."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
from asyncio.subprocess import Process
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from knowledge.errors import SourceUnavailable
from knowledge.sources.git.program import FETCH_S, LIST_REFS_S, LOCAL_S, Git, GitDamaged, kill_process

_DAMAGE_MARK = "kvasir-damaged"
_TIP = "refs/kvasir/tip"
_FETCH = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--filter=blob:none")
_LOG = (
    "log", "--first-parent", "-m", "--sparse", "--no-renames", "--no-ext-diff", "--name-only", "-z",
    "--format=tformat:%x01%H %ct",
)  # fmt: skip
_LOG_HEAD = re.compile(rb"\x01([0-9a-f]{40,64}) (\d+)")
_TREE_ENTRY = re.compile(rb"(\d{6}) blob ([0-9a-f]{40,64})\t(.*)", re.DOTALL)
_FILE_MODES = {b"100644", b"100755", b"100664"}
_READ_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class BranchTip:
    """The commit to which a branch points."""

    commit: str
    """The object that the remote names: a commit, or a tag that leads to one."""
    ref: str
    """The full name of the ref at the remote, ``HEAD`` if no other is known."""

    @property
    def branch(self) -> str:
        """Return the short name of the branch or tag."""
        return self.ref.removeprefix("refs/heads/").removeprefix("refs/tags/")


class Mirror:
    """The folder with a remote's commits and trees, and with the contents that were fetched."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._folder = Path(git.folder)

    async def find_tip(self, branch: str | None) -> BranchTip | None:
        """Return the tip of a branch or tag, by default of the default branch; None if the repository is empty.

        Raises:
            SourceUnavailable, SourceDenied: the remote cannot be reached, refuses, or has no such branch.

        """
        await self._prepare_folder()
        named = (f"refs/heads/{branch}", f"refs/tags/{branch}") if branch else ()
        refs, head = _parse_refs(await self._list_remote_refs("HEAD", *named))
        for ref in named or ("HEAD",):
            if ref in refs:
                return BranchTip(refs[ref], ref if branch else head or ref)
        if not refs and not await self._list_remote_refs():
            return None
        raise SourceUnavailable(
            f"The repository {self._git.remote.url} has no branch {branch or head or 'that is its default'}. "
            "Name an existing one with the key branch."
        )

    async def fetch_commits(self, tip: BranchTip) -> str:
        """Fetch the commits up to the tip unless they are here; return the commit.

        Raises:
            SourceUnavailable, SourceDenied: the transfer failed.

        """
        if not await self._is_fetched(tip.commit):
            await self._git.run(
                *_FETCH, "--update-shallow", "--", "origin", f"+{tip.ref}:{_TIP}", deadline_s=FETCH_S, remote=True
            )
        return await self._resolve_commit(_TIP)

    async def list_blobs(self, commit: str, roots: Sequence[str]) -> Mapping[str, str]:
        r"""Return the blob of each file, or of each file below ``roots``; symbolic links and submodules are left out.

        Bytes of a path that are not UTF-8 become ``\xNN``.
        """
        output = await self._git.run("ls-tree", "-r", "-z", "--full-tree", commit, "--", *roots)
        return await asyncio.to_thread(_parse_tree, output)

    async def find_sizes(self, blobs: Sequence[str]) -> Mapping[str, int]:
        """Return the size in bytes of each blob that is here."""
        stdin = "".join(f"{blob}\n" for blob in blobs).encode()
        output = await self._git.run("cat-file", "--batch-check=%(objectname) %(objectsize)", stdin=stdin)
        rows = (line.split(" ") for line in output.decode().splitlines())
        return {row[0]: int(row[1]) for row in rows if row[1].isdigit()}

    async def fetch_blobs(self, blobs: Sequence[str]) -> None:
        """Fetch the contents of these blobs."""
        await self._git.run(
            "-c", "fetch.negotiationAlgorithm=noop", *_FETCH, "--", "origin", *blobs, deadline_s=FETCH_S, remote=True
        )  # fmt: skip

    async def find_dates(
        self, commit: str, paths: AbstractSet[str], roots: Sequence[str], since: tuple[str, Mapping[str, int]]
    ) -> Mapping[str, int]:
        """Return when the branch last changed each path, in seconds since the epoch.

        Only first parents count: a merge changes a path when it enters the branch. ``since`` is an earlier commit with
        the dates found then; the walk ends there if they contain all missing paths.

        Raises:
            SourceUnavailable: the history cannot be read, or takes longer than the deadline.

        """
        until, known_dates = since
        if commit == until and paths <= known_dates.keys():
            return {path: known_dates[path] for path in paths}
        try:
            async with asyncio.timeout(FETCH_S):
                return await self._walk_history(commit, set(paths), roots, since)
        except TimeoutError as error:
            raise SourceUnavailable(
                f"Reading the history of {self._git.remote.url} took over {FETCH_S / 60:.0f} min. Narrow the "
                "source with the key paths."
            ) from error

    async def _walk_history(
        self, commit: str, missing: set[str], roots: Sequence[str], since: tuple[str, Mapping[str, int]]
    ) -> dict[str, int]:
        until, known_dates = since
        dates: dict[str, int] = {}
        async with self._git.open_process(*_LOG, commit, "--", *roots) as process:
            assert process.stdout is not None  # noqa: S101 - it was started with pipes
            history = LogParser()
            while missing and (piece := await process.stdout.read(_READ_BYTES)):
                for number, seconds, paths in history.feed(piece):
                    if number == until and missing <= known_dates.keys():
                        return dates | {path: known_dates[path] for path in missing}
                    dates.update(dict.fromkeys(missing & paths, seconds))
                    missing -= paths
            if missing and await process.wait() != 0:
                raise GitDamaged(f"The copy of {self._git.remote.url} is damaged. The next sync makes a new one.")
        return dates

    async def collect_garbage(self) -> None:
        """Pack the objects of many fetches, if git finds it worth the time."""
        settings = ("-c", "gc.auto=6700", "-c", "gc.autoDetach=false")
        await self._git.run(*settings, "gc", "--auto", "--quiet", deadline_s=FETCH_S, remote=True)

    def delete_copy(self) -> None:
        """Delete the copy; the next fetch starts from nothing."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def delete_others(self) -> None:
        """Delete the copies of repositories that this source named before."""
        for other in self._folder.parent.glob("*.git"):
            if other != self._folder:
                shutil.rmtree(other, ignore_errors=True)

    async def _list_remote_refs(self, *refs: str) -> bytes:
        return await self._git.run("ls-remote", "--symref", "--", "origin", *refs, deadline_s=LIST_REFS_S, remote=True)

    def mark_damaged(self) -> None:
        """Mark the copy as damaged, so that the next listing in any process makes a new one."""
        with contextlib.suppress(OSError):
            (self._folder / _DAMAGE_MARK).touch()

    async def _prepare_folder(self) -> None:
        if (self._folder / _DAMAGE_MARK).exists():
            await asyncio.to_thread(self.delete_copy)
        if not (self._folder / "HEAD").is_file():
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            await self._git.run("init", "--quiet", "--bare", "--template=", "--initial-branch=none")
        for lock in [*self._folder.glob("*.lock"), *self._folder.glob("refs/kvasir/*.lock")]:
            lock.unlink(missing_ok=True)  # A killed git left it. No other process uses this folder.

    async def _is_fetched(self, commit: str) -> bool:
        """Return whether the last fetch ended at this commit; the object alone may lack its parents."""
        output = await self._git.run("for-each-ref", "--format=%(objectname)", _TIP)
        return output.decode().strip() == commit

    async def _resolve_commit(self, name: str) -> str:
        output = await self._git.run("rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")
        return output.decode().split()[-1]


class BlobLoader:
    """Reads contents from one running ``git cat-file``, one at a time."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._lock = asyncio.Lock()
        self._process: Process | None = None

    async def read_blob(self, blob: str, limit: int) -> bytes | int | None:
        """Return a blob's bytes, its size if that is over the limit, or None if it is not here.

        Raises:
            SourceUnavailable: git failed.

        """
        async with self._lock:
            data: bytes | int | None = 0
            try:
                async with asyncio.timeout(LOCAL_S):
                    data = await self._request_blob(blob, limit)
            except TimeoutError as error:
                raise SourceUnavailable(
                    f"git did not return a file within {LOCAL_S:.0f} s. Check the disk; the next sync tries again."
                ) from error
            except (OSError, EOFError) as error:
                raise GitDamaged(
                    "git stopped while it read a file: the copy on this machine may be damaged. The next "
                    "sync makes a new one."
                ) from error
            finally:
                if isinstance(data, int):  # Otherwise the unread rest would be read as the next file.
                    await self._end_process()
            return data

    async def close(self) -> None:
        """End the process; the next read starts another."""
        async with self._lock:
            await self._end_process()

    async def _request_blob(self, blob: str, limit: int) -> bytes | int | None:
        if self._process is None or self._process.returncode is not None:
            self._process = await self._git.start_process("cat-file", "--batch")
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None  # noqa: S101 - it was started with pipes
        assert stdout is not None  # noqa: S101
        stdin.write(f"{blob}\n".encode())
        await stdin.drain()
        head = (await stdout.readuntil(b"\n")).split()
        if head[-1] == b"missing":
            return None
        size = int(head[2])
        if size > limit:
            return size
        data = await stdout.readexactly(size)
        await stdout.readexactly(1)
        return data

    async def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await kill_process(process)


def _parse_refs(output: bytes) -> tuple[dict[str, str], str | None]:
    """Return the refs in the output of ``ls-remote --symref``, and the ref that HEAD names."""
    refs: dict[str, str] = {}
    head: str | None = None
    for line in output.decode(errors="replace").splitlines():
        value, _, ref = line.partition("\t")
        if value.startswith("ref: "):
            head = value.removeprefix("ref: ") if ref == "HEAD" else head
        elif not ref.endswith("^{}"):
            refs[ref] = value
    return refs, head


def _parse_tree(output: bytes) -> dict[str, str]:
    entries = (_TREE_ENTRY.fullmatch(entry) for entry in output.split(b"\0") if entry)
    return {_decode_path(match[3]): match[2].decode() for match in entries if match and match[1] in _FILE_MODES}


def _decode_path(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


class LogParser:
    """Parses the output of ``git log --name-only -z`` in pieces; never awaits."""

    def __init__(self) -> None:
        self._rest = b""
        self._commit = ("", 0)
        self._first = False

    def feed(self, piece: bytes) -> Iterator[tuple[str, int, set[str]]]:
        """Yield each commit with its time and paths; a commit whose paths come in two pieces is yielded twice."""
        *tokens, self._rest = (self._rest + piece).split(b"\0")
        paths: set[str] = set()
        for token in tokens:
            if match := _LOG_HEAD.fullmatch(token):
                yield (*self._commit, paths)
                self._commit, paths, self._first = (match[1].decode(), int(match[2])), set(), True
            elif token:
                paths.add(_decode_path(token.removeprefix(b"\n") if self._first else token))
                self._first = False
        yield (*self._commit, paths)
