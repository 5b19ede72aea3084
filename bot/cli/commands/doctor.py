"""``kvasir doctor``: look at what Kvasir needs, and say what to do about each finding."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bot import logs
from bot.app import open_configured_library
from bot.cli.output import print_json, print_result
from bot.config.settings import Settings, load_settings
from bot.error_messages import describe_error
from bot.slack.installation import check_token
from bot.slack.transport.web_api import SlackWebApi
from bot.slack.transport.web_client import make_web_client
from bot.storage.ledger import open_ledger
from engine.installation.installer import Installer
from engine.interfaces import EngineState
from engine.planning.fit import explain_unsupported_machine
from engine.planning.machine_probe import probe_machine
from engine.process.preflight import Preflight, check_port
from engine.service import Engine
from engine.weights.store import WeightsStore
from knowledge.errors import ProviderError, ProviderFailed
from knowledge.web.http.guard import build_rules
from knowledge.web.searching.provider import SearchProvider
from knowledge.web.searching.registry import create_providers

_GIB = 1024**3
_LITTLE_DISK_BYTES = 2 * _GIB
_CALL_S = 10.0
_SEARCH_S = 20.0


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing that was looked at."""

    subject: str
    ok: bool
    text: str


def _result_json(result: CheckResult) -> dict[str, object]:
    return {"what": result.subject, "ok": result.ok, "told": result.text}


Check = Callable[[Settings], Awaitable[str]]
"""Returns what is well; raises what is not."""


async def main(arguments: argparse.Namespace) -> int:
    """Print a line a finding; exit status 1 if any is not well."""
    settings = load_settings(os.environ, Path.cwd(), config=arguments.config)
    logs.configure_logging(secrets=settings.secrets, level=logs.WARNING)
    findings = []
    async for finding in run_checks(settings):
        findings.append(finding)
        if not arguments.json:
            print_result(f"{'ok  ' if finding.ok else 'FAIL'} {finding.subject}: {finding.text}")
    well = all(finding.ok for finding in findings)
    if arguments.json:
        print_json({"ok": well, "findings": [_result_json(finding) for finding in findings]})
    return 0 if well else 1


async def run_checks(settings: Settings) -> AsyncIterator[CheckResult]:
    """Look at one thing after another."""
    checks: dict[str, Check] = {
        "Python": _check_python,
        "configuration": _check_configuration,
        "owners": _check_owners,
        "disk": _check_disk,
        "ports": _check_ports,
        "database": _check_database,
        "knowledge": _check_knowledge,
        **(await _machine_checks(settings) if settings.engine.url is None else {}),
        "web search": _check_web_search,
        "engine": _check_engine,
        "Slack": _check_slack,
    }
    for what, check in checks.items():
        try:
            finding = CheckResult(what, ok=True, text=await check(settings))
        except Exception as error:  # noqa: BLE001  # whatever is wrong is a finding, and the next check goes on
            finding = CheckResult(what, ok=False, text=describe_error(error))
        yield finding


async def _check_python(_: Settings) -> str:
    return f"{sys.version.split()[0]} at {sys.executable}"


async def _check_configuration(settings: Settings) -> str:
    names = ", ".join(source.name for source in settings.knowledge.sources)
    return f"{settings.config} with {names}; state in {settings.home}, cache in {settings.cache}"


async def _check_owners(settings: Settings) -> str:
    if settings.access.owners:
        return f"{', '.join(sorted(settings.access.owners))} may approve deletions and add files and pages in Slack"
    return (
        "none is named, so deletions are approved at the terminal alone (kvasir sync --approve SOURCE). To name one, "
        f'write to {settings.config}: [access], below it owners = ["U012AB3CD"]; a Slack profile shows a person\'s id'
    )


async def _check_disk(settings: Settings) -> str:
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    free = shutil.disk_usage(settings.home).free
    if free < _LITTLE_DISK_BYTES:
        raise OSError(28, f"only {free / _GIB:.1f} GiB are free, a sync needs room", str(settings.home))
    return f"{free / _GIB:.0f} GiB free"


async def _check_ports(settings: Settings) -> str:
    if (await asyncio.to_thread(Engine.read_status, settings.home)).state is not EngineState.ABSENT:
        return "not looked at: a Kvasir that uses them runs"
    wanted = [(settings.sandbox_port, "127.0.0.1", "KVASIR_SANDBOX_PORT")] if settings.slack is None else []
    if settings.slack is not None and settings.slack.app_token is None:
        wanted = [(settings.slack.port, "0.0.0.0", "PORT")]  # noqa: S104  # Slack's requests come from outside
    if settings.metrics_port is not None:
        wanted.append((settings.metrics_port, settings.metrics_host, "KVASIR_METRICS_PORT"))
    told = [f"{variable}: {check_port(port, host, variable)}" for port, host, variable in wanted]
    return ", ".join(told) or "none is needed: Kvasir itself connects to Slack"


async def _machine_checks(settings: Settings) -> dict[str, Check]:
    """Return the looks at what an engine on this machine needs."""
    machine = await asyncio.to_thread(probe_machine, settings.cache)
    if (why := explain_unsupported_machine(machine)) is not None:
        return {"machine": _check_in_thread(lambda: why)}
    weights = WeightsStore(settings.cache, settings.engine.weights_source)
    checkup = Preflight(settings.engine.model, machine, Installer(settings.cache), weights)
    return {
        "driver": _check_in_thread(checkup.check_driver),
        "cards": _check_in_thread(checkup.describe_cards),
        "memory": _check_in_thread(checkup.describe_memory),
        "model": lambda _: checkup.check_model(),
        "weights": lambda _: checkup.check_weights(),
        "old weights": _check_in_thread(checkup.find_old_weights),
        "hub": lambda _: checkup.check_origin(),
        "environment": _check_in_thread(checkup.check_environment),
    }


def _check_in_thread(look: Callable[[], str]) -> Check:
    async def check(_: Settings) -> str:
        return await asyncio.to_thread(look)

    return check


async def _check_database(settings: Settings) -> str:
    async with open_ledger(settings.database_url):
        return "the ledger opens" + (" on PostgreSQL" if settings.database_url.startswith("postgresql") else "")


async def _check_knowledge(settings: Settings) -> str:
    async with open_configured_library(settings) as library:
        state = await library.status()
        await library.search("Kvasir", limit=1)  # a store that is down is only noticed when it is asked
    unread = [source.name for source in state.sources if source.synced_at is None]
    told = f"{state.store} opens, {sum(source.documents for source in state.sources)} documents"
    return told + (f"; not read yet: {', '.join(unread)} (kvasir sync)" if unread else "")


async def _check_web_search(settings: Settings) -> str:
    live, web = settings.knowledge.live, settings.knowledge.web
    if live is None:
        return "off: nothing is fetched for an answer ([web] in kvasir.toml)"
    if not live.search.provider_order:
        return "no provider is set up, so links alone are read: set KVASIR_SEARXNG_URL, or a key of another provider"
    asked = create_providers(live.search, web, build_rules(live.private_hosts, web.ports, live.allowed_domains))
    troubles = [trouble for provider in asked if (trouble := await _try_provider(provider))]
    if troubles:
        raise ProviderFailed(" ".join(troubles))
    return f"{', '.join(live.search.provider_order)}: each answers a search"


async def _try_provider(provider: SearchProvider) -> str:
    """Have a provider search for a word; return what is wrong, "" where it answers."""
    try:
        async with asyncio.timeout(_SEARCH_S):
            await provider.search("Kvasir", limit=1, domains=frozenset())
    except TimeoutError:
        return f"{provider.name} did not answer within {_SEARCH_S:g} s. Look whether it can be reached from here."
    except ProviderError as error:
        return str(error)
    finally:
        await provider.close()
    return ""


async def _check_engine(settings: Settings) -> str:
    status = await Engine.query_status(settings.engine)
    if settings.engine.url is not None or status.state is not EngineState.ABSENT:
        return f"{status.state.value} {status.model or ''} {status.detail}".strip()
    return "not running; `kvasir run` starts it"


async def _check_slack(settings: Settings) -> str:
    if settings.slack is None:
        return f"no tokens: `kvasir run` opens a workspace on this machine, port {settings.sandbox_port}"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_CALL_S)) as session:
        identity = await check_token(
            SlackWebApi(make_web_client(settings.slack.api_url, settings.slack.bot_token, session))
        )
    how = "Socket Mode" if settings.slack.app_token else f"HTTP on port {settings.slack.port}"
    return f"the token is good for {identity.workspace_name}, over {how}"
