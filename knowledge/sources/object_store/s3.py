"""S3 and what speaks as it does: page by page, and each object with the version that its own answer names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from knowledge.errors import SourceDenied, SourceError
from knowledge.sources.common import too_large_error
from knowledge.sources.object_store.stores import PAGE_S, READ_S, Entry, absent, away, gone, status_of

_CONFIG = {"connect_timeout": 20, "read_timeout": 60, "retries": {"max_attempts": 3, "mode": "standard"}}
_CREDENTIALS = {
    "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch",
    "TokenRefreshRequired", "RequestTimeTooSkewed", "AuthorizationHeaderMalformed",
}  # fmt: skip
"""Codes that say that no request will be answered, not this one alone."""
_NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError"}


class S3Store:
    """The objects of one bucket under one prefix, by the client that ``s3fs`` opens."""

    def __init__(self, shown: str, bucket: str, prefix: str, options: Mapping[str, object]) -> None:
        self._shown = shown
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._options = options
        self._opening = asyncio.Lock()
        self._client: Any = None

    async def entries(self) -> AsyncGenerator[Sequence[Entry], None]:
        """Yield the objects, a page of the store's at a time.

        Raises:
            SourceUnavailable, SourceDenied: a page cannot be had.

        """
        pages: Any = None
        while True:
            try:
                async with asyncio.timeout(PAGE_S):
                    if pages is None:
                        pages = aiter(await self._pages())
                    page = await anext(pages, None)
            except Exception as error:  # noqa: BLE001 - the client's errors have no common class; none is quoted
                raise self._told(error) from None
            if page is None:
                return
            yield [self._entry(one) for one in page.get("Contents", ()) if not one["Key"].endswith("/")]

    async def read(self, key: str, limit: int) -> tuple[bytes, str]:
        """Read an object with the version that it has at that moment.

        Raises:
            SourceError: it is gone, too large or not readable; a subclass where the store is out of reach.

        """
        try:
            async with asyncio.timeout(READ_S):
                return await self._get(key, limit)
        except SourceError:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            raise self._told(error, key) from None

    async def close(self) -> None:
        """Close the client; the next call opens another."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _pages(self) -> Any:  # noqa: ANN401 - the client comes without types
        client = await self._opened()
        return client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)

    async def _get(self, key: str, limit: int) -> tuple[bytes, str]:
        client = await self._opened()
        answer = await client.get_object(Bucket=self._bucket, Key=self._prefix + key)
        async with answer["Body"] as body:
            if answer["ContentLength"] > limit:
                body.close()
                raise too_large_error(key, answer["ContentLength"], limit)
            return await body.read(), answer["ETag"].strip('"')

    async def _opened(self) -> Any:  # noqa: ANN401 - as above
        async with self._opening:
            if self._client is None:
                s3fs = await asyncio.to_thread(_s3fs)
                files = s3fs.S3FileSystem(
                    asynchronous=True, skip_instance_cache=True, use_listings_cache=False, config_kwargs=_CONFIG,
                    **self._options,
                )  # fmt: skip
                self._client = await files.set_session()
            return self._client

    def _entry(self, one: Mapping[str, Any]) -> Entry:
        version = one["ETag"].strip('"')
        return Entry(one["Key"].removeprefix(self._prefix), version, one["Size"], one["LastModified"])

    def _told(self, error: Exception, key: str | None = None) -> SourceError:
        code = _code(error)
        if code in _CREDENTIALS or type(error).__name__ in _NO_CREDENTIALS:
            return SourceDenied(
                f"{self._shown} does not take these credentials ({code or 'there are none'}). Check the variables "
                "that key_env and secret_env name, or say anonymous = true."
            )
        if code in {"NoSuchBucket", "PermanentRedirect"}:
            return absent(self._shown)
        lost = code in {"NoSuchKey", "404"} or _status(error) == HTTPStatus.NOT_FOUND
        if key and lost:
            return gone(key)
        if code == "InvalidObjectState":
            return SourceError(f"{key} lies in an archive tier. Restore it, or leave it out of the source.")
        if code in {"AccessDenied", "AllAccessDisabled", "403"} or _status(error) in {401, 403}:
            return self._forbidden(key)
        return absent(self._shown) if lost else away(self._shown)

    def _forbidden(self, key: str | None) -> SourceError:
        if key:  # one object may be closed to us while its neighbours are open
            return SourceError(f"{key} may not be read. Give Kvasir's key the right s3:GetObject on it.")
        return SourceDenied(
            f"{self._shown} refuses to be listed. Give Kvasir's key the rights s3:ListBucket and s3:GetObject."
        )


def _s3fs() -> Any:  # noqa: ANN401 - a module
    import s3fs  # noqa: PLC0415 - slow to load, and needed by this kind alone

    return s3fs


def _code(error: Exception) -> str:
    """Return the store's code for what went wrong, "" for an error that is none of the store's."""
    answer = getattr(error, "response", None)
    code = answer.get("Error", {}).get("Code") if isinstance(answer, dict) else None
    return code if isinstance(code, str) and code.isalnum() else ""


def _status(error: Exception) -> int | None:
    """Return the HTTP status of the answer that an error is about."""
    answer = getattr(error, "response", None)
    found = answer.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(answer, dict) else None
    return found if isinstance(found, int) else status_of(error)
