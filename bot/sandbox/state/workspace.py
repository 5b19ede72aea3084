"""The operations on the workspace, without I/O.

Each operation is synchronous and collects its effects (rows, events, updates) in ``changes``; ``take_changes`` returns
them.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace

from bot.sandbox import limits
from bot.sandbox.state import text, wire
from bot.sandbox.state.accounts import Accounts
from bot.sandbox.state.demo import BOT
from bot.sandbox.state.model import (
    APP_ID,
    BOT_ID,
    BOT_USER,
    SYSTEM_USER,
    TEAM_ID,
    Json,
    Session,
    SlackMessage,
    StreamState,
    View,
)
from bot.sandbox.state.records import PageUpdate
from bot.sandbox.state.refusals import RefusedCall

MAX_EPHEMERALS = 1_000
"""So many ephemeral messages are kept until a restart."""


class Workspace(Accounts):
    """The operations on people, conversations, messages, sessions and views."""

    # ── Time ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def expire_streams(self) -> None:
        """End the streams that exceed their lifetime, as Slack does even with active ones."""
        for channel, ts in list(self._streaming):
            message = self.messages[channel][ts]
            if self.now() - message.stream_started >= limits.STREAM_TTL_S:
                self.end_stream(message, "expired")

    # ── Messages ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def say_text(
        self,
        person: str,
        channel: str,
        typed: str,
        thread_ts: str | None = None,
        files: Sequence[Json] = (),
    ) -> SlackMessage:
        """Post a person's text and attached files.

        Raises:
            RefusedCall: ``no_text``, ``not_in_channel``, ``thread_not_found``, ``channel_not_found``,
                ``user_not_found``, ``account_inactive``.

        """
        author, room = self.find_person(person), self.find_channel(channel)
        if author.deleted:
            raise RefusedCall("account_inactive")
        if not typed.strip() and not files:
            raise RefusedCall("no_text")
        if author.id not in room.members:
            raise RefusedCall("not_in_channel")
        encoded = self.encode_text(typed, author.id)
        message = SlackMessage(
            channel=room.id,
            ts=self.next_ts(),
            user=author.id,
            text=encoded,
            blocks=[text.build_rich_text(encoded)],
            thread_ts=self.find_root(room.id, thread_ts),
            client_msg_id=str(uuid.uuid4()),
            files=files,
            subtype="file_share" if files else None,
        )
        return self.post_message(message)

    def encode_text(self, typed: str, author: str) -> str:
        """Return a typed text as it is stored, with mentions, links, and the channels that its author sees."""
        visible_rooms = [room for room in self.channels.values() if room.kind == "channel" or author in room.members]
        return text.encode_typed_text(typed, self.people.values(), visible_rooms, self.groups.values())

    def find_root(self, channel: str, thread_ts: str | None) -> str | None:
        """Return the ts of a thread's root, from the ts of the root or of a reply.

        Raises:
            RefusedCall: ``thread_not_found``.

        """
        if not thread_ts:
            return None
        message = self.find_message(channel, thread_ts)
        if message is None:
            raise RefusedCall("thread_not_found")
        return message.root

    def post_message(self, message: SlackMessage) -> SlackMessage:
        """Store a message, show it, and send the app its event."""
        self._index_message(message)
        self.changes.save_record(message)
        self._show_message(message)
        self._send_event(wire.message_event(self, message), message.channel)
        self._clear_legacy_status(message)
        mentioned = message.user != BOT_USER and text.has_mention(message.text, BOT_USER)
        if mentioned and self.channels[message.channel].kind != "im":
            self._send_event(wire.mention_event(self, message), message.channel)
            self._hint_absence(message)
        return message

    def _clear_legacy_status(self, message: SlackMessage) -> None:
        """Clear the text of ``assistant.threads.setStatus`` after the app's answer, as Slack does."""
        session = self.sessions.get(f"{message.channel}/{message.root}")
        if session and session.text and message.user == BOT_USER:
            self.set_session(replace(session, status=session.status if session.agent else "active", text=""))

    def post_ephemeral(self, message: SlackMessage) -> None:
        """Show a message to one person; it is in no history, and the app gets no event."""
        self.ephemerals[message.channel, message.ts] = message
        while len(self.ephemerals) > MAX_EPHEMERALS:
            self.ephemerals.pop(next(iter(self.ephemerals)))
        self._show_message(message)

    def post_notice(
        self, person: str, channel: str, words: str, *, thread_ts: str | None = None, actions: Sequence[Json] = ()
    ) -> None:
        """Show a message of the workspace to one person, with its action blocks."""
        blocks: list[Json] = [{"type": "section", "text": {"type": "mrkdwn", "text": words}}, *actions]
        self.post_ephemeral(
            SlackMessage(channel, self.next_ts(), SYSTEM_USER, words, blocks, thread_ts, ephemeral_to=person)
        )

    def replace_message(self, before: SlackMessage, after: SlackMessage, *, announce: bool = True) -> SlackMessage:
        """Replace a message by its new version."""
        if before.ephemeral_to:
            self.post_ephemeral(after)
            return after
        self.messages[before.channel][before.ts] = after
        self.changes.save_record(after)
        self._show_message(after)
        if announce:
            self._send_event(wire.changed_event(self, before, after, self.next_ts()), after.channel)
        return after

    def edit_message(self, editor: str, channel: str, ts: str, typed: str) -> SlackMessage:
        """Edit a person's message.

        Raises:
            RefusedCall: ``message_not_found``, ``cant_update_message``, ``no_text``.

        """
        before = self.find_own_message(editor, channel, ts, "cant_update_message")
        if not typed.strip():
            raise RefusedCall("no_text")
        encoded = self.encode_text(typed, before.user)
        edited = {"user": before.user, "ts": self.next_ts()}
        return self.replace_message(
            before, replace(before, text=encoded, blocks=[text.build_rich_text(encoded)], edited=edited)
        )

    def find_own_message(self, owner: str, channel: str, ts: str, otherwise: str) -> SlackMessage:
        """Return a message of a person.

        Raises:
            RefusedCall: ``channel_not_found``, ``message_not_found``, or ``otherwise`` for another author.

        """
        message = self.find_message(self.find_channel(channel).id, ts)
        if message is None:
            raise RefusedCall("message_not_found")
        if message.user != self.find_person(owner).id or message.subtype == "tombstone":
            raise RefusedCall(otherwise)
        return message

    def delete_message(self, owner: str, channel: str, ts: str) -> None:
        """Delete a message; a thread's root leaves a tombstone as long as there are replies.

        Raises:
            RefusedCall: ``message_not_found``, ``cant_delete_message``.

        """
        before = self.find_own_message(owner, channel, ts, "cant_delete_message")
        if before.stream == "streaming":
            raise RefusedCall("cant_delete_message")
        tombstone = None
        if self.threads.get((before.channel, before.ts)):
            words = "This message was deleted."
            tombstone = SlackMessage(before.channel, before.ts, SYSTEM_USER, words, subtype="tombstone")
        event = wire.changed_event(self, before, tombstone, self.next_ts())
        if tombstone:
            self.replace_message(before, tombstone, announce=False)
        else:
            self._remove_message(before)
        self._send_event(event, before.channel)

    def _remove_message(self, message: SlackMessage) -> None:
        del self.messages[message.channel][message.ts]
        self.changes.delete_record(message)
        self._update_pages(message, {"type": "gone", "channel": message.channel, "ts": message.ts})
        if message.thread_ts:
            self.threads[message.channel, message.thread_ts].pop(message.ts, None)
            self._show_root(message)

    def hide_ephemeral(self, message: SlackMessage) -> None:
        """Remove an ephemeral message."""
        if self.ephemerals.pop((message.channel, message.ts), None):
            self._update_pages(message, {"type": "gone", "channel": message.channel, "ts": message.ts})

    def change_reaction(self, person: str, channel: str, ts: str, name: str, *, add: bool) -> None:
        """Add or remove a reaction.

        Raises:
            RefusedCall: ``message_not_found``, ``already_reacted``, ``no_reaction``.

        """
        before = self.find_message(channel, ts)
        if before is None:
            raise RefusedCall("message_not_found")
        users = list(before.reactions.get(name, ()))
        if (person in users) == add:
            raise RefusedCall("already_reacted" if add else "no_reaction")
        users = [*users, person] if add else [user for user in users if user != person]
        reactions = {**before.reactions, name: users}
        self.replace_message(
            before, replace(before, reactions={n: u for n, u in reactions.items() if u}), announce=False
        )
        event: Json = {
            "type": "reaction_added" if add else "reaction_removed",
            "user": person,
            "reaction": name,
            "item": {"type": "message", "channel": channel, "ts": ts},
            "item_user": before.user,
        }
        self._send_event(event, channel)

    # ── Streams ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def end_stream(self, before: SlackMessage, state: StreamState) -> SlackMessage:
        """End a streamed message; the app gets its whole text as an edit."""
        self._streaming.pop((before.channel, before.ts), None)
        return self.replace_message(before, replace(before, stream=state))

    def list_streams(self, channel: str, root: str) -> list[SlackMessage]:
        """Return the messages of a thread that are streaming now."""
        streaming = [self.messages[room][ts] for room, ts in self._streaming if room == channel]
        return [message for message in streaming if message.root == root]

    # ── Sessions, views ─────────────────────────────────────────────────────────────────────────────────────────────

    def set_session(self, session: Session) -> None:
        """Store an agent's session and show it."""
        self.sessions[session.key] = session
        self.changes.save_record(session)
        body = {"type": "session", "session": session_frame(session)}
        self.changes.updates.append(PageUpdate(f"session/{session.key}", body, self.list_audience(session.channel)))

    def stop_session(self, person: str, channel: str, root: str) -> None:
        """Stop a session: end the thread's streams and send the app an event."""
        streams = self.list_streams(channel, root)
        for message in streams:
            self.end_stream(message, "stopped_by_user")
        event: Json = {
            "type": "agent_session_stopped",
            "user": person,
            "channel": channel,
            "thread_ts": root,
            "streaming_message_ts": [message.ts for message in streams],
        }
        self._send_event(event, channel)

    def set_view(self, view: View) -> None:
        """Store a Home tab or a modal and show it to its person."""
        self.views[view.id] = view
        self.changes.save_record(view)
        body = {"type": "view", "view": view.body}
        self.changes.updates.append(PageUpdate(f"view/{view.id}", body, frozenset({view.user})))

    def close_view(self, view: View) -> None:
        """Close a modal."""
        self.views.pop(view.id, None)
        self.changes.delete_record(view)
        body = {"type": "view_closed", "id": view.id}
        self.changes.updates.append(PageUpdate(f"view/{view.id}", body, frozenset({view.user})))

    def find_home(self, person: str) -> View | None:
        """Return a person's Home tab; None if the app has not published one."""
        return next((view for view in self.views.values() if view.kind == "home" and view.user == person), None)

    def list_modals(self, person: str) -> list[View]:
        """Return the modals that a person has open, the lowest first."""
        return [view for view in self.views.values() if view.kind == "modal" and view.user == person]

    def open_home(self, person: str, tab: str, looked_at: str = "") -> None:
        """Send the app the event that a person opened its Home, while looking at a channel."""
        home = self.find_home(person) if tab == "home" else None
        self._queue_context_event(person, looked_at, {"type": "app_home_opened", "tab": tab}, home)

    def change_context(self, person: str, looked_at: str) -> None:
        """Send the app the event that a person looks at a channel while the app is open."""
        self._queue_context_event(person, looked_at, {"type": "app_context_changed"})

    def _queue_context_event(self, person: str, looked_at: str, event: Json, home: View | None = None) -> None:
        room = self.find_direct_channel((person, BOT_USER))
        entity = {"type": "slack#/types/channel_id", "value": looked_at, "team_id": TEAM_ID}
        common = {
            "user": person,
            "channel": room.id if room else "",
            "context": {"entities": [entity]} if looked_at else {},
        }
        self._queue_event(event | common | ({"view": home.body} if home else {}), room)

    # ── Inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _update_pages(self, message: SlackMessage, body: Json) -> None:
        audience = frozenset({message.ephemeral_to}) if message.ephemeral_to else self.list_audience(message.channel)
        self.changes.updates.append(PageUpdate(f"message/{message.key}", body, audience))

    def _show_message(self, message: SlackMessage) -> None:
        self._update_pages(message, {"type": "message", "message": message_frame(self, message)})
        if message.thread_ts and not message.ephemeral_to:
            self._show_root(message)

    def _show_root(self, reply: SlackMessage) -> None:
        root = self.find_message(reply.channel, reply.thread_ts or "")
        if root:
            self._update_pages(root, {"type": "message", "message": message_frame(self, root)})

    def _hint_absence(self, message: SlackMessage) -> None:
        """Show Slack's hint for a mention of an app that is not in the channel."""
        room = self.channels[message.channel]
        if BOT_USER in room.members:
            return
        words = f"You mentioned <@{BOT_USER}>, but they're not in this channel."
        button: Json = {
            "type": "button",
            "action_id": INVITE_ACTION,
            "text": {"type": "plain_text", "text": f"Invite {BOT.real_name}"},
            "style": "primary",
        }
        actions = {"type": "actions", "block_id": "invite", "elements": [button]}
        self.post_notice(message.user, room.id, words, thread_ts=message.thread_ts, actions=[actions])


INVITE_ACTION = "sandbox:invite"
"""The workspace's own button, which invites the app; the app gets no interaction."""


def build_app_message(channel: str, ts: str, words: str, blocks: Sequence[Json] = ()) -> SlackMessage:
    """Return a message of the app."""
    return SlackMessage(channel=channel, ts=ts, user=BOT_USER, text=words, blocks=blocks, bot_id=BOT_ID, app_id=APP_ID)


def message_frame(workspace: Workspace, message: SlackMessage) -> Json:
    """Return a message in the form that pages get: Slack's object with its channel and state."""
    extra = {"channel": message.channel, "root": message.root, "stream": message.stream}
    return wire.message_object(workspace, message) | extra | {"ephemeral": message.ephemeral_to is not None}


def session_frame(session: Session) -> Json:
    """Return a session in the form that pages get."""
    return {
        "channel": session.channel,
        "thread_ts": session.thread_ts,
        "status": session.status,
        "text": session.text,
        "title": session.title,
        "prompts": list(session.prompts),
    }
