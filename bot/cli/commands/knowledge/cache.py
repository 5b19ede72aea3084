"""``kvasir cache clear``: delete the cached pages of the web."""

from __future__ import annotations

import argparse

from bot.cli.command_settings import load_command_settings
from bot.library_opening import open_page_cache
from bot.terminal.output import print_outcome


async def main(arguments: argparse.Namespace) -> int:
    """Clear the cache and print how much disk space is free again."""
    settings = load_command_settings(arguments)
    folder = settings.knowledge.web_cache
    cache = open_page_cache(settings)
    try:
        freed_bytes = await cache.delete_pages()
    finally:
        await cache.close()
    text = f"{freed_bytes / 1e6:,.1f} MB of cached pages deleted in {folder}. Models and the engine stay."
    print_outcome({"folder": str(folder), "freed_bytes": freed_bytes}, text, json=arguments.json)
    return 0
