"""``kvasir engine``: start, stop, restart or inspect the engine of this state directory, and print its log.

The process that owns the engine, usually ``kvasir run``, gets the command. If there is none, ``start`` runs the engine
in this process, and others use it.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from pathlib import Path

from bot.app import create_engine
from bot.cli.command_settings import load_command_settings
from bot.cli.commands.status import engine_json
from bot.config.settings import Settings
from bot.terminal.lines import format_engine_state
from bot.terminal.output import print_error, print_note, print_outcome, print_result
from engine.control.control_socket import EngineAction, EngineCommand
from engine.control.runtime_file import RuntimeFile
from engine.errors import EngineRefused, EngineUnavailable
from engine.interfaces import EngineState, EngineStatus
from engine.oom.log_tail import read_last_lines
from engine.service import Engine

_POLL_S = 0.3
_COMMAND_VISIBLE_S = 3.0
"""By then, the state shows the effect of a command, if it has one."""
_STOP_DEADLINE_S = 60.0
_START_DEADLINE_S = 3600.0
"""Loading hundreds of gigabytes takes long; the owner's own deadlines are shorter."""
_FINAL_STATES = frozenset({EngineState.READY, EngineState.DEGRADED, EngineState.FAILED})


async def main(arguments: argparse.Namespace) -> int:
    """Run the action; exit status 1 if the engine does not start, or no process owns one."""
    settings = load_command_settings(arguments)
    if arguments.action == "logs":
        return await _print_log(settings, arguments.lines, follow=arguments.follow)
    if arguments.action == "status":
        status = await Engine.query_status(settings.engine)
        print_outcome(engine_json(status), format_engine_state(status), json=arguments.json)
        return 0
    if settings.engine.url is not None:
        raise EngineRefused(
            "KVASIR_ENGINE_URL names an engine that Kvasir does not control. Start and stop it there, or unset the "
            "variable."
        )
    return await _send_command(
        settings, EngineCommand(EngineAction(arguments.action), arguments.fresh), json=arguments.json
    )


async def _send_command(settings: Settings, command: EngineCommand, *, json: bool) -> int:
    try:
        print_note(await Engine.send_command(settings.home, command))
    except EngineUnavailable:
        if command.action is EngineAction.START:
            return await _host_engine(settings, json=json)
        raise
    final = frozenset({EngineState.ABSENT}) if command.action is EngineAction.STOP else _FINAL_STATES
    deadline_s = _STOP_DEADLINE_S if command.action is EngineAction.STOP else _START_DEADLINE_S
    status = await _follow_changes(settings.home, final, deadline_s)
    _show_final_state(status, json=json)
    return 0 if status.state in final - {EngineState.FAILED} else 1


async def _follow_changes(home: Path, final: frozenset[EngineState], deadline_s: float) -> EngineStatus:
    """Print each change until one of the final states or the deadline; return the last state."""
    loop = asyncio.get_running_loop()
    began_s, has_changed, printed_status = loop.time(), False, Engine.read_status(home)
    while loop.time() - began_s < deadline_s:
        await asyncio.sleep(_POLL_S)
        status = Engine.read_status(home)
        has_changed = has_changed or status.state not in final or loop.time() - began_s > _COMMAND_VISIBLE_S
        if has_changed and status.state in final:
            return status
        if (status.state, status.detail) != (printed_status.state, printed_status.detail):
            print_note(format_engine_state(status))
        printed_status = status
    return printed_status


async def _host_engine(settings: Settings, *, json: bool) -> int:
    """Run the engine in this process until it is stopped or has failed."""
    print_note("No other process runs the engine, so it runs here until Ctrl-C. `kvasir run` and `kvasir ask` use it.")
    engine = create_engine(settings)
    try:
        await engine.start()
        async with aclosing(engine.watch_status()) as changes:
            async for status in changes:
                if status.state is EngineState.FAILED or (status.state is EngineState.ABSENT and status.detail):
                    _show_final_state(status, json=json)
                    return 1 if status.state is EngineState.FAILED else 0
                if status.state is EngineState.READY:
                    _show_final_state(status, json=json)
                elif status.detail:
                    print_note(format_engine_state(status))
    except asyncio.CancelledError:
        print_note("The engine is stopping.")
    finally:
        await engine.stop()
    return 0


def _show_final_state(status: EngineStatus, *, json: bool) -> None:
    """Show the final state, with ``json`` also to stderr. Its detail names the memory profile and the reason."""
    if json:
        print_note(format_engine_state(status))
    print_outcome(engine_json(status), format_engine_state(status), json=json)


# ── The log ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _print_log(settings: Settings, count: int, *, follow: bool) -> int:
    """Print the log's last lines, and with ``follow`` each new one. The writer of the log has masked keys."""
    path = RuntimeFile(settings.home).folder / "engine.log"
    lines = await asyncio.to_thread(read_last_lines, path, count)
    if not lines and not follow:
        print_error(f"There is no log at {path}: no engine has run with this KVASIR_HOME.")
        return 1
    _print_lines(lines, settings.secrets)
    if follow:
        async with aclosing(_follow_log(path)) as chunks:
            async for text in chunks:
                _print_lines(text.splitlines(), settings.secrets)
    return 0


async def _follow_log(path: Path) -> AsyncGenerator[str, None]:
    """Yield each appended text, without end, also from the file that replaces a full one."""
    offset, inode = _read_size_and_inode(path)
    while True:
        await asyncio.sleep(_POLL_S)
        size, now = _read_size_and_inode(path)
        if now != inode or size < offset:
            offset, inode = 0, now
        if size > offset:
            with path.open("rb") as file:
                file.seek(offset)
                chunk = file.read(size - offset)
            whole = chunk[: chunk.rfind(b"\n") + 1]
            offset += len(whole)
            yield whole.decode("utf-8", errors="replace")


def _read_size_and_inode(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_size, stat.st_ino


def _print_lines(lines: Iterable[str], secrets: Iterable[str]) -> None:
    masked = tuple(secrets)
    for line in lines:
        for secret in masked:
            line = line.replace(secret, "***")  # noqa: PLW2901
        print_result(line)
