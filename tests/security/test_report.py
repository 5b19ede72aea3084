"""A report names what changed since the last one, and its page is safe whatever a name contains."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bot.security.report import CheckVerdict, Finding, SecurityReport, compare_with_last, write_report

MONDAY = datetime(2026, 11, 30, 7, tzinfo=UTC)


def found(check: str, *places: str) -> Finding:
    return Finding(check, CheckVerdict.FOUND, places)


def compare(folder: Path, week: int, *findings: Finding) -> SecurityReport:
    report = compare_with_last(folder, MONDAY + timedelta(weeks=week), findings)
    write_report(folder, report)
    return report


def test_changes_are_named(tmp_path: Path) -> None:
    first = compare(tmp_path, 0, found("engine-plain", "a:1", "b:2"), found("no-owners", "x"))
    assert (first.earlier, first.new, first.gone) == (None, (), ())
    second = compare(tmp_path, 1, found("engine-plain", "b:2", "c:3"), Finding("no-owners", CheckVerdict.CLEAN))
    assert second.earlier == "2026-11-30T07:00:00+00:00"
    assert second.new == ("engine-plain: c:3",)
    assert second.gone == ("engine-plain: a:1", "no-owners: x")


def test_what_is_not_checked_is_not_gone(tmp_path: Path) -> None:
    compare(tmp_path, 0, found("advisories", "x 1 (GHSA-1)"))
    second = compare(tmp_path, 1, Finding("advisories", CheckVerdict.NOT_CHECKED, reason="It is down."))
    assert (second.new, second.gone) == ((), ())


def test_a_damaged_report_is_passed_over(tmp_path: Path) -> None:
    compare(tmp_path, 0, found("no-owners", "x"))
    (tmp_path / "2027-01-01T000000Z.json").write_text('{"at": "2027", "findings": [{}]}')
    assert compare(tmp_path, 60).earlier == "2026-11-30T07:00:00+00:00"


def test_the_page_shows_text_as_text(tmp_path: Path) -> None:
    report = SecurityReport(MONDAY, (found("source-plain", "<script>alert(1)</script>"),), new=("source-plain: <b>",))
    path = write_report(tmp_path, report)
    page = path.read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<b>" not in page
    stored = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert (stored["ok"], stored["findings"][0]["verdict"]) == (False, "found")


def test_sixty_reports_are_kept(tmp_path: Path) -> None:
    for week in range(62):
        compare(tmp_path, week)
    assert len(list(tmp_path.glob("*.json"))) == len(list(tmp_path.glob("*.html"))) == 60
    assert not (tmp_path / "2026-11-30T070000Z.json").exists()
