"""``kvasir feedback export``: write the votes on stored answers into a file that ``make eval-answers`` reads."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime

from bot.answering.masking import DEFAULT_MASKING, Masking
from bot.answering.outgoing import release_to
from bot.audit.entries import name_document
from bot.cli.command_settings import load_command_settings
from bot.errors import SettingsError
from bot.private_files import write_named_file
from bot.storage.feedback import Feedback, StoredVote
from bot.storage.turns.ledger import open_ledger
from bot.terminal.output import print_outcome


async def main(arguments: argparse.Namespace) -> int:
    """Write one line for each vote; only the account that runs the command can read the file."""
    settings = load_command_settings(arguments)
    masking = settings.configuration.masking
    async with open_ledger(settings.database_url) as ledger:
        votes = await Feedback(ledger.database).list_current()
    try:
        write_named_file(
            arguments.file,
            "".join(f"{json.dumps(describe_vote(one, masking), ensure_ascii=False)}\n" for one in votes),
        )
    except OSError as error:
        raise SettingsError(f"{arguments.file} cannot be written ({error}). Name another place.") from error
    print_outcome(
        {"file": str(arguments.file), "votes": len(votes)},
        f"{len(votes)} votes in {arguments.file}",
        json=arguments.json,
    )
    return 0


def describe_vote(vote: StoredVote, masking: Masking = DEFAULT_MASKING) -> Mapping[str, object]:
    """Return a line of the export (docs/operating.md names every key); it does not say who asked or voted."""
    answer = vote.answer
    return {
        "id": f"{answer.key.team}/{answer.key.channel}/{answer.key.ts}",
        "follows_up": answer.thread_ts != answer.key.ts,
        "language": answer.language,
        "question": release_to("feedback", answer.question, masking),
        "answer": release_to("feedback", answer.answer, masking),
        "passages": [
            asdict(passage)
            | {"document": name_document(passage.document)}
            | {key: release_to("feedback", getattr(passage, key), masking) for key in ("title", "heading")}
            for passage in answer.passages
        ],
        "route": answer.route,
        "model": answer.model,
        "verdicts": {"marked": answer.marked, "removed": answer.removed},
        "seconds": answer.seconds,
        "answered_at": _format_time(answer.created_at),
        "vote": vote.vote,
        "reasons": list(vote.reasons),
        "comment": release_to("feedback", vote.comment, masking),
        "voted_at": _format_time(vote.voted_at),
    }


def _format_time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()
