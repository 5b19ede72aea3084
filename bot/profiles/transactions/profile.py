"""A profile of transactions: its columns, its rules and what they weigh, from ``profile.toml``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from bot.languages.registry import Language
from bot.profiles.profile import Profile, ProfileError, choose_text
from bot.profiles.transactions.payments import ColumnMap
from bot.profiles.transactions.rules import RULES
from knowledge.errors import suggest_nearest

_Model = TypeVar("_Model")


@dataclass(frozen=True, slots=True)
class RulePolicy:
    """Where the company's documents say what a rule follows."""

    query: str = ""
    document: str = ""
    """The name of a document, as ``kvasir search`` shows it; "" for whatever the query finds."""
    heading: str = ""


@dataclass(frozen=True, slots=True)
class WeightedRule:
    """A rule of a profile."""

    name: str
    title: dict[Language, str]
    rule: Any
    """A ``Rule``."""
    weight: float = 1.0
    """How much a hit adds to the score of an account; log-odds, so 1 makes suspicion 2.7 times as likely."""
    policy: RulePolicy = RulePolicy()

    def find_title(self, language: Language) -> str:
        """Return the title in a language, or the English one."""
        return choose_text(self.title, language)


@dataclass(frozen=True, slots=True)
class TransactionProfile:
    """What a profile of transactions says."""

    profile: Profile
    columns: ColumnMap
    rules: Sequence[WeightedRule]

    def find_rule(self, name: str) -> WeightedRule | None:
        """Return a rule by its name; None if the profile has none of this name any more."""
        return next((one for one in self.rules if one.name == name), None)


def read_transaction_profile(profile: Profile) -> TransactionProfile:
    """Return what a profile of transactions says.

    Raises:
        ProfileError: a key is missing, unknown or wrong.

    """
    profile.refuse_unknown_keys(profile.table, ("columns", "rule"), "it")
    columns = _fill_model(profile, ColumnMap, profile.table.get("columns", {}), "[columns]")
    tables = _fill_model(profile, list[dict[str, Any]], profile.table.get("rule"), "[[rule]]")
    rules: list[WeightedRule] = []
    for table in tables:
        rules.append(_read_rule(profile, table, [one.name for one in rules]))
    return TransactionProfile(profile, columns, tuple(rules))


def _read_rule(profile: Profile, table: Mapping[str, Any], before: Sequence[str]) -> WeightedRule:
    name, kind, title = table.get("name"), str(table.get("kind")), table.get("title")
    where = f"the rule {name!r}"
    if not name or name in before or not (isinstance(title, dict) and "en" in title):
        raise ProfileError(f'{profile.path}: {where} should have a name of its own, and a title for "en".')
    if kind not in RULES:
        known = f"{suggest_nearest(kind, RULES)} Kinds are: {', '.join(RULES)}"
        raise ProfileError(f"{profile.path}: {where} has no known kind.{known}.")
    own = {one.name for one in fields(WeightedRule)}
    parameters = {key: value for key, value in table.items() if key not in own | {"kind"}}
    rule: Any = _fill_model(profile, RULES[kind], parameters, where)
    if unknown := set(getattr(rule, "rules", ())).difference(before):
        raise ProfileError(f"{profile.path}: {where} builds on {min(unknown)!r}, which is no rule before it.")
    policy = _fill_model(profile, RulePolicy, table.get("policy", {}), f"policy of {where}")
    common = {key: table[key] for key in own & table.keys()} | {"rule": rule, "policy": policy}
    return _fill_model(profile, WeightedRule, common, where)


def _fill_model(profile: Profile, model: type[_Model], table: object, where: str) -> _Model:
    """Return a model filled from a table of the profile."""
    known = getattr(model, "__dataclass_fields__", None)
    if known is not None and isinstance(table, dict):
        profile.refuse_unknown_keys(table, tuple(known), where)
    try:
        return TypeAdapter(model).validate_python(table)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise ProfileError(f"{profile.path}: {where}: {key + ': ' if key else ''}{first['msg']}.") from None
