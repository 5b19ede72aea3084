"""Test the events of what people do: edits, deletions, buttons, answers to a response_url, other bots."""

from __future__ import annotations

import pytest
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.sandbox.hub import SCOPES
from bot.sandbox.interactions import APP_COMMANDS, APP_SHORTCUTS
from bot.sandbox.state import text
from bot.sandbox.state.demo import BOT, PEOPLE, first_channels
from bot.sandbox.state.records import SUBSCRIPTIONS
from bot.slack.workspace.manifest import build_manifest
from tests.sandbox.conftest import Listener
from tests.slack_sandbox import BOT_USER, SandboxClient

ADA = "U0ADA00001"
GENERAL = "C0GENERAL1"


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
