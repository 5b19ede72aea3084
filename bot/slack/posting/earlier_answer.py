"""Replaces the answer to an earlier text of a question."""

from __future__ import annotations

from bot.messages import replies
from bot.messages.message import render_message
from bot.slack.posting.message_sink import AnswerEnding, AnswerMessage, PostedMessage, ReplyTarget, open_message
from bot.slack.wire.errors import SlackGone, SlackRefused, SlackStopped
from bot.slack.wire.permalinks import find_permalink
from bot.slack.wire.text.render import NOTICE_MARK

_UNCHANGEABLE_CODES = {"cant_update_message", "edit_window_closed", "streaming_state_conflict"}


class EarlierAnswer:
    """The messages of the earlier answer: the revised one takes the place of the first, and the others are deleted."""

    def __init__(self, target: ReplyTarget) -> None:
        self.messages = list(target.earlier)
        """The timestamps of what is not replaced yet."""
        self._link = ""
        self._target = target

    async def open_message(self, text: str) -> AnswerMessage:
        """Show the first text in place of the earlier answer, or else in a new message."""
        if (replaced := await self._replace_answer(text, AnswerEnding())) is not None:
            return replaced
        return await open_message(self._target, self._take_link() + text)

    async def post_text(self, text: str, ending: AnswerEnding, *, is_plain: bool = False) -> AnswerMessage:
        """Show a whole text in place of the earlier answer, or else in a new message."""
        if (replaced := await self._replace_answer(text, ending, is_plain=is_plain)) is not None:
            return replaced
        post = PostedMessage(self._target, is_plain=is_plain)
        await post.end_message(self._take_link() + text, ending)
        return post

    async def _replace_answer(self, text: str, ending: AnswerEnding, *, is_plain: bool = False) -> PostedMessage | None:
        """Show text in place of the earlier answer; return None if there is none, or Slack does not let it be changed.

        Raises:
            SlackError: Slack fails, or the bot may no longer post there.

        """
        while len(self.messages) > 1:
            await self._delete_message(self.messages[-1])
            self.messages.pop()
        if not self.messages:
            return None
        [ts] = self.messages
        post = PostedMessage(self._target, ts, is_plain=is_plain)
        try:
            await post.end_message(text, ending)
        except SlackGone as error:
            if error.code != "message_not_found":
                raise
        except SlackRefused as error:
            if error.code not in _UNCHANGEABLE_CODES:
                raise
            if not await self._delete_message(ts):
                await self._make_link(ts)
        else:
            self.messages.clear()
            return post
        self.messages.clear()
        return None

    def _take_link(self) -> str:
        """Return once, as Markdown, where an earlier answer is that Slack neither changes nor deletes; else ""."""
        link, self._link = self._link, ""
        return link

    async def _delete_message(self, ts: str) -> bool:
        try:
            await self._target.api.call("chat.delete", channel=self._target.channel, ts=ts)
        except SlackGone as error:
            return error.code == "message_not_found"
        except (SlackRefused, SlackStopped):
            return False
        return True

    async def _make_link(self, ts: str) -> None:
        if (url := await find_permalink(self._target.api, self._target.channel, ts)) is not None:
            sentence = render_message(replies.REVISES, self._target.language, url=url)
            self._link = f"_{NOTICE_MARK} {sentence}_\n\n"
