"""The profile of transactions in TOML, the ranking of accounts, and the figures of rules."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.profiles.profile import ProfileError, read_profile
from bot.profiles.registry import Profiles, load_profile
from bot.profiles.transactions.payments import PaymentTable
from bot.profiles.transactions.policy_passages import PolicyPassages
from bot.profiles.transactions.profile import RulePolicy, TransactionProfile, read_transaction_profile
from bot.profiles.transactions.ranking import count_figures, rank_accounts, suggest_weight
from bot.profiles.transactions.table_file import read_table_file
from knowledge.errors import SourceUnavailable
from knowledge.interfaces import ANY_MEMBER, Hit, SearchResult, Viewers

HEAD = 'kind = "transactions"\n[title]\nen = "AML"\n'
LINKED = '"linked"\naccounts = 2\nrules = ["x"]'
RULE = '[[rule]]\nname = "in"\nkind = "fan-in"\nwindow_days = 7\nsenders = 3\ntitle.en = "Many senders"\n'


def read(folder: Path, text: str) -> TransactionProfile:
    (folder / "aml").mkdir()
    (folder / "aml" / "profile.toml").write_text(text, encoding="utf-8")
    return read_transaction_profile(read_profile(folder / "aml"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (HEAD, "[[rule]]: Input should be a valid list"),
        (HEAD + RULE + RULE, "a name of its own"),
        (HEAD + RULE.replace("fan-in", "fanin"), "Did you mean “fan-in”"),
        (HEAD + RULE.replace("senders = 3", "senders = 2.5"), "'in': senders: Input should be a valid integer"),
        (HEAD + RULE.replace("senders = 3", "senders = 0"), "greater than 0"),
        (HEAD + RULE.replace("senders = 3\n", ""), "senders: Field required"),
        (HEAD + RULE.replace("senders", "sender"), "the unknown key 'sender'. Did you mean “senders”"),
        (HEAD + RULE.replace("title.en", "title.xx"), "a title for"),
        (HEAD + RULE + "policy.query = 3\n", "policy of the rule 'in': query: Input should be a valid string"),
        (HEAD + RULE + 'weight = "much"\n', "weight: Input should be a valid number"),
        (HEAD + RULE + '[columns]\nsendr = "x"\n', "Did you mean “sender”"),
        (HEAD + RULE + '[columns]\ndecimal = "\'"\n', "decimal: Input should be '.' or ','"),
        (HEAD + RULE.replace('"fan-in"\nwindow_days = 7\nsenders = 3', LINKED), "builds on 'x'"),
        ("columns = 3\n" + HEAD + RULE, "[columns]: Input should be"),
    ],
)
def test_a_wrong_profile_names_the_key(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ProfileError) as raised:
        read(tmp_path, text)
    assert reason in str(raised.value)


def test_the_sample_has_its_known_hits() -> None:
    shipped = Profiles(None).find_profile("money-laundering")
    profile = load_profile(shipped)
    reader = read_table_file(shipped.folder / "sample.csv", profile.columns)
    ranking = rank_accounts(profile, PaymentTable(reader.payments))
    assert (len(reader.payments), dict(reader.skipped), ranking.all_accounts) == (164, {}, 43)
    rules = {one.account: {hit.rule.name for hit in one.hits} for one in ranking.accounts}
    for account in ("C-2101", "C-2102", "C-2103"):
        assert "cycle" in rules[account]
    assert {name for name in rules if "structuring" in rules[name]} == {"C-1007", "C-2001"}
    assert {name for name in rules if "repeat" in rules[name]} == {"C-1012", "C-2301"}
    assert {name for name in rules if "large-amount" in rules[name]} == {"C-1030", "C-2202"}
    assert "fan-in" in rules["C-2201"]
    assert {one.account for one in ranking.flag_share(10)} == {"C-2101", "C-2102", "C-2103", "C-1012"}
    assert [one.score for one in ranking.accounts] == sorted((one.score for one in ranking.accounts), reverse=True)


@given(st.floats(0.01, 100))
def test_no_more_than_the_share_is_flagged(percent: float) -> None:
    shipped = Profiles(None).find_profile("money-laundering")
    profile = load_profile(shipped)
    payments = read_table_file(shipped.folder / "sample.csv", profile.columns).payments[:40]
    ranking = rank_accounts(profile, PaymentTable(payments))
    assert len(ranking.flag_share(percent)) <= ranking.all_accounts * percent / 100


DECIDED = st.lists(st.tuples(st.sets(st.sampled_from("abc"), min_size=1), st.booleans()))


@given(DECIDED)
def test_figures_count_every_decision(decided: list[tuple[set[str], bool]]) -> None:
    figures = {one.rule: one for one in count_figures(decided)}
    assert figures.keys() == {name for rules, _ in decided for name in rules}
    for name, one in figures.items():
        assert one.yes == sum(is_yes for rules, is_yes in decided if name in rules)
        assert one.yes + one.no == sum(name in rules for rules, _ in decided)
        assert 0 <= one.precision <= 1


def test_a_weight_is_positive_only_for_a_rule_that_tells_outcomes_apart() -> None:
    assert suggest_weight(0, 0, 10, 90) == pytest.approx(0)
    assert suggest_weight(5, 45, 10, 90) == pytest.approx(0)
    assert suggest_weight(9, 1, 10, 90) > 2
    assert suggest_weight(0, 40, 10, 90) < 0
    assert suggest_weight(5, 0, 5, 0) == 0


# ── Passages of the policy ───────────────────────────────────────────────────────────────────────────────────────────


def make_hit(id_: str, document: str, heading: str) -> Hit:
    return Hit(id_, "docs", document, "", heading, None, "Text.", 0.9, 0.9, datetime.now(UTC))


async def find(policy: RulePolicy, *, related: bool = True) -> str | None:
    hits = (make_hit("1", "hr.md", "Leave"), make_hit("2", "aml.md", "Cash limits"))
    searched: list[str] = []

    async def search(query: str, *, limit: int, viewers: Viewers) -> SearchResult:
        assert viewers is ANY_MEMBER
        searched.append(query)
        return SearchResult(query, hits[:limit], 0.0, answerable=True, related=related)

    passages = PolicyPassages(search, ANY_MEMBER)
    found = [await passages.find_passage(policy) for _ in range(3)]
    assert len(searched) <= 1, "each policy is searched once"
    assert [hit.id for hit in passages.hits] == [hit.id for hit in found[:1] if hit is not None]
    return found[0].id if found[0] is not None else None


async def test_a_policy_is_found_by_query_or_by_document_and_heading() -> None:
    assert await find(RulePolicy("cash")) == "1"
    assert await find(RulePolicy("cash"), related=False) is None
    assert await find(RulePolicy(document="aml.md", heading="cash")) == "2"
    assert await find(RulePolicy(document="docs/aml.md")) == "2"
    assert await find(RulePolicy("cash", document="other.md")) is None
    assert await find(RulePolicy()) is None


async def test_a_failed_search_is_kept_and_hides_no_account() -> None:
    async def search(_query: str, **_more: object) -> SearchResult:
        raise SourceUnavailable("down")

    passages = PolicyPassages(search, ANY_MEMBER)
    assert await passages.find_passage(RulePolicy("cash")) is None
    assert isinstance(passages.failure, SourceUnavailable)
