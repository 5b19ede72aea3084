"""The tables of ``kvasir.toml`` as pydantic models: each key's default, accepted values and meaning.

The text of ``accepts`` completes the error "KEY should be …" and appears in docs/configuration.md.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from bot.answering.limits import Unsupported
from bot.answering.policy import Mode
from bot.answering.thinking import Depth
from bot.config.tables import refuse_unknown_keys, require_table
from bot.errors import SettingsError

_CRON_FIELDS = 5
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def _check_cron_line(line: str) -> str:
    if line and len(line.split()) != _CRON_FIELDS:
        raise ValueError
    return line


def _check_weight(value: float) -> float:
    if not 0 < value <= 1 or math.isnan(value):
        raise ValueError
    return value


Name = Annotated[str, StringConstraints(strip_whitespace=False, pattern=r"\S")]
CronLine = Annotated[str, AfterValidator(_check_cron_line)]
UserId = Annotated[str, StringConstraints(pattern=r"^[UW][A-Z0-9]{2,}$")]
ChannelId = Annotated[str, StringConstraints(pattern=r"^[CGD][A-Z0-9]{2,}$")]
Weight = Annotated[float, Field(strict=True), AfterValidator(_check_weight)]
TimeSpan = Annotated[str, StringConstraints(pattern=r"^[1-9]\d*[smhd]$")]


def toml_field(default: Any, accepts: str, meaning: str) -> Any:  # noqa: ANN401 - as pydantic's own Field
    """Return the field of a key: its default, what it accepts, and what it means."""
    return Field(default, description=meaning, json_schema_extra={"accepts": accepts})


class Table(BaseModel):
    """A table of ``kvasir.toml``."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)
    heading: ClassVar[str]


class SyncTable(Table):
    """``[sync]``."""

    heading = "[sync]"
    nightly: CronLine = toml_field(
        "30 2 * * *", 'a cron line such as "30 2 * * *", or "" for never', "When all sources are synced."
    )


class EngineTable(Table):
    """``[engine]``."""

    heading = "[engine]"
    quiet_hour: CronLine = toml_field(
        "30 4 * * *",
        'a cron line such as "30 4 * * *", or "" for never',
        "When the engine may try a larger memory profile and calibrate its judge.",
    )


class AccessTable(Table):
    """``[access]``."""

    heading = "[access]"
    owners: list[UserId] | None = toml_field(
        None,
        'a list of Slack user ids such as ["U012AB3CD"]',
        "Who approves deletions and adds documents. Without it, everybody may refresh and the terminal does the rest.",
    )


class AnswersTable(Table):
    """``[answers]``."""

    heading = "[answers]"
    think: Depth = toml_field("normal", "deep, normal or off", "How long R1 thinks before it answers.")
    unsupported: Unsupported = toml_field(
        "mark", '"mark", "drop" or "show"', "What happens to a sentence that no passage supports."
    )


class ChannelTable(Table):
    """``[[channel]]``."""

    heading = "[[channel]]"
    id: ChannelId = toml_field(..., 'a channel\'s Slack id such as "C034EF5GH" (its details show it)', "The channel.")
    search: Name | None = toml_field(
        None, 'filters such as "in:handbook type:pdf"', "Filters that every search in this channel uses."
    )
    think: Depth | None = toml_field(None, "deep, normal or off", "As in [answers], for this channel.")
    web: Mode | None = toml_field(
        None, '"on", "listed" (only the domains of [web]) or "off"', "What the live web may be used for here."
    )


class WeightTable(Table):
    """``[[source.weights]]``."""

    heading = "[[source.weights]]"
    path: Name = toml_field(..., 'a path such as "archive/**"', "The documents of the source that it applies to.")
    weight: Weight = toml_field(
        ...,
        "a number above 0 and at most 1. Use exclude to leave documents out",
        "Their scores are multiplied by it.",
    )


class SourceTable(Table):
    """``[[source]]``: the keys of every kind. Each kind has more of its own."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, hide_input_in_errors=True)
    heading = "[[source]]"
    name: Name = toml_field(..., "a text", "The name that /kb, filters and citations use.")
    kind: Name = toml_field(..., "a text", "What kind of source it is, such as folder or website.")
    schedule: Name | None = toml_field(None, "a text", "A cron line for syncs of this source alone.")
    readers: Annotated[list[Name], Field(min_length=1)] | None = toml_field(
        None,
        'a list of Slack ids such as ["U012AB3CD", "C034EF5GH"]. Leave it out for everybody',
        "Who may see answers from this source.",
    )
    max_age: TimeSpan | None = toml_field(
        None, 'a span such as "30m", "26h" or "7d"', "How old its last complete reading may be before a warning (26h)."
    )
    weight: Weight = toml_field(
        1.0,
        "a number above 0 and at most 1. Use exclude to leave documents out",
        "The scores of its passages are multiplied by it.",
    )
    weights: list[dict[str, Any]] = toml_field(
        [], "tables: write weights with two brackets: [[source.weights]]", "Weights of some of its documents."
    )


TABLES: tuple[type[Table], ...] = (
    SourceTable,
    WeightTable,
    SyncTable,
    AccessTable,
    AnswersTable,
    ChannelTable,
    EngineTable,
)
"""In the order of the reference."""

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
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        key = str(first["loc"][0])
        raise SettingsError(f"{where}: {key} should be {describe_accepted(model, key)}.") from None


def describe_accepted(model: type[BaseModel], key: str) -> str:
    """Return what a key accepts, as the end of a sentence."""
    extra = model.model_fields[key].json_schema_extra
    return str(extra["accepts"]) if isinstance(extra, dict) else "of another form"


def parse_time_span(span: str) -> float:
    """Return a ``TimeSpan`` in seconds."""
    return float(span[:-1]) * _SECONDS[span[-1]]
