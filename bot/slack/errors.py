"""The errors of Slack, each with the next step.

SlackError
├── SlackUnauthorized     the token is wrong or revoked, or the app was removed
├── SlackMissingScope     the app lacks a scope, which the error names
├── SlackLimited          Slack limits the method, and the caller does not wait
├── SlackUnavailable      Slack cannot be reached, or fails
├── SlackGone             the channel, thread or message was deleted or archived, or the bot was removed from it
├── SlackStopped          a person pressed Stop
└── SlackRefused          Slack refused this call for another reason
"""

from __future__ import annotations

from http import HTTPStatus

from bot.errors import BotError


class SlackError(BotError):
    """An error with a text for a person: what happened, then the next step. It never contains a token."""


class SlackUnauthorized(SlackError):
    """The token is wrong or was revoked."""


class SlackMissingScope(SlackError):
    """The app lacks a scope."""

    def __init__(self, text: str, scope: str) -> None:
        super().__init__(text)
        self.scope = scope


class SlackUnavailable(SlackError):
    """Slack cannot be reached or fails; ``maybe_done``: the call may have succeeded nevertheless."""

    def __init__(self, text: str, *, maybe_done: bool) -> None:
        super().__init__(text)
        self.maybe_done = maybe_done


class SlackLimited(SlackError):
    """Slack limits the method, and the caller does not wait."""


class SlackGone(SlackError):
    """The channel, thread or message no longer exists for the bot; ``code`` is Slack's error name."""

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code


class SlackStopped(SlackError):
    """A person stopped the answer."""


class SlackRefused(SlackError):
    """Slack refused the call; ``code`` is its error name."""

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code


_UNAUTHORIZED = {
    "invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive", "app_uninstalled",
    "user_removed_from_team", "team_disabled", "not_allowed_token_type",
}  # fmt: skip
_GONE = {
    "message_not_found", "channel_not_found", "is_archived", "not_in_channel", "thread_not_found", "no_permission",
    "cant_post_in_channel", "user_not_in_channel", "cannot_reply_to_message", "restricted_action",
    "restricted_action_read_only_channel", "restricted_action_thread_only_channel", "restricted_action_thread_locked",
}  # fmt: skip


def map_api_error(method: str, code: str, needed: str = "", status: int = 200) -> SlackError:
    """Return the error for Slack's answer: its ``error``, its ``needed`` scope, and the HTTP status."""
    if code in _UNAUTHORIZED:
        which = "SLACK_APP_TOKEN" if method == "apps.connections.open" else "SLACK_BOT_TOKEN"
        return SlackUnauthorized(
            f"Slack does not accept {which} ({code}). Open api.slack.com/apps, reinstall the app if need be, copy the "
            "token into .env and start Kvasir again."
        )
    if code == "missing_scope":
        scope = needed or "a scope"
        return SlackMissingScope(
            f"The Slack app may not call {method}: it lacks {scope}. Add it under OAuth & Permissions at "
            "api.slack.com/apps (`kvasir manifest` prints all of them) and reinstall the app.",
            scope,
        )
    if code in _GONE:
        return SlackGone(
            f"Slack says {code} to {method}. Check that the channel is open and Kvasir is a member of it.", code
        )
    if code == "stopped_by_user":
        return SlackStopped("The answer was stopped.")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or code in {
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
    }:
        reason = code or f"HTTP {status}"
        return SlackUnavailable(f"Slack failed on {method} ({reason}). Try again in a minute.", maybe_done=True)
    return SlackRefused(f"Slack refused {method} ({code or status}). See the log, and Slack's status page.", code)
