"""Tests of what a verified answer shows."""

from __future__ import annotations

import pytest

from bot.answering.events import Finished, Passage, Question, Sources
from bot.answering.verified_answers.verified_answer import VerifiedAnswer
from bot.answering.verified_answers.verified_answerer import list_events


@pytest.mark.parametrize(
    ("answer", "cited"), [("It is 10 [2].", [2]), ("[2], then [1]", [1, 2]), ("It is 10.", [1, 2])]
)
def test_only_sources_that_the_owner_left_in_the_answer_are_listed(answer: str, cited: list[int]) -> None:
    passages = tuple(Passage(n, "docs", f"{n}.md", f"{n}", "", None, "", chunks=(f"c{n}",)) for n in (1, 2))
    verified = VerifiedAnswer(
        id="v", team="T1", question="How many?", answer=answer, language="en", passages=passages,
        owner="U1", owner_name="Ada", verified_at=0.0, expires_at=1.0,
    )  # fmt: skip
    events = list_events(verified, Question("how many?"))
    (finished,) = [one for one in events if isinstance(one, Finished)]
    assert [one.n for one in finished.cited] == cited
    (sources,) = [one for one in events if isinstance(one, Sources)]
    assert sources.passages == passages, "people need the right to read all of them"
