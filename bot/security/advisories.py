"""Known vulnerabilities of the installed packages, by pip-audit.

It says "No known vulnerabilities found" and ends with 0 although it could check nothing. So only its JSON counts, and
only if it names every installed package in its version.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

from bot.config.web_settings import PROXY_VARIABLES
from bot.errors import BotError
from engine.installation.installer import normalize_package_name
from engine.tasks import copy_plain_variables, terminate_child

_DEADLINE_S = 600.0


class NotChecked(BotError):
    """Something could not be checked; the text says why, and the next step."""


async def find_advisories(where: str, base: Path) -> Sequence[str]:
    """Return the packages with known vulnerabilities; ``where`` is the key ``advisories`` of ``[security]``.

    Raises:
        NotChecked: nothing is configured, or not every package was checked.

    """
    if not where:
        raise NotChecked('Set advisories under [security] to "online", or to the file of a report.')
    installed = list_installed()
    if where == "online":
        return read_advisories(await _run_audit(installed), installed)
    try:
        report = await asyncio.to_thread((base / where).read_text, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotChecked(f"{base / where} cannot be read ({type(error).__name__}). Write it by pip-audit.") from None
    return read_advisories(report, installed)


def list_installed() -> dict[str, str]:
    """Return the versions of the installed packages, except Kvasir itself."""
    found = {normalize_package_name(one.name): one.version for one in distributions()}
    return {name: version for name, version in sorted(found.items()) if name != "kvasir"}


def read_advisories(report: str, installed: Mapping[str, str]) -> Sequence[str]:
    """Return the vulnerable packages in pip-audit's JSON; each with its version and the ids of advisories.

    Raises:
        NotChecked: it is no such report, or skipped one of the installed packages.

    """
    try:
        listed = [(normalize_package_name(one["name"]), one) for one in json.loads(report)["dependencies"]]
        checked = {(name, one["version"]): one["vulns"] for name, one in listed if "skip_reason" not in one}
        found = [
            f"{name} {version} ({', '.join(sorted(vulnerability['id'] for vulnerability in vulnerabilities))})"
            for (name, version), vulnerabilities in sorted(checked.items())
            if vulnerabilities and installed.get(name) == version
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NotChecked("pip-audit wrote no report. Check that it is installed and reaches its service.") from None
    missing = [name for name, version in installed.items() if (name, version) not in checked]
    if missing and not found:
        raise NotChecked(
            f"{len(missing)} of {len(installed)} packages were not checked, {missing[0]} among them. Check that "
            "pip-audit reaches its service, and that its report is about this installation."
        )
    return found


async def _run_audit(installed: Mapping[str, str]) -> str:
    if find_spec("pip_audit") is None:
        raise NotChecked("pip-audit is not installed. Install it into Kvasir's environment.")
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as requirements:
        requirements.write("".join(f"{name}=={version}\n" for name, version in installed.items()))
        requirements.flush()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "pip_audit", "--requirement", requirements.name, "--no-deps", "--disable-pip",
            "--vulnerability-service", "osv", "--format", "json", "--progress-spinner", "off",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            env=copy_plain_variables(
                "HOME", "XDG_CACHE_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
                *PROXY_VARIABLES, *map(str.lower, PROXY_VARIABLES),
            ),
        )  # fmt: skip
        try:
            async with asyncio.timeout(_DEADLINE_S):
                return (await process.communicate())[0].decode(errors="replace")
        finally:
            await terminate_child(process)
