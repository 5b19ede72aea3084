"""A git repository as the contract sees it: on this machine, and behind a real ``git http-backend`` with a token."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Self

from aiohttp import web

from tests.sources.contract import Ability, Workbench

_ENVIRONMENT = {
    "PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.com", "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.com",
}  # fmt: skip


async def git(folder: Path, *arguments: str, env: dict[str, str] | None = None, data: bytes | None = None) -> str:
    """Run git as a person would, in a repository of the test's own."""
    process = await asyncio.create_subprocess_exec(
        "git", "-C", str(folder), *arguments, env=_ENVIRONMENT | (env or {}),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await process.communicate(data)
    assert process.returncode == 0, errors.decode()
    return output.decode()


class Repository:
    """A repository with a working tree, in which each change is a commit, a minute after the one before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.time = 1_700_000_000

    async def make(self, branch: str = "main") -> None:
        self.folder.mkdir(parents=True)
        await git(self.folder, "init", "--quiet", "--template=", f"--initial-branch={branch}")

    def write(self, name: str, data: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    async def put(self, name: str, data: bytes) -> None:
        self.write(name, data)
        await self.commit()

    async def commit(self, *arguments: str) -> str:
        self.time += 60
        await git(self.folder, "add", "--all")
        when = {"GIT_AUTHOR_DATE": f"{self.time} +0000", "GIT_COMMITTER_DATE": f"{self.time} +0000"}
        await git(self.folder, "commit", "--quiet", "--allow-empty", "-m", "more", *arguments, env=when)
        return (await git(self.folder, "rev-parse", "HEAD")).strip()


class GitBench(Workbench):
    kind = "git"
    slow = True  # each test starts Git about ten times
    cannot = frozenset({Ability.MIDWAY, Ability.RIGHTS})  # a commit is there or it is not

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.repository = Repository(folder / "repository")

    async def open(self) -> None:
        await self.repository.make()

    def options(self) -> dict[str, object]:
        return {"repository": "repository", "url": "https://example.com/{branch}/{path}", "max_mb": 0.1}

    async def put(self, name: str, data: bytes) -> None:
        await self.repository.put(name, data)

    async def put_all(self, documents: Mapping[str, bytes]) -> None:
        for name, data in documents.items():
            self.repository.write(name, data)
        await self.repository.commit()

    async def remove(self, name: str) -> None:
        (self.repository.folder / name).unlink()
        await self.repository.commit()

    async def break_down(self) -> None:
        await asyncio.to_thread(shutil.rmtree, self.repository.folder)


class GitHttp:
    """``git http-backend`` behind HTTP on the loopback, with a token check and faults in front of it."""

    def __init__(self, root: Path, token: str | None = None) -> None:
        self.root = root
        self.token = token
        self.answer: Callable[[web.Request], web.StreamResponse | None] = lambda _: None
        """Answers a request itself, or returns None for git to answer."""
        self.asked = asyncio.Event()
        self.stall: asyncio.Event | None = None
        """Answers wait for it."""
        self.seen: list[web.Request] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = "http://127.0.0.1:%d" % self._runner.addresses[0][1]  # noqa: UP031
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        self.asked.set()
        body = await request.read()
        if self.stall:
            await self.stall.wait()
        if (answer := self.answer(request)) is not None:
            return answer
        if self.token and self.token not in _password(request):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="git"'})
        return await self._backend(request, body)

    async def _backend(self, request: web.Request, body: bytes) -> web.Response:
        environment = {
            **_ENVIRONMENT, "GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": request.path, "QUERY_STRING": request.query_string, "REQUEST_METHOD": request.method,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""), "REMOTE_ADDR": "127.0.0.1",
            "HTTP_CONTENT_ENCODING": "",
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            "git", "http-backend", env=environment, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate(body)
        head, _, rest = output.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(headers.pop("Status", "200 OK").split()[0])
        return web.Response(status=status, headers=headers, body=rest)


def _password(request: web.Request) -> str:
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    return base64.b64decode(value).decode() if kind == "Basic" else ""


class GitHttpBench(GitBench):
    secrets: ClassVar = {"token": "the-token-of-the-test"}
    examples = 4

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.http = GitHttp(folder, self.secrets["token"])

    async def open(self) -> None:
        await super().open()
        await git(self.repository.folder, "config", "uploadpack.allowFilter", "true")
        await self.http.__aenter__()

    async def close(self) -> None:
        await self.http.__aexit__()

    def options(self) -> dict[str, object]:
        return {
            "repository": f"{self.http.url}/repository/.git",
            "host": "gitea",
            "token_env": "TOKEN",
            "max_mb": 0.1,
        }

    async def break_down(self) -> None:
        self.http.token = "another"


BENCHES = (GitBench, GitHttpBench)
