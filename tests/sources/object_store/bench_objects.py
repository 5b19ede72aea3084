"""The workbenches of object stores: a real S3 server over HTTP, and a file system in memory."""

from __future__ import annotations

import asyncio
import functools
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import aiohttp
import fsspec
from aiohttp import web
from yarl import URL

from tests.sources.contract import Ability, Workbench


@functools.cache
def s3_server() -> str:
    """Return the address of moto's S3 server, a thread that ends with the process."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - slow to load

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    return f"http://{host}:{port}"


def s3_client() -> Any:
    """Return a client that may do everything, as an administrator has it."""
    import boto3  # noqa: PLC0415 - slow to load

    return boto3.client(
        "s3",
        endpoint_url=s3_server(),
        region_name="us-east-1",
        aws_access_key_id="admin",
        aws_secret_access_key="admin",
    )


class S3Faults:
    """A proxy in front of the S3 server. It forwards everything, unless a test says otherwise."""

    def __init__(self) -> None:
        self.page_keys: int | None = None
        """The most keys of a page. A server may always return fewer than requested."""
        self.answer: Callable[[web.Request], web.Response | None] = lambda _: None
        """Answers a request itself; None passes it on."""
        self.before: Callable[[web.Request], None] = lambda _: None
        self.seen: list[web.Request] = []

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._session = aiohttp.ClientSession(auto_decompress=False)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _answer(self, request: web.Request) -> web.Response:
        self.seen.append(request)
        await asyncio.to_thread(self.before, request)
        if (answer := self.answer(request)) is not None:
            return answer
        query = request.url.query
        if self.page_keys and "list-type" in query:
            query = request.url.update_query({"max-keys": str(self.page_keys)}).query
        url = request.url.with_query(query)
        address = f"{s3_server()}{url.raw_path_qs}"
        async with self._session.request(
            request.method, URL(address, encoded=True), headers=request.headers, data=await request.read()
        ) as passed:
            headers = {k: v for k, v in passed.headers.items() if k not in {"Transfer-Encoding", "Content-Length"}}
            return web.Response(status=passed.status, headers=headers, body=await passed.read())


def refused(status: int, code: str) -> web.Response:
    """Return an answer as S3 words its errors."""
    return web.Response(status=status, content_type="application/xml", text=f"<Error><Code>{code}</Code></Error>")


class S3Bench(Workbench):
    kind = "objects"
    slow = True
    cannot = frozenset({Ability.RIGHTS, Ability.MEMORY})
    unnameable = frozenset("\n")  # moto has no route for it
    examples = 3
    secrets: ClassVar = {"key": "the-key-of-the-test", "secret": "the-secret-of-the-test"}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.bucket = f"bench-{uuid.uuid4().hex}"
        self.faults = S3Faults()

    async def open(self) -> None:
        self.client = await asyncio.to_thread(s3_client)
        await asyncio.to_thread(self.client.create_bucket, Bucket=self.bucket)
        await self.faults.__aenter__()

    async def close(self) -> None:
        await self.faults.__aexit__()

    def options(self) -> dict[str, object]:
        return {
            "url": f"s3://{self.bucket}/docs",
            "endpoint_url": self.faults.url,
            "region": "us-east-1",
            "key_env": "KEY",
            "secret_env": "SECRET",
            "link": "https://example.com/{path}",
            "max_mb": 0.1,
        }

    async def put(self, name: str, data: bytes) -> None:
        await asyncio.to_thread(self.client.put_object, Bucket=self.bucket, Key=f"docs/{name}", Body=data)

    async def remove(self, name: str) -> None:
        await asyncio.to_thread(self.client.delete_object, Bucket=self.bucket, Key=f"docs/{name}")

    async def break_down(self) -> None:
        message = f"the secret is {self.secrets['secret']}"
        self.faults.answer = lambda _: refused(403, f"ExpiredToken</Code><Message>{message}</Message><Code>")

    async def break_midway(self) -> None:
        self.faults.page_keys = 5
        self.faults.answer = lambda request: (
            refused(403, "AccessDenied") if "continuation-token" in request.query else None
        )


class MemoryBench(Workbench):
    """Any other driver, with fsspec's own file system in memory."""

    kind = "objects"
    cannot = frozenset({Ability.MIDWAY, Ability.RIGHTS, Ability.MEMORY})

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.root = f"/bench-{uuid.uuid4().hex}"
        self.files = fsspec.filesystem("memory")

    async def open(self) -> None:
        self.files.makedirs(self.root)

    async def close(self) -> None:
        if self.files.exists(self.root):
            self.files.rm(self.root, recursive=True)

    def options(self) -> dict[str, object]:
        return {"url": f"memory:/{self.root}", "link": "https://example.com/{path}", "max_mb": 0.1}

    async def put(self, name: str, data: bytes) -> None:
        self.files.pipe_file(f"{self.root}/{name}", data)

    async def remove(self, name: str) -> None:
        self.files.rm_file(f"{self.root}/{name}")

    async def break_down(self) -> None:
        self.files.rm(self.root, recursive=True)


BENCHES = (S3Bench, MemoryBench)
