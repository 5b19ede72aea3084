"""What ``kvasir doctor --egress`` and ``kvasir doctor --security`` print."""

from __future__ import annotations

import contextlib
import os

from bot.config.settings import Settings
from bot.errors import BotError
from bot.library_opening import open_configured_library
from bot.security.audit import SecurityAudit
from bot.security.checks import SEVERITIES
from bot.security.egress import list_egress
from bot.security.report import CheckVerdict, SecurityReport, build_json
from bot.terminal.output import print_json, print_result
from knowledge.errors import KnowledgeError


def show_egress(settings: Settings, *, json: bool) -> int:
    """Print everything that Kvasir may connect to; return the exit status.

    Raises:
        SourceMisconfigured: a source's table is wrong.

    """
    destinations = list_egress(settings, os.environ)
    if json:
        print_json(
            {"destinations": [{"host": one.host, "port": one.port, "reason": one.reason} for one in destinations]}
        )
        return 0
    width = max(len(str(one)) for one in destinations)
    for one in destinations:
        print_result(f"{one!s:{width}}  {one.reason}")
    print_result("* stands for any. Names are resolved by the resolver of this machine, or by a trusted proxy.")
    return 0


async def show_security(settings: Settings, *, json: bool) -> int:
    """Print what the security audit finds, and write nothing; return the exit status, 1 for a problem.

    Raises:
        SourceMisconfigured: a source's table is wrong.

    """
    async with contextlib.AsyncExitStack() as stack:
        library = None
        with contextlib.suppress(KnowledgeError, BotError):  # its checks are then "not checked"
            library = await stack.enter_async_context(open_configured_library(settings))
        report = await SecurityAudit(settings, os.environ, library).make_report()
    if json:
        print_json(build_json(report))
    else:
        _print_report(report)
    return 1 if report.select_findings(CheckVerdict.FOUND) else 0


def _print_report(report: SecurityReport) -> None:
    for one in report.findings:
        print_result(
            f"{one.verdict.value:11}  {SEVERITIES[one.check]:6}  {one.check}" + (f": {one.text}" if one.text else "")
        )
    for title, places in (("new", report.new), ("gone", report.gone)):
        for place in places if report.earlier else ():
            print_result(f"{title} since {report.earlier}: {place}")
