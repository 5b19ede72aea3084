"""What ``kvasir.toml`` says, checked: sources, who may manage them, what a channel searches, how deep is thought."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot.answering.limits import UNSUPPORTED, Unsupported
from bot.answering.policy import MODES, Mode, Policies
from bot.answering.thinking import DEPTHS, Defaults, Depth
from bot.config.live_settings import live_settings, web_policy
from bot.config.tables import as_table, no_others
from bot.errors import SettingsError
from knowledge.errors import KnowledgeError
from knowledge.interfaces import EVERYONE
from knowledge.search.query import named, parse
from knowledge.settings import PathWeight, SourceSpec
from knowledge.web.http.settings import LiveSettings

ADDED = "added"
"""The source that ``kvasir add`` fills where no source of kind ``push`` is configured."""

PAGES = "pages"
"""The source of the pages that owners add, where no source of kind ``pages`` is configured."""

_NIGHTLY = "30 2 * * *"
_QUIET_HOUR = "30 4 * * *"
_CRON_FIELDS = 5
_TABLES = ("source", "sync", "access", "channel", "answers", "engine", "web")
_USER_ID = re.compile(r"[UW][A-Z0-9]{2,}")
_CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]{2,}")


@dataclass(frozen=True, slots=True)
class Access:
    """Who may manage the knowledge."""

    owners: frozenset[str] = frozenset()
    """Slack ids; none: everybody may refresh, and what else owners do is done at the terminal alone."""

    def may_refresh(self, user: str) -> bool:
        """Tell whether somebody may refresh sources, which reads again and takes nothing away."""
        return not self.owners or user in self.owners

    def is_owner(self, user: str) -> bool:
        """Tell whether somebody may approve deletions, add files, and read why a source is in trouble."""
        return user in self.owners


@dataclass(frozen=True, slots=True)
class Configuration:
    """``kvasir.toml``."""

    sources: tuple[SourceSpec, ...]
    nightly: str | None
    """A cron line for the run over every source; None for never."""
    access: Access = Access()
    channels: Mapping[str, str] = field(default_factory=dict)
    """What narrows every search of a channel, by the channel's id: ``in:handbook type:pdf``."""
    thinking: Defaults = field(default_factory=Defaults)
    """How deep is thought for people who did not say."""
    unsupported: Unsupported = "mark"
    """What becomes of a sentence that no passage supports."""
    quiet_hour: str | None = _QUIET_HOUR
    """A cron line for what the engine tries when nobody is waiting; None for never."""
    live: LiveSettings | None = None
    """How the live web is asked; None: never."""
    web: Policies = field(default_factory=Policies)
    """What of it may be asked where."""


def read_configuration(path: Path, variables: Mapping[str, str]) -> Configuration:
    """Read a ``kvasir.toml``; ``variables`` hold the secrets that its ``…_env`` keys name.

    Raises:
        SettingsError: with the sentence for a person.

    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read ({error.__class__.__name__}). Check the file.") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}.") from None
    no_others(data, _TABLES, str(path))
    sources = _sources(data.get("source", []), path, variables)
    access = _access(data.get("access", {}), path)
    live = live_settings(data.get("web", {}), variables, f"[web] in {path}")
    sources = _with_pages(sources, access, live, path)
    channels = _channels(data.get("channel", []), [spec.name for spec in sources], path)
    web = {id_: one.web for id_, one in channels.items() if one.web}
    think, unsupported = _answers(data.get("answers", {}), path)
    if live is not None and not live.domains and "listed" in web.values():
        raise SettingsError(f'{path} has a channel with web = "listed", but [web] names no domains. Name some there.')
    return Configuration(
        sources=sources,
        nightly=_nightly(data.get("sync", {}), path),
        access=access,
        channels={id_: one.search for id_, one in channels.items() if one.search},
        thinking=Defaults(think, {id_: one.think for id_, one in channels.items() if one.think}),
        unsupported=unsupported,
        quiet_hour=_quiet_hour(data.get("engine", {}), path),
        live=live,
        web=Policies(web_policy(live), web),
    )


# ── [sync], [access] ─────────────────────────────────────────────────────────────────────────────────────────────────


def _nightly(value: object, path: Path) -> str | None:
    sync = as_table(value, f"[sync] in {path}")
    no_others(sync, ("nightly",), f"[sync] in {path}")
    nightly = sync.get("nightly", _NIGHTLY)
    if not isinstance(nightly, str):
        raise SettingsError(f'nightly in {path} should be a cron line such as "{_NIGHTLY}", or "" for never.')
    return nightly or None


def _quiet_hour(value: object, path: Path) -> str | None:
    where = f"[engine] in {path}"
    table = as_table(value, where)
    no_others(table, ("quiet_hour",), where)
    line = table.get("quiet_hour", _QUIET_HOUR)
    if not isinstance(line, str) or (line and len(line.split()) != _CRON_FIELDS):
        raise SettingsError(f'{where}: quiet_hour should be a cron line such as "{_QUIET_HOUR}", or "" for never.')
    return line or None


def _access(value: object, path: Path) -> Access:
    where = f"[access] in {path}"
    table = as_table(value, where)
    no_others(table, ("owners",), where)
    owners = table.get("owners", [])
    if not isinstance(owners, list) or not all(isinstance(one, str) and _USER_ID.fullmatch(one) for one in owners):
        raise SettingsError(f'{where}: owners should be a list of Slack user ids such as ["U012AB3CD"].')
    if "owners" in table and not owners:
        raise SettingsError(f"{where}: owners is empty, so nobody could manage anything. Name one, or leave it out.")
    return Access(frozenset(owners))


# ── [answers] ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _answers(value: object, path: Path) -> tuple[Depth, Unsupported]:
    where = f"[answers] in {path}"
    table = as_table(value, where)
    no_others(table, ("think", "unsupported"), where)
    wanted = table.get("unsupported", "mark")
    unsupported = next((one for one in UNSUPPORTED if one == wanted), None)
    if unsupported is None:
        raise SettingsError(f'{where}: unsupported should be "mark", "drop" or "show".')
    return _depth(table.get("think"), where) or "normal", unsupported


def _depth(value: object, where: str) -> Depth | None:
    if value is None:
        return None
    found = next((depth for depth in DEPTHS if depth == value), None)
    if found is None:
        raise SettingsError(f"{where}: think should be {', '.join(DEPTHS[:-1])} or {DEPTHS[-1]}.")
    return found


# ── [[channel]] ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Channel:
    """What holds in one channel, where it says so."""

    search: str | None
    think: Depth | None
    web: Mode | None


def _channels(value: object, sources: Collection[str], path: Path) -> Mapping[str, _Channel]:
    if not isinstance(value, list):
        raise SettingsError(f"{path} has a [channel]; write it with two brackets: [[channel]].")
    rules: dict[str, _Channel] = {}
    for table in value:
        channel, rule = _channel(as_table(table, f"[[channel]] in {path}"), sources, path)
        if channel in rules:
            raise SettingsError(f"{path} has two [[channel]] tables for {channel}. Join them.")
        rules[channel] = rule
    return rules


def _channel(table: Mapping[str, Any], sources: Collection[str], path: Path) -> tuple[str, _Channel]:
    where = f"[[channel]] in {path}"
    no_others(table, ("id", "search", "think", "web"), where)
    channel, rule = table.get("id"), table.get("search")
    if not isinstance(channel, str) or not _CHANNEL_ID.fullmatch(channel):
        raise SettingsError(f'{where}: id should be a channel\'s Slack id such as "C034EF5GH" (its details show it).')
    think = _depth(table.get("think"), f"{where}: {channel}")
    web = _mode(table.get("web"), f"{where}: {channel}")
    if rule is None and (think or web) is not None:
        return channel, _Channel(None, think, web)
    if not isinstance(rule, str) or not rule.strip():
        raise SettingsError(f'{where}: search of {channel} should be filters such as "in:handbook type:pdf".')
    _check_rule(rule, sources, f"{where}: search of {channel}")
    return channel, _Channel(rule.strip(), think, web)


def _mode(value: object, where: str) -> Mode | None:
    if value is None:
        return None
    found = next((mode for mode in MODES if mode == value), None)
    if found is None:
        raise SettingsError(f'{where}: web should be "on", "listed" (only the domains of [web]) or "off".')
    return found


def _check_rule(rule: str, sources: Collection[str], where: str) -> None:
    try:
        query = parse(f"{rule} x", datetime.now(UTC))
        named(query.sources, sources)
    except KnowledgeError as error:
        raise SettingsError(f"{where}: {error}") from None
    words = query.words.removesuffix("x").strip()
    if words or not query.filtered:
        raise SettingsError(f'{where}: “{words}” is no filter. Write filters alone, such as "in:handbook type:pdf".')


# ── [[source]] ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _sources(tables: object, path: Path, variables: Mapping[str, str]) -> tuple[SourceSpec, ...]:
    if not isinstance(tables, list) or not tables:
        raise SettingsError(f"{path} names no source. Add one: docs/sources.md shows how.")
    specs = tuple(_source(as_table(table, f"[[source]] in {path}"), path, variables) for table in tables)
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"{path} has two sources named {name!r}. Give each a name of its own.")
    if ADDED in names or any(spec.kind == "push" for spec in specs):
        return specs
    return (*specs, SourceSpec(ADDED, "push", {}, path.parent))


def _with_pages(
    sources: tuple[SourceSpec, ...], access: Access, live: LiveSettings | None, path: Path
) -> tuple[SourceSpec, ...]:
    """Return the sources with one for the pages that owners add, where there are owners and the live web is on."""
    if live is None or not access.owners or any(spec.kind == "pages" or spec.name == PAGES for spec in sources):
        return sources
    return (*sources, SourceSpec(PAGES, "pages", {"allow_hosts": list(live.private)}, path.parent))


def _source(table: Mapping[str, Any], path: Path, variables: Mapping[str, str]) -> SourceSpec:
    options = dict(table)
    fields: dict[str, str | None] = {}
    for key in ("name", "kind", "schedule"):
        value = options.pop(key, None)
        if value is not None and (not isinstance(value, str) or not value.strip()):
            raise SettingsError(f"{key} of a [[source]] in {path} should be a text.")
        fields[key] = value
    if fields["name"] is None or fields["kind"] is None:
        lacks = "name" if fields["name"] is None else "kind"
        raise SettingsError(f"A [[source]] in {path} has no {lacks}. docs/sources.md shows one.")
    where = f"Source {fields['name']} in {path}"
    return SourceSpec(
        name=fields["name"],
        kind=fields["kind"],
        base_dir=path.parent,
        schedule=fields["schedule"],
        readers=_readers(options.pop("readers", None), where),
        max_age_s=_duration_s(options.pop("max_age", None), where),
        secrets=_secrets(options, variables, where),
        weight=_weight(options.pop("weight", 1), f"{where}: weight"),
        weights=_weights(options.pop("weights", []), where),
        options=options,
    )


def _weights(value: object, where: str) -> tuple[PathWeight, ...]:
    """Return what some documents of a source weigh."""
    if not isinstance(value, list):
        raise SettingsError(f"{where}: write weights with two brackets: [[source.weights]].")
    weights: list[PathWeight] = []
    for table in value:
        one = as_table(table, f"{where}: [[source.weights]]")
        no_others(one, ("path", "weight"), f"{where}: [[source.weights]]")
        path = one.get("path")
        if not isinstance(path, str) or not path.strip():
            raise SettingsError(f'{where}: [[source.weights]] needs a path such as "archive/**".')
        weights.append(PathWeight(path, _weight(one.get("weight"), f"{where}: the weight of {path}")))
    return tuple(weights)


def _weight(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise SettingsError(f"{where} should be a number above 0 and at most 1. Use exclude to leave documents out.")
    return float(value)


def _readers(value: object, where: str) -> frozenset[str]:
    """Return who may read a source's documents; everybody, unless it says otherwise."""
    if value is None:
        return EVERYONE
    if not isinstance(value, list) or not value or not all(isinstance(one, str) and one.strip() for one in value):
        raise SettingsError(
            f'{where}: readers should be a list of Slack ids such as ["U012AB3CD", "C034EF5GH"]. Leave it out for '
            "everybody."
        )
    return frozenset(value)


def _duration_s(value: object, where: str) -> float | None:
    """Return a span such as "30m", "26h" or "7d" in seconds."""
    if value is None:
        return None
    match = re.fullmatch(r"([1-9]\d*)([smhd])", value) if isinstance(value, str) else None
    if match is None:
        raise SettingsError(f'{where}: max_age should be a span such as "30m", "26h" or "7d".')
    return float(match[1]) * {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[match[2]]


def _secrets(options: Mapping[str, Any], variables: Mapping[str, str], where: str) -> dict[str, str]:
    """Return the values of the variables that keys ending in ``_env`` name: no secret stands in the file itself."""
    secrets: dict[str, str] = {}
    for key, name in options.items():
        if key.endswith("_env") and isinstance(name, str):
            if not variables.get(name):
                raise SettingsError(f"{where}: {key} names the variable {name}, which is not set. Set it in .env.")
            secrets[key.removesuffix("_env")] = variables[name]
    return secrets
