"""``kvasir calibrate``: fit the constants of an embedder for which nothing was measured."""

from __future__ import annotations

import argparse

from bot.cli.command_settings import load_command_settings
from bot.library_opening import open_configured_library
from bot.terminal.output import print_outcome
from knowledge.embedding import find_calibration
from knowledge.embedding.calibration import UNCALIBRATED


async def main(arguments: argparse.Namespace) -> int:
    """Fit and store them; exit status 1 if the embedder cannot be calibrated."""
    settings = load_command_settings(arguments)
    async with open_configured_library(settings) as library:
        identity = library.embedder.identity
        if find_calibration(identity) is not UNCALIBRATED:
            state, sentence = "declared", f"{identity} was measured by its makers, so there is nothing to fit."
        elif await library.calibrate():
            state = "fitted"
            sentence = f"{identity} is calibrated. Restart each process of Kvasir, which then uses the new constants."
        else:
            state = "failed"
            sentence = (
                f"{identity} does not separate texts that belong together from others, so it stays uncalibrated. "
                "Check that the server has the right model, its pooling and its prefixes (docs/production.md)."
            )
    print_outcome({"ok": state != "failed", "embedder": identity, "state": state}, sentence, json=arguments.json)
    return int(state == "failed")
