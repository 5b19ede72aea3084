"""``agents.sessions.*``, and the legacy ``assistant.threads.*`` that they replace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

from bot.sandbox import limits
from bot.sandbox.limits import TIER_3, TIER_4
from bot.sandbox.methods.call import Call, Method
from bot.sandbox.state.model import Json, Session, SessionStatus
from bot.sandbox.state.refusals import RefusedCall

_STATUSES = {name: name for name in get_args(SessionStatus)}


def _find_thread(call: Call) -> tuple[str, str]:
    """Return the channel and the thread's root.

    Raises:
        RefusedCall: ``channel_not_found``, ``not_in_channel``, ``invalid_arguments``, ``thread_not_found``.

    """
    room = call.find_joined_channel("channel_id")
    root = call.workspace.find_root(room.id, call.args.required_text("thread_ts"))
    return room.id, root or ""


def _find_session(call: Call, channel: str, root: str) -> Session:
    return call.workspace.sessions.get(f"{channel}/{root}") or Session(channel, root, "active")


def set_session_status(call: Call, channel: str, root: str, status: str) -> Session:
    """Set a session's status.

    Raises:
        RefusedCall: ``invalid_status``.

    """
    if status not in _STATUSES:
        raise RefusedCall("invalid_status")
    session = replace(_find_session(call, channel, root), status=_STATUSES[status], text="", agent=True)
    call.workspace.set_session(session)
    return session


def set_status(call: Call) -> Json:
    """Set an agent session's status, creating the session if there is none."""
    channel, root = _find_thread(call)
    title = call.args.get_text("title")
    if len(title) > limits.SESSION_TITLE:
        raise RefusedCall("title_too_long")
    has_session = f"{channel}/{root}" in call.workspace.sessions
    session = set_session_status(call, channel, root, call.args.required_text("status"))
    if title and not has_session:
        session = replace(session, title=title)
        call.workspace.set_session(session)
    return {"status": session.status, "agent_status": session.status, "title": session.title}


def rename_session(call: Call) -> Json:
    """Rename an agent session."""
    channel, root = _find_thread(call)
    title = call.args.required_text("title")
    if f"{channel}/{root}" not in call.workspace.sessions:
        raise RefusedCall("session_not_found")
    if len(title) > limits.SESSION_TITLE:
        raise RefusedCall("title_too_long")
    call.workspace.set_session(replace(_find_session(call, channel, root), title=title))
    return {"title": title}


def legacy_set_status(call: Call) -> Json:
    """Set the text that is shown while the app works; an empty text clears it."""
    channel, root = _find_thread(call)
    text = call.args.get_text("status")
    session = _find_session(call, channel, root)
    if not session.agent:
        session = replace(session, status="processing" if text else "active")
    call.workspace.set_session(replace(session, text=text))
    return {}


def legacy_set_title(call: Call) -> Json:
    """Set the title of a thread."""
    channel, root = _find_thread(call)
    call.workspace.set_session(replace(_find_session(call, channel, root), title=call.args.required_text("title")))
    return {}


def set_prompts(call: Call) -> Json:
    """Suggest up to four prompts at the end of the conversation; those of a thread are ignored, as for each agent."""
    room = call.find_joined_channel("channel_id")
    prompts = call.args.get_structure("prompts")
    if not isinstance(prompts, list) or len(prompts) > limits.PROMPTS or not all(map(_is_prompt, prompts)):
        raise RefusedCall("invalid_arguments")
    if not call.args.get_text("thread_ts"):
        call.workspace.set_session(replace(_find_session(call, room.id, ""), prompts=prompts))
    return {}


def _is_prompt(prompt: Any) -> bool:  # noqa: ANN401 - what the app sends
    return isinstance(prompt, dict) and bool(prompt.get("message") and prompt.get("title"))


_SCOPES = ("chat:write",)
_LEGACY = ("assistant:write", "chat:write")
METHODS = (
    Method("agents.sessions.setStatus", set_status, TIER_3, _SCOPES),
    Method("agents.sessions.rename", rename_session, TIER_3, _SCOPES),
    Method("assistant.threads.setStatus", legacy_set_status, TIER_3, _LEGACY),
    Method("assistant.threads.setTitle", legacy_set_title, TIER_3, ("assistant:write",)),
    Method("assistant.threads.setSuggestedPrompts", set_prompts, TIER_4, ("assistant:write",)),
)
