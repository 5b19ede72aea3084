"""``kvasir keys``: create, list and revoke keys of the HTTP API."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from datetime import UTC, datetime

from bot.audit.commands import DirectAuditLog
from bot.audit.entries import AuditEntry, Event
from bot.cli.command_settings import load_command_settings
from bot.cli.people import find_person
from bot.config.settings import Settings
from bot.errors import BotError
from bot.storage.api_keys import SCOPES, ApiKey, ApiKeys
from bot.storage.turns.ledger import open_ledger
from bot.terminal.output import print_outcome
from knowledge.identity.identity_map import IdentityMap

_DAY_S = 86_400.0
_NAME_CHARACTERS = 100


class KeyRefused(BotError):
    """No key is created or revoked; the text says why."""


async def main(arguments: argparse.Namespace) -> int:
    """Run one action."""
    settings = load_command_settings(arguments)
    async with open_ledger(settings.database_url) as ledger:
        keys = ApiKeys(ledger.database)
        match arguments.action:
            case "create":
                value, text = await _create_key(keys, settings, arguments)
            case "list":
                found = await keys.list_keys()
                value = {"keys": [asdict(key) for key in found]}
                text = "\n".join(map(_format_key, found)) or "There are no keys. `kvasir keys create` makes one."
            case _:
                value, text = await _revoke_key(keys, settings, arguments.id)
    print_outcome(value, text, json=arguments.json)
    return 0


async def _create_key(
    keys: ApiKeys, settings: Settings, arguments: argparse.Namespace
) -> tuple[dict[str, object], str]:
    known = {spec.name for spec in settings.knowledge.sources}
    if unknown := sorted(set(arguments.source) - known):
        raise KeyRefused(f"There is no source “{unknown[0]}”. Sources are: {', '.join(sorted(known))}.")
    team = user = ""
    if arguments.person is not None:
        person = await find_person(settings, IdentityMap([]), arguments.person)
        team, user = person.team, person.id
    key, secret = await keys.create_key(
        ApiKey(
            arguments.name[:_NAME_CHARACTERS],
            "application" if arguments.application else "person",
            team,
            user,
            scopes=tuple(scope for scope in SCOPES if scope in (arguments.scope or SCOPES)),
            sources=tuple(sorted(set(arguments.source))),
            per_minute=arguments.per_minute,
            parallel=arguments.parallel,
            named_by=arguments.named_by,
            expires_at=keys.database.now() + arguments.days * _DAY_S if arguments.days else 0.0,
        )
    )
    await _record_change(settings, key, "create")
    text = f"{secret}\nStore this key now: it is not shown again. Revoke it by: kvasir keys revoke {key.id}"
    return asdict(key) | {"key": secret}, text


async def _revoke_key(keys: ApiKeys, settings: Settings, id_: str) -> tuple[dict[str, object], str]:
    revoked = await keys.delete_key(id_.removeprefix("kvasir_").partition("_")[0])
    if revoked is None:
        raise KeyRefused(f"There is no key {id_[:16]}. `kvasir keys list` shows the ids.")
    await _record_change(settings, revoked, "revoke")
    text = f"The key {revoked.id} ({revoked.name}) is revoked. {_format_use(revoked)}."
    return {"revoked": asdict(revoked)}, text


async def _record_change(settings: Settings, key: ApiKey, action: str) -> None:
    facts = {"action": action, "key": key.id, "kind": key.kind, "scopes": key.scopes, "sources": key.sources}
    await DirectAuditLog(settings.audit).record(AuditEntry(Event.KEY, facts=facts))


def _format_key(key: ApiKey) -> str:
    whose = f"person {key.user}" if key.kind == "person" else f"application, people by {key.named_by}"
    sources = f", only {', '.join(key.sources)}" if key.sources else ""
    ends = f", expires {_format_time(key.expires_at)}" if key.expires_at else ""
    return f"kvasir_{key.id}_…  {key.name}: {whose}, {' and '.join(key.scopes)}{sources}{ends}. {_format_use(key)}."


def _format_use(key: ApiKey) -> str:
    return f"Last used {_format_time(key.last_used_at)}" if key.last_used_at else "Never used"


def _format_time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
