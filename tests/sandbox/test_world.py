"""Test people, conversations, user groups and the organization: what the app reads, and the events of changes."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.state.demo import GUEST, PARTNER
from bot.sandbox.state.model import PARTNER_TEAM_ID, SIBLING_TEAM_ID, TEAM_ID
from tests.sandbox.conftest import Listener
from tests.slack_sandbox import BOT_USER, SandboxClient, open_sandbox

ADA, BO, CHEN = "U0ADA00001", "U0BO000002", "U0CHEN0003"
GENERAL, PROJECT, REORG, PARTNERS = "C0GENERAL1", "C0PROJECT1", "C0REORG001", "C0PARTNERS"


async def get_user(client: AsyncWebClient, user: str) -> dict[str, Any]:
    """Return a user object."""
    return dict((await client.users_info(user=user))["user"])


async def get_channel(client: AsyncWebClient, channel: str) -> dict[str, Any]:
    """Return a conversation object."""
    return dict((await client.conversations_info(channel=channel))["channel"])


async def wait_for_events(listener: Listener, kind: str, count: int = 1) -> list[dict[str, Any]]:
    """Return the envelopes of a type of event, once there are so many."""
    found = await listener.wait(lambda request: request.payload.get("event", {}).get("type") == kind, count)
    return [request.payload for request in found]


# ── People ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("role", "flags"),
    [
        ("owner", {"is_owner", "is_admin"}),
        ("admin", {"is_admin"}),
        ("member", set()),
        ("guest", {"is_restricted"}),
        ("single_channel_guest", {"is_restricted", "is_ultra_restricted"}),
    ],
)
async def test_the_flags_of_each_role(box: SandboxClient, client: AsyncWebClient, role: str, flags: set[str]) -> None:
    await box.person("U0EVE", role=role, email="eve@sandbox.example")
    user = await get_user(client, "U0EVE")
    names = ("is_owner", "is_admin", "is_restricted", "is_ultra_restricted")
    assert {name for name in names if user[name]} == flags
    assert (user["profile"]["email"], user["team_id"]) == ("eve@sandbox.example", TEAM_ID)


async def test_a_person_of_another_company_is_no_stranger_in_a_shared_channel(
    box: SandboxClient, client: AsyncWebClient
) -> None:
    """As on Slack, ``is_stranger`` is true only without a shared channel; ``team_id`` tells the company."""
    await box.person("U0ZOE", team="T0FARAWAY1")
    assert (await get_user(client, "U0ZOE"))["is_stranger"] is True
    partner = await get_user(client, PARTNER.id)
    assert (partner["is_stranger"], partner["team_id"]) == (False, PARTNER_TEAM_ID)
    assert "is_stranger" not in await get_user(client, ADA)


async def test_a_deactivated_account_has_fewer_fields(box: SandboxClient, client: AsyncWebClient) -> None:
    await box.person("U0BO000002", deleted=True)
    user = await get_user(client, BO)
    assert user["deleted"] is True
    assert not {"is_restricted", "is_admin", "real_name"} & set(user)
    listed = (await client.users_list())["members"]
    assert [member["deleted"] for member in listed if member["id"] == BO] == [True]
    with pytest.raises(SlackApiError, match="users_not_found"):
        await client.users_lookupByEmail(email="bo@sandbox.example")
    with pytest.raises(AssertionError, match="account_inactive"):
        await box.say("bo", "#general", "hello")


async def test_the_email_needs_its_scope(box: SandboxClient, client: AsyncWebClient, listener: Listener) -> None:
    assert (await client.users_lookupByEmail(email="ADA@sandbox.example"))["user"]["id"] == ADA
    await box.faults(scopes=["users:read"])
    assert "email" not in (await get_user(client, ADA))["profile"]
    await box.person(ADA, title="Research")
    (changed,) = await wait_for_events(listener, "user_change")
    assert "email" not in changed["event"]["user"]["profile"]


# ── Conversations ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_kinds_of_conversations(client: AsyncWebClient) -> None:
    """A private channel, a group DM and a shared channel have Slack's flags."""
    private = await get_channel(client, REORG)
    assert (private["is_private"], private["is_mpim"], private["is_group"]) == (True, False, True)
    group = await get_channel(client, "C0MPDM0001")
    assert (group["is_mpim"], group["is_private"], group["is_channel"]) == (True, True, True)
    shared = await get_channel(client, PARTNERS)
    assert (shared["is_shared"], shared["is_ext_shared"], shared["is_org_shared"]) == (True, True, False)
    assert (shared["conversation_host_id"], shared["connected_team_ids"]) == (TEAM_ID, [PARTNER_TEAM_ID])
    listed = (await client.conversations_list(types="private_channel,mpim"))["channels"]
    assert {room["id"] for room in listed} == {REORG, "C0MPDM0001"}


async def test_a_private_channel_is_hidden_without_membership(box: SandboxClient, client: AsyncWebClient) -> None:
    """The app reads neither a channel nor its members after it left; ``#reorg`` is no link for a stranger to it."""
    await box.leave("kvasir", "#reorg")
    for call in (client.conversations_info, client.conversations_members, client.conversations_history):
        with pytest.raises(SlackApiError, match="channel_not_found"):
            await call(channel=REORG)
    assert REORG not in {room["id"] for room in (await client.conversations_list(types="private_channel"))["channels"]}
    await box.say("gus", "#project", "what is #reorg?")
    assert (await box.messages("#project"))[0]["text"] == "what is #reorg?"
    with pytest.raises(AssertionError, match="not_in_channel"):
        await box.say("gus", "#reorg", "hello")


async def test_what_a_person_of_another_company_says(box: SandboxClient, listener: Listener) -> None:
    """The event names the author's company in all of its places."""
    await box.say("noor", "#partners", "@Kvasir hello")
    (mention,) = await wait_for_events(listener, "app_mention")
    event = mention["event"]
    assert {event["team"], event["user_team"], event["source_team"], event["user_profile"]["team"]} == {PARTNER_TEAM_ID}
    assert (mention["team_id"], mention["is_ext_shared_channel"]) == (TEAM_ID, True)
    assert mention["authorizations"][0]["team_id"] == TEAM_ID
    await box.command("noor", "#partners", "/kb status")
    (note,) = [message for message in await box.messages("#partners", "noor") if message["ephemeral"]]
    assert note["text"].startswith("`/kb` is not a command here")
    assert not [request for request in listener.got if request.type == "slash_commands"]


async def test_a_channel_of_another_company(box: SandboxClient, client: AsyncWebClient, listener: Listener) -> None:
    """The envelope names the host, its authorization the workspace of the app, and the message its author's."""
    theirs = {"id": "C0THEIRS01", "name": "theirs", "kind": "channel", "host": PARTNER_TEAM_ID}
    await box.world(channels=[theirs | {"members": ["ada", "noor", "kvasir"], "shared_with": [TEAM_ID]}], silent=True)
    room = await get_channel(client, "C0THEIRS01")
    assert (room["is_ext_shared"], room["conversation_host_id"]) == (True, PARTNER_TEAM_ID)
    await box.say("ada", "#theirs", "@Kvasir hello")
    (mention,) = await wait_for_events(listener, "app_mention")
    assert (mention["team_id"], mention["context_team_id"]) == (PARTNER_TEAM_ID, TEAM_ID)
    assert mention["authorizations"][0]["team_id"] == TEAM_ID
    assert mention["event"]["user_team"] == TEAM_ID


async def test_group_messages(box: SandboxClient, client: AsyncWebClient, listener: Listener) -> None:
    """A group DM is opened once for the same people; nobody joins it later."""
    opened = (await client.conversations_open(users=[ADA, BO]))["channel"]["id"]
    assert (await client.conversations_open(users=[BO, ADA]))["channel"]["id"] == opened
    await box.say("ada", "@bo,@kvasir", "hello")
    event = (await wait_for_events(listener, "message"))[0]["event"]
    assert (event["channel"], event["channel_type"]) == (opened, "mpim")
    assert set((await client.conversations_members(channel=opened))["members"]) == {ADA, BO, BOT_USER}
    with pytest.raises(AssertionError, match="method_not_supported_for_channel_type"):
        await box.join("chen", opened)


# ── Organization ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_enterprise_grid(box: SandboxClient, client: AsyncWebClient, listener: Listener) -> None:
    """A person of a sibling workspace is a colleague, with the organization in each place where Slack names it."""
    await box.world(
        organization={"org_wide_install": True}, people=[{"id": "W0SIBLING1", "name": "sib", "team": SIBLING_TEAM_ID}]
    )
    await box.channel("#general", shared_with=[SIBLING_TEAM_ID])
    await box.join("sib", "#general")
    room = await get_channel(client, GENERAL)
    assert (room["is_shared"], room["is_org_shared"], room["is_ext_shared"]) == (True, True, False)
    sibling = await get_user(client, "W0SIBLING1")
    assert "is_stranger" not in sibling
    assert sibling["enterprise_user"]["enterprise_id"] == "E0SANDBOX1"
    assert sibling["enterprise_user"]["teams"] == [SIBLING_TEAM_ID]
    assert "enterprise_user" not in await get_user(client, PARTNER.id)
    await box.say("sib", "#general", "@Kvasir hello")
    (mention,) = await wait_for_events(listener, "app_mention")
    assert (mention["enterprise_id"], mention["is_ext_shared_channel"]) == ("E0SANDBOX1", False)
    assert mention["event"]["user_team"] == SIBLING_TEAM_ID
    (authorization,) = mention["authorizations"]
    assert (authorization["enterprise_id"], authorization["team_id"]) == ("E0SANDBOX1", None)
    assert authorization["is_enterprise_install"] is True
    test = await client.auth_test()
    assert (test["enterprise_id"], test["team_id"], test["is_enterprise_install"]) == ("E0SANDBOX1", None, True)


async def test_an_org_wide_token_names_the_workspace_of_each_list(box: SandboxClient, client: AsyncWebClient) -> None:
    await box.world(
        organization={"org_wide_install": True},
        people=[{"id": "W0SIBLING1", "name": "sib", "team": SIBLING_TEAM_ID}],
        groups=[{"id": "S0FINANCE", "users": [BO]}],
    )
    await box.channel("#general", shared_with=[SIBLING_TEAM_ID])
    listing = (client.users_list, client.usergroups_list, client.users_conversations, client.conversations_list)
    for method in listing:
        with pytest.raises(SlackApiError) as refused:
            await method()
        assert (refused.value.response["error"], refused.value.response["arg"]) == ("missing_argument", "team_id")
        with pytest.raises(SlackApiError, match="team_access_not_granted"):
            await method(team_id="T0ELSEWHERE")
    teams = [team["id"] for team in (await client.auth_teams_list())["teams"]]
    assert teams == ["T0SANDBOX1", SIBLING_TEAM_ID]
    people = [{one["id"] for one in (await client.users_list(team_id=team))["members"]} for team in teams]
    assert (BO in people[0], BO in people[1], people[1]) == (True, False, {"W0SIBLING1"})
    groups = [(await client.usergroups_list(team_id=team))["usergroups"] for team in teams]
    assert [len(some) for some in groups] == [1, 0]
    rooms = [(await client.conversations_list(team_id=team))["channels"] for team in teams]
    assert [room["id"] for room in rooms[1]] == [GENERAL]
    assert len(rooms[0]) > 1


async def test_the_recipient_of_a_stream_is_of_the_named_workspace(box: SandboxClient, client: AsyncWebClient) -> None:
    await box.world(organization={}, people=[{"id": "W0SIBLING1", "name": "sib", "team": SIBLING_TEAM_ID}])
    await box.channel("#general", shared_with=[SIBLING_TEAM_ID])
    await box.join("sib", "#general")
    ts = await box.say("sib", "#general", "@Kvasir hello")
    stream = {"channel": GENERAL, "thread_ts": ts, "markdown_text": "Hello", "recipient_user_id": "W0SIBLING1"}
    with pytest.raises(SlackApiError, match="team_not_found"):
        await client.chat_startStream(**stream, recipient_team_id="T0SANDBOX1")
    assert (await client.chat_startStream(**stream, recipient_team_id=SIBLING_TEAM_ID))["ok"]


async def test_the_world_outlives_a_restart(tmp_path: Path) -> None:
    async with open_sandbox(tmp_path) as box:
        await box.world(organization={}, groups=[{"id": "S0FINANCE", "users": ["ada"]}])
        await box.person(GUEST.id, role="guest")
    async with open_sandbox(tmp_path) as box:
        assert (await box.api("usergroups.list", include_users=True))["usergroups"][0]["users"] == [ADA]
        guest = (await box.api("users.info", user=GUEST.id))["user"]
        assert (guest["is_restricted"], guest["is_ultra_restricted"]) == (True, False)
        assert guest["enterprise_user"]["enterprise_id"] == "E0SANDBOX1"


async def test_the_state_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """Fields that no longer exist are dropped, and the people and channels that it did not have are added."""
    async with open_sandbox(tmp_path) as box:
        ts = await box.say("ada", "#general", "from before")
    old = {"id": GENERAL, "name": "general", "kind": "channel", "members": [ADA, BOT_USER], "created": 1}
    with contextlib.closing(sqlite3.connect(tmp_path / "sandbox" / "workspace.sqlite3")) as database, database:
        body = json.dumps(old | {"shared_externally": False})
        database.execute("UPDATE record SET body = ? WHERE kind = 'channel' AND key = ?", (body, GENERAL))
        database.execute("DELETE FROM record WHERE key IN (?, ?)", (GUEST.id, REORG))
    async with open_sandbox(tmp_path) as box:
        assert [message["ts"] for message in await box.messages()] == [ts]
        assert (await box.api("conversations.members", channel=GENERAL))["members"] == [ADA, BOT_USER]
        assert (await box.api("users.info", user=GUEST.id))["user"]["is_ultra_restricted"] is True
        assert (await box.api("conversations.info", channel=REORG))["channel"]["is_private"] is True
