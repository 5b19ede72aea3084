"""Add a channel's filters to each question that is asked in it; a person's own filters narrow further. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from knowledge.errors import FilterProblem, InvalidFilter
from knowledge.search.query import ParsedQuery, parse_query


def add_filters(question: str, rule: str, now: datetime) -> str:
    """Return the question with filters that admit only what both its own and the rule's do.

    ``rule`` is filters alone (``in:handbook type:pdf``), "" for none. ``now`` is aware.

    Raises:
        InvalidFilter: no document can satisfy both, or a date cannot be read.

    """
    if not rule:
        return question
    own, rule_query = parse_query(question, now), parse_query(f"{rule} x", now)
    both = ParsedQuery(
        own.words,
        sources=_intersect_names(own.sources, rule_query.sources, "in"),
        kinds=_intersect_names(own.kinds, rule_query.kinds, "type"),
        after=max((one for one in (own.after, rule_query.after) if one is not None), default=None),
        before=min((one for one in (own.before, rule_query.before) if one is not None), default=None),
    )
    # In front: what a person leaves open (a quote, a fence) must not swallow them.
    text = " ".join([*_format_filters(both), both.words])
    if replace(parse_query(text, now), words=both.words) != both:
        raise InvalidFilter(FilterProblem.TOO_MANY)
    return text


def join_filters(rule: str, other: str, now: datetime) -> str:
    """Return the filters that admit only what both rules do; raises as ``add_filters``."""
    return add_filters(f"{rule} x", other, now).removesuffix("x").strip()


def restrict_sources(rule: str, readable: Collection[str], now: datetime) -> str | None:
    """Return the rule without the sources that are not readable; None if it names sources and none of them is.

    Nobody may learn the name of another source, neither by an error nor by its suggestions. A rule without a filter
    that can be read admits nothing.
    """
    rule_query = parse_query(f"{rule} x", now) if rule else ParsedQuery("")
    if rule and not rule_query.has_filters:
        return None
    folded = {name.casefold() for name in readable}
    left = frozenset(name for name in rule_query.sources if name.casefold() in folded)
    if left == rule_query.sources:
        return rule
    return " ".join(_format_filters(replace(rule_query, sources=left))) if left else None


def _intersect_names(own: frozenset[str], others: frozenset[str], key: str) -> frozenset[str]:
    """Return what both name, as the rule writes it; where one names nothing, what the other does."""
    if not own or not others:
        return own or others
    folded = {name.casefold() for name in own}
    left = frozenset(name for name in others if name.casefold() in folded)
    if not left:
        allowed, requested = ", ".join(sorted(others)), ", ".join(sorted(own))
        raise InvalidFilter(FilterProblem.NOT_IN_CHANNEL, key=key, allowed=allowed, requested=requested)
    return left


def _format_filters(query: ParsedQuery) -> list[str]:
    filters = [f'in:"{name}"' for name in sorted(query.sources)] + [f"type:{kind}" for kind in sorted(query.kinds)]
    for key, moment in (("after", query.after), ("before", query.before)):
        if moment is not None:
            filters.append(f"{key}:{moment:%Y-%m-%dT%H:%M:%SZ}")
    return filters
