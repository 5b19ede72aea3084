"""Builds the parts of the Slack side, and connects them: turns, commands, buttons, modals and listeners."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from bot.slack.conversations.attention import ThreadAttention
from bot.slack.features.answers.change_answer import AnswerAgainAction, ChangeAnswer, DeleteAnswerAction
from bot.slack.features.answers.mute_thread import MuteThreadAction
from bot.slack.features.answers.search_web import SearchWebAction
from bot.slack.features.answers.show_passage import ShowPassageAction
from bot.slack.features.answers.show_reasoning import ShowReasoningAction
from bot.slack.features.asking.answer_privately import ANSWER_PRIVATELY, AnswerPrivatelyAction
from bot.slack.features.asking.app_questions import AppQuestions
from bot.slack.features.asking.ask import ASK, AskCommand
from bot.slack.features.asking.ask_about import AskAboutModal
from bot.slack.features.asking.ask_modal import AskModal
from bot.slack.features.asking.more_for_asker import MoreForAsker
from bot.slack.features.documents.add_page import AddPageAction
from bot.slack.features.documents.file_readers import FileReadersAction
from bot.slack.features.feedback.feedback_command import FeedbackRunner
from bot.slack.features.feedback.feedback_modal import FeedbackModal
from bot.slack.features.feedback.rate_answer import RateAnswerAction
from bot.slack.features.home.parts import HomeParts
from bot.slack.features.home.suggested_prompts import SuggestedPrompts
from bot.slack.features.kb.kb_command import KbCommand, KbRunners
from bot.slack.features.kb.search_command import SearchRunner
from bot.slack.features.kit.channel_access import ChannelAccess
from bot.slack.features.kit.modal import Modal
from bot.slack.features.kit.parsing import KB, THINK
from bot.slack.features.kit.private_questions import PrivateQuestions, Submit
from bot.slack.features.kit.shared_parts import SharedParts
from bot.slack.features.owners.parts import OwnerParts
from bot.slack.features.refreshes.parts import RefreshParts
from bot.slack.features.settings.channel_settings import CHANNEL_SETTINGS
from bot.slack.features.settings.parts import ChannelParts
from bot.slack.features.settings.personal_settings import OPEN_SETTINGS
from bot.slack.features.settings.think_command import ThinkCommand
from bot.slack.features.sharing.channel_questions import ChannelQuestions
from bot.slack.features.sharing.share_answer import AskInChannelAction, ShareAnswerAction
from bot.slack.features.sharing.share_command import ShareRunner
from bot.slack.features.verified.parts import VerifiedParts
from bot.slack.posting.buttons import AnswerButton
from bot.slack.turns.settings import TurnSettings
from bot.slack.turns.turns import TurnManager
from bot.slack.wire.events import AppRemoved
from bot.slack.wire.installation import TokenMonitor
from bot.slack.wire.interactions import ActionHandler
from bot.slack.wire.tasks import BackgroundTasks
from bot.slack.workspace.listeners import CommandHandler, SlackListeners
from bot.slack.workspace.turn_parts import TurnParts
from bot.storage.channels.channel_moves import ChannelMoves
from bot.storage.turns.questions import QuestionKey, QuestionMessage
from bot.storage.turns.threads import ThreadRecords


class SlackParts:
    """Builds the turns and the listeners of an app."""

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared
        self._channels = ChannelParts(shared)
        self.refreshes = RefreshParts(shared)
        self._verified = VerifiedParts(shared)
        self._turns = TurnParts(shared, self._channels, self._verified)
        self._attention = ThreadAttention(
            ThreadRecords(shared.database),
            shared.dependencies.configuration.follow_ups,
            shared.threads,
            shared.messenger,
            shared.me,
            find_language=shared.languages.find_language,
            channel_rules=self._channels.rules,
        )
        self._feedback_modal = FeedbackModal(shared.api, shared.feedback, shared.me.team, shared.messenger)
        self.owners = OwnerParts(shared, self._verified.management)
        self.home = HomeParts(shared, self.owners.build_home_part())

    def build_listeners(
        self,
        settings: TurnSettings,
        token_monitor: TokenMonitor,
        tasks: BackgroundTasks,
        on_removed: Callable[[AppRemoved], None],
    ) -> tuple[TurnManager, SlackListeners]:
        """Return the turns of questions, and the listeners for everything that Slack sends."""
        shared, team = self._shared, self._shared.me.team

        library, find_language = shared.dependencies.library, shared.languages.find_language
        more = MoreForAsker(library, shared.viewers, shared.messenger, find_language, tasks)
        buttons: list[AnswerButton] = []  # filled below, because buttons act on the turns
        turns = self._turns.build_manager(settings, buttons, more.offer_later, tasks, token_monitor.suspect_token)
        channel_questions = ChannelQuestions(shared, turns.submit, turns.handle_deletion)

        async def submit(message: QuestionMessage) -> bool:
            # A button asks again once its question was edited.
            return await turns.submit(message) or await turns.handle_edit(message, f"{time.time():.6f}")

        async def delete(key: QuestionKey) -> bool:
            is_deleted = await turns.handle_deletion(key)
            await channel_questions.delete_question(key)
            return is_deleted

        buttons += [
            ShareAnswerAction(shared, channel_questions),
            *self._list_answer_buttons(submit, ChannelAccess(shared.viewers, shared.messenger), tasks),
            *self._list_feedback_buttons(turns.regenerate, delete),
        ]
        questions = PrivateQuestions(shared.api, submit, team, shared.shares)
        privately = AnswerPrivatelyAction(shared.threads, questions, shared.dependencies.ledger, team, shared.messenger)
        ask_there = AskInChannelAction(shared, channel_questions)
        actions = {ANSWER_PRIVATELY: privately.run, ask_there.action_id: ask_there.run} | {
            button.action_id: button.run for button in buttons
        }

        asking: list[AskModal | AskAboutModal] = [AskModal(shared.api, questions)]
        if self._turns.materials is not None:
            asking.append(AskAboutModal(shared.api, questions, self._turns.materials.quoted))
        listeners = SlackListeners(
            shared.me,
            turns,
            self._attention,
            self._list_commands(questions),
            self._list_actions() | actions,
            {modal.shortcut: modal.open for modal in asking},
            {modal.callback_id: modal for modal in [*asking, *self._list_modals()]},
            self.home.tab,
            SuggestedPrompts(shared, self._channels.rules),
            shared.directory,
            shared.languages,
            shared.viewers,
            AppQuestions(shared, tasks, turns.submit),
            shared.messenger,
            tasks,
            on_removed,
            ChannelMoves(shared.database, team),
            event_log=shared.dependencies.event_log,
        )
        return turns, listeners

    def _list_answer_buttons(self, submit: Submit, access: ChannelAccess, tasks: BackgroundTasks) -> list[AnswerButton]:
        """Return every kind of button under an answer, in their order."""
        shared, needs = self._shared, self._shared.dependencies
        messenger, team = shared.messenger, shared.me.team
        intake = self._turns.intake
        return [
            *([] if needs.passage is None else [ShowPassageAction(needs.passage, access, messenger)]),
            *([] if needs.pages is None else [AddPageAction(needs.pages, shared.access, messenger)]),
            *(
                []
                if needs.adding is None or intake is None
                else [FileReadersAction(needs.adding, intake, shared.access, shared.directory, messenger)]
            ),
            SearchWebAction(shared.threads, submit, team, access, messenger),
            ShowReasoningAction(shared, self._turns.reasonings, access, tasks),
            *self._verified.list_buttons(submit, access),
            MuteThreadAction(self._attention, messenger),
            self._channels.build_stop_button(access),
        ]

    def _list_feedback_buttons(self, regenerate: ChangeAnswer, delete: ChangeAnswer) -> list[AnswerButton]:
        """Return the buttons that rate an answer, replace it and delete it."""
        shared, needs = self._shared, self._shared.dependencies
        messenger, team = shared.messenger, shared.me.team
        return [
            AnswerAgainAction(needs.ledger, regenerate, team, messenger),
            RateAnswerAction(shared.feedback, self._feedback_modal, shared.viewers, team, messenger, needs.record_vote),
            DeleteAnswerAction(needs.ledger, delete, shared.access, team, messenger),
        ]

    def _list_commands(self, questions: PrivateQuestions) -> Mapping[str, CommandHandler]:
        """Return what each slash command does."""
        shared, needs, team = self._shared, self._shared.dependencies, self._shared.me.team
        kb = KbCommand(
            shared.visible_sources,
            needs.engine_status,
            self.refreshes.pending,
            self.refreshes.runner,
            runners=KbRunners(
                SearchRunner(needs.library, shared.viewers, self._channels.rules).run,
                ShareRunner(shared.directory, shared.approved_channels, team).run,
                FeedbackRunner(shared.feedback, shared.questions, shared.access, team).run,
                self._verified.command.show_answers,
                self._channels.modal.open,
            ),
            messenger=shared.messenger,
            access=shared.access,
        )
        think = ThinkCommand(shared.preferences, self._channels.rules, needs.control, team, shared.messenger)
        return {
            ASK: AskCommand(questions, shared.messenger, shared.directory.find_channel).run,
            KB: kb.run,
            THINK: think.run,
        }

    def _list_actions(self) -> dict[str, ActionHandler]:
        """Return what the buttons do that are not under an answer."""
        home = self.home
        of_home = {**self.refreshes.list_actions(), **self._verified.command.actions}
        return {
            **{name: home.tab.publish_after(action) for name, action in of_home.items()},
            OPEN_SETTINGS: home.settings_modal.open,
            CHANNEL_SETTINGS: self._channels.modal.open,
        }

    def _list_modals(self) -> list[Modal]:
        """Return the modals in which nothing is asked."""
        return [self._feedback_modal, self._verified.modal, self._channels.modal, self.home.settings_modal]
