"""The call that a method gets, and the description of a method."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.sandbox import limits
from bot.sandbox.limits import Tier
from bot.sandbox.state.model import BOT_USER, Json, SlackChannel
from bot.sandbox.state.refusals import RefusedCall, build_refusal
from bot.sandbox.state.workspace import Workspace


class Arguments:
    """A call's arguments, from a query, a form or a JSON body."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: value for name, value in values.items() if value is not None}

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def get_text(self, name: str, default: str = "") -> str:
        """Return a string; a number becomes its digits."""
        value = self._values.get(name, default)
        return value if isinstance(value, str) else json.dumps(value)

    def required_text(self, name: str, error: str | None = None) -> str:
        """Return a required string.

        Raises:
            RefusedCall: ``invalid_arguments``, or ``error``.

        """
        value = self.get_text(name)
        if not value and error:
            raise RefusedCall(error)
        if not value:
            raise build_refusal("invalid_arguments", [f"missing required field: {name}"])
        return value

    def get_flag(self, name: str) -> bool:
        """Return a boolean as Slack reads it."""
        return self._values.get(name) in {True, "1", "true", "True"}

    def get_number(self, name: str, default: int) -> int:
        """Return a whole number.

        Raises:
            RefusedCall: ``invalid_arguments``.

        """
        value = self._values.get(name, default)
        try:
            return int(value)
        except (TypeError, ValueError) as error:
            raise build_refusal("invalid_arguments", [f"must be a number: {name}"]) from error

    def get_structure(self, name: str, error: str = "invalid_arguments") -> Any:  # noqa: ANN401
        """Return an object or a list, parsed if it came as a string; None if it is missing.

        Raises:
            RefusedCall: ``error``, if it is not JSON.

        """
        value = self._values.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value) if value else None
        except ValueError as cause:
            raise RefusedCall(error) from cause


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the app."""

    workspace: Workspace
    args: Arguments
    scopes: Collection[str]
    base_url: str
    new_socket_url: Callable[[], str]
    take_trigger: Callable[[str], str | None]
    """Returns the person behind a trigger id, or None if it is unknown or used."""

    def find_channel(self, name: str = "channel") -> SlackChannel:
        """Return the call's conversation; the app sees public channels and those that it is in.

        Raises:
            RefusedCall: ``channel_not_found``.

        """
        room = self.workspace.find_channel(self.args.required_text(name, "channel_not_found"))
        if room.kind != "channel" and BOT_USER not in room.members:
            raise RefusedCall("channel_not_found")
        return room

    def find_joined_channel(self, name: str = "channel") -> SlackChannel:
        """Return the call's conversation, of which the app is a member.

        Raises:
            RefusedCall: ``channel_not_found``, ``not_in_channel``.

        """
        room = self.find_channel(name)
        if BOT_USER not in room.members:
            raise RefusedCall("not_in_channel")
        return room

    def check_posting(self, room: SlackChannel) -> SlackChannel:
        """Return a conversation in which the app may post.

        Raises:
            RefusedCall: ``is_archived``, or the conversation's own refusal.

        """
        refusal = "is_archived" if room.archived else room.refusal
        if refusal:
            raise RefusedCall(refusal)
        return room

    def build_page(self, items: Sequence[Any], name: str, default: int = 100) -> Json:
        """Return one page of a list, with the cursor of the next one.

        Raises:
            RefusedCall: ``invalid_cursor``, ``invalid_limit``.

        """
        size = self.args.get_number("limit", default) or default
        if not 0 < size <= limits.PAGE_LIMIT:
            raise RefusedCall("invalid_limit")
        digits = (self.args.get_text("cursor") or "n0=").removeprefix("n").removesuffix("=")
        if not digits.isdigit():
            raise RefusedCall("invalid_cursor")
        end = int(digits) + size
        page = list(items[int(digits) : end])
        return {name: page, "response_metadata": {"next_cursor": f"n{end}=" if end < len(items) else ""}}


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the Web API."""

    name: str
    answer: Callable[[Call], Json]
    tier: Tier
    scopes: Sequence[str] = field(default=())
    """One of these scopes is enough; no scope is needed if there are none."""
    caller: Literal["bot", "app"] = "bot"
    """The kind of token that it requires."""
