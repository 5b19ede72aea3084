"""Test the Web API with the real client: answers, and refusals by Slack's names."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox import limits
from tests.sandbox.conftest import refusal
from tests.slack_sandbox import BOT_ID, BOT_USER, TEAM_ID, SandboxClient


async def channel(client: AsyncWebClient, name: str) -> str:
    """Return a channel's id."""
    rooms = (await client.conversations_list())["channels"]
    return next(room["id"] for room in rooms if room["name"] == name)


async def direct(client: AsyncWebClient, box: SandboxClient, person: str = "ada") -> str:
    """Return the direct conversation of the app with a person."""
    people = (await client.users_list())["members"]
    user = next(user["id"] for user in people if user["name"] == person)
    opened = await client.conversations_open(users=[user])
    assert box
    return str(opened["channel"]["id"])


async def test_auth_test_names_the_bot(box: SandboxClient, client: AsyncWebClient) -> None:
    """The scopes are in a header, as on Slack."""
    outcome = await client.auth_test()
    assert (outcome["user_id"], outcome["bot_id"], outcome["team_id"]) == (BOT_USER, BOT_ID, TEAM_ID)
    assert "chat:write" in outcome.headers["x-oauth-scopes"]
    assert (await client.bots_info(bot=BOT_ID))["bot"]["user_id"] == BOT_USER
    assert (await client.team_info())["team"]["id"] == TEAM_ID
    assert box.base_url in outcome["url"]
    assert box.bot_token not in str(await box.requests())


@pytest.mark.parametrize(
    ("token", "error"), [("", "not_authed"), ("xoxb-wrong", "invalid_auth"), ("app", "not_allowed_token_type")]
)
async def test_a_wrong_token_is_refused(box: SandboxClient, token: str, error: str) -> None:
    """No token, an unknown one, one of the wrong kind."""
    outcome = await box.api("auth.test", token=box.app_token if token == "app" else token)
    assert (outcome["ok"], outcome["error"]) == (False, error)


async def test_an_unknown_method(client: AsyncWebClient) -> None:
    """Unknown methods are answered as Slack does."""
    assert await refusal(client.api_call("chat.noSuchMethod")) == "unknown_method"


async def test_post_update_delete(box: SandboxClient, client: AsyncWebClient) -> None:
    """A message of the app is posted in a thread, updated and deleted."""
    ts = await box.say("ada", "#general", "hello")
    room = await channel(client, "general")
    posted = await client.chat_postMessage(channel=room, text="hi *there*", thread_ts=ts)
    assert posted["message"]["thread_ts"] == ts
    await client.chat_update(channel=room, ts=posted["ts"], text="changed")
    thread = (await client.conversations_replies(channel=room, ts=ts))["messages"]
    assert [message["text"] for message in thread] == ["hello", "changed"]
    assert thread[0]["reply_count"] == 1
    assert thread[1]["parent_user_id"] == thread[0]["user"]
    assert len((await client.conversations_history(channel=room))["messages"]) == 1
    assert await refusal(client.chat_update(channel=room, ts=ts, text="not mine")) == "cant_update_message"
    await client.chat_delete(channel=room, ts=posted["ts"])
    assert await refusal(client.chat_update(channel=room, ts=posted["ts"], text="x")) == "message_not_found"


REFUSED_POSTS = {
    "no_text": {"text": "  "},
    "channel_not_found": {"channel": "C0NOWHERE", "text": "x"},
    "not_in_channel": {"channel": "#random", "text": "x"},
    "thread_not_found": {"text": "x", "thread_ts": "1.000001"},
    "msg_too_long": {"markdown_text": "x" * 12_001},
    "markdown_text_conflict": {"markdown_text": "x", "text": "x"},
    "invalid_blocks_format": {"text": "x", "blocks": "[{"},
}


@pytest.mark.parametrize("error", REFUSED_POSTS)
async def test_a_post_is_refused(box: SandboxClient, error: str) -> None:
    """Each refusal has the name that Slack uses."""
    outcome = await box.api("chat.postMessage", **{"channel": "#general", **REFUSED_POSTS[error]})
    assert outcome["error"] == error


def _section(length: int) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": "x" * length}}


def _buttons(count: int) -> list[dict[str, Any]]:
    label = {"type": "plain_text", "text": "go"}
    return [{"type": "button", "action_id": f"a{n}", "text": label} for n in range(count)]


_ICON = {"type": "icon_button", "icon": "trash", "text": {"type": "plain_text", "text": "Delete"}}
BAD_BLOCKS = {
    "section of 3,001": [_section(3_001)],
    "empty section": [_section(0)],
    "51 blocks": [{"type": "divider"}] * 51,
    "header of 151": [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}],
    "mrkdwn header": [{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}],
    "table of 101 rows": [{"type": "table", "rows": [[]] * 101}],
    "table of 21 columns": [{"type": "table", "rows": [[{"type": "raw_text", "text": "x"}] * 21]}],
    "two tables": [{"type": "table", "rows": [[]]}] * 2,
    "26 actions": [{"type": "actions", "elements": _buttons(26)}],
    "same action twice": [{"type": "actions", "elements": [_buttons(1)[0]] * 2}],
    "6 context actions": [{"type": "context_actions", "elements": [{"type": "icon_button"}] * 6}],
    "button in context actions": [{"type": "context_actions", "elements": _buttons(1)}],
    "vote without buttons": [{"type": "context_actions", "elements": [{"type": "feedback_buttons"}]}],
    "another icon than a trash can": [{"type": "context_actions", "elements": [_ICON | {"icon": "refresh"}]}],
    "icon for 11 people": [{"type": "context_actions", "elements": [_ICON | {"visible_to_user_ids": ["U1"] * 11}]}],
    "11 context elements": [{"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}] * 11}],
    "markdown of 12,001": [{"type": "markdown", "text": "x" * 12_001}],
    "unknown type": [{"type": "poem"}],
    "same block_id": [{"type": "divider", "block_id": "x"}] * 2,
}


@pytest.mark.parametrize("case", BAD_BLOCKS)
async def test_blocks_are_refused_with_their_place(box: SandboxClient, case: str) -> None:
    """Each error of the block kit names its place."""
    outcome = await box.api("chat.postMessage", channel="#general", text="x", blocks=BAD_BLOCKS[case])
    assert outcome["error"] == "invalid_blocks"
    assert "/blocks" in outcome["response_metadata"]["messages"][0]


async def test_blocks_at_the_limit_pass(box: SandboxClient) -> None:
    """Blocks at the limit are accepted; two markdown blocks over 12,000 together are not."""
    fits = [_section(3_000), {"type": "markdown", "text": "x" * 12_000}, {"type": "actions", "elements": _buttons(25)}]
    assert (await box.api("chat.postMessage", channel="#general", text="x", blocks=fits))["ok"]
    halves = [{"type": "markdown", "text": "x" * 6_001}] * 2
    outcome = await box.api("chat.postMessage", channel="#general", text="x", blocks=halves)
    assert outcome["error"] == "msg_too_long"


async def test_an_update_keeps_the_blocks_that_it_does_not_name(box: SandboxClient, client: AsyncWebClient) -> None:
    """As on Slack, a text alone keeps the old blocks; an empty list removes them."""
    blocks = [{"type": "markdown", "text": "old"}]
    posted = await client.chat_postMessage(channel="#general", text="old", blocks=blocks)
    where = {"channel": posted["channel"], "ts": posted["ts"]}
    update = await box.api("chat.update", **where, text="new")
    assert update["message"]["blocks"][0]["text"] == "old"
    gone = await box.api("chat.update", **where, text="new", blocks=[])
    assert "blocks" not in gone["message"]


async def test_long_texts(box: SandboxClient, client: AsyncWebClient) -> None:
    """A post is cut at 40,000; an update over 4,000 is refused."""
    posted = await client.chat_postMessage(channel="#general", text="x" * 40_001)
    assert len(posted["message"]["text"]) == 40_000
    outcome = await box.api("chat.update", channel=posted["channel"], ts=posted["ts"], text="x" * 4_001)
    assert outcome["error"] == "msg_too_long"


async def test_forms_and_json_are_alike(box: SandboxClient) -> None:
    """Slack accepts blocks as a string in a form, too."""
    form = {"channel": "#general", "text": "x", "blocks": '[{"type": "divider"}]', "token": box.bot_token}
    async with box.session.post(box.api_url + "chat.postMessage", data=form) as answer:
        outcome = await answer.json()
    assert outcome["message"]["blocks"][0]["type"] == "divider"


async def test_pages_of_a_thread(box: SandboxClient, client: AsyncWebClient) -> None:
    """A cursor leads through a thread; its root is on each page."""
    ts = await box.say("ada", "#general", "root")
    for n in range(5):
        await box.say("bo", "#general", f"reply {n}", ts)
    room = await channel(client, "general")
    for limit in (1, 2, 100):
        texts: list[str] = []
        async for page in await client.conversations_replies(channel=room, ts=ts, limit=limit):
            assert page["messages"][0]["text"] == "root"
            texts += [message["text"] for message in page["messages"][1:]]
        assert texts == [f"reply {n}" for n in range(5)]
    assert await refusal(client.conversations_replies(channel=room, ts=ts, cursor="?")) == "invalid_cursor"


async def test_people_channels_and_members(box: SandboxClient, client: AsyncWebClient) -> None:
    """The app sees public channels and its own direct conversations, not those of others."""
    mine = (await client.users_conversations(types="public_channel,im"))["channels"]
    assert {room.get("name") for room in mine} == {"general", "handbook", "project", "partners", None}
    assert len([room for room in mine if room["is_im"]]) == 5
    others = box.hub.workspace.find_direct_channel(("U0ADA00001", "U0BO000002")) if box.hub else None
    assert others
    assert await refusal(client.conversations_info(channel=others.id)) == "channel_not_found"
    members = (await client.conversations_members(channel=await channel(client, "general")))["members"]
    assert BOT_USER in members
    assert (await client.users_info(user="U0CHEN0003"))["user"]["real_name"] == "陈静 Chen Jing"
    assert (await client.conversations_join(channel=await channel(client, "random")))["channel"]["is_member"]


async def test_reactions(box: SandboxClient, client: AsyncWebClient) -> None:
    """Added once, removed once."""
    ts = await box.say("ada", "#general", "hi")
    room = await channel(client, "general")
    await client.reactions_add(channel=room, timestamp=ts, name="eyes")
    assert await refusal(client.reactions_add(channel=room, timestamp=ts, name="eyes")) == "already_reacted"
    assert (await box.messages())[0]["reactions"] == [{"name": "eyes", "users": [BOT_USER], "count": 1}]
    await client.reactions_remove(channel=room, timestamp=ts, name="eyes")
    assert await refusal(client.reactions_remove(channel=room, timestamp=ts, name="eyes")) == "no_reaction"


async def test_home_and_modal(box: SandboxClient, client: AsyncWebClient) -> None:
    """A published Home is shown to its person; a modal needs a fresh trigger."""
    view = {"type": "home", "blocks": [{"type": "header", "text": {"type": "plain_text", "text": "Welcome"}}]}
    published = await client.views_publish(user_id="U0ADA00001", view=view)
    home = await box.home("ada")
    assert home
    assert home["id"] == published["view"]["id"]
    assert await box.home("bo") is None
    stale = client.views_publish(user_id="U0ADA00001", view=view, hash="0.old")
    assert await refusal(stale) == "hash_conflict"
    modal = {"type": "modal", "title": {"type": "plain_text", "text": "Ask"}, "blocks": []}
    assert await refusal(client.views_open(trigger_id="1.2.3", view=modal)) == "expired_trigger_id"
    assert box.hub is not None
    await box.set_trigger_lifetime(limits.TRIGGER_LIFETIME_S)
    trigger = box.hub.new_trigger("U0ADA00001")
    await box.advance(3.1)
    assert await refusal(client.views_open(trigger_id=trigger, view=modal)) == "expired_trigger_id"


async def test_window_of_no_length_has_no_messages(box: SandboxClient, client: AsyncWebClient) -> None:
    """Slack is said to return nothing if ``oldest`` and ``latest`` are equal."""
    room = await channel(client, "general")
    ts = await box.say("ada", "#general", "Is the build green?")
    reply = await box.say("bo", "#general", "Yes.", thread_ts=ts)
    history = await client.conversations_history(channel=room, oldest=ts, latest=ts, inclusive=True)
    replies = await client.conversations_replies(channel=room, ts=ts, oldest=reply, latest=reply, inclusive=True)
    assert history["messages"] == []
    assert [message["ts"] for message in replies["messages"]] == [ts]
