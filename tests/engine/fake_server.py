"""Stands in for the engine's Python: takes SGLang's command line, serves its wire with its key.

A file ``fails`` beside the model holds the next starts' failures, one a line: a recorded log's end is printed, and the
process ends. Each command line is added to ``argv``.
"""

from __future__ import annotations

import json
import os
import sys
from itertools import pairwise
from pathlib import Path

from aiohttp import web

HELP = """usage: sglang serve
  --config --model-path --served-model-name --host --port --max-queued-requests --enable-cache-report --enable-metrics
  --sleep-on-idle --device --mem-fraction-static --context-length --max-total-tokens --max-running-requests
  --chunked-prefill-size
  --disable-overlap-schedule --sampling-defaults
"""
TAILS = Path(__file__).parent / "oom" / "tails"


def main(argv: list[str]) -> None:
    if argv[3:] == ["--help"]:
        sys.stdout.write(os.environ.get("FAKE_HELP", HELP))
        return
    assert argv[:3] == ["-I", "-m", "sglang.launch_server"]
    options = dict(pairwise(argv))
    model = options["--model-path"]
    key = json.loads(Path(options["--config"]).read_text())["api-key"]
    _begin(Path(model), argv)
    sys.stderr.write(
        f"[2026-01-01 00:00:00] server_args={{'api_key': '{key}'}}\n[2026-01-01 00:00:00] Load weight begin.\n"
    )

    async def models(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {key}":
            return web.json_response({"error": "Unauthorized"}, status=401)
        return web.json_response({"data": [{"id": options["--served-model-name"], "max_model_len": 8192}]})

    async def chat(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {key}":
            return web.json_response({"error": "Unauthorized"}, status=401)
        choices = [{"index": 0, "delta": {"content": "pong"}, "finish_reason": "stop"}]
        return web.Response(body=b"data: " + json.dumps({"choices": choices}).encode() + b"\n\ndata: [DONE]\n\n")

    async def health(_: web.Request) -> web.StreamResponse:
        return web.Response()

    async def info(_: web.Request) -> web.StreamResponse:
        return web.json_response({"reasoning_parser": None})

    async def loads(_: web.Request) -> web.StreamResponse:
        loads_file = Path(model, "loads")
        return web.Response(body=loads_file.read_bytes()) if loads_file.exists() else web.Response(status=404)

    app = web.Application()
    app.router.add_get("/v1/loads", loads)
    app.add_routes([web.get("/v1/models", models), web.get("/model_info", info), web.get("/health", health)])
    app.router.add_post("/v1/chat/completions", chat)

    def up(*_: object) -> None:
        sys.stderr.write("[2026-01-01 00:00:00] The server is fired up and ready to roll!\n")
        sys.stderr.flush()

    web.run_app(app, host="127.0.0.1", port=int(options["--port"]), print=up)


def _begin(model: Path, argv: list[str]) -> None:
    """Record the start, and fail where that is its turn."""
    with (model / "starts").open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    with (model / "argv").open("a") as starts:
        starts.write(f"{json.dumps(argv)}\n")
    fails = model / "fails"
    if fails.exists() and (left := fails.read_text().split()):
        fails.write_text("\n".join(left[1:]))
        sys.exit((TAILS / f"{left[0]}.log").read_text())


if __name__ == "__main__":
    main(sys.argv[1:])
