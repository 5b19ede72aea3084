"""Tests of the app manifest: its forms, and that it has the scopes and events that the code uses, and no others.

The tables are from Slack's reference of methods and events. Where a method needs a scope for each kind of conversation,
the table has those of the conversations for which the bot calls it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from bot.sandbox.methods import agents, chat, conversations, files, people, streaming, views
from bot.slack.wire.scopes import SCOPES
from bot.slack.workspace.manifest import EVENTS, build_manifest, render_manifest_yaml
from tests.slack.running_bot import RunningBot, wait_for_ephemeral

REPOSITORY = Path(__file__).parents[3]
ROOT = REPOSITORY / "bot" / "slack"
TABLES = {ROOT / "workspace" / "manifest.py", ROOT / "wire" / "scopes.py", ROOT / "wire" / "transport" / "web_api.py"}
"""Files that list events and methods without using them."""

NONE: frozenset[str] = frozenset()
CHANNELS = frozenset({"channels:read", "groups:read"})
ROOMS = CHANNELS | {"mpim:read"}
HISTORY = frozenset({"channels:history", "groups:history", "im:history", "mpim:history"})
WRITE = frozenset({"chat:write"})
CANVASES = frozenset({"canvases:write"})
FILES = frozenset({"files:write"})
METHODS: Mapping[str, frozenset[str]] = {
    "agents.sessions.setStatus": WRITE,
    "apps.connections.open": NONE,  # the app's own token has its scope
    "assistant.threads.setStatus": frozenset({"assistant:write"}),
    "assistant.threads.setSuggestedPrompts": frozenset({"assistant:write"}),
    "auth.teams.list": NONE,
    "auth.test": NONE,
    "canvases.access.set": CANVASES,
    "canvases.create": CANVASES,
    "canvases.delete": CANVASES,
    "chat.appendStream": WRITE,
    "chat.delete": WRITE,
    "chat.getPermalink": NONE,
    "chat.postEphemeral": WRITE,
    "chat.postMessage": WRITE,
    "chat.startStream": WRITE,
    "chat.stopStream": WRITE,
    "chat.update": WRITE,
    "conversations.history": HISTORY,  # of public channels as a source, and of messages with files
    "conversations.info": ROOMS,
    "conversations.members": ROOMS,
    "conversations.replies": HISTORY,
    "files.completeUploadExternal": FILES,
    "files.delete": FILES,
    "files.getUploadURLExternal": FILES,
    "files.info": frozenset({"files:read"}),
    "usergroups.list": frozenset({"usergroups:read"}),
    "users.conversations": CHANNELS,
    "users.info": frozenset({"users:read", "users:read.email"}),
    "users.list": frozenset({"users:read", "users:read.email"}),
    "users.lookupByEmail": frozenset({"users:read.email"}),
    "views.open": NONE,
    "views.publish": NONE,
    "views.update": NONE,
}
BESIDE_METHODS = frozenset({"commands", "files:read"})
"""The scopes of slash commands, and of the addresses of files."""
EVENT_SCOPES: Mapping[str, frozenset[str]] = {
    "agent_session_stopped": WRITE,
    "app_context_changed": NONE,  # of apps with an agent view
    "app_home_opened": NONE,
    "app_mention": frozenset({"app_mentions:read"}),
    "app_uninstalled": NONE,
    "channel_archive": frozenset({"channels:read"}),
    "channel_deleted": frozenset({"channels:read"}),
    "channel_id_changed": ROOMS,
    "channel_left": frozenset({"channels:read"}),
    "channel_rename": frozenset({"channels:read"}),
    "channel_shared": ROOMS,
    "channel_unarchive": frozenset({"channels:read"}),
    "channel_unshared": ROOMS,
    "group_archive": frozenset({"groups:read"}),
    "group_deleted": frozenset({"groups:read"}),
    "group_left": frozenset({"groups:read"}),
    "group_rename": frozenset({"groups:read"}),
    "group_unarchive": frozenset({"groups:read"}),
    "member_joined_channel": CHANNELS,
    "member_left_channel": CHANNELS,
    "message.channels": frozenset({"channels:history"}),
    "message.groups": frozenset({"groups:history"}),
    "message.im": frozenset({"im:history"}),
    "message.mpim": frozenset({"mpim:history"}),
    "reaction_added": frozenset({"reactions:read"}),
    "reaction_removed": frozenset({"reactions:read"}),
    "subteam_created": frozenset({"usergroups:read"}),
    "subteam_members_changed": frozenset({"usergroups:read"}),
    "subteam_updated": frozenset({"usergroups:read"}),
    "team_access_granted": NONE,
    "team_access_revoked": NONE,
    "team_join": frozenset({"users:read"}),
    "tokens_revoked": NONE,
    "user_change": frozenset({"users:read"}),
}
OTHER_EVENTS = frozenset({
    "app_context_changed", "app_installed", "app_rate_limited", "app_requested", "app_uninstalled_team",
    "assistant_thread_context_changed", "assistant_thread_started", "channel_created", "channel_history_changed",
    "email_domain_changed", "emoji_changed", "file_change", "file_created", "file_deleted", "file_public",
    "file_shared", "file_unshared", "function_executed", "group_close", "group_history_changed", "group_open",
    "im_close", "im_created", "im_history_changed", "im_open", "invite_requested", "link_shared",
    "message_metadata_posted", "pin_added", "pin_removed", "shared_channel_invite_accepted",
    "subteam_self_added", "subteam_self_removed", "team_rename",
    "user_huddle_changed", "user_profile_changed", "workflow_step_execute",
})  # fmt: skip
"""Slack's other events."""
_METHOD = re.compile(
    r"(?:agents|api|apps|assistant|auth|bookmarks|bots|canvases|chat|conversations|dnd|emoji|entity|files|functions|pins"
    r"|reactions|search|team|usergroups|users|views|workflows)(?:\.[a-zA-Z]+)+"
)
_KIND_OF_MESSAGE = re.compile(r"message\..*")


def test_committed_manifest_equals_generated_one() -> None:
    assert (REPOSITORY / "deploy" / "slack-manifest.yaml").read_text(encoding="utf-8") == render_manifest_yaml()


@pytest.mark.parametrize("events_url", [None, "https://kvasir.example/slack/events"])
def test_manifest_yaml_equals_manifest(events_url: str | None) -> None:
    assert yaml.safe_load(render_manifest_yaml(events_url=events_url)) == build_manifest(events_url=events_url)


def test_manifest_supports_both_transports() -> None:
    socket, http = build_manifest(), build_manifest(events_url="https://kvasir.example/slack/events")
    assert socket["settings"]["socket_mode_enabled"]
    assert not http["settings"]["socket_mode_enabled"]
    assert http["settings"]["event_subscriptions"]["request_url"].endswith("/slack/events")
    assert http["features"]["slash_commands"][0]["url"] == http["settings"]["interactivity"]["request_url"]


def find_strings() -> Iterator[str]:
    """Yield the strings of the code that runs with Slack, without docstrings."""
    for path in sorted(set(ROOT.rglob("*.py")) - TABLES):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def find_handled() -> set[str]:
    """Return the events whose names, or whose names' beginnings, are in the code."""
    strings = set(find_strings())
    prefixes = tuple(text for text in strings if re.fullmatch(r"[a-z]+_", text))
    named = (EVENT_SCOPES.keys() | OTHER_EVENTS | {"message"}) & strings
    return named | {event for event in EVENT_SCOPES if event.startswith(prefixes)}


def test_manifest_has_the_scopes_of_all_calls_and_events_and_no_others() -> None:
    called = {text for text in find_strings() if _METHOD.fullmatch(text)}
    assert called == METHODS.keys()
    used = BESIDE_METHODS.union(*METHODS.values(), *EVENT_SCOPES.values())
    assert used == SCOPES.keys()


def test_manifest_subscribes_to_all_handled_events_and_to_no_others() -> None:
    assert {_KIND_OF_MESSAGE.sub("message", event) for event in EVENTS} == find_handled()
    assert set(EVENTS) == EVENT_SCOPES.keys()
    assert build_manifest()["settings"]["event_subscriptions"]["bot_events"] == sorted(EVENTS)


def test_sandbox_asks_for_the_same_scopes() -> None:
    """Any of a method's scopes is enough for the sandbox, which then checks the one of the conversation's kind."""
    modules = (agents, chat, conversations, files, people, streaming, views)
    method_scopes = {method.name: set(method.scopes) for module in modules for method in module.METHODS}
    for method, scopes in METHODS.items():
        assert not scopes or method_scopes[method] & scopes, method


async def test_share_in_a_direct_message_reads_no_channel(owned_bot: RunningBot) -> None:
    """The bot has no scope to read what a direct message is."""
    await owned_bot.sandbox.command("ada", "@kvasir", "/kb share on")
    await wait_for_ephemeral(owned_bot, "not shared with another company", "@kvasir")
    assert await owned_bot.sandbox.requests("conversations.info") == []


def test_an_app_for_many_workspaces_has_a_redirect_url_and_tokens_that_expire() -> None:
    manifest = build_manifest(public_url="https://kvasir.example.com/")
    assert manifest["oauth_config"]["redirect_urls"] == ["https://kvasir.example.com/slack/oauth_redirect"]
    assert manifest["settings"]["token_rotation_enabled"] is True
    assert manifest["settings"]["org_deploy_enabled"] is True
    assert yaml.safe_load(render_manifest_yaml(public_url="https://kvasir.example.com")) == manifest
    one = build_manifest()
    assert "redirect_urls" not in one["oauth_config"]
    assert one["settings"]["token_rotation_enabled"] is one["settings"]["org_deploy_enabled"] is False
