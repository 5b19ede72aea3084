"""What ``kvasir.toml`` says, checked: sources, who may manage them, what a channel searches, how deep is thought."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot.answering.limits import Unsupported
from bot.answering.masking import DEFAULT_MASKING, Masking
from bot.answering.policy import Policies
from bot.answering.thinking import Defaults
from bot.config.environment import find_secret
from bot.config.live_settings import build_web_policy, read_live_settings
from bot.config.masking_settings import read_masking
from bot.config.models import (
    AccessTable,
    AnswersTable,
    AuditTable,
    ChannelTable,
    EngineTable,
    IdentityTable,
    PathRightsTable,
    ProfilesTable,
    RetentionTable,
    SecurityTable,
    SlackTable,
    SourceTable,
    SyncTable,
    WeightTable,
    describe_accepted,
    parse_time_span,
    read_table,
    refuse_unknown_keys,
    require_table,
)
from bot.errors import SettingsError
from bot.storage.retention import Retention
from knowledge.errors import KnowledgeError
from knowledge.identity.readers import is_name
from knowledge.interfaces import EVERYONE
from knowledge.interfaces.people import WORKSPACE
from knowledge.search.query import match_sources, parse_query
from knowledge.settings import PathRights, PathWeight, SourceSpec
from knowledge.web.live_settings import LiveSettings

ADDED_SOURCE = "added"
"""The source that ``kvasir add`` fills where no source of kind ``push`` is configured."""

PAGES_SOURCE = "pages"
"""The source of the pages that owners add, where no source of kind ``pages`` is configured."""

_TABLES = (
    "source",
    "sync",
    "access",
    "identity",
    "channel",
    "answers",
    "engine",
    "slack",
    "web",
    "masking",
    "security",
    "retention",
    "audit",
    "profiles",
)


@dataclass(frozen=True, slots=True)
class Access:
    """Who may manage the knowledge."""

    owners: frozenset[str] = frozenset()
    """Slack ids; none: everybody may refresh, and what else owners do is done at the terminal alone."""
    source_owners: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Slack ids of those who own a single source, by its name."""
    admins: frozenset[str] = frozenset()
    """Slack ids of those who count as administrators of the workspace."""

    def may_refresh(self, user: str, source: str | None = None) -> bool:
        """Return whether a person may refresh all sources, or one, which reads again and takes nothing away."""
        return not self.owners or self.is_owner(user, source)

    def is_owner(self, user: str, source: str | None = None) -> bool:
        """Return whether a person may manage all sources, or one: approve deletions, and read why it fails."""
        return user in self.owners or (source is not None and user in self.source_owners.get(source, ()))

    @property
    def all_owners(self) -> frozenset[str]:
        """Return everybody who owns all sources or one."""
        return self.owners.union(*self.source_owners.values())


@dataclass(frozen=True, slots=True)
class QuestionLimits:
    """How many questions may be asked in a minute; 0 for no limit."""

    person: int = SlackTable.model_fields["questions_per_minute"].default
    channel: int = SlackTable.model_fields["channel_questions_per_minute"].default


@dataclass(frozen=True, slots=True)
class Configuration:
    """``kvasir.toml``."""

    sources: tuple[SourceSpec, ...]
    nightly: str | None
    """A cron line for the run over every source; None for never."""
    timezone: str | None = None
    """The time zone of all cron lines by its IANA name; None for the machine's."""
    access: Access = Access()
    channels: Mapping[str, ChannelTable] = field(default_factory=dict)
    """What is fixed for channels, by the channel's id."""
    follow_up_days: float = AnswersTable.model_fields["follow_up_days"].default
    question_limits: QuestionLimits = field(default_factory=QuestionLimits)
    apps: frozenset[str] = frozenset()
    thinking: Defaults = field(default_factory=Defaults)
    unsupported: Unsupported = "mark"
    digest: str | None = SlackTable.model_fields["digest"].default
    """A cron line for the digest to owners; None for never."""
    quiet_hour: str | None = EngineTable.model_fields["quiet_hour"].default
    """A cron line for what the engine tries when nobody is waiting; None for never."""
    identity_file: Path | None = None
    live: LiveSettings | None = None
    """How the live web is asked; None: never."""
    web: Policies = field(default_factory=Policies)
    workspaces: tuple[str, ...] = ()
    masking: Masking = DEFAULT_MASKING
    security: SecurityTable = field(default_factory=SecurityTable)
    retention: Retention = field(default_factory=Retention)
    audit: AuditTable = field(default_factory=AuditTable)
    guidelines: frozenset[str] = frozenset()
    """The names of the sources that are marked as guidelines."""
    profiles: Path | None = None
    """The folder of the operator's profiles; None where there is no ``kvasir.toml``."""

    @property
    def confidential_channels(self) -> frozenset[str]:
        """Return the ids of the channels with a profile: nothing of their questions is kept."""
        return frozenset(id_ for id_, table in self.channels.items() if table.profile is not None)


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
    refuse_unknown_keys(data, _TABLES, str(path))
    sources = _read_sources(data.get("source", []), path, variables)
    sync = read_table(SyncTable, data.get("sync", {}), f"[sync] in {path}")
    slack = read_table(SlackTable, data.get("slack", {}), f"[slack] in {path}")
    owners = read_table(AccessTable, data.get("access", {}), f"[access] in {path}").owners
    if owners is not None and not owners:
        raise SettingsError(
            f"[access] in {path}: owners is empty, so nobody could manage anything. Name one, or leave it out."
        )
    access = Access(
        frozenset(owners or ()),
        source_owners={table["name"]: frozenset(table["owners"]) for table in data["source"] if table.get("owners")},
        admins=frozenset(slack.admins),
    )
    identity_file = _read_identity_file(data.get("identity", {}), sources, path)
    masking = read_masking(data.get("masking", {}), path, identity_file)
    live = read_live_settings(data.get("web"), variables, f"[web] in {path}", masking)
    sources = _add_pages_source(sources, access, live, path)
    channels = _read_channels(data.get("channel", []), [spec.name for spec in sources], path)
    web = {id_: one.web for id_, one in channels.items() if one.web}
    answers = read_table(AnswersTable, data.get("answers", {}), f"[answers] in {path}")
    if live is not None and not live.domains and "listed" in web.values():
        raise SettingsError(f'{path} has a channel with web = "listed", but [web] names no domains. Name some there.')
    return Configuration(
        sources=sources,
        nightly=sync.nightly or None,
        timezone=sync.timezone or None,
        access=access,
        channels=channels,
        follow_up_days=answers.follow_up_days,
        question_limits=QuestionLimits(slack.questions_per_minute, slack.channel_questions_per_minute),
        apps=frozenset(slack.apps),
        thinking=Defaults(answers.think, {id_: one.think for id_, one in channels.items() if one.think}),
        unsupported=answers.unsupported,
        digest=slack.digest or None,
        quiet_hour=read_table(EngineTable, data.get("engine", {}), f"[engine] in {path}").quiet_hour or None,
        identity_file=identity_file,
        live=live,
        web=Policies(build_web_policy(live, masking.private_words), web),
        workspaces=tuple(slack.workspaces),
        masking=masking,
        security=read_table(SecurityTable, data.get("security", {}), f"[security] in {path}"),
        retention=_read_retention(data.get("retention", {}), f"[retention] in {path}"),
        audit=read_table(AuditTable, data.get("audit", {}), f"[audit] in {path}"),
        guidelines=frozenset(table["name"] for table in data["source"] if table.get("kind_of")),
        profiles=path.parent
        / Path(read_table(ProfilesTable, data.get("profiles", {}), f"[profiles] in {path}").folder).expanduser(),
    )


def _read_retention(value: object, where: str) -> Retention:
    table = read_table(RetentionTable, value, where)
    spans = {key: parse_time_span(span or table.turns) for key, span in table}
    if spans["feedback"] > spans["turns"]:
        raise SettingsError(
            f"{where}: feedback is kept longer than turns, but a vote is about a stored answer. Raise turns, or lower "
            "feedback."
        )
    return Retention(**{f"{key}_s": span for key, span in spans.items()})


def _read_identity_file(value: object, sources: Collection[SourceSpec], path: Path) -> Path | None:
    """Return the file of people.

    Raises:
        SettingsError: there is none, but a source has a reader that only such a file gives to somebody.

    """
    file = read_table(IdentityTable, value, f"[identity] in {path}").file
    readers = (reader for spec in sources for reader in spec.readers.union(*(one.readers for one in spec.rights)))
    names = sorted({reader for reader in readers if is_name(reader)})
    if file is None and names:
        raise SettingsError(
            f"{path} has the reader {names[0]!r}, but neither a Slack id nor an e-mail address is like that. Correct "
            'it, or name a file that gives it to people: [identity] file = "people.csv" (docs/sources.md).'
        )
    return None if file is None else path.parent / Path(file).expanduser()


# ── [[channel]] ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _read_channels(value: object, sources: Collection[str], path: Path) -> Mapping[str, ChannelTable]:
    if not isinstance(value, list):
        raise SettingsError(f"{path} has a [channel]; write it with two brackets: [[channel]].")
    channels: dict[str, ChannelTable] = {}
    for table in value:
        channel = _read_channel(table, sources, path)
        if channel.id in channels:
            raise SettingsError(f"{path} has two [[channel]] tables for {channel.id}. Join them.")
        channels[channel.id] = channel
    return channels


def _read_channel(value: object, sources: Collection[str], path: Path) -> ChannelTable:
    where = f"[[channel]] in {path}"
    id_ = value.get("id") if isinstance(value, dict) else None
    channel = read_table(ChannelTable, value, f"{where}: {id_}" if isinstance(id_, str) else where)
    if channel.profile is not None and (channel.web not in {None, "off"} or channel.unasked_per_hour):
        raise SettingsError(
            f"{where}: {channel.id} has a profile, so Kvasir answers there from guidelines alone, and only if asked. "
            "Remove its web and its unasked_per_hour."
        )
    if channel.search is not None:
        _check_filters(channel.search, sources, f"{where}: search of {channel.id}")
    elif channel.think is None and channel.web is None and channel.mention_only is None and channel.profile is None:
        raise SettingsError(f"{where}: search of {channel.id} should be {describe_accepted(ChannelTable, 'search')}.")
    return channel


def _check_filters(filters: str, sources: Collection[str], where: str) -> None:
    try:
        query = parse_query(f"{filters} x", datetime.now(UTC))
        match_sources(query.sources, sources)
    except KnowledgeError as error:
        raise SettingsError(f"{where}: {error}") from None
    words = query.words.removesuffix("x").strip()
    if words or not query.has_filters:
        raise SettingsError(f'{where}: “{words}” is no filter. Write filters alone, such as "in:handbook type:pdf".')


# ── [[source]] ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _read_sources(tables: object, path: Path, variables: Mapping[str, str]) -> tuple[SourceSpec, ...]:
    if not isinstance(tables, list) or not tables:
        raise SettingsError(f"{path} names no source. Add one: docs/sources.md shows how.")
    specs = tuple(_read_source(require_table(table, f"[[source]] in {path}"), path, variables) for table in tables)
    names = [spec.name.casefold() for spec in specs]  # filters name a source in any case
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"{path} has two sources named {name!r}. Give each a name of its own.")
    if ADDED_SOURCE in names or any(spec.kind == "push" for spec in specs):
        return specs
    return (*specs, SourceSpec(ADDED_SOURCE, "push", {}, path.parent))


def _add_pages_source(
    sources: tuple[SourceSpec, ...], access: Access, live: LiveSettings | None, path: Path
) -> tuple[SourceSpec, ...]:
    """Return the sources with one for the pages that owners add, where there are owners and the live web is on."""
    if live is None or not access.owners or any(spec.kind == "pages" or spec.name == PAGES_SOURCE for spec in sources):
        return sources
    return (*sources, SourceSpec(PAGES_SOURCE, "pages", {"allow_hosts": list(live.private_hosts)}, path.parent))


def _read_source(table: Mapping[str, Any], path: Path, variables: Mapping[str, str]) -> SourceSpec:
    for key in ("name", "kind"):
        if key not in table:
            raise SettingsError(f"A [[source]] in {path} has no {key}. docs/sources.md shows one.")
    where = f"Source {table['name']} in {path}"
    source = read_table(SourceTable, table, where)
    options = dict(source.model_extra or {})
    if isinstance(source.rights, str):
        options["rights"] = source.rights  # a key of the kind itself
    return SourceSpec(
        name=source.name,
        kind=source.kind,
        base_dir=path.parent,
        schedule=source.schedule,
        readers=_name_readers(source.readers, source),
        names_readers=source.readers is not None or source.workspaces is not None,
        rights=tuple(_read_path_rights(one, source, where) for one in source.rights if isinstance(one, dict)),
        max_age_s=parse_time_span(source.max_age) if source.max_age is not None else None,
        secrets=_read_secrets(options, variables, path.parent, where),
        weight=source.weight,
        weights=tuple(_read_weight(one, where) for one in source.weights),
        options=options,
    )


def _name_readers(readers: Sequence[str] | None, source: SourceTable) -> frozenset[str]:
    """Return the readers of a source or of some of its documents; ``*`` means the members of the named workspaces."""
    named = EVERYONE if readers is None else frozenset(readers)
    if source.workspaces is None or not named >= EVERYONE:
        return named
    return named - EVERYONE | {f"{WORKSPACE}{one}" for one in source.workspaces}


def _name_place(heading: str, table: Mapping[str, Any], where: str) -> str:
    path = table.get("path")
    return f"{where}: {heading}" + (f" of {path}" if isinstance(path, str) else "")


def _read_path_rights(table: Mapping[str, Any], source: SourceTable, where: str) -> PathRights:
    rights = read_table(PathRightsTable, table, _name_place("[[source.rights]]", table, where))
    return PathRights(rights.path, _name_readers(rights.readers, source))


def _read_weight(table: Mapping[str, Any], where: str) -> PathWeight:
    weight = read_table(WeightTable, table, _name_place("[[source.weights]]", table, where))
    return PathWeight(weight.path, weight.weight)


def _read_secrets(options: Mapping[str, Any], variables: Mapping[str, str], base: Path, where: str) -> dict[str, str]:
    """Return the values of the variables that keys ending in ``_env`` name: no secret stands in the file itself."""
    secrets: dict[str, str] = {}
    for key, name in options.items():
        if key.endswith("_env") and isinstance(name, str):
            secret = find_secret(variables, name, base)
            if secret is None:
                raise SettingsError(f"{where}: {key} names the variable {name}, which is not set. Set it in .env.")
            secrets[key.removesuffix("_env")] = secret
    return secrets
