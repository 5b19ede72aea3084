"""Answers from guidelines alone: the guidelines' warnings come first, and no sentence is shown without a source."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.asker import Asker, restrict_to_guidelines
from bot.answering.support.interfaces import Verdict
from bot.errors import SettingsError
from bot.profiles.guidance.guidance import WarningRules, read_guidance, select_guidelines
from bot.profiles.profile import ProfileError, read_profile
from bot.profiles.registry import Profiles
from knowledge.errors import IndexRebuilding, InvalidFilter
from knowledge.interfaces import Material, SearchResult
from tests.answering.conftest import Ask, RecordedAnswer, Room, ScriptedSearch

NOW = datetime(2026, 11, 1, tzinfo=UTC)
QUOTE = "Metformin is contraindicated in patients with an eGFR below 30."
_HEAD = 'kind = "guidance"\n[title]\nen = "Decision support"\n'
_RULE = f"""
[[rule]]
name = "metformin"
mentions = [["metformin", "二甲双胍"]]
values = [{{ name = ["eGFR", "glomerular filtration"], below = 30 }}]
quote = "{QUOTE}"
"""


WARNED = select_guidelines(WarningRules(()), ("docs",), "a test")
"""Guidance without rules."""


def _read(tmp_path: Path, rules: str) -> WarningRules:
    folder = tmp_path / "support"
    folder.mkdir()
    (folder / "profile.toml").write_text(_HEAD + rules, encoding="utf-8")
    return read_guidance(read_profile(folder))


@pytest.mark.parametrize(
    ("case", "warned"),
    [
        ("May I give metformin with an eGFR of 25?", True), ("eGFR: 29,5 ml/min. METFORMIN 500 mg?", True),
        ("患者服用二甲双胍，eGFR 28", True), ("metformin, glomerular\nfiltration rate 12", True),
        ("metformin, eGFR 45", False), ("metformine, eGFR 25", False), ("eGFR 25", False), ("metformin", False),
    ],
)  # fmt: skip
def test_a_rule_applies_to_what_it_names(tmp_path: Path, case: str, *, warned: bool) -> None:
    assert _read(tmp_path, _RULE).find_warnings(case) == ((QUOTE,) if warned else ())


@given(st.text(), st.floats(0, 29.9), st.text())
def test_a_low_value_is_found_in_any_text(before: str, value: float, after: str) -> None:
    rules = _rules()
    assert rules.find_warnings(f"{before}\nmetformin eGFR {value:.1f}\n{after}") == (QUOTE,)


@pytest.mark.parametrize(
    ("case", "warned"),
    [
        ("eGFR (CKD-EPI 2021): 25", True), ("eGFR fell from 62 to 24", True),
        ("eGFR was 62 ml/min/1.73 m² last year and is now 24", True), ("eGFR\n25", True), ("eGFR25", True),
        ("eGFR\uff1a\uff12\uff15", True), ("eGFR (25-29 ml/min)", True), ("eGFR (24)", True),
        ("eGFR 24. May I give metformin 500 mg?", True), ("eGFR 24 May I give it?", True),
        ("(eGFR 24 decreased)", True), ("eGFR 62, eGFR 24", True), ("eGFR (60-120) on 2026-05-03: 24", True),
        ("eGFR (mL/min/1.73 m²): 25", True), ("eGFR 62, creatinine 1.1, eGFR 24", True),
        ("eGFR (mL/min/1.73 m²): 90", False), ("eGFR (mL/min/1.73 m 2) 90", False), ("eGFR on 3 May: 88", False),
        ("eGFR (3 May 2026): 88", False), ("eGFR 03.05.26: 88", False), ("eGFR 5月3日\uff1a88", False),
        ("eGFR 62 (CKD G2)", False), ("eGFR 62; HR 24", False), ("eGFR 62, Hb 12", False),
        ("eGFR 62, 24 years", False), ("eGFR\n\n25", False), ("eGFR 62\nHb 12", False), ("eGFR 250", False),
        ("eGFR 1,2", True), ("eGFR 0,200", True), ("eGFR 1.200", True), ("eGFR 1,200", False), ("eGFR 1,200.5", False),
        ("eGFR 1.200,5", False), ("eGFR 1'200", False), ("eGFR 1,730", False),
        ("eGFR (1,000,000-2,000,000): 25", True), ("eGFR (1,000,000-2,000,000): 250", False), ("eGFR <30", True),
        ("eGFR below 30", True), ("eGFR under 30 ml/min", True), ("eGFR dropped below the threshold of 30", True),
        ("eGFR \u2264 30", True), ("eGFR 30 or less", True), ("eGFR 低于30", True), ("eGFR 30以下", True),
        ("eGFR 30", False), ("eGFR above 30", False), ("eGFR 24. June 2026 check-up", True),
        ("eGFR 24 May 2026", True), ("eGFR 3 May 2026: 88", False), ("eGFR on 3 May 2026 was 88", False),
        ("eGFR (15\u201329 ml/min) since 2024", True), ("eGFR 62 ml/min (25-120)", False),
        ("eGFR (25-120 ml/min) was 62", False), ("eGFR (ref. 25-120) was found at 62", False),
        ("eGFR (CKD G2) 62", False), ("eGFR 60 in January 2026, 45 in June 2026, and 24 in November 2026", True),
        ("eGFR 60 (Jan), 45 (Mar), 38 (May), 33 (Jul), 24 (Nov)", True),
        ("eGFR 60 (Jan), 45 (Mar), 38 (May), 33 (Jul), 31 (Nov)", False),
        ("eGFR (calculated with the CKD-EPI creatinine equation) was 24", True),
        ("eGFR calculated with the CKD-EPI creatinine equation was 24", True), ("eG\u00adFR 24", True),
        ("eGFR;24;ml/min", True),
    ],
)  # fmt: skip
def test_the_value_of_a_name_is_read(case: str, *, warned: bool) -> None:
    assert _rules().find_warnings(f"metformin? {case}") == ((QUOTE,) if warned else ())


@pytest.mark.parametrize(
    ("table", "warned"),
    [
        ("+ test: eGFR; result: 24; unit: ml/min", True),
        ("+ test: eGFR; result: 62; unit: ml/min\n+ test: lipase; result: 24; unit: U/l", False),
        ("+ test: eGFR; result: 62; reference: 25-120", False),
        ("+ test: eGFR; result: 62; low: 25; high: 120", False),
        ("+ test: eGFR; low: 24; high: 62", True),
        ("+ eGFR; 24; ml/min", True),
        ("+ eGFR: potassium; 24 ml/min: 5.8 mmol/l", True),
        ("+ 24", False),
        ("| Date | eGFR | Lipase |\n| --- | --- | --- |\n| 2026-03-01 | 24 | 60 |", True),
        ("| Date | eGFR | Lipase |\n| --- | --- | --- |\n| 2026-03-01 | 60 | 24 |", False),
        ("| Test | March | June |\n| --- | --- | --- |\n| eGFR | 45 | 24 |", True),
        ("| | 2026-03-01 | 2026-06-01 |\n| --- | --- | --- |\n| eGFR | 45 | 24 |", True),
        ("| Test | Result | Normal |\n| --- | --- | --- |\n| eGFR | 62 | 25-120 |", False),
        ("| Test | Date | Result |\n| --- | --- | --- |\n| eGFR | 3 May 2026 | 88 |", False),
        ("| eGFR | 24 |\n| --- | --- |\n| Lipase | 60 |", True),
    ],
)
def test_the_rows_of_tables_are_read(table: str, *, warned: bool) -> None:
    assert _rules().find_warnings(f"metformin?\n{table}") == ((QUOTE,) if warned else ())


@given(st.integers(1_000, 10**9), st.sampled_from(["", ".5"]))
def test_thousands_may_have_commas(value: int, decimals: str) -> None:
    assert not _rules().find_warnings(f"metformin? eGFR {value:,}{decimals}")


def _rules() -> WarningRules:
    with tempfile.TemporaryDirectory() as folder:
        return _read(Path(folder), _RULE)


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ('[[rule]]\nmentions = [["a"]]\nquote = "b"\n', "needs a name"),
        ('[[rule]]\nname = "a"\nquote = "b"\n', "would always apply"),
        ('[[rule]]\nname = "a"\nmentions = ["b"]\nquote = "c"\n', "should be lists of words"),
        (
            '[[rule]]\nname = "a"\nmentions = [["b"]]\nquote = "c"\nvalues = [{ name = ["d"] }]\n',
            "needs names and a limit",
        ),
        ('[[rule]]\nname = "a"\nmentions = [["b"]]\nquote = "c"\nvalue = []\n', "Did you mean “values”"),
        ('[rule]\nname = "a"\n', "two brackets"),
        ("fields = 1\n", "unknown key 'fields'"),
    ],
)
def test_a_wrong_rule_names_the_next_step(tmp_path: Path, rules: str, reason: str) -> None:
    with pytest.raises(ProfileError) as raised:
        _read(tmp_path, rules) if rules[0] == "[" else _read_with(tmp_path, rules)
    assert reason in str(raised.value)


def _read_with(tmp_path: Path, keys: str) -> WarningRules:
    folder = tmp_path / "support"
    folder.mkdir()
    (folder / "profile.toml").write_text(keys + _HEAD, encoding="utf-8")
    return read_guidance(read_profile(folder))


def test_guidelines_narrow_the_asker(tmp_path: Path) -> None:
    rules = _read(tmp_path, _RULE)
    with pytest.raises(SettingsError, match='kind_of = "guideline"'):
        select_guidelines(rules, (), "profile support")
    guidance = select_guidelines(rules, ("drugs", "wards"), "profile support")
    asker = restrict_to_guidelines(Asker(team="T1", conversation="c", within='in:"drugs"'), guidance, NOW)
    assert (asker.within, asker.team, asker.conversation, asker.policy.mode) == ('in:"drugs"', "T1", "", "off")
    assert asker.is_confidential
    with pytest.raises(InvalidFilter):
        restrict_to_guidelines(Asker(within='in:"handbook"'), guidance, NOW)


async def test_the_guidelines_warning_comes_first_with_its_citation(ask: Ask, room: type[Room]) -> None:
    guidance = select_guidelines(_rules(), ("drugs",), "profile support")
    asker = restrict_to_guidelines(Asker(), guidance, NOW)
    warning = room.hit(f"Renal dosing. {QUOTE} Stop it before contrast.", "metformin")
    search = room.search([room.hit(room.leave), warning])
    reply = await ask(
        room.engine(room.words("Employees receive 25 days of paid annual leave per calendar year. [1]")),
        question="How many days of leave, with metformin and an eGFR of 25?",
        search=search,
        guidance=asker.guidance,
        within=asker.within,
    )
    assert reply.text.startswith(f"**Warning:** {QUOTE} [1]\n\n")
    assert reply.finished[0].cited[0].document == "money/metformin.md"
    assert reply.text.endswith("per calendar year. [2]")
    assert all(query.startswith('in:"drugs" ') for query, _ in search.queries)


async def test_a_warning_without_its_source_is_counted_and_not_shown(ask: Ask, room: type[Room]) -> None:
    guidance = select_guidelines(_rules(), ("drugs",), "profile support")
    reply = await ask(
        room.engine(room.words("Employees receive 25 days of paid annual leave per calendar year. [1]")),
        question="How many days of leave, with metformin and an eGFR of 25?",
        guidance=guidance,
        within=guidance.within,
    )
    assert QUOTE not in reply.text
    assert any(notice.startswith("1 more warning of this profile applies") for notice in reply.notices)


@pytest.mark.parametrize("filters", ["Not in:pregnancy, nor", "Stop it after:2 weeks and"])
async def test_a_quote_with_a_colon_is_searched_for_as_words(ask: Ask, room: type[Room], filters: str) -> None:
    quote = f"{filters} with an eGFR below 30."
    rules = _rules().rules[0]
    guidance = select_guidelines(WarningRules((replace(rules, quote=quote), rules)), ("drugs",), "profile support")
    reply = await ask(
        room.engine(status=room.absent),
        question="How many days of annual leave, with metformin and an eGFR of 25?",
        search=room.search([room.hit(room.leave), room.hit(f"Renal dosing. {quote} {QUOTE}", "metformin")]),
        guidance=guidance,
        within=guidance.within,
    )
    assert reply.text.startswith(f"**Warning:** {quote} [1]\n\n**Warning:** {QUOTE} [1]\n\n")


class FailingSearch(ScriptedSearch):
    """A search that fails for one warning."""

    async def __call__(self, query: str, **more: Any) -> SearchResult:
        if "contraindicated" in query:
            raise IndexRebuilding(0.5)
        return await super().__call__(query, **more)


async def test_a_warning_that_cannot_be_searched_for_drops_no_other(ask: Ask, room: type[Room]) -> None:
    rule, quote = _rules().rules[0], "Metformin is paused before contrast."
    guidance = select_guidelines(WarningRules((rule, replace(rule, quote=quote))), ("drugs",), "profile support")
    reply = await ask(
        room.engine(status=room.absent),
        question="How many days of annual leave, with metformin and an eGFR of 25?",
        search=FailingSearch([room.hit(room.leave), room.hit(f"Renal dosing. {quote} {QUOTE}", "metformin")]),
        guidance=guidance,
        within=guidance.within,
    )
    assert reply.text.startswith(f"**Warning:** {quote} [1]\n\n")
    assert [one for one in reply.notices if "could not be searched" in one]
    assert not [one for one in reply.notices if "not found in the guidelines" in one]


class LateSearch(ScriptedSearch):
    """A search that fails for the question, or always."""

    def __init__(self, *args: Any, recovers: bool) -> None:
        super().__init__(*args)
        self.recovers = recovers

    async def __call__(self, query: str, **more: Any) -> SearchResult:
        if not self.queries or not self.recovers:
            self.queries.append((query, more["viewers"]))
            raise IndexRebuilding(0.5)
        return await super().__call__(query, **more)


@pytest.mark.parametrize("recovers", [True, False])
async def test_the_warnings_come_although_the_question_cannot_be_searched_for(
    ask: Ask, room: type[Room], *, recovers: bool
) -> None:
    guidance = select_guidelines(_rules(), ("drugs",), "profile support")
    reply = await ask(
        room.engine(status=room.absent),
        question="How many days of annual leave, with metformin and an eGFR of 25?",
        search=LateSearch([room.hit(f"Renal dosing. {QUOTE}", "metformin")], recovers=recovers),
        guidance=guidance,
        within=guidance.within,
    )
    assert reply.text == (f"**Warning:** {QUOTE} [1]\n\n" if recovers else "")
    assert any("could not be searched for its sentence" in one for one in reply.notices) is not recovers
    assert reply.notices


async def ask_about_leave(ask: Ask, room: type[Room], question: str, **named: Any) -> RecordedAnswer:
    """Ask without an engine, where a page about leave and a guideline are found."""
    guidance = select_guidelines(_rules(), ("drugs",), "profile support")
    return await ask(
        room.engine(status=room.absent),
        question=question,
        search=room.search([room.hit(room.leave), room.hit(f"Renal dosing. {QUOTE}", "metformin")]),
        guidance=guidance,
        within=guidance.within,
        **named,
    )


async def test_the_rules_read_what_the_prompt_has_no_room_for(ask: Ask, room: type[Room]) -> None:
    written = ("She was tired. " * 2_000 + "eGFR 24 ml/min.", "Thanks.")
    reply = await ask_about_leave(ask, room, "How many days of annual leave, with metformin?", written=written)
    assert reply.text.startswith(f"**Warning:** {QUOTE} [1]\n\n")
    assert not [one for one in reply.notices if "rules for warnings" in one]


@pytest.mark.parametrize("is_guided", [True, False])
async def test_what_the_rules_did_not_read_is_named(ask: Ask, room: type[Room], *, is_guided: bool) -> None:
    picture = Material("F1", "labs.png", None, "png", (), (), (), picture=b"\x89PNG", is_given=True)
    scan = replace(picture, id="F2", title="scan.pdf", kind="pdf", picture=b"", unread_pages=2)
    guidance = select_guidelines(_rules(), ("drugs",), "profile support") if is_guided else None
    reply = await ask(
        room.engine(status=room.absent),
        question="How many days of annual leave, with metformin?",
        materials=(picture, scan),
        unread=("labs.zip", "labs.png"),
        guidance=guidance,
    )
    named = [one for one in reply.notices if "rules for warnings" in one]
    assert [": labs.png, scan.pdf, labs.zip." in one for one in named] == ([True] if is_guided else [])


class SlowGuidance:
    """Guidance that notes where it reads a case."""

    within = 'in:"drugs"'
    threads: tuple[int, ...] = ()

    def find_warnings(self, text: str) -> tuple[str, ...]:
        assert "metformin" in text
        self.threads += (threading.get_ident(),)
        return ()


async def test_a_long_case_is_read_in_a_thread(ask: Ask, room: type[Room]) -> None:
    guidance = SlowGuidance()
    await ask(room.engine(status=room.absent), question="Leave with metformin?", guidance=guidance)
    [thread] = guidance.threads
    assert thread != threading.get_ident()


async def test_no_sentence_without_a_source_is_shown(ask: Ask, room: type[Room]) -> None:
    guidance = select_guidelines(_rules(), ("drugs",), "profile support")
    good, bare = "Employees receive 25 days of paid annual leave per calendar year.", "Doctors advise against it."
    checker = room.checker({"Doctors": Verdict("unsupported")})
    engine = room.engine(room.words(f"{good} [1] {bare}"))
    shown = await ask(engine, checker=checker)
    assert bare in shown.text
    reply = await ask(engine, checker=checker, guidance=guidance, within=guidance.within)
    assert (good in reply.text, bare in reply.text, reply.finished[0].removed_count) == (True, False, 1)


async def test_the_warning_keeps_its_number_before_extracts(ask: Ask, room: type[Room]) -> None:
    reply = await ask_about_leave(ask, room, "How many days of annual leave, with metformin and an eGFR of 25?")
    assert reply.text.startswith(f"**Warning:** {QUOTE} [1]\n\n")
    assert "25 days" in reply.text
    assert [passage.n for passage in reply.finished[0].cited] == [1, 2]


def test_every_quote_of_the_shipped_rules_stands_in_the_sample_guideline() -> None:
    profile = Profiles(None).find_profile("decision-support")
    sample = " ".join(profile.read_text("sample-guideline.md").split())
    rules = read_guidance(profile)
    assert len(rules.rules) == 9
    assert [rule.name for rule in rules.rules if rule.quote not in sample] == []


@pytest.mark.parametrize(
    ("case", "warned"),
    [
        ("68 years, eGFR 24 ml/min. Metformin 500 mg?", "Metformin is contraindicated"),
        ("Serum potassium: 5,4 mmol/l. Spironolactone 25 mg?", "Spironolactone should not"),
        ("potassium (3.5-5.0): 5.9; spironolactone", "Spironolactone should not"),
        ("spironolactone? K+5.4", "Spironolactone should not"),
        ("potassium 4.9, later 5.8; spironolactone", "Spironolactone should not"),
        ("potassium rose (4.9 to 5.9) over 2 days; spironolactone", "Spironolactone should not"),
        ("potassium above 5.0; spironolactone", "Spironolactone should not"),
        ("血钾高于5.0\uff0c螺内酯", "Spironolactone should not"),
        ("potassium 4.2 mmol/l H (3.5-5.1), spironolactone", ""),
        ("potassium (3.5-5.1) on 2026-03-01: 4.2; spironolactone", ""),
        ("potassium 4.2 since 2024; spironolactone", ""),
        ("potassium 4.2 mmol/l, sodium 140, spironolactone 25 mg", ""),
        ("potassium 4.2 mmol/l (3.5-5.1), spironolactone 25 mg", ""),
        ("pregnant, week 12, takes ramipril", "ACE inhibitors such as"),
        ("warfarin, knee pain: ibuprofen?", "Warfarin together with"),
        ("asthma since childhood, propranolol for migraine?", "Non-selective beta-blockers"),
        ("sildenafil; glyceryl trinitrate spray", "Sildenafil must not"),
        ("allergic to penicillin: amoxicillin?", "Amoxicillin is contraindicated"),
        ("eGFR 62, metformin 500 mg", ""),
        ("ibuprofen for knee pain", ""),
    ],
)
def test_the_shipped_rules_warn(case: str, warned: str) -> None:
    found = read_guidance(Profiles(None).find_profile("decision-support")).find_warnings(case)
    assert [one.startswith(warned) for one in found] == ([True] if warned else [])
