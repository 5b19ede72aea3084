"""``python -m bot.sandbox``: serve a workspace until SIGINT or SIGTERM."""

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
from bot.sandbox.http.credentials import write_settings
from bot.sandbox.server import SandboxOptions, StateInUse, serve_sandbox


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m bot.sandbox", description="A Slack workspace on this machine.")
    parser.add_argument("--port", type=int, default=3000, help="port on 127.0.0.1, 0 for a free one (default 3000)")
    parser.add_argument("--state", type=Path, required=True, help="folder for messages and credentials")
    parser.add_argument("--events-url", help="send events to this URL as signed requests instead of Socket Mode")
    parser.add_argument("--pace", choices=("exact", "generous", "off"), default="generous", help="rate limits")
    parser.add_argument(
        "--ack-deadline", type=float, default=limits.ACK_DEADLINE_S, help="seconds to wait for an acknowledgement"
    )
    delays = ",".join(f"{delay:g}" for delay in limits.RETRY_DELAYS_S)
    retry_help = f"seconds before each retry (default {delays})"
    parser.add_argument("--retry-delays", type=_parse_delays, default=delays, metavar="S,S,…", help=retry_help)
    parser.add_argument(
        "--files",
        type=_parse_folder,
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="folder of documents",
    )
    workspaces_help = "how many workspaces there are in which the app is installed by OAuth"
    parser.add_argument("--oauth-workspaces", type=int, default=0, metavar="N", help=workspaces_help)
    parser.add_argument("--with-parent", action="store_true", help="stop when standard input ends")
    return parser


def _parse_delays(text: str) -> list[float]:
    return [float(delay) for delay in text.split(",") if delay]


def _parse_folder(text: str) -> tuple[str, Path]:
    name, _, folder = text.partition("=")
    if not (name and folder):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=DIR")
    return name, Path(folder)


async def run_sandbox(options: SandboxOptions, *, with_parent: bool = False) -> None:
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
    async with serve_sandbox(options) as running:
        print(f"Sandbox workspace at {running.base_url}", flush=True)  # noqa: T201 - the launcher waits for this line
        if not with_parent:
            oauth = bool(options.oauth_workspaces)
            path = write_settings(options.state, running.base_url, running.credentials, oauth=oauth)
            print(f"Settings for Kvasir: {path}", flush=True)  # noqa: T201
        await stopping.wait()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    arguments = build_parser().parse_args(argv)
    options = SandboxOptions(
        state=arguments.state,
        port=arguments.port,
        events_url=arguments.events_url,
        pace=arguments.pace,
        ack_deadline_s=arguments.ack_deadline,
        retry_delays_s=arguments.retry_delays,
        files=dict(arguments.files),
        oauth_workspaces=arguments.oauth_workspaces,
    )
    try:
        asyncio.run(run_sandbox(options, with_parent=arguments.with_parent))
    except StateInUse as error:
        problem = f"The sandbox cannot start: {error}."
    except OSError as error:
        problem = f"The sandbox cannot start on port {options.port}: {error}. Choose another with --port."
    except (ValueError, sqlite3.Error) as error:
        problem = f"The sandbox cannot read its state in {options.state}: {error}."
    else:
        return 0
    print(problem, file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
