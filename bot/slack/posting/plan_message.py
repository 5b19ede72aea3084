"""The stream in which an answer's plan appears before the answer has text."""

from __future__ import annotations

import contextlib
import time

from bot.slack.posting.message_sink import AnswerEnding, AnswerMessage, ReplyTarget, StreamedMessage, open_stream
from bot.slack.posting.plan import AnswerPlan
from bot.slack.wire.errors import SlackRefused, SlackStopped


class PlanMessage:
    """Opens the stream when it is due, and deletes it if it would be left without text."""

    def __init__(self, target: ReplyTarget) -> None:
        self.plan: AnswerPlan | None = None
        """None as long as nobody asks for a plan, and once a message cannot show it."""
        self._due_at = float("inf")
        self._restarts = False
        self._target = target

    def request_update(self, plan: AnswerPlan, after_s: float) -> None:
        """Show a plan in ``after_s``, or earlier if that was requested."""
        self.plan = plan
        self._due_at = min(self._due_at, time.perf_counter() + after_s)

    def is_shown(self, message: AnswerMessage | None) -> bool:
        """Return whether a message shows the plan."""
        return isinstance(message, StreamedMessage) and message.plan is not None

    def is_alone(self, message: AnswerMessage | None) -> bool:
        """Return whether a message shows the plan and no text."""
        return self.is_shown(message) and message is not None and not message.text

    def get_wait_s(self, message: AnswerMessage | None) -> float:
        """Return how long until the stream must be opened, in seconds."""
        if self.plan is None or message is not None:
            return float("inf")
        return max(0.0, self._due_at - time.perf_counter())

    def restart(self) -> None:
        """Begin the plan again; its message is deleted, as it may name what somebody may no longer see."""
        if self.plan is not None:
            self.plan.restart()
            self._restarts = True

    def is_restart_due(self, message: AnswerMessage | None) -> bool:
        """Return whether a message must be deleted because the plan begins again."""
        return self._restarts and self.is_alone(message)

    async def open(self) -> StreamedMessage | None:
        """Open the stream; without one, the plan is not shown."""
        self._restarts = False
        stream = await open_stream(self._target, "", self.plan)
        if stream is None:
            self.plan = None
        return stream

    async def delete(self, message: AnswerMessage) -> None:
        """Delete a message that shows only the plan, so that another one can take its place."""
        self._restarts = False
        with contextlib.suppress(SlackRefused, SlackStopped):
            await message.end_message("", AnswerEnding())
        if self.plan is not None:
            self.plan.forget_shown()
        with contextlib.suppress(SlackRefused):
            await self._target.api.call("chat.delete", channel=self._target.channel, ts=message.ts)

    def finish(self, *, continues: bool = False, failed: bool = False) -> None:
        """End the plan with the text of its message."""
        if self.plan is not None:
            self.plan.finish(failed=failed, continues=continues)
