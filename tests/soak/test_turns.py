"""Three replicas answer each question exactly once, whatever fails. ``make soak`` asks 10,000 with each database."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.soak.turns.plan import Ask, End, Fail, list_parts, make_plan, make_rolling_plan
from tests.soak.turns.stage import open_database_server, run_plan
from tests.soak.turns.verdict import Asked, Message, Seen, TurnsOutcome, Verdict

QUESTIONS = 40
ROOT = "1.000001"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("database", ["sqlite", "postgres", "pgbouncer"])
async def test_each_question_is_answered_once(database: str, tmp_path: Path) -> None:
    with open_database_server(database) as server:
        outcome = await run_plan(server, tmp_path, make_plan(1, QUESTIONS, ends=2), "soak")
    assert outcome.failures == []
    assert outcome.answered + outcome.refused == outcome.questions == QUESTIONS
    assert outcome.refused <= QUESTIONS / 10


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_rolling_restart_begins_no_answer_again(tmp_path: Path) -> None:
    """An answer takes longer than the rest of a replica's end."""
    outcome = await run_plan("", tmp_path, make_rolling_plan(1, 24, 0.3), "soak", answer_s=3.0)
    assert outcome.failures == []
    assert outcome.answered == outcome.generations == 24


def test_equal_seeds_make_equal_plans() -> None:
    assert make_plan(7, 100, ends=2) == make_plan(7, 100, ends=2)
    assert make_plan(7, 100, ends=2) != make_plan(8, 100, ends=2)


def test_plans_have_every_kind_of_fault() -> None:
    steps = make_plan(1, 2_000, ends=20)
    bodies = [step.body for step in steps if isinstance(step, Fail)]
    assert max(body.get("duplicate_events", 0) for body in bodies) == 10
    assert {name for body in bodies for name in body} == {
        "duplicate_events", "event_delays_s", "drop_acks", "disconnect", "calls",
    }  # fmt: skip
    calls = [call for body in bodies for call in body.get("calls", ())]
    assert {call.get("status") for call in calls} == {None, 429, 503}
    assert {step.how for step in steps if isinstance(step, End)} == {"kill", "stop"}


# ── The verdict ──────────────────────────────────────────────────────────────────────────────────────────────────────


def judge(
    *texts: str, private: int = 0, generations: int = 1, calls: Sequence[Mapping[str, Any]] = (), number: int = 5
) -> TurnsOutcome:
    """Judge a thread with one question and these texts of Kvasir."""
    question = Asked(Ask(number, "ada", "#general", None, is_mention=True), "C1", ROOT, ROOT)
    posted: list[Message] = [{"ts": ROOT, "root": ROOT, "text": "@Kvasir?"}]
    posted += [{"ts": f"2.{index}", "root": ROOT, "bot_id": "B1", "text": text} for index, text in enumerate(texts)]
    evidence = Seen({"C1": posted}, Counter({("ada", "C1"): private}), calls, Counter({number: generations}))
    return Verdict([question], evidence).judge()


PARTS = list_parts(5)
WHOLE = "".join(PARTS)
REFUSED = {"method": "chat.postMessage", "error": "restricted_action", "args": {"thread_ts": ROOT}}


def test_one_whole_answer_is_right() -> None:
    assert len(PARTS) > 1
    for texts in ((WHOLE,), (PARTS[0], "".join(PARTS[1:])), ("_ℹ️ I was interrupted here._", WHOLE + "…")):
        outcome = judge(*texts)
        assert (outcome.answered, outcome.failures) == (1, [])


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        ((), "silent"),
        ((PARTS[0],), "lost"),
        ((WHOLE, WHOLE), "doubled"),
        ((PARTS[0], WHOLE), "doubled"),
        ((WHOLE, "I could not answer."), "doubled"),
        (("I could not answer.",), "silent"),  # without a reason
    ],
)
def test_what_must_not_happen_is_found(texts: Sequence[str], kind: str) -> None:
    assert [failure.partition(":")[0] for failure in judge(*texts).failures] == [kind]


def test_a_sentence_needs_a_reason() -> None:
    for outcome in (
        judge("I could not answer.", generations=2),
        judge("I could not answer.", calls=[REFUSED]),
        judge(calls=[REFUSED], private=1),
    ):
        assert (outcome.refused, outcome.failures) == (1, [])


def test_a_message_that_slack_refused_to_delete_may_stay() -> None:
    call = {"method": "chat.delete", "error": "cant_delete_message", "args": {"channel": "C1", "ts": "2.0"}}
    assert judge(PARTS[0], WHOLE, calls=[call]).failures == []
    assert judge(WHOLE, WHOLE, WHOLE, calls=[call]).doubled != []
    assert judge(PARTS[0], WHOLE, calls=[call | {"error": "internal_error"}]).doubled != []


def test_more_than_two_generations_are_found() -> None:
    assert judge(WHOLE, generations=3).excess != []


def test_the_verdict_imports_no_code_of_kvasir() -> None:
    for name in ("plan", "verdict"):
        tree = ast.parse((Path(__file__).parent / "turns" / f"{name}.py").read_text())
        imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert [one for one in imported if one.split(".")[0] in {"bot", "engine", "knowledge"}] == []
