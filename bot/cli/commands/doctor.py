"""``kvasir doctor``: check what Kvasir needs, and name the next step for each problem."""

from __future__ import annotations

import argparse
import asyncio
import base64
import shutil
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp

from bot.answering.vision import VisionModel
from bot.cli.command_settings import load_command_settings
from bot.cli.installation_view import describe_installations
from bot.cli.security_view import show_egress, show_security
from bot.config.settings import Settings
from bot.health.parts import list_problems
from bot.library_opening import open_configured_library
from bot.messages.errors import describe_error
from bot.profiles.profile import ProfileError
from bot.profiles.registry import Profiles
from bot.slack.wire.errors import SlackMissingScope
from bot.slack.wire.installation import check_token, list_missing_scopes
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.slack.wire.transport.web_client import make_web_client
from bot.storage.replicas import list_local_replicas
from bot.storage.turns.ledger import open_ledger
from bot.terminal.lines import format_live_web, format_refused
from bot.terminal.output import print_json, print_result
from engine.errors import EngineUnavailable
from engine.installation.installer import Installer
from engine.interfaces import ChatMessage, EngineState
from engine.notes import NoteCode
from engine.planning.fit import explain_unsupported_machine
from engine.planning.machine_probe import probe_machine
from engine.process.preflight import Preflight, check_port
from engine.service import Engine
from engine.weights.store import WeightsStore
from knowledge.errors import IdentityError, KnowledgeError, ParserUnavailable, ProviderError, ProviderFailed
from knowledge.interfaces import Material
from knowledge.parsing import describe_jail
from knowledge.search.reranking import CHECK_S, LIMIT_S, HttpReranker
from knowledge.web.http.guard import build_rules
from knowledge.web.http.json_server import ServerFailure
from knowledge.web.searching.provider import SearchProvider
from knowledge.web.searching.registry import create_providers

_GIB = 1024**3
_LITTLE_DISK_BYTES = 2 * _GIB
_CALL_S = 10.0
_GREY_SQUARE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAAAAABWESUoAAAAGElEQVR42mNsYMAPmBhGFYwqGFUwQhUAAJe+AMD8WknZAAAAAElFTkSuQmCC"
)
_SEARCH_S = 20.0


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check."""

    subject: str
    ok: bool
    text: str


Check = Callable[[Settings], Awaitable[str]]
"""Returns what is in order; raises an error for a problem."""


async def main(arguments: argparse.Namespace) -> int:
    """Print one line for each check; exit status 1 if any failed."""
    settings = load_command_settings(arguments)
    if arguments.egress:
        return show_egress(settings, json=arguments.json)
    if arguments.security:
        return await show_security(settings, json=arguments.json)
    results = []
    async for result in run_checks(settings):
        results.append(result)
        if not arguments.json:
            print_result(f"{'ok  ' if result.ok else 'FAIL'} {result.subject}: {result.text}")
    ok = all(result.ok for result in results)
    if arguments.json:
        print_json({"ok": ok, "findings": [{"what": one.subject, "ok": one.ok, "told": one.text} for one in results]})
    return 0 if ok else 1


async def run_checks(settings: Settings) -> AsyncIterator[CheckResult]:
    """Yield the result of one check after the other."""
    checks: dict[str, Check] = {
        "Python": _check_python,
        "configuration": _check_configuration,
        "owners": _check_owners,
        "profiles": _check_profiles,
        "disk": _check_disk,
        "database": _check_database,
        "ports": _check_ports,
        "knowledge": _check_knowledge,
        "reranker": _check_reranker,
        "vision model": _check_vision,
        "parser": _check_parser,
        "identities": _check_identities,
        **(await _machine_checks(settings) if settings.engine.url is None else {}),
        "web search": _check_web_search,
        "engine": _check_engine,
        "Slack": _check_slack,
    }
    first_subjects: dict[str, str] = {}
    for subject, check in checks.items():
        try:
            result = CheckResult(subject, ok=True, text=await check(settings))
        except Exception as error:  # noqa: BLE001  # any error is a result, and the next check runs
            text = describe_error(error)
            first = first_subjects.setdefault(text, subject)
            result = CheckResult(subject, ok=False, text=text if first == subject else f"not checked; see {first}")
        yield result


async def _check_python(_: Settings) -> str:
    return f"{sys.version.split()[0]} at {sys.executable}"


async def _check_configuration(settings: Settings) -> str:
    names = ", ".join(source.name for source in settings.knowledge.sources)
    return f"{settings.config} with {names}; state in {settings.home}, cache in {settings.cache}"


async def _check_owners(settings: Settings) -> str:
    if owners := settings.configuration.access.owners:
        return f"{', '.join(sorted(owners))} may approve deletions and add files and pages in Slack"
    return (
        "none is named, so deletions can only be approved at the terminal (kvasir sync --approve SOURCE). To name one, "
        f'write owners = ["U012AB3CD"] under [access] in {settings.config}; a Slack profile shows the id of a person'
    )


async def _check_profiles(settings: Settings) -> str:
    found, errors = await asyncio.to_thread(Profiles(settings.configuration.profiles).check_profiles)
    if errors:
        raise ProfileError(" ".join(map(str, errors)))
    return f"{len(found)} without an error"


async def _check_disk(settings: Settings) -> str:
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    free = shutil.disk_usage(settings.home).free
    if free < _LITTLE_DISK_BYTES:
        raise OSError(28, f"only {free / _GIB:.1f} GiB are free, and a sync needs more", str(settings.home))
    return f"{free / _GIB:.0f} GiB free"


async def _check_ports(settings: Settings) -> str:
    async with open_ledger(settings.database_url) as ledger:
        if running := await list_local_replicas(ledger.database):
            pids = ", ".join(one.pid for one in running)
            return f"not checked: Kvasir is running and uses them (process {pids})"
    ports = [(settings.sandbox_port, "127.0.0.1", "KVASIR_SANDBOX_PORT")] if settings.slack is None else []
    if settings.slack is not None and (settings.slack.app_token is None or settings.slack.oauth is not None):
        ports = [(settings.slack.port, "0.0.0.0", "PORT")]  # noqa: S104  # Slack's requests come from outside
    if settings.metrics_port is not None:
        ports.append((settings.metrics_port, settings.metrics_host, "KVASIR_METRICS_PORT"))
    if settings.health_port is not None:
        ports.append((settings.health_port, settings.health_host, "KVASIR_HEALTH_PORT"))
    if settings.api_port is not None:
        ports.append((settings.api_port, settings.api_host, "KVASIR_API_PORT"))
    results = [f"{variable}: {check_port(port, host, variable)}" for port, host, variable in ports]
    return ", ".join(results) or "none is needed: Kvasir connects to Slack"


async def _machine_checks(settings: Settings) -> dict[str, Check]:
    """Return the checks of what an engine on this machine needs."""
    machine = await asyncio.to_thread(probe_machine, settings.cache)
    if (why := explain_unsupported_machine(machine)) is not None:
        return {"machine": _check_in_thread(lambda: str(why))}
    weights = WeightsStore(settings.cache, settings.engine.weights_source)
    preflight = Preflight(settings.engine.model, machine, Installer(settings.cache), weights)
    return {
        "driver": _check_in_thread(preflight.check_driver),
        "cards": _check_in_thread(preflight.describe_cards),
        "memory": _check_in_thread(preflight.describe_memory),
        "model": lambda _: preflight.check_model(),
        "weights": lambda _: preflight.check_weights(),
        "old weights": _check_in_thread(preflight.find_old_weights),
        "hub": lambda _: preflight.check_origin(),
        "environment": _check_in_thread(preflight.check_environment),
    }


def _check_in_thread(run: Callable[[], str]) -> Check:
    return lambda _: asyncio.to_thread(run)


async def _check_database(settings: Settings) -> str:
    async with open_ledger(settings.database_url):
        return "opens" + (" on PostgreSQL" if settings.database_url.startswith("postgres") else "")


async def _check_knowledge(settings: Settings) -> str:
    async with open_configured_library(settings) as library:
        await library.check_written_store()
        state = await library.check()
    problems = list_problems(None, state)
    if failing := [f"{name}: {finding.text}" for name, finding in problems.items() if not finding.is_passing]:
        raise KnowledgeError(" ".join(failing))
    facts = (
        f"{state.store} opens, {sum(source.documents for source in state.sources)} documents",
        f"the embedder is {state.embedder}",
        *(f"{name}: {finding.text.rstrip('.')}" for name, finding in problems.items()),
        "" if state.refused_passages is None else format_refused(state.refused_passages, datetime.now(UTC)),
        state.uncalibrated,
    )
    return "; ".join(fact for fact in facts if fact)


async def _check_reranker(settings: Settings) -> str:
    """Order two texts, with more patience than a search has.

    Raises:
        KnowledgeError: the reranker failed.

    """
    if settings.knowledge.reranker is None:
        return "none, so passages keep the order of the search"
    reranker = HttpReranker(settings.knowledge.reranker, limit_s=CHECK_S)
    began = time.monotonic()
    try:
        await reranker.order_texts("When does the office open?", ["Bread needs flour.", "The office opens at nine."])
    except ServerFailure as error:
        raise KnowledgeError(
            f"The reranker {error}, so passages keep their order. Check that server and KVASIR_RERANKER_URL."
        ) from None
    finally:
        await reranker.close()
    return f"answers in {1000 * (time.monotonic() - began):.0f} ms; a search waits for {1000 * LIMIT_S:.0f} ms"


async def _check_vision(settings: Settings) -> str:
    """Show the model a grey square.

    Raises:
        KnowledgeError: it does not answer.

    """
    if settings.vision is None:
        return "none, so pictures are not seen" + ("" if settings.knowledge.recognises_text else " or read")
    vision = VisionModel(settings.vision)
    began = time.monotonic()
    try:
        square = Material("", "square.png", None, "png", (), (), (), picture=_GREY_SQUARE)
        if await vision.ask([ChatMessage("user", "Which colour is this?")], [square], 64) is None:
            raise KnowledgeError(
                "The vision model does not answer (the log says why), so pictures are not seen. Check that server, "
                "KVASIR_VISION_URL and KVASIR_VISION_MODEL."
            )
    finally:
        await vision.close()
    return f"answers in {time.monotonic() - began:.1f} s"


async def _check_parser(_: Settings) -> str:
    """Return how the process that parses documents is locked in.

    Raises:
        ParserUnavailable: this machine lacks a part of it, or the process does not start.

    """
    if gaps := await describe_jail():
        raise ParserUnavailable(
            f"Documents are parsed with less protection: {'; '.join(gaps)}. Use a newer Linux, or allow the container "
            "Landlock and seccomp."
        )
    return "documents are parsed without access to files, network and other processes"


async def _check_identities(settings: Settings) -> str:
    """Return what each identity source has; one that has a problem gives nobody any rights.

    Raises:
        IdentityError: at least one has a problem.

    """
    found, problems = list[str](), list[str]()
    async with open_configured_library(settings) as library:
        for source in library.identities.sources:
            try:
                found.append(f"{source.identity_name}: {await source.check_identities()}")
            except KnowledgeError as error:
                problems.append(str(error))
    if problems:
        raise IdentityError(" ".join(problems))
    return "; ".join(found)


async def _check_web_search(settings: Settings) -> str:
    live, web = settings.knowledge.live, settings.knowledge.web
    if live is None:
        return format_live_web(settings.configuration.web.everywhere)
    if not live.search.provider_order:
        return (
            "no provider is set up, so only links in questions are read: set KVASIR_SEARXNG_URL, "
            "or the key of another provider"
        )
    providers = create_providers(live.search, web, build_rules(live.private_hosts, web.ports, live.allowed_domains))
    problems = [problem for provider in providers if (problem := await _try_provider(provider))]
    if problems:
        raise ProviderFailed(" ".join(problems))
    return f"{', '.join(live.search.provider_order)}: each answered a search"


async def _try_provider(provider: SearchProvider) -> str:
    """Search for a word with one provider; return the problem, "" if there is none."""
    try:
        async with asyncio.timeout(_SEARCH_S):
            await provider.search("Kvasir", limit=1, domains=frozenset())
    except TimeoutError:
        return f"{provider.name} did not answer within {_SEARCH_S:g} s. Check that this machine reaches it."
    except ProviderError as error:
        return str(error)
    finally:
        await provider.close()
    return ""


async def _check_engine(settings: Settings) -> str:
    status = await Engine.query_status(settings.engine)
    if status.state is EngineState.FAILED:
        raise EngineUnavailable(NoteCode.ERROR.fill(text=status.detail))
    if settings.engine.url is None and status.state is EngineState.ABSENT:
        return "not running; `kvasir run` starts it"
    return f"{status.state.value} {status.model or ''} {status.detail}".strip()


async def _check_slack(settings: Settings) -> str:
    if settings.slack is None:
        return f"no tokens, so `kvasir run` opens a workspace on this machine, on port {settings.sandbox_port}"
    how = "Socket Mode" if settings.slack.app_token else f"HTTP on port {settings.slack.port}"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_CALL_S)) as session:
        if settings.slack.oauth is not None:
            listed = await describe_installations(settings.slack, settings.slack.oauth, settings.database_url, session)
            return f"{listed}, over {how}"
        identity = await check_token(
            SlackWebApi(make_web_client(settings.slack.api_url, settings.slack.bot_token, session))
        )
    if missing := list_missing_scopes(identity.scopes):
        purposes = "; ".join(f"{scope} (to {purpose})" for scope, purpose in sorted(missing.items()))
        raise SlackMissingScope(
            f"The token is valid for {identity.workspace_name}, but the app lacks scopes: {purposes}. Add them under "
            "OAuth & Permissions at api.slack.com/apps, and reinstall the app.",
            next(iter(missing)),
        )
    return f"the token is valid for {identity.workspace_name}, over {how}"
