"""A profile of transactions: its columns, its rules and what they weigh, from ``profile.toml``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, get_type_hints

from bot.languages.registry import LANGUAGES, Language
from bot.profiles.profile import Profile, ProfileError
from bot.profiles.transactions.payments import ColumnMap
from bot.profiles.transactions.rules import RULES, Rule
from knowledge.errors import suggest_nearest

_COMMON: Final = ("name", "kind", "title", "weight", "policy", "policy_document", "policy_heading")


@dataclass(frozen=True, slots=True)
class Policy:
    """Where the company's documents say what a rule follows."""

    query: str = ""
    document: str = ""
    """The name of a document, as ``kvasir search`` shows it; "" for whatever the query finds."""
    heading: str = ""


@dataclass(frozen=True, slots=True)
class WeightedRule:
    """A rule of a profile."""

    name: str
    title: Mapping[Language, str]
    rule: Rule
    weight: float
    """How much a hit adds to the score of an account; log-odds, so 1 makes suspicion 2.7 times as likely."""
    policy: Policy

    def find_title(self, language: Language) -> str:
        """Return the title in a language, or the English one."""
        return self.title.get(language) or self.title["en"]


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
    columns = _read_fields(profile, ColumnMap, profile.table.get("columns", {}), "[columns]")
    if columns.decimal not in {".", ","}:
        raise ProfileError(f'{profile.path}: decimal in [columns] should be "." or ",".')
    tables = profile.table.get("rule", [])
    if not (isinstance(tables, list) and tables):
        raise ProfileError(f"{profile.path}: there is no rule. Write at least one [[rule]].")
    rules: list[WeightedRule] = []
    for table in tables:
        rule = _read_rule(profile, table if isinstance(table, dict) else {}, [one.name for one in rules])
        rules.append(rule)
    return TransactionProfile(profile, columns, tuple(rules))


def _read_rule(profile: Profile, table: Mapping[str, Any], before: Sequence[str]) -> WeightedRule:
    name, kind, title = table.get("name"), table.get("kind"), table.get("title")
    if not isinstance(name, str) or not name or name in before:
        raise ProfileError(f"{profile.path}: each [[rule]] should have a name of its own, and {name!r} is none.")
    where = f"the rule {name!r}"
    if not isinstance(kind, str) or kind not in RULES:
        raise ProfileError(
            f"{profile.path}: {where} has no known kind.{suggest_nearest(str(kind), RULES)}"
            f" Kinds are: {', '.join(RULES)}."
        )
    if not (isinstance(title, dict) and isinstance(title.get("en"), str) and set(title) <= set(LANGUAGES)):
        raise ProfileError(f'{profile.path}: {where} should have a title for "en", and may have others.')
    parameters = {key: value for key, value in table.items() if key not in _COMMON}
    rule = _read_fields(profile, RULES[kind], parameters, where)
    for other in getattr(rule, "rules", ()):
        if other not in before:
            raise ProfileError(f"{profile.path}: {where} builds on {other!r}, which is no rule before it.")
    policy = {key: table.get(key, "") for key in ("policy", "policy_document", "policy_heading")}
    if not all(isinstance(value, str) for value in policy.values()):
        raise ProfileError(f"{profile.path}: policy, policy_document and policy_heading of {where} should be texts.")
    weight = _check_number(profile, table.get("weight", 1.0), f"weight of {where}", least=-math.inf)
    return WeightedRule(name, title, rule, weight, Policy(*policy.values()))


def _read_fields(profile: Profile, model: type[Any], table: object, where: str) -> Any:  # noqa: ANN401 - a ``model``
    """Return a dataclass filled from a table; its numbers are above 0."""
    if not isinstance(table, dict):
        raise ProfileError(f"{profile.path}: {where} should be a table.")
    hints = get_type_hints(model)
    profile.refuse_unknown_keys(table, tuple(hints), where)
    values: dict[str, object] = {}
    for field in fields(model):
        if field.name not in table:
            continue
        value, what = table[field.name], f"{field.name} of {where}"
        if hints[field.name] in {int, float}:
            value = _check_number(profile, value, what, least=0 if field.name in _MAY_BE_ZERO else None)
            if hints[field.name] is int and value != int(value):
                raise ProfileError(f"{profile.path}: {what} should be a whole number.")
        elif hints[field.name] is bool:
            if not isinstance(value, bool):
                raise ProfileError(f"{profile.path}: {what} should be true or false.")
        elif not isinstance(value, str if hints[field.name] is str else list):
            raise ProfileError(f"{profile.path}: {what} should be {_DESCRIBED[hints[field.name] is str]}.")
        values[field.name] = value
    try:
        return model(**values)
    except TypeError:
        missing = [field.name for field in fields(model) if field.name not in table]
        raise ProfileError(f"{profile.path}: {where} needs {', '.join(missing)}.") from None


_MAY_BE_ZERO: Final = frozenset({"shrink", "days_per_number"})
_DESCRIBED: Final = {True: "a text", False: "a list of names"}


def _check_number(profile: Profile, value: object, what: str, *, least: float | None = None) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not (is_number and (value > 0 if least is None else value >= least)):  # type: ignore[operator] - it is a number
        raise ProfileError(f"{profile.path}: {what} should be a number{' above 0' if least is None else ''}.")
    return value  # type: ignore[return-value] - as above
