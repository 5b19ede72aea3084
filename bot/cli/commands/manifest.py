"""``kvasir manifest``: print the manifest to create the Slack app from."""

from __future__ import annotations

import argparse

from bot.cli.output import print_result
from bot.slack.manifest import render_manifest_yaml


async def main(arguments: argparse.Namespace) -> int:
    """Print the manifest."""
    print_result(render_manifest_yaml(events_url=arguments.url).rstrip("\n"))
    return 0
