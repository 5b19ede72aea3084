"""What a method gets and what a method is."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.sandbox import limits
from bot.sandbox.limits import Tier
from bot.sandbox.state.model import BOT_USER, Channel, Json
from bot.sandbox.state.refusals import RefusedCall, build_refusal
from bot.sandbox.state.workspace import Workspace


class Arguments:
    """A call's arguments, from a query, a form or a JSON body alike."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: value for name, value in values.items() if value is not None}

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str, default: str = "") -> str:
        """Return a string; numbers are taken as their digits."""
        value = self._values.get(name, default)
        return value if isinstance(value, str) else json.dumps(value)

    def optional_text(self, name: str) -> str | None:
        """Return a string, None where it is missing or empty."""
        return self.text(name) or None

    def required_text(self, name: str, error: str | None = None) -> str:
        """Return a string that must be there.

        Raises:
            Refused: ``invalid_arguments``, or ``error``.

        """
        value = self.text(name)
        if not value:
            if error:
                raise RefusedCall(error)
            raise build_refusal("invalid_arguments", [f"missing required field: {name}"])
        return value

    def flag(self, name: str) -> bool:
        """Return a boolean as Slack reads it."""
        return self._values.get(name) in {True, "1", "true", "True"}

    def number(self, name: str, default: int) -> int:
        """Return a whole number.

        Raises:
            Refused: ``invalid_arguments``.

        """
        value = self._values.get(name, default)
        try:
            return int(value)
        except (TypeError, ValueError) as error:
            raise build_refusal("invalid_arguments", [f"must be a number: {name}"]) from error

    def structure(self, name: str, error: str = "invalid_arguments") -> Any:  # noqa: ANN401
        """Return an object or a list, parsed where it came as a string; None if it is not there.

        Raises:
            Refused: ``error``, if it is no JSON.

        """
        value = self._values.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value) if value else None
        except ValueError as cause:
            raise RefusedCall(error) from cause

    def without_token(self) -> Json:
        """Return the arguments without the token, for the record of calls."""
        return {name: value for name, value in self._values.items() if name != "token"}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the app."""

    workspace: Workspace
    args: Arguments
    scopes: Collection[str]
    base_url: str
    """``http://127.0.0.1:3000``."""
    new_socket_url: Callable[[], str]
    take_trigger: Callable[[str], str | None]
    """From a trigger id to the person who caused it; None if it is unknown or used."""

    def find_channel(self, name: str = "channel") -> Channel:
        """Return the conversation that the call is about; the app sees public channels and those that it is in.

        Raises:
            Refused: ``channel_not_found``.

        """
        room = self.workspace.find_channel(self.args.required_text(name, "channel_not_found"))
        if room.kind != "channel" and BOT_USER not in room.members:
            raise RefusedCall("channel_not_found")
        return room

    def find_joined_channel(self, name: str = "channel") -> Channel:
        """Return the conversation that the call is about, where the app is a member.

        Raises:
            Refused: ``channel_not_found``, ``not_in_channel``.

        """
        room = self.find_channel(name)
        if BOT_USER not in room.members:
            raise RefusedCall("not_in_channel")
        return room

    def build_page(self, items: Sequence[Json], name: str, default: int = 100) -> Json:
        """Return one page of a list, with the cursor of the next one.

        Raises:
            Refused: ``invalid_cursor``, ``invalid_limit``.

        """
        size = self.args.number("limit", default) or default
        if not 0 < size <= limits.PAGE_LIMIT:
            raise RefusedCall("invalid_limit")
        start = parse_cursor(self.args.text("cursor"))
        more = start + size < len(items)
        body = {name: list(items[start : start + size])}
        return body | {"response_metadata": {"next_cursor": format_cursor(start + size) if more else ""}}


def format_cursor(start: int) -> str:
    """Return the cursor of a page that begins at an item."""
    return f"n{start}="


def parse_cursor(text: str) -> int:
    """Return where a cursor's page begins.

    Raises:
        Refused: ``invalid_cursor``.

    """
    if not text:
        return 0
    digits = text.removeprefix("n").removesuffix("=")
    if not digits.isdigit():
        raise RefusedCall("invalid_cursor")
    return int(digits)


Kind = Literal["bot", "app"]


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the Web API."""

    name: str
    answer: Callable[[Call], Json]
    tier: Tier
    scopes: Sequence[str] = field(default=())
    """Any one of these is enough; none needed where it is empty."""
    caller: Kind = "bot"
    """Whose token it takes."""
