"""Run all checks: for ``kvasir doctor --security``, and by the clock with files in ``KVASIR_HOME/security``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bot.config.settings import Settings
from bot.messages.errors import describe_error
from bot.security.checks import CHECKS, read_facts
from bot.security.probes import Probe, list_probes
from bot.security.report import CheckVerdict, Finding, SecurityReport, compare_with_last, write_report
from knowledge.library import Library

_PROBE_S = 900.0  # more than any probe needs


@dataclass(frozen=True, slots=True)
class SecurityAudit:
    """Audits one installation. Without a ``library``, what only it can say is not checked."""

    settings: Settings
    environ: Mapping[str, str]
    library: Library | None = None

    async def make_report(self) -> SecurityReport:
        """Return what is found, compared with the last report.

        Raises:
            SourceMisconfigured: a source's table is wrong.
            OSError: a file that is checked cannot be read.

        """
        facts = await asyncio.to_thread(read_facts, self.settings, self.environ)
        findings = [self._make_finding(check, tuple(find(facts))) for check, find in CHECKS.items()]
        probes = list_probes(self.settings, self.library)
        findings += [await self._ask_probe(check, probe) for check, probe in probes.items()]
        return await asyncio.to_thread(compare_with_last, self.folder, datetime.now(UTC), findings)

    async def save_report(self) -> tuple[SecurityReport, Path]:
        """Run, and write the report; return it with the path of its page. Raises as ``make_report``."""
        report = await self.make_report()
        return report, await asyncio.to_thread(write_report, self.folder, report)

    @property
    def folder(self) -> Path:
        """Return the folder of the reports."""
        return self.settings.home / "security"

    async def _ask_probe(self, check: str, probe: Probe | None) -> Finding:
        if probe is None:
            return Finding(check, CheckVerdict.NOT_CHECKED, reason="This Kvasir has nothing that could say it.")
        try:
            async with asyncio.timeout(_PROBE_S):
                return self._make_finding(check, tuple(await probe()))
        except Exception as error:  # noqa: BLE001  # any error means that nothing was checked
            return Finding(check, CheckVerdict.NOT_CHECKED, reason=describe_error(error))

    def _make_finding(self, check: str, places: tuple[str, ...]) -> Finding:
        is_accepted = check in self.settings.configuration.security.accept
        found = CheckVerdict.ACCEPTED if is_accepted else CheckVerdict.FOUND
        return Finding(check, found if places else CheckVerdict.CLEAN, places)
