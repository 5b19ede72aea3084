"""Test that a question that only a web page answers gets its answer and citation in the browser."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT
from tests.e2e.live_web import ANSWER
from tests.web.http.test_ssrf import namespace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


async def test_a_page_answers_what_the_documents_do_not(tmp_path: Path) -> None:
    if (command := namespace()) is None:
        pytest.skip("neither root nor user namespaces here: the page would be served in everybody's network")
    process = await asyncio.create_subprocess_exec(
        *command, sys.executable, "-m", "tests.e2e.live_web", str(tmp_path),
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 280.0)
    assert process.returncode == 0, err.decode()[-3_000:]
    outcome = json.loads(out)
    assert ANSWER in outcome["text"]
    assert outcome["href"] == outcome["page"]
    assert "Ferry news · 127.0.0.1, 2026-11-20" in outcome["text"].replace("\n", " ")
    assert "I looked on the web because the documents are not enough: one page was read." in outcome["text"]
    assert outcome["asked"] == ["/news/strike-of-the-ferrymen-of-aldmark"]
    assert "web, 127.0.0.1, 2026-11-20" in outcome["prompts"][-1]
    assert "ferries were sold" not in outcome["prompts"][-1], "what the page hides is not read"
    assert outcome["buttons"] == ["Answer again"], "no button searches the web: it was looked at"
