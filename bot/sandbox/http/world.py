"""The part of the control API that adds and changes people, conversations, user groups and the organization."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, get_args

from bot.sandbox.hub import Hub
from bot.sandbox.state.model import TEAM_ID, ChannelKind, Json, Organization, Role, SlackChannel, SlackPerson, UserGroup
from bot.sandbox.state.refusals import RefusedCall

_PERSON = frozenset(field.name for field in fields(SlackPerson)) - {"updated"}
_GROUP = frozenset(field.name for field in fields(UserGroup)) - {"created", "updated"}


class WorldControl:
    """The actions; each one sends the events of what it changes."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._workspace = hub.workspace

    def list_actions(self) -> dict[str, Callable[[Json], Awaitable[Json | None]]]:
        """Return the actions by the name of their endpoint."""
        return {
            "person": self.change_person,
            "channel": self.change_channel,
            "group": self.change_group,
            "organization": self.change_organization,
            "world": self.change_world,
            "join": self.add_member,
            "leave": self.remove_member,
            "rename": self.rename_channel,
            "archive": self.archive_channel,
            "change_id": self.change_id,
            "uninstall": self.uninstall_app,
        }

    async def change_world(self, body: Json) -> None:
        """Set the ``organization``, then many ``people``, ``channels`` and ``groups``; ``silent`` sends no events."""
        events = len(self._workspace.changes.events)
        if "organization" in body:
            await self.change_organization(body["organization"])
        for person in body.get("people", ()):
            await self.change_person(person)
        for channel in body.get("channels", ()):
            await self.change_channel(channel)
        for group in body.get("groups", ()):
            await self.change_group(group)
        if body.get("silent"):
            del self._workspace.changes.events[events:]

    async def change_person(self, body: Json) -> Json:
        """Add or change the person ``id``: ``name``, ``real_name``, ``role``, ``email``, ``team``, ``deleted``."""
        person_id = str(body["id"])
        changed = _select_fields(body, _PERSON) | {"id": person_id}
        if changed.get("role", "member") not in get_args(Role):
            raise RefusedCall("invalid_arguments")
        if person_id in self._workspace.people:
            self._workspace.change_person(person_id, **changed)
        else:
            self._workspace.add_person(SlackPerson(**_with_defaults(changed, "name", "real_name")))
        return {"id": person_id}

    async def change_channel(self, body: Json) -> Json:
        """Add or change a conversation.

        ``channel`` is its id or name. ``id`` and ``kind`` (``channel``, ``group``, ``mpim``) add one, with a ``name``
        and the team that is its ``host``. ``members`` are ids or handles: people join and leave accordingly.
        ``shared_with`` are the other teams. ``topic`` is text. ``refusal`` is the error for posts of the app, or "".
        """
        workspace = self._workspace
        members = self._find_people(body.get("members", ()))
        room = self._find_room(body)
        if room is None:
            name = str(body.get("name", body.get("channel", ""))).lstrip("#")
            created = int(workspace.now())
            kind, host = _read_kind(body["kind"]), body.get("host", TEAM_ID)
            room = SlackChannel(str(body["id"]), name, kind, members, created, body.get("topic", ""), host=host)
            workspace.save_channel(room)
        else:
            self._change_room(room, body, members)
        if "shared_with" in body:
            workspace.share_channel(room.id, [str(team) for team in body["shared_with"]])
        if "refusal" in body:
            workspace.change_channel(room.id, refusal=str(body["refusal"]))
        return {"id": room.id}

    def _find_room(self, body: Json) -> SlackChannel | None:
        if body.get("id") in self._workspace.channels:
            return self._workspace.channels[body["id"]]
        return None if "id" in body else self._workspace.find_channel(body["channel"])

    def _change_room(self, room: SlackChannel, body: Json, members: Iterable[str]) -> None:
        workspace = self._workspace
        if "topic" in body:
            workspace.change_channel(room.id, topic=body["topic"])
        if "kind" in body:
            workspace.change_channel(room.id, kind=_read_kind(body["kind"]))
        if "members" in body:
            after = list(members)
            for member in [member for member in room.members if member not in after]:
                workspace.remove_member(member, room.id)
            for member in after:
                workspace.add_member(member, room.id)

    async def change_group(self, body: Json) -> Json:
        """Add or change the user group ``id``: ``handle``, ``name``, ``users`` (ids or handles), ``disabled``."""
        group_id = str(body["id"])
        changed = _select_fields(body, _GROUP) | {"id": group_id}
        if "users" in body:
            changed["users"] = self._find_people(body["users"])
        if group_id in self._workspace.groups:
            self._workspace.change_group(group_id, **changed)
        else:
            self._workspace.add_group(UserGroup(**_with_defaults(changed, "handle", "name")))
        return {"id": group_id}

    async def change_organization(self, body: Json | None) -> None:
        """Put the workspace into an organization (``id``, ``name``, ``teams``, ``org_wide_install``); null ends it."""
        self._workspace.set_organization(None if body is None else Organization(**body))

    async def add_member(self, body: Json) -> None:
        """Add ``member`` to a channel."""
        member = self._workspace.find_person(body["member"]).id
        self._workspace.add_member(member, self._workspace.find_channel(body["channel"]).id)

    async def remove_member(self, body: Json) -> None:
        """Remove ``member`` from a channel."""
        member = self._workspace.find_person(body["member"]).id
        self._workspace.remove_member(member, self._workspace.find_channel(body["channel"]).id)

    async def rename_channel(self, body: Json) -> None:
        """Rename a channel to ``name``."""
        self._workspace.rename_channel(self._workspace.find_channel(body["channel"]).id, body["name"])

    async def archive_channel(self, body: Json) -> None:
        """Archive a channel as ``person``; with ``archived`` false, unarchive it."""
        person = self._workspace.find_person(body["person"]).id
        room = self._workspace.find_channel(body["channel"]).id
        self._workspace.set_archived(room, person, archived=body.get("archived", True))

    async def change_id(self, body: Json) -> None:
        """Give a channel another ``id``."""
        self._workspace.change_channel_id(self._workspace.find_channel(body["channel"]).id, str(body["id"]))

    async def uninstall_app(self, _body: Json) -> None:
        """Uninstall the app."""
        self._hub.uninstall_app()

    def _find_people(self, names: Iterable[str]) -> list[str]:
        return [self._workspace.find_person(name).id for name in names]


def _select_fields(body: Mapping[str, Any], names: frozenset[str]) -> Json:
    """Return the fields of a record.

    Raises:
        RefusedCall: ``invalid_arguments`` for another name.

    """
    if not names.issuperset(body):
        raise RefusedCall("invalid_arguments")
    return dict(body)


def _with_defaults(changed: Json, handle: str, name: str) -> Json:
    """Return the fields of a new record, whose handle and name are its id if the call has none."""
    return {handle: changed["id"].lower(), name: changed["id"]} | changed


def _read_kind(kind: str) -> ChannelKind:
    """Return the kind of a conversation.

    Raises:
        RefusedCall: ``invalid_arguments``.

    """
    for name in get_args(ChannelKind):
        if kind == name:
            return name  # type: ignore[no-any-return]
    raise RefusedCall("invalid_arguments")
