"""Whatever a model writes, an answer from guidelines shows no statement without a source."""

from __future__ import annotations

import asyncio
import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.answering.answer import Answerer
from bot.answering.asker import Asker, restrict_to_guidelines
from bot.answering.events import Finished, Question, Text
from bot.answering.markdown.sentences import Splitter
from bot.answering.sentence_roles import classify_role
from engine.interfaces import Delta, StreamRestart
from tests.answering.conftest import LEAVE, Room, ScriptedEngine, ScriptedSearch, words
from tests.answering.test_guidance import NOW, WARNED

SUPPORTED = [sentence.strip() for sentence in re.split(r"(?<=\.) ", LEAVE)]
INVENTED = (
    "Doctors advise 40 mg of simvastatin.", "Yes.", "**Never combine both.**", "## Dosing\n\nGive 5 mg twice daily.",
    "- Stop warfarin today", "| drug | dose |\n| --- | --- |\n| ramipril | 10 mg |", "It is safe in pregnancy [1].",
    "Therefore:", "`metformin 850 mg`", "```\ntake 3 tablets\n```", "Is that not dangerous?", "I do not know.",
    "Employees receive 52 days of paid annual leave per calendar year. [1]", "服用二甲双胍是安全的。", "[9]",
    "<think>Safe.</think>", "[The guideline](https://evil.example) says so.", "> Quoted: ibuprofen is harmless.",
    "1. Give aspirin.", "…",
)  # fmt: skip
_TEXTS = st.lists(st.sampled_from([*SUPPORTED, *INVENTED]) | st.text(max_size=60), min_size=1, max_size=8)
_JOINTS = st.sampled_from([" ", "\n", "\n\n", ""])


def find_unsourced(shown: str) -> list[str]:
    """Return the statements of a shown answer that have no citation: no headings, lead-ins or lines without words."""
    splitter = Splitter()
    found: list[str] = []
    in_table = False
    for piece in [*splitter.feed(shown), *splitter.flush()]:
        role = classify_role(piece, table_open=in_table)
        in_table = piece.kind == "table"
        if role in {"claim", "code"} and not re.search(r"\[\d+\]", piece.text):
            found.append(piece.text)
    return found


async def answer_script(script: list[Delta]) -> tuple[str, Finished]:
    """Return what is shown of a model's own text."""
    guidance = WARNED
    asker = restrict_to_guidelines(Asker(), guidance, NOW)
    search = ScriptedSearch([Room.hit(LEAVE)])
    answerer = Answerer(search, ScriptedEngine(script), Room.new_checker)
    events = [event async for event in answerer.answer(Question("How many days of annual leave?", asker=asker))]
    end = events[-1]
    assert isinstance(end, Finished)
    return "".join(one.markdown for one in events if isinstance(one, Text) and not one.is_extract), end


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=150)
@given(_TEXTS, _JOINTS, st.sampled_from(["stop", "length"]), st.booleans())
def test_no_statement_without_a_source_is_shown(texts: list[str], joint: str, finish: str, restarts: bool) -> None:  # noqa: FBT001
    first = [*words("Doctors advise it.", finish=finish)[:-1], StreamRestart()] if restarts else []
    shown, end = asyncio.run(answer_script([*first, *words(joint.join(texts), finish=finish)]))
    assert find_unsourced(shown) == [] or end.route != "engine"
    assert end.marked_count == 0
    assert "⚠" not in shown
    for invented in ("simvastatin", "ramipril", "52 days", "evil.example", "harmless", "aspirin", "tablets"):
        assert invented not in shown


def test_the_test_finds_a_statement_without_a_source() -> None:
    assert find_unsourced("Employees have leave. [1] Doctors advise aspirin.") == ["Doctors advise aspirin."]
