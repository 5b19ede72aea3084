"""The OpenAPI document, and requests that are made from it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.api.openapi import build_document
from tests.api.running_api import BO, run_api

EXAMPLES = 25
"""For each operation and phase. A long round: ``schemathesis run URL/openapi.json --max-examples 2000``."""


def find_references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (one for name, one in value.items() if name == "$ref")
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from find_references(one)


def test_every_reference_leads_to_a_schema() -> None:
    document = build_document()
    references = set(find_references(document))
    assert references
    assert references <= {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert json.loads(json.dumps(document)) == document


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    async with run_api(tmp_path) as api:
        argv = [
            sys.executable, "-m", "schemathesis.cli", "run", f"{api.url}/openapi.json", "--max-examples", str(EXAMPLES),
            "--header", f"Authorization: Bearer {await api.create_key(BO)}", "--phases", "examples,coverage,fuzzing",
            "--seed", "1", "--no-color",
        ]  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            *argv, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()[-6000:]
