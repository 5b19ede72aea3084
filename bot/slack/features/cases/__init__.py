"""Cases of transactions in Slack: owners see them and decide, each with a reason."""

from __future__ import annotations

from bot.slack.features.cases.case_list import CaseList
from bot.slack.features.cases.decide_case import NO_ACTION, YES_ACTION, DecisionModal
from bot.slack.features.kit.feature import Feature, FeatureTools
from bot.slack.features.kit.subcommand import Subcommand
from bot.storage.cases import Cases


def build_feature(tools: FeatureTools) -> Feature:
    """Return the list for owners, its buttons and the modal."""
    shared = tools.shared
    stored = Cases(shared.database)
    modal = DecisionModal(shared, stored)
    return Feature(
        subcommands=[
            Subcommand(
                ("cases", "case", "案例"),
                CaseList(shared, stored).show_cases,
                lambda user, _rest: shared.access.is_owner(user),
                timeout_s=60.0,
            )
        ],
        actions={YES_ACTION: modal.open_for_yes, NO_ACTION: modal.open_for_no},
        modals=[modal],
    )
