"""Test ``kvasir verify -`` as scripts use it: JSON shape, invalid lines, an open pipe, exit statuses."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.limits import Limits
from bot.answering.support.checker import feature_checkers
from bot.cli.commands.verify import parse_case, verify_case
from bot.errors import InvalidLine
from knowledge.embedding import IDENTITY, find_calibration
from tests.e2e.conftest import Place
from tests.engine.fakes import fake_sglang

LEAVE = "Employees receive 25 days of paid annual leave per calendar year. Requests need the line manager's approval."
EXPENSES = "Expense claims are submitted through Ledgerly within 30 days. Alcohol is not reimbursed."
CASE = {
    "passages": [{"text": LEAVE, "title": "Leave", "heading": "Days"}, {"text": EXPENSES, "title": "Expenses"}],
    "answer": (
        "Claims are submitted through Ledgerly within 30 days [2]. Alcohol is reimbursed [2]. "
        "According to passage 1, employees receive 25 days of paid annual leave per calendar year.\n\n"
        "Bananas are yellow."
    ),
    "question": "How do claims and leave work?",
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["passages", "answer", "text"]), inner),
)


async def embed(texts: Sequence[str]) -> Any:
    return np.ones((len(texts), 1), np.float32) * 0.7**0.5


def line_of(case: Any) -> bytes:
    return json.dumps(case).encode()


async def verified(case: Any) -> dict[str, Any]:
    return await verify_case(
        parse_case(line_of(case)), feature_checkers(embed, find_calibration(IDENTITY).support)(), Limits()
    )


async def test_sentences_have_verdicts_and_the_shown_text() -> None:
    found = await verified(CASE)
    assert set(found) == {"answer", "sentences", "shown"}
    assert found["answer"] == CASE["answer"]
    assert all(set(one) == {"text", "verdict", "passages", "against", "score"} for one in found["sentences"])
    assert [(one["verdict"], one["passages"], one["against"]) for one in found["sentences"]] == [
        ("supported", [2], []),
        ("contradicted", [], [2]),
        ("supported", [1], []),
        ("unsupported", [], []),
    ]
    assert all(0.0 <= one["score"] <= 1.0 for one in found["sentences"])
    assert found["shown"].startswith("Claims are submitted through Ledgerly within 30 days. [1]")
    assert "Alcohol" not in found["shown"]
    assert found["shown"].endswith("Bananas are yellow. ⚠")


async def test_sentences_after_the_end_of_the_shown_text_are_verified() -> None:
    sentences = [f"Bananas number {n} are yellow." for n in range(9)]
    found = await verified({**CASE, "answer": " ".join(sentences)})
    assert [one["text"] for one in found["sentences"]] == sentences


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"oops", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"n": ' + b"1" * 5000 + b"}", "not JSON"),
        (b"[]", "has no passages"),
        (b'{"answer": "x"}', "has no passages"),
        (b'{"passages": [3], "answer": "x"}', "Passage 1 is not an object"),
        (b'{"passages": [{"title": "x"}], "answer": "x"}', '"text" is missing'),
        (b'{"passages": []}', '"answer" is missing'),
        (b'{"passages": [], "answer": "x", "question": 3}', '"question" is missing or not a string'),
    ],
)
def test_an_invalid_line_is_answered_with_the_expected_form(line: bytes, problem: str) -> None:
    with pytest.raises(InvalidLine, match=problem) as caught:
        parse_case(line)
    assert 'Write {"passages"' in str(caught.value)


async def test_a_lone_surrogate_does_not_end_the_run() -> None:
    """JSON can contain a lone surrogate, which UTF-8 cannot; the result is printed."""
    found = await verified({"passages": [{"text": "Leave is 25 days \ud800."}], "answer": "Leave is 25 days \ud800."})
    assert found["answer"] == "Leave is 25 days \ufffd."
    json.dumps(found, ensure_ascii=False).encode()


@given(JSON)
def test_any_json_is_a_case_or_an_invalid_line(value: Any) -> None:
    try:
        case = parse_case(line_of(value))
    except InvalidLine:
        return
    assert [passage.n for passage in case.passages] == list(range(1, len(case.passages) + 1))


@given(st.text(max_size=200), st.lists(st.text(max_size=80), max_size=3))
async def test_any_answer_is_verified(answer: str, texts: list[str]) -> None:
    found = await verified({"passages": [{"text": text} for text in texts], "answer": answer})
    assert {one["verdict"] for one in found["sentences"]} <= {"supported", "unsupported", "contradicted"}


@pytest.mark.slow
@pytest.mark.timeout(360)
async def test_each_line_of_an_open_pipe_is_answered_at_once(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "verify", "-", "--config", str(_config(tmp_path)),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2], env=dict(os.environ),
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    for line, key in ((line_of(CASE), "sentences"), (b"oops", "error"), (line_of(CASE), "sentences")):
        process.stdin.write(line + b"\n")
        await process.stdin.drain()
        assert key in json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
    process.stdin.close()
    assert await process.wait() == 1


def _config(folder: Path) -> Path:
    (folder / "docs").mkdir()
    config = folder / "kvasir.toml"
    config.write_text('[[source]]\nname = "hr"\nkind = "folder"\npath = "docs"\n', encoding="utf-8")
    return config


@pytest.mark.slow
@pytest.mark.timeout(360)
async def test_no_configuration_is_needed_and_a_judge_without_an_engine_exits_with_3(tmp_path: Path) -> None:
    place = Place(tmp_path)
    status, out, _ = await place.command("verify", "-", stdin=line_of(CASE))
    assert (status, "sentences" in json.loads(out)) == (0, True)
    status, out, err = await place.command(
        "verify", "-", "--judge", "engine", stdin=line_of(CASE), KVASIR_CACHE=str(tmp_path / "cache")
    )
    assert (status, out.strip(), "no engine that can judge" in err) == (3, "", True)
    assert (await place.command("verify", "answer.json"))[0] == 2


@pytest.mark.slow
@pytest.mark.timeout(360)
async def test_the_engine_decides_on_borderline_sentences(tmp_path: Path) -> None:
    long = {"text": f"{'Parking is free for all who work here. ' * 60}The gate closes at nine."}
    answer = "Your manager must agree to holidays [1]. Alcohol is reimbursed [2]."
    case = {**CASE, "passages": [*CASE["passages"], long], "answer": answer}
    async with fake_sglang() as engine:
        engine.model = "Qwen2.5-Coder-1.5B-Instruct"
        engine.choose([("no", -0.01), ("yes", -6.0)])
        status, out, _ = await Place(tmp_path).command(
            "verify", "-", "--judge", "engine", stdin=line_of(case), KVASIR_ENGINE_URL=engine.url
        )
    judged, contradicted = json.loads(out)["sentences"]
    assert (status, judged["verdict"], judged["passages"]) == (0, "unsupported", []), "the features support it"
    assert contradicted["verdict"] == "contradicted", "the judge is not asked where the features contradict"
    (body,) = engine.bodies
    assert "The gate closes at nine." in body["messages"][-1]["content"], "the judge reads whole passages"
