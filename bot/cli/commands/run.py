"""``kvasir run``: run the bot."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from logging.handlers import RotatingFileHandler
from pathlib import Path

import structlog

from bot import logs
from bot.app import serve
from bot.audit.commands import record_command
from bot.backup_folder import UNFINISHED, BackupError
from bot.config.settings import Settings, load_settings
from bot.errors import SettingsError
from bot.private_files import protect_tree
from bot.terminal.terminal import Terminal

_log = structlog.get_logger("kvasir.run")
_LOG_BYTES = 10_000_000


async def main(arguments: argparse.Namespace) -> int:
    """Run until Ctrl-C or SIGTERM, which both end with exit status 0."""
    if arguments.docs is not None and arguments.config is not None:
        raise SettingsError("--docs and --config exclude each other. Use one of them.")
    settings = load_settings(
        os.environ,
        Path.cwd(),
        config=arguments.config,
        docs=arguments.docs,
        default_docs=Path("docs") if arguments.make else None,
    )
    if arguments.no_sandbox and settings.slack is None:
        raise SettingsError(
            "There are no Slack tokens. Set SLACK_BOT_TOKEN and SLACK_APP_TOKEN (docs/operating.md explains how)."
        )
    if (unfinished := settings.home / UNFINISHED).exists():
        raise BackupError(
            f"A restore was interrupted. Run `kvasir restore` again, or delete {unfinished} to do without."
        )
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _log_to_stderr_or_file(settings), Terminal() as terminal:
        if settings.service_links:
            _log.info("variables of Kubernetes' services ignored", names=" ".join(settings.service_links))
        for folder in (settings.home, settings.knowledge.web_cache):
            await asyncio.to_thread(protect_tree, folder)
        record_command(settings.audit, settings.config, arguments)
        try:
            await serve(settings, terminal)
        except asyncio.CancelledError:
            terminal.print_line("Kvasir has stopped.")
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group
    return 0


@contextlib.contextmanager
def _log_to_stderr_or_file(settings: Settings) -> Iterator[None]:
    """Log to standard error; if that is a terminal with progress bars, log to a file instead."""
    if not sys.stderr.isatty():
        logs.configure_logging(
            sys.stderr, secrets=settings.secrets, recogniser=settings.configuration.masking.log_recogniser
        )
        yield
        return
    handler = RotatingFileHandler(settings.home / "kvasir.log", maxBytes=_LOG_BYTES, backupCount=2, encoding="utf-8")
    try:
        logs.configure_logging(
            handler, secrets=settings.secrets, recogniser=settings.configuration.masking.log_recogniser
        )
        yield
    finally:
        handler.close()
