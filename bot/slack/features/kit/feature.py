"""What a feature adds to a workspace, and what a workspace gives it for that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.slack.features.kit.channel_questions import ChannelQuestions
from bot.slack.features.kit.home import HomePart, OwnerSection
from bot.slack.features.kit.modal import Modal
from bot.slack.features.kit.private_questions import PrivateQuestions, Submit
from bot.slack.features.kit.subcommand import Subcommand
from bot.slack.posting.buttons import AnswerButton
from bot.slack.turns.answer_follow_up import Offer
from bot.slack.turns.settings import TurnSettings
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.turns.turns import TurnManager
from bot.slack.wire.interactions import ActionHandler, ShortcutUse, SlashCommand
from bot.slack.wire.tasks import PeriodicTask

CommandHandler = Callable[[SlashCommand], Awaitable[None]]
ShortcutHandler = Callable[[ShortcutUse], Awaitable[None]]
EventHandler = Callable[[Any], Awaitable[None]]
"""Handles one type of event. Slack sends the event again if it raises ``DatabaseError``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """What one feature adds to a workspace. The order of features is that of what they show."""

    answer_buttons: Sequence[AnswerButton] = ()
    actions: Mapping[str, ActionHandler] = field(default_factory=dict)
    """What other buttons do, by their action ids."""
    home_actions: Mapping[str, ActionHandler] = field(default_factory=dict)
    """The same for buttons that Home shows, too; after a press there, Home is published again."""
    commands: Mapping[str, CommandHandler] = field(default_factory=dict)
    subcommands: Sequence[Subcommand] = ()
    """The first words after ``/kb``, and what they do."""
    shortcuts: Mapping[str, ShortcutHandler] = field(default_factory=dict)
    modals: Sequence[Modal] = ()
    home_parts: Sequence[HomePart] = ()
    owner_sections: Sequence[OwnerSection] = ()
    """What needs an owner's attention, in Home and in the weekly digest."""
    offers: Sequence[Offer] = ()
    """What happens after an answer."""
    event_handlers: Mapping[type, EventHandler] = field(default_factory=dict)
    """What events do that are no messages, by their types."""
    tasks: Sequence[PeriodicTask] = ()
    """What runs as long as the workspace is open."""
    scheduled: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    """What is done when the ``digest`` or the ``audit`` is due; it raises nothing."""


@dataclass(frozen=True, slots=True)
class FeatureTools:
    """What a workspace gives its features."""

    shared: SharedParts
    settings: TurnSettings
    turns: TurnManager
    submit: Submit
    """Queues a question again whose message is known, because it was edited or a button repeats it."""
    private_questions: PrivateQuestions
    channel_questions: ChannelQuestions
    publish_home: Callable[[str], Awaitable[None]]
    """Publishes Home to a person again."""
    features: Sequence[Feature]
    """All features; the list is complete once every feature is built."""


BuildFeature = Callable[[FeatureTools], Feature]
