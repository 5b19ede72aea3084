"""Read weights from an S3 bucket, or a compatible store, with models under their hub names.

Credentials, region and endpoint come from AWS's own variables and files (``AWS_*``, ``~/.aws``).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import replace
from operator import attrgetter
from typing import Any

from engine.errors import InstallError
from engine.notes import NoteCode
from engine.weights.listing import CHECKSUM_FILE, Digest, ModelListing, RemoteFile, parse_checksums
from engine.weights.origin import TransientOriginError

_LIST_S = 120.0
_SUMS_S = 60.0
_SUMS_BYTES = 2**20
_CHUNK_BYTES = 2**20
_CONFIG = {"connect_timeout": 20, "read_timeout": 60, "retries": {"total_max_attempts": 1}}
"""The downloader retries, so the client does not."""
_DENIED = {
    "AccessDenied", "AllAccessDisabled", "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidToken",
    "SignatureDoesNotMatch", "RequestTimeTooSkewed", "AuthorizationHeaderMalformed", "401", "403",
    "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError",
}  # fmt: skip
_ABSENT = {"NoSuchBucket", "NoSuchKey", "PermanentRedirect", "404"}


class BucketOrigin:
    """The models below one prefix of a bucket."""

    def __init__(self, url: str) -> None:
        """``url``: ``s3://bucket/prefix``."""
        self.label = url.rstrip("/")
        self._bucket, _, self._prefix = self.label.removeprefix("s3://").partition("/")
        self._opening = asyncio.Lock()
        self._client: Any = None

    async def list_files(self, repo: str, revision: str | None) -> ModelListing:
        """Return the files directly under the model's name; see ``Origin.list_files``.

        The revision is a hash of names, sizes and ETags. It is an error if a pinned revision is gone.
        """
        with self._map_errors(repo):
            async with asyncio.timeout(_LIST_S):
                found = [RemoteFile(key, size, None, etag) async for key, size, etag in self._list_objects(repo)]
            async with asyncio.timeout(_SUMS_S):
                sums = await self._read_checksums(repo) if any(file.name == CHECKSUM_FILE for file in found) else {}
        if not found:
            raise self._build_missing_error(repo)
        lines = "\n".join(
            f"{file.name} {file.size_bytes} {file.version}" for file in sorted(found, key=attrgetter("name"))
        )
        now = hashlib.sha256(lines.encode()).hexdigest()[:40]
        if revision is not None and revision != now:
            raise InstallError(NoteCode.BUCKET_CHANGED.fill(origin=self.label, repo=repo))
        return ModelListing(now, tuple(replace(file, digest=sums.get(file.name)) for file in found))

    async def read(self, repo: str, revision: str, file: RemoteFile, offset: int) -> AsyncGenerator[bytes, None]:  # noqa: ARG002
        """Stream an object in the listed version; see ``Origin.read``."""
        with self._map_errors(f"{repo}/{file.name}"):
            client = await self._open_client()
            request = {"Bucket": self._bucket, "Key": self._build_key(repo, file.name), "IfMatch": file.version}
            reply = await client.get_object(**request, Range=f"bytes={offset}-") if file.size_bytes else None
            if reply is not None:
                async with reply["Body"] as body:
                    while chunk := await body.read(_CHUNK_BYTES):
                        yield chunk

    async def aclose(self) -> None:
        """Close the client."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _list_objects(self, repo: str) -> AsyncGenerator[tuple[str, int, str], None]:
        client, root = await self._open_client(), self._build_key(repo, "")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=root, Delimiter="/")
        async for page in pages:
            for one in page.get("Contents", ()):
                if name := one["Key"].removeprefix(root):
                    yield name, int(one["Size"]), one["ETag"]

    async def _read_checksums(self, repo: str) -> Mapping[str, Digest]:
        client = await self._open_client()
        answer = await client.get_object(Bucket=self._bucket, Key=self._build_key(repo, CHECKSUM_FILE))
        async with answer["Body"] as body:
            text: bytes = await body.read(_SUMS_BYTES)
            return parse_checksums(text.decode("utf-8", errors="replace"))

    def _build_key(self, repo: str, name: str) -> str:
        return "/".join((*([self._prefix] if self._prefix else []), repo, name))

    async def _open_client(self) -> Any:  # noqa: ANN401  # the client comes without types
        async with self._opening:
            if self._client is None:
                s3fs = await asyncio.to_thread(_import_s3fs)
                files = s3fs.S3FileSystem(
                    asynchronous=True, skip_instance_cache=True, use_listings_cache=False, config_kwargs=_CONFIG
                )
                self._client = await files.set_session()
            return self._client

    @contextlib.contextmanager
    def _map_errors(self, what: str) -> Iterator[None]:
        """Map the client's errors to ours."""
        try:
            yield
        except (InstallError, TransientOriginError):
            raise
        except TimeoutError:
            raise TransientOriginError("it stopped sending") from None
        except Exception as error:  # noqa: BLE001  # the client's errors have no common class
            raise self._map_error(error, what) from None

    def _map_error(self, error: Exception, what: str) -> Exception:
        """Return our error for the client's, without its words."""
        code = _find_error_code(error)
        if code in _DENIED:
            return InstallError(NoteCode.BUCKET_DENIED.fill(origin=self.label, what=what, reason=code))
        if code in _ABSENT:
            return self._build_missing_error(what)
        if code in {"PreconditionFailed", "412"}:
            return InstallError(NoteCode.OBJECT_REPLACED.fill(origin=self.label, what=what))
        return TransientOriginError(f"it answered {code}" if code.isalnum() and code else "the connection was cut")

    def _build_missing_error(self, what: str) -> InstallError:
        return InstallError(NoteCode.OBJECT_MISSING.fill(origin=self.label, what=what))


def _import_s3fs() -> Any:  # noqa: ANN401  # a module
    import s3fs  # noqa: PLC0415  # slow to load

    return s3fs


def _find_error_code(error: Exception) -> str:
    """Return the store's error code, or the name of the client's own error."""
    answer = getattr(error, "response", None)
    if isinstance(answer, dict):
        return str(answer.get("Error", {}).get("Code", ""))
    return type(error).__name__ if type(error).__name__ in _DENIED else ""
