"""The evaluation of checks of contracts: where spans of the data are found again, and what both sides are asked."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot.answering.events import Passage
from bot.profiles.spans import Span
from scripts.eval_checklist import STATEMENTS, Answer, Contract, Figures, load_contracts, main, read_plain
from tests.engine.fakes import DONE, USAGE, delta, fake_sglang

COPIES = "The Receiving Party shall not copy the Confidential Information."
TEXT = f"NON-DISCLOSURE\nAGREEMENT\n\n{COPIES}  It may retain one copy.\n"


def make_document(number: int) -> dict[str, Any]:
    start, other = TEXT.index(COPIES), TEXT.index("It may")
    marked: dict[str, Any] = {key: {"choice": "na", "spans": []} for key in STATEMENTS.values()}
    marked["nda-17"] = {"choice": "false", "spans": [1]}
    marked["nda-20"] = {"choice": "Entailment", "spans": [2]}
    return {
        "id": number,
        "text": TEXT,
        "spans": [[0, 24], [start, start + len(COPIES)], [other, other + 23]],
        "annotation_sets": [{"annotations": marked}],
    }


def test_clauses_are_found_again_by_their_letters() -> None:
    contract = Contract(make_document(1))
    passage = Passage(1, "", "x", "x", "", None, f"{COPIES}\nIt may retain\none copy.")
    starts = contract.locate_passages([passage])
    assert contract.find_spans(passage, Span(0, len(COPIES)), starts[0]) == {1}
    assert contract.find_spans(passage, Span(len(COPIES) + 1, len(passage.text)), starts[0]) == {2}
    assert contract.find_spans(passage, Span(0, len(COPIES)), -1) == set()
    plain = read_plain(f"Contradiction\n1. “{COPIES}”\nno such text", [passage], contract, starts)
    assert plain == Answer("contradicted", frozenset({1}))
    assert read_plain(f"NotMentioned\n{COPIES}", [passage], contract, starts) == Answer("not_mentioned")
    assert read_plain("I do not know.", [passage], contract, starts) == Answer("not_mentioned")


def test_figures_count_labels_and_spans() -> None:
    figures = Figures()
    figures.add("copies", Answer("contradicted", frozenset({1, 2})), Answer("contradicted", frozenset({1})))
    figures.add("copies", Answer("not_mentioned"), Answer("entailed", frozenset({2})))
    assert figures.format(["copies"]).split() == ["50.0", "50.0"]


def test_contracts_are_spread_evenly(tmp_path: Path) -> None:
    (tmp_path / "dev.json").write_text(json.dumps({"documents": [make_document(n) for n in range(10)]}))
    assert [one.name for one in load_contracts(tmp_path / "dev.json", 3)] == ["0.txt", "3.txt", "6.txt"]
    assert len(load_contracts(tmp_path / "dev.json", None)) == 10


@pytest.mark.slow
async def test_both_sides_are_asked_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dev.json").write_text(json.dumps({"documents": [make_document(1)]}))
    (tmp_path / "train.json").write_text(json.dumps({"documents": [make_document(2)]}))
    async with fake_sglang() as fake:

        async def chat(request: web.Request) -> web.StreamResponse:
            schema = "response_format" in await request.json()
            answer = json.dumps({"label": "contradicted", "quotes": [COPIES]}) if schema else f"Contradiction\n{COPIES}"
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            for chunk in (delta(content=answer), delta(finish="stop"), USAGE, DONE):
                await response.write(chunk)
            return response

        fake.chat = chat
        asked = Namespace(
            data=tmp_path / "dev.json",
            learn=tmp_path / "train.json",
            most=None,
            engine=fake.url,
            ask_all=True,
            scratch=tmp_path / "scratch",
        )
        await main(asked)
        count = len(fake.bodies)
        await main(asked)
    shown = capsys.readouterr().out.splitlines()
    assert count == 2 * len(STATEMENTS) == len(fake.bodies), "an interrupted run continues"
    assert [line.split() for line in shown if line.startswith("  copies")] == [
        ["copies"] + ["100.0"] * 5 + ["0.0"]
    ] * 2, "the majority marks no span"
    assert "kvasir: label" in shown[1]
    assert "plain: label" in shown[1]
    with pytest.raises(SystemExit, match="same contracts"):
        await main(Namespace(**{**vars(asked), "learn": asked.data}))
