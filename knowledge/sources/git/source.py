"""A git repository as a source: the files of one branch, without a checkout."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from knowledge.dates import parse_timestamp
from knowledge.errors import SourceError
from knowledge.interfaces import DocumentContent, ListedDocument, SourceContext, SourceKey
from knowledge.path_filter import compile_path_filter, find_literal_roots
from knowledge.sources.common import (
    MAX_MB,
    SUFFIXES,
    config_error,
    fill_link_template,
    is_hidden_path,
    parse_size_limit,
    split_batches,
    strip_suffix,
    too_large_error,
    with_heartbeats,
)
from knowledge.sources.git.hosts import HOSTS, Remote, is_branch_name, parse_remote
from knowledge.sources.git.mirror import BlobLoader, BranchTip, Mirror
from knowledge.sources.git.program import Git, GitDamaged
from knowledge.sources.memory import load_state, save_state
from knowledge.sources.registry import SourceKind

_STATE_VERSION = 1
_BATCH = 2000
_FETCH_BATCH = 500
"""How many contents one fetch brings; what arrived stays if a later fetch fails."""
_BLOB = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_LFS_POINTER_BYTES = 1024
_LOOPBACK = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?")


@dataclass(frozen=True, slots=True)
class GitOptions:
    """The keys of a ``[[source]]`` of kind ``git``."""

    repository: str
    """An ``https`` or ``ssh`` address, ``git@host:path``, or a folder on this machine."""
    branch: str | None = None
    """A branch or a tag; the repository's default branch without it."""
    paths: tuple[str, ...] = ()
    """The files to read, by patterns (``compile_path_filter``); all files without it."""
    suffixes: tuple[str, ...] = SUFFIXES
    url: str | None = None
    """Where a person opens a document: ``{path}``, ``{stem}`` (without its suffix), ``{branch}``."""
    host: str | None = None
    """The kind of web pages of the host if its address does not say it: one of ``hosts.HOSTS``."""
    token_env: str | None = None
    """The variable with a token that may read the repository over https."""
    user: str | None = None
    """The user name for the token, if the host expects a certain one."""
    ssh_key: str | None = None
    """The file of a private key without a passphrase; by default, the keys that ssh finds."""
    max_mb: float = MAX_MB


@dataclass(frozen=True, slots=True)
class _BranchState:
    """The documents of one commit."""

    tip: BranchTip
    commit: str
    blobs: Mapping[str, str]
    dates: Mapping[str, int]


class GitSource:
    """Lists and reads the files of a branch.

    A document's version is the id of its content. Hidden files, symbolic links and submodules are left out. All commits
    and trees are fetched into a folder of the source's own, but only the documents' contents.
    """

    has_uniform_readers = True

    def __init__(self, key: SourceKey, context: SourceContext, options: GitOptions, git: Git, max_bytes: int) -> None:
        self.key = key
        self._context = context
        self._memory = context.memory(key)
        self._options = options
        self._remote = git.remote
        self._mirror = Mirror(git)
        self._blob_reader = BlobLoader(git)
        self._max_bytes = max_bytes
        self._is_included = compile_path_filter(options.paths)
        self._roots = find_literal_roots(options.paths)
        self._suffixes = tuple(suffix.lower() for suffix in options.suffixes)
        self._blobs: Mapping[str, str] | None = None

    def list(self) -> AsyncIterator[Sequence[ListedDocument]]:
        """Yield the files in batches.

        Raises:
            SourceUnavailable, SourceDenied: the remote cannot be reached, refuses, or has no such branch.

        """
        return with_heartbeats(self._list_files())

    async def read(self, listed: ListedDocument) -> DocumentContent:
        """Read the content that was listed, even if the branch has changed since.

        Raises:
            SourceError: the document is gone, too large, or a pointer into Git LFS.

        """
        if not _BLOB.fullmatch(listed.version) or (self._blobs is not None and listed.document not in self._blobs):
            raise SourceError(f"{listed.document} is gone from the branch. It was deleted or renamed.")
        try:
            data = await self._blob_reader.read_blob(listed.version, self._max_bytes)
            if data is None:
                await self._mirror.fetch_blobs([listed.version])
                data = await self._blob_reader.read_blob(listed.version, self._max_bytes)
        except GitDamaged:
            self._mirror.mark_damaged()
            raise
        if data is None:
            raise SourceError(f"{listed.document} is gone from the repository. The next sync looks again.")
        if isinstance(data, int):
            raise too_large_error(listed.document, data, self._max_bytes)
        if len(data) < _LFS_POINTER_BYTES and data.startswith(_LFS_POINTER):
            raise SourceError(
                f"{listed.document} lies in Git LFS; the repository holds only a pointer to it, which Kvasir "
                "does not follow. Read the file from a checkout with a folder source, or exclude it with "
                "the key paths."
            )
        return DocumentContent(data, None, listed.version)

    async def close(self) -> None:
        """End the git process that reads contents; the copy stays."""
        await self._blob_reader.close()

    async def _list_files(self) -> AsyncGenerator[Sequence[ListedDocument], None]:
        await asyncio.to_thread(self._mirror.delete_others)
        try:
            state = await self._load_branch_state()
        except GitDamaged:
            await self._blob_reader.close()
            await asyncio.to_thread(self._mirror.delete_copy)
            state = await self._load_branch_state()
        if state is None:
            self._blobs = {}
            yield ()
            return
        self._blobs = state.blobs
        sizes = dict(await self._mirror.find_sizes(list(state.blobs.values())))
        lacking = {document: blob for document, blob in state.blobs.items() if blob not in sizes}
        for portion in split_batches([document for document in state.blobs if document not in lacking], _BATCH):
            yield [self._make_listed(document, state, sizes) for document in portion]
        for portion in split_batches(list(lacking), _FETCH_BATCH):
            blobs = sorted({lacking[document] for document in portion})
            await self._mirror.fetch_blobs(blobs)
            sizes |= await self._mirror.find_sizes(blobs)
            yield [self._make_listed(document, state, sizes) for document in portion]
        await save_state(self._memory, _STATE_VERSION, {"commit": state.commit, "dates": dict(state.dates)})
        await self._mirror.collect_garbage()

    async def _load_branch_state(self) -> _BranchState | None:
        tip = await self._mirror.find_tip(self._options.branch)
        if tip is None:
            return None
        commit = await self._mirror.fetch_commits(tip)
        tree = await self._mirror.list_blobs(commit, self._roots)
        blobs = {path: blob for path, blob in tree.items() if self._is_document(path)}
        since = _parse_state(await load_state(self._memory, _STATE_VERSION))
        dates = await self._mirror.find_dates(commit, blobs.keys(), self._roots, since)
        return _BranchState(tip, commit, blobs, dates)

    def _is_document(self, path: str) -> bool:
        return path.lower().endswith(self._suffixes) and not is_hidden_path(path) and self._is_included(path)

    def _make_listed(self, document: str, state: _BranchState, sizes: Mapping[str, int]) -> ListedDocument:
        blob = state.blobs[document]
        return ListedDocument(
            document=document,
            version=blob,
            size_bytes=sizes.get(blob),
            modified_at=parse_timestamp(seconds) if (seconds := state.dates.get(document)) is not None else None,
            url=self._document_url(document, state.tip.branch),
            readers=self._context.readers,
        )

    def _document_url(self, document: str, branch: str) -> str | None:
        if self._options.url is None:
            return self._remote.file_url(branch, document)
        return fill_link_template(self._options.url, path=document, stem=strip_suffix(document), branch=branch)


def build(context: SourceContext, options: GitOptions) -> GitSource:
    """Build the source that a ``[[source]]`` table describes.

    Raises:
        SourceMisconfigured: the repository, the branch or a pattern is invalid.

    """
    try:
        address = parse_remote(options.repository, str(context.base_dir), options.host)
    except ValueError as error:
        raise config_error(context.name, f"repository cannot be read: {error}") from None
    token = context.secrets.get("token")
    _check_options(context, options, address, token)
    root = f"{address.url}#{options.branch}" if options.branch else address.url
    folder = context.state_dir / f"{hashlib.sha256(address.url.encode()).hexdigest()[:16]}.git"
    key_file = str(context.base_dir / Path(options.ssh_key).expanduser()) if options.ssh_key else None
    return GitSource(
        SourceKey(context.name, "git", root),
        context,
        options,
        Git(str(folder), address, token, options.user, key_file),
        parse_size_limit(context.name, options.max_mb),
    )


def list_addresses(context: SourceContext, options: GitOptions) -> Sequence[str]:
    """Return the repository's host, and any host over https, because git follows a redirect of the first request."""
    remote = parse_remote(options.repository, str(context.base_dir), options.host)
    if remote.scheme == "ssh":
        return [remote.url if "://" in remote.url else remote.web_origin.replace("https", "ssh")]
    return [] if remote.scheme == "file" else [remote.web_origin, "https://*"]


KIND = SourceKind(GitOptions, build, list_addresses)


def _check_options(context: SourceContext, options: GitOptions, address: Remote, token: str | None) -> None:
    if options.branch is not None and not is_branch_name(options.branch):
        raise config_error(context.name, "branch is not a name that git accepts")
    if options.host is not None and options.host not in HOSTS:
        raise config_error(context.name, f"host must be one of {', '.join(HOSTS)}")
    if any(not pattern.strip("!/. ") for pattern in options.paths):
        raise config_error(context.name, "paths has an empty pattern")
    if token is None:
        return
    if not token.isprintable() or not token.isascii():
        raise config_error(context.name, "token_env names a variable that holds no token")
    if address.scheme not in {"https", "http"}:
        raise config_error(context.name, "token_env needs a repository with an https address")
    if address.scheme == "http" and not _LOOPBACK.match(address.url):
        raise config_error(context.name, "repository would send the token unencrypted; use https")


def _parse_state(state: Mapping[str, object] | None) -> tuple[str, Mapping[str, int]]:
    """Return the last listed commit and its documents' dates; ignore parts that do not have the saved form."""
    commit, dates = (state or {}).get("commit"), (state or {}).get("dates")
    if not isinstance(commit, str) or not isinstance(dates, dict):
        return "", {}
    return commit, {path: seconds for path, seconds in dates.items() if type(seconds) is int}
