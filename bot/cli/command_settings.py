"""Load the settings of a command that prints a result."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from bot import logs
from bot.audit.commands import record_command
from bot.config.settings import Settings, load_settings
from bot.private_files import protect_path


def load_command_settings(
    arguments: argparse.Namespace, *, required: bool = True, variables: Mapping[str, str] | None = None
) -> Settings:
    """Return the settings for ``--config``, and record the command.

    ``variables`` go before those of the environment. Only warnings and errors are logged, because stdout has the
    result.

    Raises:
        SettingsError: the configuration is wrong, or missing although it is ``required``.

    """
    environ = {**os.environ, **(variables or {})}
    settings = load_settings(environ, Path.cwd(), config=arguments.config, required=required)
    logs.configure_logging(
        secrets=settings.secrets, recogniser=settings.configuration.masking.log_recogniser, level=logs.WARNING
    )
    protect_path(settings.home)
    record_command(settings.audit, settings.config, arguments)
    return settings
