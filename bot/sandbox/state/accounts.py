"""People, user groups and the organization; the app gets the events that it subscribed to."""

from __future__ import annotations

from collections.abc import Collection

from bot.sandbox.state import directory
from bot.sandbox.state.conversations import Conversations
from bot.sandbox.state.model import BOT_USER, TEAM_ID, Json, Organization, SlackPerson, UserGroup
from bot.sandbox.state.records import PageUpdate


class Accounts(Conversations):
    """The operations on people, user groups and the organization."""

    def save_person(self, person: SlackPerson) -> None:
        """Add or change an account. A new one of this company gets a direct conversation with the app."""
        is_new = person.id not in self.people
        self.people[person.id] = person
        self.changes.save_record(person)
        body = {"type": "person", "person": person_frame(self, person)}
        self.changes.updates.append(PageUpdate(f"person/{person.id}", body))
        user = directory.user_object(self, person)
        if not is_new:
            self._queue_event({"type": "user_change", "user": user, "cache_ts": int(self.now())})
        elif person.team in self.own_teams():
            if not person.is_bot:
                self._create_direct((person.id, BOT_USER))
            self._queue_event({"type": "team_join", "user": user})

    def save_group(self, group: UserGroup) -> None:
        """Add or change a user group; new members cause an event of their own before the general one."""
        before = self.groups.get(group.id)
        self.groups[group.id] = group
        self.changes.save_record(group)
        if before and set(before.users) != set(group.users):
            self._queue_event(_members_event(before, group))
        kind = "subteam_updated" if before else "subteam_created"
        self._queue_event({"type": kind, "subteam": directory.group_object(group)})

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
                    self._queue_event({"type": name, "team_ids": teams})


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
