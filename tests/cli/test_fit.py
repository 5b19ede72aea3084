"""Test ``kvasir fit`` at the terminal and for scripts, and the page that is generated from it."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.__main__ import main
from bot.cli.fit_view import machine_line
from tests.engine.machines import GIB, machine

ROOT = Path(__file__).parents[2]
SHAPE = [
    "variant", "fits", "precision", "checkpoint", "tp", "dp", "pp", "ep", "kv_dtype", "weights_gib_per_gpu",
    "kv_tokens", "context", "people", "argv", "reasons",
]  # fmt: skip


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    status = main(["fit", *arguments, "--json"])
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return status, report


def test_the_page_equals_the_output_of_fit() -> None:
    made = runpy.run_path(str(ROOT / "scripts" / "make_which_r1.py"))["build_page"]()
    assert (ROOT / "docs" / "which-r1.md").read_text(encoding="utf-8") == made, "run scripts/make_which_r1.py"


def test_a_variant_that_fits(capsys: pytest.CaptureFixture[str]) -> None:
    status, report = _json(capsys, "32b", "--machine", "H100", "--people", "8")
    assert status == 0
    assert list(report)[: len(SHAPE)] == SHAPE
    assert (report["fits"], report["precision"], report["tp"], report["reasons"]) == (True, "fp8", 1, [])
    assert report["argv"][:5] == ["python", "-m", "sglang.launch_server", "--model-path", report["checkpoint"]]
    assert report["argv"][report["argv"].index("--tp-size") + 1] == "1"
    assert "estimate" in report["estimate"]["source"]


def test_a_variant_that_does_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    status, report = _json(capsys, "r1", "--machine", "8xA100-80G", "--precision", "fp8")
    assert status == 1
    assert list(report)[: len(SHAPE)] == SHAPE
    assert (report["fits"], report["argv"], report["kv_tokens"], report["nearest"]) == (False, [], None, "DeepSeek-R1")
    assert "fp8 from 8.9" in report["reasons"][0]
    assert "626.8 GiB" in report["claims"][0]
    assert "1249.9 GiB" in report["claims"][0]


def test_all_variants(capsys: pytest.CaptureFixture[str]) -> None:
    status, report = _json(capsys, "--machine", "2x8x80GB")
    assert (status, report["auto"], len(report["variants"])) == (0, "DeepSeek-R1-0528", 10)
    assert all(list(one)[: len(SHAPE)] == SHAPE for one in report["variants"])
    assert len(report["variants"][0]["argv_by_node"]) == 2


def test_the_table_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--machine", "1x24GB"]) == 0
    out = capsys.readouterr().out
    assert "R1-Distill-Qwen-14B" in out
    assert "auto: DeepSeek-R1-0528-Qwen3-8B" in out


def test_a_popular_name_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "13B", "--machine", "1x80GB"]) == 0
    report = capsys.readouterr()
    assert "13B is what people call DeepSeek-R1-Distill-Qwen-14B" in report.err
    assert "--model-path deepseek-ai/DeepSeek-R1-Distill-Qwen-14B" in report.out


def test_auto_and_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    status, report = _json(capsys, "auto", "--machine", "8xH200")
    assert (status, report["variant"]) == (0, "DeepSeek-R1-0528")
    assert len(_json(capsys)[1]["variants"]) == 10


def test_an_invalid_machine_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--machine", "big"]) == 1
    assert "8xA100-80GB" in capsys.readouterr().err


def test_the_reasons_end_with_a_command_that_shows_what_works(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "33B", "--machine", "1x24GB"]) == 1
    report = capsys.readouterr().out
    assert "`kvasir fit DeepSeek-R1-Distill-Qwen-32B --people 1` with the same --machine shows how" in report
    assert main(["fit", "DeepSeek-R1-Distill-Qwen-32B", "--people", "1", "--machine", "1x24GB"]) == 0
    plan = capsys.readouterr().out
    assert "\n1 card, 18.0 GiB of weights on each\n9790 tokens" in plan
    assert "\n1 person at once\n" in plan
    assert "\npython -m sglang.launch_server --model-path casperhansen/" in plan


def test_memory_in_use_is_in_the_line_of_the_machine() -> None:
    free = machine(79.6, 79.6)
    busy = replace(free, cards=(free.cards[0], replace(free.cards[1], free_bytes=50 * GIB)))
    assert machine_line(busy).startswith("2 x a card, 79.6 GiB each, up to 29.6 GiB of a card in use now")
    assert "in use" not in machine_line(free)


def test_no_r1_fits_on_a_machine_without_known_memory(capsys: pytest.CaptureFixture[str]) -> None:
    """Then auto takes a small model, without a check of the memory."""
    assert main(["fit", "auto", "--machine", "1x80GB", "--context", "999999"]) == 0
    report = capsys.readouterr()
    assert "No R1 fits on the GPUs here as requested (4 at once with 999999 tokens each)" in report.err
    assert "0.0 GiB" not in report.out
    status, small_model = _json(capsys, "auto", "--machine", "cpu")
    assert (status, small_model["fits"], small_model["kv_tokens"]) == (0, True, 32768)
    assert main(["fit", "auto", "--machine", "cpu"]) == 0
    assert "There is no GPU here, so auto takes Qwen2.5-0.5B-Instruct" in capsys.readouterr().err
    assert main(["fit", "auto", "--machine", "cpu+1GB"]) == 1
    assert "this machine has 1.0 GiB" in capsys.readouterr().out
