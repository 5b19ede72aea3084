"""The tables of ``kvasir.toml`` as pydantic models: each key's default, accepted values and meaning.

The text of ``accepts`` completes the error "KEY should be …" and appears in docs/configuration.md.
"""

from __future__ import annotations

import math
import zoneinfo
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from bot.answering.asker import Tone
from bot.answering.limits import Unsupported
from bot.answering.policy import Mode, PrivateWords
from bot.answering.thinking import Depth
from bot.audit.settings import OnErase
from bot.errors import SettingsError
from bot.languages.registry import LANGUAGES
from bot.messages.forms.security import PROBLEMS
from knowledge.errors import suggest_nearest
from knowledge.identity.readers import check_reader
from knowledge.masking import compile_record_number
from knowledge.web.crawling.canonical_urls import Site
from knowledge.web.http.guard import build_rules

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def _check_cron_line(line: str) -> str:
    from knowledge.sync.schedule import parse_cron_line  # noqa: PLC0415 - the scheduler's library takes a while to load

    if line:
        parse_cron_line(line)
    return line


def _check_timezone(name: str) -> str:
    try:
        return name and zoneinfo.ZoneInfo(name).key
    except (zoneinfo.ZoneInfoNotFoundError, OSError):
        raise ValueError(f"{name!r} is unknown") from None


def _check_weight(value: float) -> float:
    if not 0 < value <= 1 or math.isnan(value):
        raise ValueError
    return value


def _normalise_domain(entry: str) -> str:
    ((host, ports),) = build_rules([entry]).private_hosts.items()
    if ports:
        raise ValueError(f"{entry!r} has a port")
    return host


def _check_private_host(entry: str) -> str:
    build_rules([entry])
    return entry


def _check_site(url: str) -> str:
    try:
        Site.from_url(url)
    except ValueError:
        raise ValueError from None  # without the address, which may hold a password
    return url


def _check_record_number(pattern: str) -> str:
    compile_record_number(pattern)
    return pattern


Prompts = Literal["allow", "mask"]


def _check_check_name(name: str) -> str:
    if name not in PROBLEMS:
        raise ValueError(f"there is no check {name!r}.{suggest_nearest(name, PROBLEMS)}")
    return name


Name = Annotated[str, StringConstraints(strip_whitespace=False, pattern=r"\S")]
SourceName = Annotated[str, StringConstraints(pattern=r'^[^"]*[^\s"][^"]*$')]
CheckName = Annotated[str, AfterValidator(_check_check_name)]
CronLine = Annotated[str, AfterValidator(_check_cron_line)]
TimeZone = Annotated[str, AfterValidator(_check_timezone)]
AppId = Annotated[str, StringConstraints(pattern=r"^(A|B|Wf)[A-Z0-9]{2,}$")]
UserId = Annotated[str, StringConstraints(pattern=r"^[UW][A-Z0-9]{2,}$")]
WorkspaceId = Annotated[str, StringConstraints(pattern=r"^[TE][A-Z0-9]{2,}$")]
AnswerLanguage = Annotated[str, StringConstraints(pattern=f"^({'|'.join(('asker', *LANGUAGES))})$")]
ChannelId = Annotated[str, StringConstraints(pattern=r"^[CGD][A-Z0-9]{2,}$")]
Weight = Annotated[float, Field(strict=True), AfterValidator(_check_weight)]
TimeSpan = Annotated[str, StringConstraints(pattern=r"^[1-9]\d*[smhd]$")]
KeptFor = Annotated[str, StringConstraints(pattern=r"^([1-9]\d{0,5}[hd]|forever)$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Reader = Annotated[str, AfterValidator(check_reader)]
PeopleFile = Annotated[str, StringConstraints(pattern=r"(?i).\.(csv|toml)$")]
RecordNumber = Annotated[Text, AfterValidator(_check_record_number)]
Domain = Annotated[Text, AfterValidator(_normalise_domain)]
PrivateHost = Annotated[Text, AfterValidator(_check_private_host)]
SiteUrl = Annotated[Text, AfterValidator(_check_site)]


def toml_field(default: Any, accepts: str, meaning: str, **constraints: Any) -> Any:  # noqa: ANN401 - as pydantic's own Field
    """Return the field of a key: its default, what it accepts, what it means, and pydantic's constraints."""
    return Field(default, description=meaning, json_schema_extra={"accepts": accepts}, **constraints)


class Table(BaseModel):
    """A table of ``kvasir.toml``."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class SyncTable(Table):
    """``[sync]``."""

    nightly: CronLine = toml_field(
        "30 2 * * *", 'a cron line such as "30 2 * * *", or "" for never', "When all sources are synced."
    )
    timezone: TimeZone = toml_field(
        "",
        'the name of a time zone such as "Europe/Berlin"',
        "The time zone of all cron lines in this file. Without it, that of the machine, which is UTC in a container.",
    )


class EngineTable(Table):
    """``[engine]``."""

    quiet_hour: CronLine = toml_field(
        "30 4 * * *",
        'a cron line such as "30 4 * * *", or "" for never',
        "When the engine may try a larger memory profile and calibrate its judge.",
    )


class AccessTable(Table):
    """``[access]``."""

    owners: list[UserId] | None = toml_field(
        None,
        'a list of Slack user ids such as ["U012AB3CD"]',
        "Who approves deletions and adds documents. Without it, everybody may refresh and the terminal does the rest.",
    )


class IdentityTable(Table):
    """``[identity]``."""

    file: PeopleFile | None = toml_field(
        None,
        'a .csv or .toml file such as "people.csv"',
        "Accounts and groups of people in other systems, and names for readers. A change counts within a minute.",
    )


class AnswersTable(Table):
    """``[answers]``."""

    think: Depth = toml_field("normal", "deep, normal or off", "How long R1 thinks before it answers.")
    unsupported: Unsupported = toml_field(
        "mark", '"mark", "drop" or "show"', "What happens to a sentence that no passage supports."
    )
    follow_up_days: float = toml_field(
        7,
        "a number of days from 0 to 365",
        "How long a thread may be without a message until Kvasir needs a mention in it again.",
        ge=0,
        le=365,
    )


class AuditTable(Table):
    """``[audit]``."""

    enabled: bool = toml_field(True, "true or false", "Whether Kvasir records who asked, read and changed what.")
    strict: bool = toml_field(
        False, "true or false", "Whether a question gets no answer unless its record is on the disk."
    )
    on_erase: OnErase = toml_field(
        "pseudonymise",
        '"keep" or "pseudonymise"',
        "What erasing a person does to the audit: `pseudonymise` makes name, questions and web searches unreadable.",
    )
    heads: str = toml_field(
        "",
        'a folder such as "/mnt/evidence", or "syslog"',
        "Where signed heads go, which show that the end of a file was cut. Without it, next to the audit.",
    )


class SlackTable(Table):
    """``[slack]``."""

    admins: list[UserId] = toml_field(
        [],
        'a list of Slack user ids such as ["U012AB3CD"]',
        "Who sees the state of the engine and the replicas in Home, besides the workspace's own administrators.",
    )
    apps: list[AppId] = toml_field(
        [],
        'a list of Slack ids of apps, bots or workflows such as ["A012AB3CD", "B012AB3CD", "Wf012AB3CD"]',
        "Other apps that get an answer when they mention Kvasir in a channel. Another Kvasir never gets one.",
    )
    workspaces: list[WorkspaceId] = toml_field(
        [],
        'a list of ids of workspaces or organizations such as ["T012AB3CD"]',
        "Who may install the app by OAuth; without this key nobody may. The members of the first one are the readers "
        "of a source that names none.",
    )
    questions_per_minute: int = toml_field(
        30, "a number from 0; 0 for no limit", "How many questions each person or app may ask in a minute.", ge=0
    )
    channel_questions_per_minute: int = toml_field(
        300, "a number from 0; 0 for no limit", "How many questions each channel may ask in a minute.", ge=0
    )
    digest: CronLine = toml_field(
        "0 9 * * 1",
        'a cron line such as "0 9 * * 1", or "" for never',
        "When owners get a direct message about unanswered questions, bad votes, stale sources and verified answers.",
    )


class SecurityTable(Table):
    """``[security]``."""

    audit: CronLine = toml_field(
        "0 7 * * 1",
        'a cron line such as "0 7 * * 1", or "" for never',
        "When Kvasir audits its security, and reports to administrators and owners.",
    )
    advisories: str = toml_field(
        "",
        '"online", a file such as "advisories.json" that pip-audit wrote, or "" for neither',
        "Where Kvasir looks for known vulnerabilities of its packages.",
    )
    accept: list[CheckName] = toml_field(
        [],
        'a list of checks of `kvasir doctor --security` such as ["engine-plain"]',
        "Findings that you accept. They are listed, and are no problem.",
    )


class ChannelTable(Table):
    """``[[channel]]``: what is fixed for a channel; people choose the rest by ``/kb channel``."""

    id: ChannelId = toml_field(..., 'a channel\'s Slack id such as "C034EF5GH" (its details show it)', "The channel.")
    search: Name | None = toml_field(
        None, 'filters such as "in:handbook type:pdf"', "Filters that every search in this channel uses."
    )
    think: Depth | None = toml_field(None, "deep, normal or off", "As in [answers], for this channel.")
    web: Mode | None = toml_field(
        None, '"on", "listed" (only the domains of [web]) or "off"', "What the live web may be used for here."
    )
    mention_only: bool | None = toml_field(
        None, "true or false", "Whether every question here needs a mention, also in a thread with Kvasir."
    )
    language: AnswerLanguage | None = toml_field(
        None,
        '"asker", ' + " or ".join(f'"{code}"' for code in LANGUAGES),
        "The language of answers here; `asker` means that of each question.",
    )
    tone: Tone | None = toml_field(None, '"plain", "friendly" or "formal"', "The tone of answers here.")
    profile: Name | None = toml_field(
        None,
        "the name of a profile of kind guidance",
        "Answers here come from guidelines alone, with their warnings first (docs/profile-decision-support.md).",
    )
    unasked_per_hour: int | None = toml_field(
        None,
        "a number from 0 to 20",
        "How many questions Kvasir may answer here in an hour without a mention.",
        ge=0,
        le=20,
    )


class ProfilesTable(Table):
    """``[profiles]``."""

    folder: Name = toml_field(
        "profiles",
        'the path of a folder such as "profiles"',
        "Your own profiles, a folder each (docs/profiles.md). A relative path begins at this file.",
    )


class WebTable(Table):
    """``[web]``. Without this table the live web is off."""

    mode: Mode = toml_field(
        "on",
        '"on", "listed" (only the domains that are named) or "off"',
        "What Kvasir may read for an answer. Without the table `[web]` it is off.",
    )
    domains: list[Domain] = toml_field(
        [], 'a list of hosts such as ["example.com"]', 'What mode = "listed" allows, with all subdomains.'
    )
    private: list[PrivateHost] = toml_field(
        [],
        'a list of hosts such as ["wiki.intra", "10.0.0.7:8080"]',
        "Hosts that may have private addresses. With them, only full members get answers from the web.",
    )
    search: list[Text] | None = toml_field(
        None,
        'a list of providers such as ["searxng", "brave"]',
        "Search providers in order. Without it, Kvasir tries all that are configured.",
    )
    sites: list[SiteUrl] = toml_field(
        [],
        'a list of addresses such as ["https://docs.example.com"]',
        "Sites whose sitemaps the provider sitemap searches.",
    )
    cache_mb: int = toml_field(
        256, "a number from 1 to 100000", "The disk space of cached pages, in MB.", ge=1, le=100_000
    )


class MaskingTable(Table):
    """``[masking]``."""

    web: PrivateWords = toml_field(
        "mask",
        '"mask", "block" or "ask"',
        "What happens to a web search whose words have personal data or secrets. Masks replace them, or nothing is "
        "searched, or the asker first presses a button below the masked words.",
    )
    prompts: Prompts = toml_field(
        "allow",
        '"allow" or "mask"',
        "Whether prompts to an engine on another host get placeholders for personal data and secrets.",
    )
    logs: bool = toml_field(True, "true or false", "Whether logs lose personal data. Secrets are always masked there.")
    audit: bool = toml_field(True, "true or false", "Whether texts in the audit lose personal data and secrets.")
    exports: bool = toml_field(
        True, "true or false", "Whether texts in `kvasir audit export` lose personal data and secrets."
    )
    feedback: bool = toml_field(
        True, "true or false", "Whether `kvasir feedback export` writes questions, answers and comments with masks."
    )
    names: Name | None = toml_field(
        None, 'a text file such as "names.txt"', "Names of people to mask, one a line. It is read at the start."
    )
    record_numbers: list[RecordNumber] = toml_field(
        [],
        r"""a list of regular expressions such as ['KH-\d{6}'] without unlimited repetitions""",
        "How numbers of records look here, which are then masked without a word of context.",
    )


_KEPT_FOR = 'a span in hours or days such as "12h" or "30d", or "forever"'


class RetentionTable(Table):
    """``[retention]``. Kvasir deletes within an hour what is older."""

    turns: KeptFor = toml_field(
        "30d", _KEPT_FOR, "How long questions and answers are stored after the answer. Slack keeps its own messages."
    )
    threads: KeptFor = toml_field(
        "365d", _KEPT_FOR, "How long Kvasir remembers a thread without messages in which it takes part."
    )
    feedback: KeptFor | None = toml_field(
        None, f"{_KEPT_FOR}. At most as long as turns", "How long votes and comments are stored. Without it, as turns."
    )
    verified: KeptFor = toml_field(
        "forever", _KEPT_FOR, "How long a verified answer is stored after an owner last approved it."
    )
    web_cache: KeptFor = toml_field("30d", _KEPT_FOR, "How long a page of the live web is cached after its download.")
    audit: KeptFor = toml_field("forever", _KEPT_FOR, "How long records of the audit log are stored.")
    uploads: KeptFor = toml_field(
        "forever", _KEPT_FOR, "How long files that people added stay in the source `added` and in the index."
    )
    cases: KeptFor = toml_field(
        "1825d", _KEPT_FOR, "How long a case of transactions is stored after it was opened, or after its decision."
    )


class WeightTable(Table):
    """``[[source.weights]]``."""

    path: Name = toml_field(..., 'a path such as "archive/**"', "The documents of the source that it applies to.")
    weight: Weight = toml_field(
        ...,
        "a number above 0 and at most 1. Use exclude to leave documents out",
        "Their scores are multiplied by it.",
    )


class PathRightsTable(Table):
    """``[[source.rights]]``."""

    path: Name = toml_field(..., 'a path such as "hr/**"', "The documents of the source that it applies to.")
    readers: Annotated[list[Reader], Field(min_length=1)] = toml_field(
        ...,
        'a list as for the source\'s readers, such as ["S012AB3CD"]',
        "Who may read these documents, among the readers of the source.",
    )


class SourceTable(Table):
    """``[[source]]``: the keys of every kind. Each kind has more of its own."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, hide_input_in_errors=True)
    name: SourceName = toml_field(..., 'a text without "', "The name that /kb, filters and citations use.")
    kind: Name = toml_field(..., "a text", "What kind of source it is, such as folder or website.")
    schedule: Annotated[Name, AfterValidator(_check_cron_line)] | None = toml_field(
        None, 'a cron line such as "0 * * * *"', "When this source is synced besides the nightly sync."
    )
    readers: Annotated[list[Reader], Field(min_length=1)] | None = toml_field(
        None,
        'a list of Slack ids, e-mail addresses and names such as ["C034EF5GH", "ada@company.com", "board"]. '
        "Leave it out for all full members",
        "Who may read its documents.",
    )
    workspaces: Annotated[list[WorkspaceId], Field(min_length=1)] | None = toml_field(
        None,
        'a list of ids of workspaces or organizations such as ["T012AB3CD"]',
        "Whose full members the reader * means. Without it, those of the workspace where Kvasir is installed.",
    )
    rights: list[dict[str, Any]] | str = toml_field(
        [],
        "tables: write rights with two brackets: [[source.rights]]. Some kinds take a text",
        "Readers of some of its documents.",
    )
    max_age: TimeSpan | None = toml_field(
        None, 'a span such as "30m", "26h" or "7d"', "How old its last complete reading may be before a warning (26h)."
    )
    owners: Annotated[list[UserId], Field(min_length=1)] | None = toml_field(
        None,
        'a list of Slack user ids such as ["U012AB3CD"]',
        "Who manages this source alone, besides the owners in [access].",
    )
    kind_of: Literal["guideline"] | None = toml_field(
        None, '"guideline"', "What its documents are; profiles of kind guidance answer from guidelines alone."
    )
    weight: Weight = toml_field(
        1.0,
        "a number above 0 and at most 1. Use exclude to leave documents out",
        "The scores of its passages are multiplied by it.",
    )
    weights: list[dict[str, Any]] = toml_field(
        [], "tables: write weights with two brackets: [[source.weights]]", "Weights of some of its documents."
    )


TABLES: Mapping[str, type[Table]] = {
    "[[source]]": SourceTable,
    "[[source.rights]]": PathRightsTable,
    "[[source.weights]]": WeightTable,
    "[sync]": SyncTable,
    "[access]": AccessTable,
    "[identity]": IdentityTable,
    "[answers]": AnswersTable,
    "[audit]": AuditTable,
    "[slack]": SlackTable,
    "[[channel]]": ChannelTable,
    "[engine]": EngineTable,
    "[profiles]": ProfilesTable,
    "[security]": SecurityTable,
    "[retention]": RetentionTable,
    "[web]": WebTable,
    "[masking]": MaskingTable,
}
"""The tables by their headings, in the order of the reference."""

_Model = TypeVar("_Model", bound=Table)


def read_table(model: type[_Model], value: object, where: str) -> _Model:
    """Check a table of ``kvasir.toml``; ``where`` names it in errors.

    Raises:
        SettingsError: a key is unknown (the nearest known one is named) or has a wrong value.

    """
    table = require_table(value, where)
    if model.model_config.get("extra") == "forbid":
        refuse_unknown_keys(table, tuple(model.model_fields), where)
    try:
        return model.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        key, reason = str(first["loc"][0]), first.get("ctx", {}).get("error")
        because = f": {reason}" if str(reason or "") else ""
        raise SettingsError(f"{where}: {key} should be {describe_accepted(model, key)}{because}.") from None


def describe_accepted(model: type[BaseModel], key: str) -> str:
    """Return what a key accepts, as the end of a sentence."""
    extra = model.model_fields[key].json_schema_extra
    return str(extra["accepts"]) if isinstance(extra, dict) else "of another form"


def parse_time_span(span: str) -> float:
    """Return a ``TimeSpan`` or a ``KeptFor`` in seconds."""
    return math.inf if span == "forever" else float(span[:-1]) * _SECONDS[span[-1]]


def require_table(value: object, where: str) -> Mapping[str, Any]:
    """Return a table.

    Raises:
        SettingsError: it is something else; ``where`` names it.

    """
    if not isinstance(value, dict):
        raise SettingsError(f"{where} should be a table.")
    return value


def refuse_unknown_keys(table: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    """Refuse keys that are not known.

    Raises:
        SettingsError: with the nearest known one.

    """
    for key in table:
        if key not in keys:
            raise SettingsError(
                f"{where} has the unknown key {key!r}.{suggest_nearest(key, keys)} Known: {', '.join(keys)}."
            )
