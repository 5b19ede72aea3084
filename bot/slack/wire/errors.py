"""The errors of Slack, each with the next step.

SlackError
├── SlackUnauthorized     the token is wrong or revoked, or the app was removed
├── SlackLimited          Slack limits the method, and the caller does not wait
├── SlackUnavailable      Slack cannot be reached, or fails
├── SlackGone             the channel, thread or message was deleted or archived, or the bot was removed from it
├── SlackStopped          a person pressed Stop
└── SlackRefused          Slack refused this call for another reason
    └── SlackMissingScope the app lacks a scope, which the error names
"""

from __future__ import annotations

from http import HTTPStatus

from bot.errors import BotError
from bot.messages import slack_errors
from bot.messages.message import Message


class SlackError(BotError):
    """An error with a text for a person: what happened, then the next step. It never contains a token.

    ``code`` is Slack's name of the error, "" if another error has none.
    """

    def __init__(self, text: str | Message, code: str = "") -> None:
        super().__init__(text)
        self.code = code


class SlackUnauthorized(SlackError):
    """The token is wrong or was revoked."""


class SlackUnavailable(SlackError):
    """Slack cannot be reached or fails; ``maybe_done``: the call may have succeeded nevertheless."""

    def __init__(self, text: str | Message, *, maybe_done: bool) -> None:
        super().__init__(text)
        self.maybe_done = maybe_done


class SlackLimited(SlackError):
    """Slack limits the method, and the caller does not wait."""


class SlackGone(SlackError):
    """The channel, thread or message no longer exists for the bot."""


class SlackStopped(SlackError):
    """A person stopped the answer."""


class SlackRefused(SlackError):
    """Slack refused the call."""


class SlackMissingScope(SlackRefused):
    """The app lacks a scope, until an administrator adds it."""

    def __init__(self, text: str | Message, scope: str) -> None:
        super().__init__(text, "missing_scope")
        self.scope = scope


_UNAUTHORIZED = {
    "invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive", "app_uninstalled",
    "user_removed_from_team", "team_disabled", "not_allowed_token_type",
}  # fmt: skip
_GONE = {
    "message_not_found", "channel_not_found", "is_archived", "not_in_channel", "thread_not_found", "no_permission",
    "cant_post_in_channel", "user_not_in_channel", "cannot_reply_to_message", "restricted_action",
    "restricted_action_read_only_channel", "restricted_action_thread_only_channel", "restricted_action_thread_locked",
    "restricted_action_non_threadable_channel", "is_inactive", "access_denied", "ekm_access_denied",
    "messages_tab_disabled",
}  # fmt: skip


def map_api_error(method: str, code: str, needed: str = "", status: int = 200) -> SlackError:
    """Return the error for Slack's answer: its ``error``, its ``needed`` scope, and the HTTP status."""
    if code in _UNAUTHORIZED:
        which = "SLACK_APP_TOKEN" if method == "apps.connections.open" else "SLACK_BOT_TOKEN"
        return SlackUnauthorized(slack_errors.UNAUTHORIZED.fill(variable=which, code=code))
    if code == "missing_scope":
        message = slack_errors.MISSING_SCOPE.fill(method=method, scope=needed or slack_errors.A_SCOPE)
        return SlackMissingScope(message, needed)
    if code in _GONE:
        return SlackGone(slack_errors.GONE.fill(code=code, method=method), code)
    if code == "stopped_by_user":
        return SlackStopped(slack_errors.STOPPED)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or code in {
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
    }:
        reason = code or f"HTTP {status}"
        return SlackUnavailable(slack_errors.FAILED.fill(method=method, reason=reason), maybe_done=True)
    return SlackRefused(slack_errors.REFUSED.fill(method=method, reason=code or status), code)
