"""Ask by command, by modal or in private, also for other apps, and see what one asked before."""

from __future__ import annotations

from bot.slack.features.asking.answer_privately import ANSWER_PRIVATELY, AnswerPrivatelyAction, MoreForAsker
from bot.slack.features.asking.app_questions import AppQuestions
from bot.slack.features.asking.ask import ASK, AskAboutModal, AskCommand, AskModal
from bot.slack.features.asking.recent_questions import RecentQuestionsPart
from bot.slack.features.asking.suggested_prompts import SuggestedPrompts
from bot.slack.features.kit.feature import Feature, FeatureTools
from bot.slack.wire.events import AppAsked, MessagesOpened


def build_feature(tools: FeatureTools) -> Feature:
    """Return the ways to ask."""
    shared, questions = tools.shared, tools.private_questions
    privately = AnswerPrivatelyAction(
        shared.threads, questions, shared.dependencies.ledger, shared.me.team, shared.messenger
    )
    modals = [AskModal(shared, questions)]
    if shared.materials is not None:
        modals.append(AskAboutModal(shared, questions, shared.materials.quoted))
    return Feature(
        actions={ANSWER_PRIVATELY: privately.run},
        commands={ASK: AskCommand(shared, questions).run},
        shortcuts={modal.shortcut: modal.open for modal in modals},
        modals=modals,
        home_parts=[RecentQuestionsPart(shared)],
        offers=[MoreForAsker(shared).offer_later],
        event_handlers={
            AppAsked: AppQuestions(shared, tools.turns.submit).handle_mention,
            MessagesOpened: SuggestedPrompts(shared).suggest_later,
        },
    )
