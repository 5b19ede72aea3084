"""Write docs/configuration.md from the models of bot/config; ``tests/config/test_settings.py`` compares the two."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

sys.path.insert(0, str(Path(__file__).parents[1]))

from bot.config.environment import Environment
from bot.config.models import TABLES

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"
HEAD = """# Configuration reference

For operators who look up a key of `kvasir.toml` or an environment variable. [Add a source](sources.md) has the keys
of each kind of source, and [The live web](live-web.md#how-does-it-look-on-the-live-web) has an example for `[web]`.

Kvasir looks for `kvasir.toml` with `--config`, then in `KVASIR_CONFIG`, then in the working folder. Set variables in
the environment, or in `.env` next to `kvasir.toml`; the environment wins. A wrong key or value stops Kvasir at the
start, and the error names it. `scripts/make_configuration.py` writes this page from the code that checks the
configuration.

Each variable that holds a secret can come from a file instead: `SLACK_BOT_TOKEN_FILE=/run/secrets/bot-token` names the
file of `SLACK_BOT_TOKEN`. This also holds for the variables that keys ending in `_env` name. Blanks and line breaks
around the secret are left out. If both variables are set, or the file is empty, Kvasir does not start.
`HTTPS_PROXY_FILE` does not reach `uv`, which installs packages, nor `pip-audit`: both read `HTTPS_PROXY` itself.
"""


def describe_default(field: FieldInfo) -> str:
    """Return a field's default as a person writes it, "required" without one."""
    if field.is_required():
        return "required"
    value = field.default
    if value in (None, [], "") or (isinstance(value, SecretStr) and not value.get_secret_value()):
        return "–"
    return f"`{json.dumps(value) if isinstance(value, bool | str) else value}`"


def build_rows(model: type[BaseModel]) -> Iterator[str]:
    """Return a row for each key."""
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra
        accepts = str(extra["accepts"]) if isinstance(extra, dict) else ""
        what = "" if accepts == "of another form" else f" Accepts {accepts}."
        yield f"| `{name}` | {describe_default(field)} | {field.description}{what} |"


def build_page() -> str:
    """Return the page."""
    parts: list[Iterable[str]] = [[HEAD, "## kvasir.toml", ""]]
    for heading, table in TABLES.items():
        parts.append([f"### The table `{heading}`", "", "| key | default | meaning |", "| --- | --- | --- |"])
        parts += [build_rows(table), [""]]
    parts.append(["## Environment variables", "", "| variable | default | meaning |", "| --- | --- | --- |"])
    parts.append(build_rows(Environment))
    return "\n".join(line for part in parts for line in part) + "\n"


if __name__ == "__main__":
    PAGE.write_text(build_page(), encoding="utf-8")
