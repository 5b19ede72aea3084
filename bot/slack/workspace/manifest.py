"""The manifest of the Slack app, which ``kvasir manifest`` prints and Slack creates the app from."""

from __future__ import annotations

from typing import Any

import yaml

from bot.languages.registry import LANGUAGES
from bot.messages import commands
from bot.messages.forms import asking, profiles
from bot.messages.message import render_message
from bot.slack.features.asking.ask import ASK, ASK_ABOUT_SHORTCUT, ASK_SHORTCUT
from bot.slack.features.kb.kb_command import KB
from bot.slack.features.profiles.apply_profile import PROFILE_SHORTCUT
from bot.slack.features.settings.think_command import THINK
from bot.slack.wire.scopes import SCOPES
from bot.slack.wire.settings import REDIRECT_PATH

EVENTS = (
    "agent_session_stopped",
    "app_context_changed",
    "app_home_opened",
    "app_mention",
    "app_uninstalled",
    "channel_archive",
    "channel_deleted",
    "channel_id_changed",
    "channel_left",
    "channel_rename",
    "channel_shared",
    "channel_unarchive",
    "channel_unshared",
    "group_archive",
    "group_deleted",
    "group_left",
    "group_rename",
    "group_unarchive",
    "member_joined_channel",
    "member_left_channel",
    "message.channels",
    "message.groups",
    "message.im",
    "message.mpim",
    "reaction_added",
    "reaction_removed",
    "subteam_created",
    "subteam_members_changed",
    "subteam_updated",
    "team_access_granted",
    "team_access_revoked",
    "team_join",
    "tokens_revoked",
    "user_change",
)


def build_manifest(*, events_url: str | None = None, public_url: str | None = None) -> dict[str, Any]:
    """Return the manifest for Socket Mode, or for HTTP with the public ``…/slack/events`` as ``events_url``.

    ``public_url`` is Kvasir's own address if many workspaces install the app by OAuth, with tokens that expire.
    """
    slash_commands: list[dict[str, Any]] = [
        {
            "command": ASK,
            "description": render_message(asking.ASK_DESCRIPTION, "en"),
            "usage_hint": "question",
            "should_escape": False,
        },
        {
            "command": KB,
            "description": render_message(commands.KB_DESCRIPTION, "en"),
            "usage_hint": "refresh | status | sources | search | verified | feedback | channel | approve | share",
            "should_escape": False,
        },
        {
            "command": THINK,
            "description": render_message(commands.THINK_DESCRIPTION, "en"),
            "usage_hint": "deep | normal | off | default",
            "should_escape": False,
        },
    ]
    events: dict[str, Any] = {"bot_events": list(EVENTS)}
    interactivity: dict[str, Any] = {"is_enabled": True}
    if events_url is not None:
        events["request_url"] = interactivity["request_url"] = events_url
        for command in slash_commands:
            command["url"] = events_url
    redirect = {} if public_url is None else {"redirect_urls": [public_url.rstrip("/") + REDIRECT_PATH]}
    return {
        "display_information": {
            "name": "Kvasir",
            "description": render_message(commands.APP_DESCRIPTION, "en"),
            "background_color": "#1f3a5f",
        },
        "features": {
            "agent_view": {
                "agent_description": render_message(commands.AGENT_DESCRIPTION, "en"),
                "suggested_prompts": [
                    {
                        "title": render_message(commands.PROMPT_TITLE, language),
                        "message": render_message(commands.PROMPT, language),
                    }
                    for language in LANGUAGES
                ],
            },
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": "Kvasir", "always_online": True},
            "shortcuts": [
                {
                    "name": "Ask Kvasir",
                    "type": "global",
                    "callback_id": ASK_SHORTCUT,
                    "description": render_message(asking.SHORTCUT_DESCRIPTION, "en"),
                },
                {
                    "name": "Ask Kvasir about this",
                    "type": "message",
                    "callback_id": ASK_ABOUT_SHORTCUT,
                    "description": render_message(asking.ABOUT_DESCRIPTION, "en"),
                },
                {
                    "name": render_message(profiles.SHORTCUT, "en"),
                    "type": "message",
                    "callback_id": PROFILE_SHORTCUT,
                    "description": render_message(profiles.SHORTCUT_DESCRIPTION, "en"),
                },
            ],
            "slash_commands": slash_commands,
        },
        "oauth_config": {**redirect, "scopes": {"bot": sorted(SCOPES)}},
        "settings": {
            "event_subscriptions": events,
            "interactivity": interactivity,
            "org_deploy_enabled": public_url is not None,
            "socket_mode_enabled": events_url is None,
            "token_rotation_enabled": public_url is not None,
        },
    }


def render_manifest_yaml(*, events_url: str | None = None, public_url: str | None = None) -> str:
    """Return the manifest as YAML."""
    manifest = build_manifest(events_url=events_url, public_url=public_url)
    text: str = yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True, width=120)
    return text
