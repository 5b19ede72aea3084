"""What a security audit found, what changed since the last one, and its files in ``KVASIR_HOME/security``."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from bot.messages.forms.security import PROBLEMS
from bot.messages.message import Message, render_message
from bot.security.checks import SEVERITIES
from engine.files import replace_private_file

_KEPT_REPORTS = 60
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1d1c1d; }
table { border-collapse: collapse; width: 100%; } th, td { border: 1px solid #ccc; padding: .4rem; text-align: left; }
td { vertical-align: top; } .found { background: #fde8e8; }
"""


class CheckVerdict(StrEnum):
    """The result of one check; ``accept`` in ``[security]`` names the problems that are accepted."""

    CLEAN = "clean"
    FOUND = "found"
    ACCEPTED = "accepted"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: the places of the problem, or the reason why nothing was checked."""

    check: str
    verdict: CheckVerdict
    places: tuple[str, ...] = ()
    reason: str = ""

    @property
    def message(self) -> Message:
        """Return the problem as a sentence with the next step."""
        return PROBLEMS[self.check].fill(what=", ".join(self.places))

    @property
    def text(self) -> str:
        """Return the problem in English, or why nothing was checked; "" if there is neither."""
        return render_message(self.message, "en") if self.places else self.reason


@dataclass(frozen=True, slots=True)
class SecurityReport:
    """All findings of one audit. Changes are texts such as ``engine-plain: engine:30000``.

    ``earlier`` is the time of the audit that it is compared with; None if there is none.
    """

    at: datetime
    findings: tuple[Finding, ...]
    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    earlier: str | None = None

    def select_findings(self, verdict: CheckVerdict) -> tuple[Finding, ...]:
        """Return the findings with this verdict."""
        return tuple(one for one in self.findings if one.verdict is verdict)


def build_json(report: SecurityReport) -> dict[str, Any]:
    """Return a report for programs (docs/operating.md names every key)."""
    return {
        "at": report.at.isoformat(timespec="seconds"),
        "ok": not report.select_findings(CheckVerdict.FOUND),
        "findings": [
            {
                "check": one.check,
                "severity": SEVERITIES[one.check],
                "verdict": one.verdict.value,
                "places": list(one.places),
                "text": one.text,
            }
            for one in report.findings
        ],
        "earlier": report.earlier,
        "new": list(report.new),
        "gone": list(report.gone),
    }


def compare_with_last(folder: Path, at: datetime, findings: Sequence[Finding]) -> SecurityReport:
    """Return the report of an audit, compared with the newest one in the folder; blocking."""
    for path in sorted(folder.glob("*.json"), reverse=True):
        try:
            last = json.loads(path.read_text(encoding="utf-8"))
            before = {f"{one['check']}: {place}" for one in last["findings"] for place in one["places"]}
            now = {f"{one.check}: {place}" for one in findings for place in one.places}
            checked = tuple(f"{one.check}: " for one in findings if one.verdict is not CheckVerdict.NOT_CHECKED)
            gone = sorted(one for one in before - now if one.startswith(checked))
            return SecurityReport(at, tuple(findings), tuple(sorted(now - before)), tuple(gone), last["at"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # an earlier one may be whole
    return SecurityReport(at, tuple(findings))


def write_report(folder: Path, report: SecurityReport) -> Path:
    """Write a report as JSON and HTML, and delete old ones; return the path of the HTML; blocking.

    Raises:
        OSError: the folder cannot be written.

    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{report.at:%Y-%m-%dT%H%M%SZ}.html"
    replace_private_file(path, render_html(report))
    replace_private_file(path.with_suffix(".json"), json.dumps(build_json(report), indent=2, ensure_ascii=False) + "\n")
    for old in sorted(folder.glob("*.json"))[:-_KEPT_REPORTS]:
        old.unlink(missing_ok=True)
        old.with_suffix(".html").unlink(missing_ok=True)
    return path


def render_html(report: SecurityReport) -> str:
    """Return a report as a page without scripts."""
    rows = "".join(
        f'<tr class="{one.verdict.value.replace(" ", "-")}"><td>{one.check}</td><td>{SEVERITIES[one.check]}</td>'
        f"<td>{one.verdict.value}</td><td>{html.escape(one.text)}</td></tr>"
        for one in report.findings
    )
    changes = "".join(
        f"<h2>{title}</h2><ul>{''.join(f'<li>{html.escape(one)}</li>' for one in places)}</ul>"
        for title, places in (("New", report.new), ("No longer found", report.gone))
        if places
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Security audit</title>'
        f"<style>{_STYLE}</style></head><body><h1>Security audit of Kvasir</h1>"
        f"<p>{report.at:%Y-%m-%d %H:%M} UTC. Earlier audit: {html.escape(report.earlier or 'none')}.</p>{changes}"
        f"<table><tr><th>check</th><th>severity</th><th>result</th><th>what to do</th></tr>{rows}</table></body></html>"
    )
