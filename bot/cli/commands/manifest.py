"""``kvasir manifest``: print the manifest to create the Slack app from."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from bot.config.settings import read_public_url
from bot.slack.workspace.manifest import render_manifest_yaml
from bot.terminal.output import print_result


async def main(arguments: argparse.Namespace) -> int:
    """Print the manifest."""
    public_url = arguments.oauth or read_public_url(os.environ, Path.cwd())
    print_result(render_manifest_yaml(events_url=arguments.url, public_url=public_url).rstrip("\n"))
    return 0
