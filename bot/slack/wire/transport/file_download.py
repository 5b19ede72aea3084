"""Downloads files of messages from Slack's own host, which alone gets the token."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from bot.messages.forms import files
from bot.slack.wire.errors import SlackError

_DOWNLOAD_TIMEOUT_S = 180.0
_CHUNK_BYTES = 1 << 16
_HTML = b"<!doctype html"


class FileRefused(SlackError):
    """A file was not downloaded; the text says why, and the next step."""


def may_send_token(url: str, api_url: str) -> bool:
    """Return whether an address may get the bot's token: Slack's host of files, or the host of a local API. Pure."""
    try:
        file, api = urlsplit(url), urlsplit(api_url)
        is_same_host = (file.scheme, file.hostname, file.port) == (api.scheme, api.hostname, api.port)
    except ValueError:
        return False
    if file.username is not None or file.password is not None:
        return False
    if api.scheme == "http":  # a workspace on this machine serves files and the API
        return is_same_host
    return file.scheme == "https" and file.port in {None, 443} and file.hostname == f"files.{api.hostname}"


def is_image(file: Mapping[str, Any]) -> bool:
    """Return whether Slack describes a file as an image."""
    return str(file.get("mimetype") or "").startswith("image/")


def find_address(file: Mapping[str, Any]) -> str:
    """Return where Slack stores a file.

    Raises:
        FileRefused: it is on another host, or deleted.

    """
    url = str(file.get("url_private_download") or "")
    if file.get("is_external") or file.get("mode") in {"external", "tombstone", "hidden_by_limit"} or not url:
        raise FileRefused(files.NOT_IN_SLACK.fill(name=_get_name(file)))
    return url


def _get_name(file: Mapping[str, Any]) -> str:
    return str(file.get("name") or "the file")


async def download_file(client: AsyncWebClient, file: Mapping[str, Any], limit_bytes: int) -> bytes:
    """Return a file's bytes; ``file`` is Slack's object.

    Raises:
        FileRefused: it is on another host, too large or deleted, or the app may not read it.

    """
    name, url = _get_name(file), find_address(file)
    if not may_send_token(url, str(client.base_url)):
        raise FileRefused(files.OTHER_HOST.fill(name=name))
    if int(file.get("size") or 0) > limit_bytes:
        raise _make_size_error(name, limit_bytes)
    try:
        async with asyncio.timeout(_DOWNLOAD_TIMEOUT_S):
            return await _download_bytes(client, url, name, limit_bytes)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise FileRefused(files.NOT_FETCHED.fill(name=name)) from error


async def _download_bytes(client: AsyncWebClient, url: str, name: str, limit_bytes: int) -> bytes:
    assert client.session is not None  # noqa: S101 (``make_web_client`` sets it)
    headers = {"Authorization": f"Bearer {client.token}"}
    timeout = aiohttp.ClientTimeout(total=_DOWNLOAD_TIMEOUT_S)
    async with client.session.get(
        url, headers=headers, proxy=client.proxy, allow_redirects=False, timeout=timeout
    ) as answer:
        if answer.status in {301, 302, 303, 307, 308, 401, 403}:
            raise _make_scope_error(name)
        if answer.status != 200:  # noqa: PLR2004
            raise FileRefused(files.BAD_STATUS.fill(status=answer.status, name=name))
        data = bytearray()
        async for piece in answer.content.iter_chunked(_CHUNK_BYTES):
            data += piece
            if len(data) > limit_bytes:
                raise _make_size_error(name, limit_bytes)
    if data[:64].lstrip().lower().startswith(_HTML) and not name.lower().endswith((".html", ".htm", ".xhtml")):
        raise _make_scope_error(name)  # the sign-in page
    return bytes(data)


def _make_scope_error(name: str) -> FileRefused:
    return FileRefused(files.NO_SCOPE.fill(name=name))


def _make_size_error(name: str, limit_bytes: int) -> FileRefused:
    return FileRefused(files.TOO_LARGE.fill(name=name, megabytes=limit_bytes / 1e6))
