"""Read weights from a model hub or a mirror. ``huggingface_hub`` lists files and commits; we stream the bytes.

Its own downloader runs in threads that cannot be stopped, and downloads a file from its beginning after a kill.
"""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import Any

import aiohttp

from engine.errors import InstallError
from engine.notes import NoteCode
from engine.weights.listing import Digest, ModelListing, RemoteFile, is_needed
from engine.weights.origin import TransientOriginError
from engine.weights.worker_threads import WorkerThreads

_LIST_S = 30.0
_CONNECT_S = 20.0
_SILENT_S = 60.0
"""The longest time between two chunks of a file."""
_CHUNK_BYTES = 2**20
_TRANSIENT_STATUS = {
    HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT,
}  # fmt: skip


class HubOrigin:
    """One hub."""

    def __init__(self, endpoint: str, token: str | None, list_timeout_s: float | None = None) -> None:
        """``token`` is sent only to this endpoint, not to redirect targets.

        ``list_timeout_s`` bounds the wait for a listing; None for the default.
        """
        self._list_timeout_s = _LIST_S if list_timeout_s is None else list_timeout_s
        self.label = endpoint.rstrip("/")
        self._token = token
        self._threads = WorkerThreads(1)
        """A hub that hangs holds one thread of its own, not those of the whole process."""
        self._session: aiohttp.ClientSession | None = None

    async def list_files(self, repo: str, revision: str | None) -> ModelListing:
        """Return the files of a model with sizes and hashes; see ``Origin.list_files``."""
        try:
            async with asyncio.timeout(2 * self._list_timeout_s):
                info = await self._threads.run(lambda: self._fetch_info(repo, revision))
        except TimeoutError as error:
            raise TransientOriginError("it did not answer in time") from error
        except Exception as error:  # noqa: BLE001  # the library's errors and its client's have no common class
            raise self._map_error(error, repo, revision) from None
        siblings = info.siblings or ()
        unsized = any(sibling.size is None for sibling in siblings if is_needed(sibling.rfilename))
        if not info.sha or not siblings or unsized:
            raise InstallError(NoteCode.NO_SIZES.fill(origin=self.label, repo=repo))
        return ModelListing(
            info.sha, tuple(_parse_sibling(sibling) for sibling in siblings if sibling.size is not None)
        )

    async def read(self, repo: str, revision: str, file: RemoteFile, offset: int) -> AsyncGenerator[bytes, None]:
        """Stream a file; see ``Origin.read``."""
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        url = f"{self.label}/{repo}/resolve/{revision}/{file.name}"
        try:
            async with self._open_session().get(url, headers=headers) as answer:
                if answer.status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
                    raise self._map_http_error(answer.status, answer.headers, f"{file.name} of {repo}", repo)
                passed = offset if answer.status == HTTPStatus.OK else 0  # the server ignores ranges
                async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
                    yield chunk[min(passed, len(chunk)) :]
                    passed -= min(passed, len(chunk))
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise TransientOriginError(_describe_connection_error(error)) from None

    async def aclose(self) -> None:
        """Close the connections."""
        self._threads.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _fetch_info(self, repo: str, revision: str | None) -> Any:  # noqa: ANN401  # the library's own
        import huggingface_hub  # noqa: PLC0415  # half a second

        api = huggingface_hub.HfApi(endpoint=self.label, token=self._token or False)
        return api.model_info(repo, revision=revision, files_metadata=True, timeout=self._list_timeout_s)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            limits = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_SILENT_S)
            self._session = aiohttp.ClientSession(timeout=limits, trust_env=True, auto_decompress=False)
        return self._session

    def _map_error(self, error: Exception, repo: str, revision: str | None) -> Exception:
        """Return our error for the library's, without its words, which may contain credentials."""
        from huggingface_hub import errors  # noqa: PLC0415

        if isinstance(error, errors.OfflineModeIsEnabled):
            return InstallError(NoteCode.HUB_OFFLINE.fill(repo=repo))
        if isinstance(error, errors.HFValidationError):
            return InstallError(NoteCode.INVALID_MODEL_NAME.fill(repo=repo))
        if isinstance(error, errors.RevisionNotFoundError):
            return InstallError(NoteCode.NO_SUCH_COMMIT.fill(origin=self.label, repo=repo, revision=str(revision)))
        if isinstance(error, errors.HfHubHTTPError):
            status, headers = error.response.status_code, error.response.headers
            return self._map_http_error(status, headers, repo, repo, gated=isinstance(error, errors.GatedRepoError))
        if isinstance(error, (ValueError, KeyError, TypeError, AttributeError)):
            return InstallError(NoteCode.NOT_A_HUB.fill(origin=self.label))
        return TransientOriginError(_describe_connection_error(error))

    def _map_http_error(self, status: int, headers: Any, what: str, repo: str, *, gated: bool = False) -> Exception:  # noqa: ANN401
        """Return the error for a reply that is not a file."""
        if status in _TRANSIENT_STATUS:
            return TransientOriginError(f"it answered {status}", parse_retry_after_s(headers.get("Retry-After")))
        if gated or headers.get("X-Error-Code") == "GatedRepo":
            return InstallError(NoteCode.GATED_REPO.fill(repo=repo, origin=self.label))
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
            problem = NoteCode.NO_ACCESS if self._token else NoteCode.PRIVATE_REPO
            return InstallError(problem.fill(origin=self.label, what=what, status=status))
        return InstallError(NoteCode.UNEXPECTED_STATUS.fill(origin=self.label, status=status, what=what))


def parse_retry_after_s(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header, a number or a date; None without a valid one."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _parse_sibling(sibling: Any) -> RemoteFile:  # noqa: ANN401  # the library's own
    if sibling.lfs is not None:
        return RemoteFile(sibling.rfilename, sibling.size, Digest("sha256", sibling.lfs.sha256))
    return RemoteFile(sibling.rfilename, sibling.size, Digest("git", sibling.blob_id) if sibling.blob_id else None)


def _describe_connection_error(error: BaseException) -> str:
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return "it stopped sending"
    if "Connect" in type(error).__name__ and "Disconnect" not in type(error).__name__:
        return "it cannot be reached"
    return "the connection was cut"
