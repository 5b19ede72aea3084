"""``python -m bot.sandbox``: serve a workspace until the process is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

from bot.sandbox import limits
from bot.sandbox.server import SandboxOptions, StateInUse, serve_sandbox


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(prog="python -m bot.sandbox", description="A Slack workspace on this machine.")
    made.add_argument("--port", type=int, default=3000, help="port on 127.0.0.1, 0 for a free one (default 3000)")
    made.add_argument("--state", type=Path, required=True, help="folder that keeps messages and credentials")
    made.add_argument("--events-url", help="send events to this URL as signed requests instead of Socket Mode")
    made.add_argument("--pace", choices=("exact", "generous", "off"), default="generous", help="rate limits")
    made.add_argument("--stream-ttl", type=float, default=limits.STREAM_TTL_S, help="seconds that a stream lives")
    made.add_argument("--ack-deadline", type=float, default=limits.ACK_DEADLINE_S, help="seconds to acknowledge within")
    delays = ",".join(f"{delay:g}" for delay in limits.RETRY_DELAYS_S)
    told = f"seconds before each retry (default {delays})"
    made.add_argument("--retry-delays", type=_parse_delays, default=delays, metavar="S,S,…", help=told)
    made.add_argument(
        "--files",
        type=_parse_folder,
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="folder of documents",
    )
    made.add_argument("--with-parent", action="store_true", help="stop when standard input ends")
    return made


def _parse_delays(text: str) -> list[float]:
    return [float(delay) for delay in text.split(",") if delay]


def _parse_folder(text: str) -> tuple[str, Path]:
    name, _, folder = text.partition("=")
    if not (name and folder):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=DIR")
    return name, Path(folder)


def build_options(given: argparse.Namespace) -> SandboxOptions:
    """Return what the command line asks for."""
    return SandboxOptions(
        state=given.state,
        port=given.port,
        events_url=given.events_url,
        pace=given.pace,
        stream_ttl_s=given.stream_ttl,
        ack_deadline_s=given.ack_deadline,
        retry_delays_s=given.retry_delays,
        files=dict(given.files),
    )


async def run_sandbox(chosen: SandboxOptions, *, with_parent: bool = False) -> None:
    """Serve until SIGINT or SIGTERM, or until standard input ends because the parent has."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def from_parent() -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            loop.remove_reader(sys.stdin.fileno())
            stopping.set()

    if with_parent:
        loop.add_reader(sys.stdin.fileno(), from_parent)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with serve_sandbox(chosen) as running:
        print(f"Sandbox workspace at {running.base_url}", flush=True)  # noqa: T201 - the launcher waits for this line
        await stopping.wait()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    given = build_parser().parse_args(argv)
    chosen = build_options(given)
    try:
        asyncio.run(run_sandbox(chosen, with_parent=given.with_parent))
    except StateInUse as error:
        print(f"The sandbox cannot start: {error}.", file=sys.stderr)  # noqa: T201
        return 1
    except OSError as error:
        print(f"The sandbox cannot start on port {chosen.port}: {error}. Choose another with --port.", file=sys.stderr)  # noqa: T201
        return 1
    except (ValueError, sqlite3.Error) as error:
        print(f"The sandbox cannot read its state in {chosen.state}: {error}.", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
