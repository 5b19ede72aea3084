"""``kvasir health``: ask the running Kvasir of this configuration whether it can answer questions."""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
from pathlib import Path
from typing import Any, Final

from bot.config.settings import load_settings
from bot.errors import SettingsError
from bot.terminal.output import print_result

_TIMEOUT_S: Final = 5.0


async def main(arguments: argparse.Namespace) -> int:
    """Print what each check says; exit status 1 unless it takes questions."""
    settings = load_settings(os.environ, Path.cwd(), config=arguments.config, required=False)
    if not settings.health_port:
        raise SettingsError("KVASIR_HEALTH_PORT is not set, so Kvasir answers no probes. Set it in .env.")
    host, port = settings.health_host, settings.health_port
    try:
        state = await asyncio.to_thread(_fetch_state, host, port)
    except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException) as error:
        text = f"Nothing answers at {host}:{port} ({type(error).__name__}). Start it: kvasir run"
        state = {"ready": False, "checks": {"process": text}}
    for name, text in state["checks"].items():
        print_result(f"{name}: {text}")
    print_result("ready" if state["ready"] else "not ready")
    return 0 if state["ready"] else 1


def _fetch_state(host: str, port: int) -> dict[str, Any]:
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        state: dict[str, Any] = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return {"ready": bool(state["ready"]), "checks": dict(state["checks"])}
