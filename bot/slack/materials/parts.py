"""Builds what reads the files and messages that come with a question."""

from __future__ import annotations

from bot.slack.materials.file_intake import FileIntake
from bot.slack.materials.file_reader import FileReader
from bot.slack.materials.question_materials import QuestionMaterials
from bot.slack.materials.quoted_messages import QuotedMessages
from bot.slack.materials.thread_files import ThreadFiles
from bot.slack.shared_parts import SharedParts


def build_materials(shared: SharedParts) -> QuestionMaterials | None:
    """Return what reads files and quoted messages; None where none is read."""
    maker = shared.dependencies.materials
    if maker is None:
        return None
    files = ThreadFiles(shared.api, shared.threads, FileReader(shared.client, maker))
    return QuestionMaterials(files, QuotedMessages(shared.api, shared.threads, shared.directory, maker, shared.me))


def build_file_intake(shared: SharedParts) -> FileIntake | None:
    """Return what stores the files of owners; None where no source takes them."""
    adding = shared.dependencies.adding
    if adding is None:
        return None
    return FileIntake(shared.client, adding, shared.access, shared.threads)
