"""Test the events of what people do: edits, deletions, buttons, answers to a response_url, other bots."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.sandbox.hub import SCOPES
from bot.sandbox.interactions import APP_COMMANDS, APP_SHORTCUTS
from bot.sandbox.state import text
from bot.sandbox.state.demo import BOT, PEOPLE, first_channels
from bot.sandbox.state.records import SUBSCRIPTIONS
from bot.slack.workspace.manifest import build_manifest
from tests.slack_sandbox import BOT_USER, FEEDBACK_BUTTONS, SandboxClient

ADA = "U0ADA00001"
GENERAL = "C0GENERAL1"
Listener = Any


async def test_edit_and_delete(box: SandboxClient, listener: Listener) -> None:
    """The app gets the message before and after, with Slack's subtypes."""
    ts = await box.say("ada", "#general", "teh question")
    await box.edit("ada", "#general", ts, "the question")
    await box.delete("ada", "#general", ts)
    await listener.wait(lambda request: request.payload["event"].get("subtype") == "message_deleted")
    said, changed, deleted = listener.events("message")
    assert said["client_msg_id"]
    assert (changed["message"]["text"], changed["previous_message"]["text"]) == ("the question", "teh question")
    assert changed["message"]["edited"]["user"] == ADA
    assert (deleted["deleted_ts"], deleted["previous_message"]["text"]) == (ts, "the question")
    assert all(event["channel"] == GENERAL for event in (changed, deleted))


async def test_mention_of_a_user_group_has_its_id(box: SandboxClient, listener: Listener) -> None:
    await box.group("S0ONCALL01", handle="oncall", name="On call", users=["bo"])
    await box.say("ada", "#general", "@oncall please look")
    await listener.wait(lambda request: request.payload["event"]["type"] == "message")
    [said] = listener.events("message")
    assert said["text"] == "<!subteam^S0ONCALL01|@oncall> please look"
    [section] = said["blocks"][0]["elements"]
    assert section["elements"][0] == {"type": "usergroup", "usergroup_id": "S0ONCALL01", "text": "@oncall"}


async def test_a_deleted_root_leaves_its_thread(box: SandboxClient, client: AsyncWebClient) -> None:
    """A tombstone replaces it as long as there are replies."""
    ts = await box.say("ada", "#general", "root")
    await box.say("bo", "#general", "reply", ts)
    await box.delete("ada", "#general", ts)
    thread = (await client.conversations_replies(channel=GENERAL, ts=ts))["messages"]
    assert [message.get("subtype") for message in thread] == ["tombstone", None]


async def test_a_reply_to_a_reply_is_in_the_same_thread(
    box: SandboxClient, client: AsyncWebClient, listener: Listener
) -> None:
    """Threads have one level; the event names the root and its author."""
    root = await box.say("ada", "#general", "root")
    reply = await box.say("bo", "#general", "reply", root)
    await box.say("chen", "#general", "@Kvasir deeper", reply)
    await listener.wait(lambda request: request.payload["event"]["type"] == "app_mention")
    mention = listener.events("app_mention")[0]
    assert (mention["thread_ts"], mention["parent_user_id"]) == (root, ADA)
    assert len((await client.conversations_replies(channel=GENERAL, ts=reply))["messages"]) == 3


async def test_a_button_and_its_response_url(box: SandboxClient, client: AsyncWebClient, listener: Listener) -> None:
    """A press has message, container and response_url; the answer replaces the message, then adds one."""
    label = {"type": "plain_text", "text": "Yes"}
    button = {"type": "button", "action_id": "confirm", "value": "42", "text": label}
    posted = await client.chat_postMessage(
        channel=GENERAL, text="Sure?", blocks=[{"type": "actions", "block_id": "b", "elements": [button]}]
    )
    await box.press("bo", "#general", posted["ts"], "confirm")
    request = (await listener.wait(lambda request: request.type == "interactive"))[0]
    payload = request.payload
    assert payload["type"] == "block_actions"
    assert payload["actions"][0] | {"action_ts": ""} == button | {"block_id": "b", "action_ts": ""}
    assert payload["container"]["message_ts"] == posted["ts"] == payload["message"]["ts"]
    assert payload["user"]["username"] == "bo"
    webhook = AsyncWebhookClient(payload["response_url"])
    assert (await webhook.send(text="Done", replace_original=True)).status_code == 200
    assert (await webhook.send(text="For you", response_type="ephemeral")).status_code == 200
    assert (await webhook.send(text="For all", response_type="in_channel")).status_code == 200
    messages = [(m["text"], m["ephemeral"]) for m in await box.messages(person="bo")]
    assert messages == [("Done", False), ("For you", True), ("For all", False)]
    assert len(await box.messages(person="ada")) == 2
    for _ in range(2):
        await webhook.send(text="x")
    assert (await webhook.send(text="once too often")).status_code == 404


async def test_feedback_buttons(box: SandboxClient, client: AsyncWebClient, listener: Listener) -> None:
    """The value is that of the pressed button."""
    blocks = [{"type": "context_actions", "elements": [FEEDBACK_BUTTONS]}]
    posted = await client.chat_postMessage(channel=GENERAL, text="?", blocks=blocks)
    await box.press("ada", "#general", posted["ts"], "feedback", value="negative")
    request = (await listener.wait(lambda request: request.type == "interactive"))[0]
    assert request.payload["actions"][0]["value"] == "it-was-negative"
    with pytest.raises(AssertionError, match="action_not_found"):
        await box.press("ada", "#general", posted["ts"], "nothing")


async def test_a_modal_is_opened_and_submitted(box: SandboxClient, client: AsyncWebClient, listener: Listener) -> None:
    """The trigger of a command works once; a submission has the values of the form."""
    await box.command("ada", "#general", "/kb help")
    request = (await listener.wait(lambda request: request.type == "slash_commands"))[0]
    field = {"type": "input", "block_id": "q", "label": {"type": "plain_text", "text": "Question"}}
    field["element"] = {"type": "plain_text_input", "action_id": "text"}
    title = {"type": "plain_text", "text": "Ask"}
    view = {"type": "modal", "callback_id": "ask", "title": title, "submit": title, "blocks": [field]}
    opened = await client.views_open(trigger_id=request.payload["trigger_id"], view=view)
    values = {"q": {"text": {"type": "plain_text_input", "value": "为什么？"}}}
    errors = {"response_action": "errors", "errors": {"q": "Too short"}}
    listener.answers = lambda _request: errors
    await box.submit("ada", opened["view"]["id"], values)
    await box.wait_until(lambda: box.view(opened["view"]["id"]).get("errors"))
    listener.answers = lambda _request: None
    await box.submit("ada", opened["view"]["id"], values)
    await box.wait_until(lambda: not box.view(opened["view"]["id"]))
    submission = listener.got[-1].payload
    assert (submission["type"], submission["view"]["callback_id"]) == ("view_submission", "ask")
    assert submission["view"]["state"]["values"] == values


async def test_another_bot_is_not_a_person(box: SandboxClient, listener: Listener) -> None:
    """Its messages have their own bot_id; its mentions reach the app like those of people."""
    await box.say_as_bot("Deploybot", "#general", "@Kvasir deployed")
    await listener.wait(lambda request: request.payload["event"]["type"] == "app_mention")
    event = listener.events("message")[0]
    assert (event["subtype"], event["bot_id"][:2], event["username"]) == ("bot_message", "B0", "Deploybot")
    assert event["user"] != BOT_USER


async def test_the_apps_own_message_comes_back(client: AsyncWebClient, listener: Listener) -> None:
    """As on Slack, with the app's own bot_id, for it to ignore."""
    await client.chat_postMessage(channel=GENERAL, text=f"I am <@{BOT_USER}>")
    await listener.wait(lambda request: request.payload["event"]["type"] == "message")
    assert listener.events("message")[0]["user"] == BOT_USER
    assert not listener.events("app_mention")


def test_the_app_is_installed_from_its_manifest() -> None:
    """The workspace grants exactly the scopes of the manifest."""
    manifest = build_manifest()
    assert sorted(SCOPES) == manifest["oauth_config"]["scopes"]["bot"]
    assert sorted(SUBSCRIPTIONS) == manifest["settings"]["event_subscriptions"]["bot_events"]
    assert list(APP_COMMANDS) == [command["command"] for command in manifest["features"]["slash_commands"]]
    shortcuts = [(one["callback_id"], one["name"], one["type"]) for one in manifest["features"]["shortcuts"]]
    assert [(one.callback_id, one.name, one.kind) for one in APP_SHORTCUTS] == shortcuts


async def test_opening_the_home_is_an_event(box: SandboxClient, listener: Listener) -> None:
    """Opening the app's Home is an event with its tab."""
    await box.home("ada")
    await listener.wait(lambda request: request.payload["event"]["type"] == "app_home_opened")
    event = listener.events("app_home_opened")[0]
    assert (event["user"], event["tab"], event["channel"][:1]) == (ADA, "home", "D")


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("@Kvasir hi", f"<@{BOT_USER}> hi"),
        ("hi @kvasir.", f"hi <@{BOT_USER}>."),
        ("a@kvasir b", "a@kvasir b"),
        ("1 < 2 && 3 > 2", "1 &lt; 2 &amp;&amp; 3 &gt; 2"),
        ("see https://a.b/c?x=1&y=2", "see <https://a.b/c?x=1&amp;y=2>"),
        ("(https://a.b/c), https://例.com/路，好", "(<https://a.b/c>), <https://例.com/路>，好"),
        ("in #general", "in <#C0GENERAL1|general>"),
        ("@channel look", "<!channel> look"),
        ("@nobody", "@nobody"),
        (f"<@{BOT_USER}> hi <script>", f"<@{BOT_USER}> hi &lt;script&gt;"),
        ("你好@Kvasir 请问", f"你好<@{BOT_USER}> 请问"),
        ("@Kvasir请问", f"<@{BOT_USER}>请问"),
    ],
)
def test_typed_text_is_stored_as_slack_stores_it(typed: str, stored: str) -> None:
    """Mentions, links and channels become tokens, the rest is escaped."""
    assert text.encode_typed_text(typed, (*PEOPLE, BOT), first_channels(0)) == stored


async def test_files_are_given_to_the_app_alone(box: SandboxClient) -> None:
    """As on Slack, a request without a valid token or the scope is redirected to sign in."""
    body = {"person": "ada", "channel": "@kvasir", "text": "", "files": [{"name": "a b.md", "base64": "eA=="}]}
    ts = (await box.control("POST", "say", body))["ts"]
    message = next(m for m in await box.messages("@kvasir") if m["ts"] == ts)
    assert message["subtype"] == "file_share"
    (file,) = message["files"]
    url = file["url_private_download"]
    good = {"Authorization": f"Bearer {box.bot_token}"}
    async with box.session.get(url, headers=good) as answer:
        assert (answer.status, await answer.read()) == (200, b"x")
    async with box.session.get(url, headers={"Authorization": "Bearer xoxb-no"}, allow_redirects=False) as answer:
        assert answer.status == 302
    async with box.session.get(url.replace(file["id"], "F0000000000"), headers=good) as answer:
        assert answer.status == 404
    await box.faults(scopes=["chat:write"])
    async with box.session.get(url, headers=good, allow_redirects=False) as answer:
        assert answer.status == 302


async def test_leaving_renaming_and_archiving(box: SandboxClient) -> None:
    listed = await box.api("users.conversations", types="public_channel")
    assert {room["name"] for room in listed["channels"]} == {"general", "handbook", "project", "partners"}
    await box.control("POST", "rename", {"channel": "#general", "name": "all"})
    await box.control("POST", "archive", {"channel": "#handbook", "person": "ada"})
    listed = await box.api("users.conversations", types="public_channel", exclude_archived=True)
    assert [room["name"] for room in listed["channels"]] == ["all", "project", "partners"]
    await box.control("POST", "leave", {"member": "kvasir", "channel": "#all"})
    listed = await box.api("users.conversations", types="public_channel", exclude_archived=True)
    assert [room["name"] for room in listed["channels"]] == ["project", "partners"]
