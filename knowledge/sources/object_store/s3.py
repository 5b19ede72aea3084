"""S3 and compatible stores: listed page by page, each object read with the version of the same answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from knowledge.errors import SourceDenied, SourceError
from knowledge.sources.common import too_large_error
from knowledge.sources.object_store.stores import (
    LIST_S,
    READ_S,
    StoredObject,
    absent_error,
    get_status,
    gone_error,
    unavailable_error,
)

_CLIENT_CONFIG = {"connect_timeout": 20, "read_timeout": 60, "retries": {"max_attempts": 3, "mode": "standard"}}
_CREDENTIAL_CODES = {
    "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch",
    "TokenRefreshRequired", "RequestTimeTooSkewed", "AuthorizationHeaderMalformed",
}  # fmt: skip
"""Error codes that concern every request, not only this one."""
_CREDENTIAL_ERRORS = {
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "TokenRetrievalError",
}


class S3Store:
    """The objects of one bucket under one prefix, read with the client of ``s3fs``."""

    def __init__(self, display_url: str, bucket: str, prefix: str, options: Mapping[str, object]) -> None:
        self._display_url = display_url
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._options = options
        self._open_lock = asyncio.Lock()
        self._client: Any = None

    async def list_objects(self) -> AsyncGenerator[Sequence[StoredObject], None]:
        """Yield the objects, one page of the listing at a time.

        Raises:
            SourceUnavailable, SourceDenied: a page cannot be listed.

        """
        pages: Any = None
        while True:
            try:
                async with asyncio.timeout(LIST_S):
                    if pages is None:
                        client = await self._open_client()
                        listing = client.get_paginator("list_objects_v2")
                        pages = aiter(listing.paginate(Bucket=self._bucket, Prefix=self._prefix))
                    page = await anext(pages, None)
            except Exception as error:  # noqa: BLE001 - the client's errors have no common class; none is quoted
                raise self._translate_error(error) from None
            if page is None:
                return
            yield [self._parse_object(one) for one in page.get("Contents", ()) if not one["Key"].endswith("/")]

    async def read_object(self, key: str, limit: int) -> tuple[bytes, str]:
        """Read an object with its current version.

        Raises:
            SourceError: it is gone, too large or not readable; a subclass if the store cannot be reached.

        """
        try:
            async with asyncio.timeout(READ_S):
                return await self._get_object(key, limit)
        except SourceError:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            raise self._translate_error(error, key) from None

    async def close(self) -> None:
        """Close the client; the next call opens another."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _get_object(self, key: str, limit: int) -> tuple[bytes, str]:
        client = await self._open_client()
        answer = await client.get_object(Bucket=self._bucket, Key=self._prefix + key)
        async with answer["Body"] as body:
            if answer["ContentLength"] > limit:
                body.close()
                raise too_large_error(key, answer["ContentLength"], limit)
            return await body.read(), answer["ETag"].strip('"')

    async def _open_client(self) -> Any:  # noqa: ANN401 - the client has no types
        async with self._open_lock:
            if self._client is None:
                s3fs = await asyncio.to_thread(_import_s3fs)
                files = s3fs.S3FileSystem(
                    asynchronous=True, skip_instance_cache=True, use_listings_cache=False, config_kwargs=_CLIENT_CONFIG,
                    **self._options,
                )  # fmt: skip
                self._client = await files.set_session()
            return self._client

    def _parse_object(self, one: Mapping[str, Any]) -> StoredObject:
        version = one["ETag"].strip('"')
        return StoredObject(one["Key"].removeprefix(self._prefix), version, one["Size"], one["LastModified"])

    def _translate_error(self, error: Exception, key: str | None = None) -> SourceError:
        code = _error_code(error)
        if code in _CREDENTIAL_CODES or type(error).__name__ in _CREDENTIAL_ERRORS:
            return SourceDenied(
                f"{self._display_url} does not accept these credentials ({code or 'there are none'}). Check the "
                "variables that key_env and secret_env name, or set anonymous = true."
            )
        if code in {"NoSuchBucket", "PermanentRedirect"}:
            return absent_error(self._display_url)
        lost = code in {"NoSuchKey", "404"} or _error_status(error) == HTTPStatus.NOT_FOUND
        if key and lost:
            return gone_error(key)
        if code == "InvalidObjectState":
            return SourceError(f"{key} lies in an archive tier. Restore it, or exclude it from the source.")
        if code in {"AccessDenied", "AllAccessDisabled", "403"} or _error_status(error) in {401, 403}:
            return self._forbidden_error(key)
        return absent_error(self._display_url) if lost else unavailable_error(self._display_url)

    def _forbidden_error(self, key: str | None) -> SourceError:
        if key:  # one object may be forbidden while others are not
            return SourceError(f"{key} may not be read. Give Kvasir's key the right s3:GetObject on it.")
        return SourceDenied(
            f"{self._display_url} does not allow listing. Give Kvasir's key the rights s3:ListBucket and s3:GetObject."
        )


def _import_s3fs() -> Any:  # noqa: ANN401 - a module
    import s3fs  # noqa: PLC0415 - slow to load, and only this kind needs it

    return s3fs


def _error_code(error: Exception) -> str:
    """Return the store's error code, "" for an error of another kind."""
    answer = getattr(error, "response", None)
    code = answer.get("Error", {}).get("Code") if isinstance(answer, dict) else None
    return code if isinstance(code, str) and code.isalnum() else ""


def _error_status(error: Exception) -> int | None:
    """Return the HTTP status of the answer that caused an error."""
    answer = getattr(error, "response", None)
    found = answer.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(answer, dict) else None
    return found if isinstance(found, int) else get_status(error)
