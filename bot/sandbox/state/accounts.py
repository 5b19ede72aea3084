"""People, user groups and the organization; the app gets the events that it subscribed to."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from bot.sandbox.state import directory
from bot.sandbox.state.changes import PageUpdate
from bot.sandbox.state.conversations import Conversations
from bot.sandbox.state.model import BOT_USER, TEAM_ID, Json, Organization, SlackPerson, UserGroup


class Accounts(Conversations):
    """The operations on people, user groups and the organization."""

    def add_person(self, person: SlackPerson) -> SlackPerson:
        """Add an account, with a direct conversation with the app for people of this company."""
        self._save_person(person)
        if person.team in self.own_teams():
            if not person.is_bot:
                self._create_direct((person.id, BOT_USER))
            self._send_workspace_event({"type": "team_join", "user": directory.user_object(self, person)})
        return person

    def change_person(self, person: str, **changed: Any) -> SlackPerson:  # noqa: ANN401 - any field of a person
        """Change an account: its role, e-mail or names, or whether it is deactivated."""
        after = replace(self.people[person], **changed, updated=int(self.now()))
        self._save_person(after)
        user = directory.user_object(self, after)
        self._send_workspace_event({"type": "user_change", "user": user, "cache_ts": int(self.now())})
        return after

    def _save_person(self, person: SlackPerson) -> None:
        self.people[person.id] = person
        self.changes.save_record(person)
        body = {"type": "person", "person": person_frame(self, person)}
        self.changes.updates.append(PageUpdate(f"person/{person.id}", body))

    def add_group(self, group: UserGroup) -> UserGroup:
        """Add a user group."""
        group = replace(group, created=int(self.now()), updated=int(self.now()))
        self._save_group(group)
        self._send_workspace_event({"type": "subteam_created", "subteam": directory.group_object(group)})
        return group

    def change_group(self, group_id: str, **changed: Any) -> UserGroup:  # noqa: ANN401 - any field of a group
        """Change a user group; new members cause an event of their own before the general one."""
        before = self.groups[group_id]
        after = replace(before, **changed, updated=int(self.now()))
        self._save_group(after)
        if set(before.users) != set(after.users):
            self._send_workspace_event(_members_event(before, after))
        self._send_workspace_event({"type": "subteam_updated", "subteam": directory.group_object(after)})
        return after

    def _save_group(self, group: UserGroup) -> None:
        self.groups[group.id] = group
        self.changes.save_record(group)

    def set_organization(self, organization: Organization | None) -> None:
        """Put the workspace into an Enterprise Grid organization, or take it out."""
        if self.organization:
            self.changes.delete_record(self.organization)
        before, self.organization = self.organization, organization
        if organization:
            self.changes.save_record(organization)
        if before and organization and organization.org_wide_install:
            for name, teams in (
                ("team_access_granted", _subtract_ids(organization.teams, before.teams)),
                ("team_access_revoked", _subtract_ids(before.teams, organization.teams)),
            ):
                if teams:
                    self._send_workspace_event({"type": name, "team_ids": teams})

    def _send_workspace_event(self, event: Json) -> None:
        if event["type"] in self.subscriptions:
            self.changes.events.append((event | {"event_ts": self.next_ts()}, None))


def _members_event(before: UserGroup, after: UserGroup) -> Json:
    added, removed = _subtract_ids(after.users, before.users), _subtract_ids(before.users, after.users)
    return {
        "type": "subteam_members_changed",
        "subteam_id": after.id,
        "team_id": TEAM_ID,
        "date_previous_update": before.updated,
        "date_update": after.updated,
        "added_users": added,
        "added_users_count": len(added),
        "removed_users": removed,
        "removed_users_count": len(removed),
    }


def _subtract_ids(ids: Collection[str], others: Collection[str]) -> list[str]:
    return [one for one in ids if one not in others]


def person_frame(accounts: Conversations, person: SlackPerson) -> Json:
    """Return a person in the form that pages get: Slack's object with title, name and role."""
    user = directory.user_object(accounts, person)
    role = "external" if person.team not in accounts.own_teams() else person.role
    return user | {"title": person.title, "real_name": person.real_name, "role": role}
