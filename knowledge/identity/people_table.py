"""Parses a CSV or TOML file of people and their principals. Pure; anything doubtful makes the file invalid."""

from __future__ import annotations

import csv
import io
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from knowledge.interfaces.audiences import is_single_principal
from knowledge.interfaces.people import Person, is_membership, normalize_email, normalize_principal

_COLUMNS: Final[Mapping[str, str]] = {
    "email": "email", "emails": "email", "mail": "email", "username": "email",
    "slack": "slack", "slackid": "slack", "slackuserid": "slack", "memberid": "slack",
    "principals": "principals", "groups": "principals",
    "active": "active", "name": "name",
}  # fmt: skip
"""What a column's name means, in lower case and without spaces, hyphens, underscores and dots."""
_SEPARATORS = re.compile(r"[;,|\n]")
_SLACK_ID = re.compile(r"[UW][A-Z0-9]{2,}")
_ACTIVE, _INACTIVE = frozenset({"true", "yes", "1", ""}), frozenset({"false", "no", "0"})


class InvalidTable(ValueError):
    """The file cannot be used; the text says where and why."""


@dataclass(frozen=True, slots=True)
class PeopleTable:
    """The people of a file, by Slack id and by e-mail address."""

    by_id: Mapping[str, frozenset[str]] = field(default_factory=dict)
    by_email: Mapping[str, frozenset[str]] = field(default_factory=dict)
    inactive: frozenset[str] = frozenset()
    """Slack ids and e-mail addresses of people to whom the file gives nothing."""
    skipped_rows: int = 0
    ignored_columns: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()

    def find_principals(self, person: Person) -> frozenset[str]:
        """Return the principals of one person: the rows with the Slack id, and those with an e-mail address alone."""
        rows = [self.by_id.get(person.id), *(self.by_email.get(email) for email in person.emails)]
        found = frozenset[str]().union(*(row for row in rows if row))
        return found if self.inactive.isdisjoint({person.id, *person.emails, *found}) else frozenset()


@dataclass(frozen=True, slots=True)
class _Row:
    where: str
    email: str = ""
    slack: str = ""
    principals: tuple[str, ...] = ()
    active: bool = True
    name: str = ""


def parse_people(text: str, *, is_toml: bool) -> PeopleTable:
    """Return the people of a file.

    Raises:
        InvalidTable: any part of it is doubtful.

    """
    if is_toml:
        return _collect_people(_read_toml(text))
    delimiter = max(",;\t", key=text.partition("\n")[0].count)  # the most frequent one of the first line
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = next(rows, [])
        fields = _read_header(header)
        table = _collect_people(_read_csv(rows, fields))
    except csv.Error as error:
        raise InvalidTable(f"line {rows.line_num} is not valid CSV: {error}") from None
    if not text.endswith("\n"):
        raise InvalidTable("its last line has no end, so it may be incomplete; end it with a line break")
    return replace(
        table, ignored_columns=tuple(name for name, is_field in zip(header, fields, strict=True) if not is_field)
    )


# ── CSV ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _read_header(header: Sequence[str]) -> list[str]:
    """Return the field of each column, "" for a column that is ignored."""
    fields = [_COLUMNS.get(re.sub(r"[\s_.-]", "", name.lower()), "") for name in header]
    named = [name for name in fields if name]
    if len(set(named)) < len(named):
        raise InvalidTable("two of its columns mean the same; keep one of them")
    if not {"email", "slack"} & set(named):
        raise InvalidTable("its first line names no column email or slack; write email,slack,principals there")
    return fields


def _read_csv(rows: Iterator[list[str]], fields: Sequence[str]) -> Iterator[_Row]:
    for number, cells in enumerate(rows, 2):
        if not any(cells):
            continue
        where = f"row {number}"
        if len(cells) != len(fields):
            raise InvalidTable(f"{where} has {len(cells)} columns, but the first line has {len(fields)}")
        values = dict(zip(fields, (cell.strip() for cell in cells), strict=True))
        principals = map(normalize_principal, _SEPARATORS.split(values.get("principals", "")))
        yield _Row(
            where,
            normalize_email(values.get("email", "")),
            values.get("slack", ""),
            tuple(one for one in principals if one),
            _read_active(values.get("active", ""), where),
            values.get("name", ""),
        )


def _read_active(text: str, where: str) -> bool:
    word = text.lower()
    if word not in _ACTIVE | _INACTIVE:
        raise InvalidTable(f"{where}: active should be true or false")
    return word in _ACTIVE


# ── TOML ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _read_toml(text: str) -> Iterator[_Row]:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidTable(f"it is not valid TOML: {error}") from None
    people = data.get("person", [])
    if data.keys() - {"person"} or not isinstance(people, list):
        raise InvalidTable("it should have tables [[person]] alone")
    for number, person in enumerate(people, 1):
        yield _read_person(person, f"[[person]] {number}")


def _read_person(person: object, where: str) -> _Row:
    if not isinstance(person, dict) or person.keys() - {"name", "email", "slack", "principals", "active"}:
        raise InvalidTable(f"{where}: its keys should be name, email, slack, principals and active")
    name, email, slack = (person.get(key, "") for key in ("name", "email", "slack"))
    principals, active = person.get("principals", []), person.get("active", True)
    if not all(isinstance(one, str) for one in (name, email, slack)) or not isinstance(active, bool):
        raise InvalidTable(f"{where}: name, email and slack should be texts, and active true or false")
    if not isinstance(principals, list) or not all(isinstance(one, str) and one.strip() for one in principals):
        raise InvalidTable(f"{where}: principals should be a list of texts")
    return _Row(where, normalize_email(email), slack.strip(), tuple(map(normalize_principal, principals)), active, name)


# ── Rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _collect_people(rows: Iterator[_Row]) -> PeopleTable:
    by_id: dict[str, frozenset[str]] = {}
    by_email: dict[str, frozenset[str]] = {}
    inactive, skipped, names = set[str](), 0, set[str]()
    for row in rows:
        _check_principals(row)
        names |= {row.name} - {""}
        if row.slack and not _SLACK_ID.fullmatch(row.slack):
            raise InvalidTable(f"{row.where}: slack should be a person's Slack id such as U012AB3CD")
        if not row.slack and not row.email:
            skipped += 1
        elif not row.active:
            inactive |= {row.slack, row.email} - {""}
        elif row.slack:
            by_id[row.slack] = by_id.get(row.slack, frozenset()) | {*row.principals, row.email} - {""}
        else:
            by_email[row.email] = by_email.get(row.email, frozenset()) | {*row.principals}
    return PeopleTable(by_id, by_email, frozenset(inactive), skipped, names=frozenset(names))


def _check_principals(row: _Row) -> None:
    for principal in row.principals:
        if is_membership(principal) or not is_single_principal(principal) or not principal.isprintable():
            raise InvalidTable(
                f"{row.where}: {principal!r} cannot be given to a person, because only Slack says who is a member, a "
                "guest, or in a channel or user group; remove it"
            )
