"""A fake model hub on loopback: the listing, the files by commit, and the second host of large files."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from engine.errors import InstallError
from engine.planning.variant import Checkpoint
from engine.weights.store import WeightsStore

REPO = "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"
WANTED = Checkpoint(REPO, "bf16")
TOKEN = "hf_token-that-nobody-may-see"


def safetensors(*names: str, size: int = 1000, fill: int = 7) -> bytes:
    """Return a safetensors file with these tensors, ``size`` bytes each."""
    fields = {
        name: {"dtype": "U8", "shape": [size], "data_offsets": [n * size, (n + 1) * size]}
        for n, name in enumerate(names)
    }
    header = json.dumps(fields).encode()
    return len(header).to_bytes(8, "little") + header + bytes([fill]) * (size * len(names))


def model(*, size: int = 1000) -> dict[str, bytes]:
    """Return the files of a model in two parts, and files that nobody needs."""
    parts = {"model-00001-of-00002.safetensors": ("a", "b"), "model-00002-of-00002.safetensors": ("c",)}
    index = {"weight_map": {tensor: name for name, tensors in parts.items() for tensor in tensors}}
    config = {"num_attention_heads": 2, "hidden_size": 8, "num_hidden_layers": 1, "vocab_size": 16}
    return {
        **{name: safetensors(*tensors, size=size, fill=n) for n, (name, tensors) in enumerate(parts.items())},
        "model.safetensors.index.json": json.dumps(index).encode(),
        "config.json": json.dumps(config).encode(),
        "tokenizer_config.json": b"{}",
        "README.md": b"# A model",
        "modeling_own.py": b"raise SystemExit",
        "pytorch_model.bin": b"a pickle",
        "original/model.safetensors": b"elsewhere",
    }


@dataclass
class FakeHub:
    """A hub with one model; ``answer`` may answer a request itself, or return None."""

    files: dict[str, bytes] = field(default_factory=model)
    commit: str = "a" * 40
    repos: set[str] = field(default_factory=lambda: {REPO})
    """All of them have the same files."""
    url: str = ""
    cdn: str = ""
    answer: Callable[[web.Request], web.Response | None] = lambda _: None
    cut_after: int | None = None
    """Bytes of a file after which the connection is cut, once for each count in ``cuts``."""
    cuts: int = 0
    ranges: bool = True
    pause_s: float = 0.0
    """Between two pieces of 256 KiB."""
    asked: list[str] = field(default_factory=list)
    served: Counter[str] = field(default_factory=Counter)
    """Bytes by file."""
    tokens: set[tuple[str, str | None]] = field(default_factory=set)
    """(hub or cdn, the Authorization that it was sent)."""
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Those before."""
    runners: list[web.AppRunner] = field(default_factory=list)

    def move_on(self, files: dict[str, bytes], commit: str) -> None:
        self.commits[self.commit] = self.files
        self.files, self.commit = files, commit

    def of(self, revision: str | None) -> dict[str, bytes] | None:
        return self.files if revision in {None, "main", self.commit} else self.commits.get(revision or "")

    @property
    def weights_bytes(self) -> int:
        return sum(len(content) for name, content in self.files.items() if name.startswith("model-"))

    async def stop(self) -> None:
        for runner in self.runners:
            await runner.cleanup()
        self.runners.clear()


@contextlib.asynccontextmanager
async def fake_hub(hub: FakeHub | None = None) -> AsyncIterator[FakeHub]:
    hub = hub or FakeHub()
    named = "/api/models/{owner}/{name}"
    hub.url = await _serve(
        hub,
        {named: _info, f"{named}/revision/{{revision}}": _info, "/{owner}/{name}/resolve/{revision}/{file}": _resolve},
    )
    hub.cdn = await _serve(hub, {"/{revision}/{file}": _blob})
    try:
        yield hub
    finally:
        await hub.stop()


_HUB = web.AppKey("hub", FakeHub)


async def _serve(hub: FakeHub, routes: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]) -> str:
    app = web.Application()
    app[_HUB] = hub
    for path, handler in routes.items():
        app.router.add_get(path, handler)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hub.runners.append(runner)
    host, port = runner.addresses[0]
    return f"http://{host}:{port}"


async def _info(request: web.Request) -> web.Response:
    hub = request.app[_HUB]
    hub.tokens.add(("hub", request.headers.get("Authorization")))
    hub.asked.append(request.path)
    if (answer := hub.answer(request)) is not None:
        return answer
    repo = f"{request.match_info['owner']}/{request.match_info['name']}"
    if repo not in hub.repos:
        return web.json_response(
            {"error": "Repository not found"}, status=404, headers={"X-Error-Code": "RepoNotFound"}
        )
    files = hub.of(revision := request.match_info.get("revision"))
    if files is None:
        return web.json_response({"error": "no"}, status=404, headers={"X-Error-Code": "RevisionNotFound"})
    assert request.query.get("blobs") == "true"
    commit = revision if revision in hub.commits else hub.commit
    return web.json_response({
        "id": repo, "sha": commit, "private": False, "gated": False, "tags": [], "downloads": 1, "likes": 1,
        "siblings": [_sibling(name, content) for name, content in files.items()],
    })  # fmt: skip


def _sibling(name: str, content: bytes) -> dict[str, object]:
    git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    entry: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": git}
    if name.endswith((".safetensors", ".bin")):
        sha = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"sha256": sha, "size": len(content), "pointerSize": 135}
    return entry


async def _resolve(request: web.Request) -> web.StreamResponse:
    """Send small files, and redirect requests for large ones to the other host."""
    hub = request.app[_HUB]
    hub.tokens.add(("hub", request.headers.get("Authorization")))
    hub.asked.append(request.path)
    if (answer := hub.answer(request)) is not None:
        return answer
    name, revision = request.match_info["file"], request.match_info["revision"]
    content = (hub.of(revision) or {})[name]
    commit = {"X-Repo-Commit": revision}
    if name.endswith(".safetensors"):
        sha = hashlib.sha256(content).hexdigest()
        linked = {"X-Linked-Etag": f'"{sha}"', "X-Linked-Size": str(len(content)), **commit}
        return web.Response(status=302, headers={"Location": f"{hub.cdn}/{revision}/{name}", **linked})
    return await _send(request, name, content)


async def _blob(request: web.Request) -> web.StreamResponse:
    hub = request.app[_HUB]
    hub.tokens.add(("cdn", request.headers.get("Authorization")))
    name = request.match_info["file"]
    return await _send(request, name, (hub.of(request.match_info["revision"]) or {})[name])


async def _send(request: web.Request, name: str, content: bytes) -> web.StreamResponse:
    hub = request.app[_HUB]
    byte_range = request.headers.get("Range") if hub.ranges else None
    begin = int(byte_range.removeprefix("bytes=").removesuffix("-")) if byte_range else 0
    answer = web.StreamResponse(status=206 if byte_range else 200, headers={"ETag": f'"{name}"'})
    answer.content_length = len(content) - begin
    if byte_range:
        answer.headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
    await answer.prepare(request)
    end = len(content)
    cut = hub.cuts > 0 and hub.cut_after is not None and begin + hub.cut_after < end
    if cut:
        hub.cuts -= 1
        end = begin + (hub.cut_after or 0)
    for at in range(begin, end, 2**18):
        piece = content[at : min(at + 2**18, end)]
        await answer.write(piece)
        hub.served[name] += len(piece)
        await asyncio.sleep(hub.pause_s)
    if cut and request.transport is not None:
        request.transport.close()
    return answer


def report_nothing(_: float | None, __: str) -> None:
    """Ignore the progress of a download."""


async def get_refusal(weights: WeightsStore, checkpoint: Checkpoint = WANTED) -> str:
    """Return the error of a download that must fail; it never contains the token."""
    with pytest.raises(InstallError) as caught:
        await weights.provide_checkpoint(checkpoint, report_nothing)
    assert TOKEN not in str(caught.value)
    return str(caught.value)
