"""Every text of a document, a person or the model passes ``bot.answering.outgoing`` before a person reads it."""

from __future__ import annotations

import re

from bot.answering.events import Finished, Passage, Sources, Text
from bot.answering.outgoing import release_event, release_text
from tests.import_graph import ROOT, list_imports, name_module
from tests.test_architecture import modules

CARRIERS = re.compile(
    r"\b(?:DocumentAccess|Finished|Hit|Passage|PendingDeletion|QuarantinedDocument|Reasoning|RecentDocument"
    r"|SearchResult|StoredAnswer|StoredVote|Text|UploadRecord|VerifiedAnswer|WebPage)\b"
)
"""The types that carry such texts."""
SHOWING = ("bot.api", "bot.cli", "bot.slack", "bot.terminal")
"""The packages that show something to a person."""
SHOW_RELEASED = {
    "bot.api.answers": "the events of answers",
    "bot.api.chat": "the events of answers",
    "bot.api.server": "the events of answers",
    "bot.cli.commands.ask": "the events of answers",
    "bot.slack.features.answers.show_reasoning": "the reasoning of a released event",
    "bot.slack.posting": "the events of answers",
    "bot.slack.turns": "the events of answers",
    "bot.slack.wire": "formats what the callers release",
}
"""Modules and packages that show only what has passed already."""
SHOW_NOTHING = {
    "bot.cli.erasers": "counts, and lists files for the export",
    "bot.cli.commands.verify": "checks sentences that its caller has",
    "bot.slack.conversations.library": "declares what the library returns",
    "bot.slack.features.asking.recent_questions": "shows questions by StoredQuestions",
    "bot.slack.features.documents.add_page": "shows an address alone",
    "bot.slack.features.feedback.open_questions": "shows questions by StoredQuestions",
    "bot.slack.features.sharing.shared_answer": "builds events that share_answer releases",
    "bot.slack.features.verified.management": "stores and finds",
    "bot.slack.materials": "reads for the model",
}
"""Modules and packages that hold texts and show none."""


def imports_carrier(code: str) -> bool:
    """Return whether a module imports a type that carries texts."""
    return any(CARRIERS.search(names) for names in re.findall(r"^from \S+ import (\([^)]*\)|.*)$", code, re.MULTILINE))


def find_producers() -> set[str]:
    """Return the modules that import a carrier and may show it."""
    found = set()
    for package in ("bot/api", "bot/cli", "bot/slack", "bot/terminal"):
        for path in modules(package):
            if imports_carrier(path.read_text(encoding="utf-8")):
                found.add(name_module(path))
    return found


def is_within(module: str, names: object) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)  # type: ignore[attr-defined]


def test_every_producer_of_texts_releases_them() -> None:
    paths = {
        name_module(path): path
        for package in ("bot/api", "bot/cli", "bot/slack", "bot/terminal")
        for path in modules(package)
    }
    missing = [
        module
        for module in sorted(find_producers())
        if not is_within(module, SHOW_RELEASED | SHOW_NOTHING)
        and "bot.answering.outgoing" not in list_imports(paths[module])
    ]
    assert missing == [], "pass their texts through release_text, or say here why they show none"


def test_the_exceptions_exist() -> None:
    producers = find_producers()
    unused = [name for name in SHOW_RELEASED | SHOW_NOTHING if not any(is_within(one, [name]) for one in producers)]
    assert unused == []


def test_architecture_lists_the_producers() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    releasing = {
        name_module(path)
        for path in modules("bot")
        if "bot.answering.outgoing" in list_imports(path) and name_module(path) != "bot.answering.outgoing"
    }
    listed = set(
        re.findall(r"^- `(bot\.[\w.]+)`: ", text.partition("## What leaves")[2].partition("\n## ")[0], re.MULTILINE)
    )
    assert listed == releasing


def test_control_characters_leave_no_event() -> None:
    escape = "\x1b[31m\u202e"
    passage = Passage(1, "docs", "a.md", f"A{escape}", f"B{escape}", None, "")
    released = [
        release_event(Text(f"One{escape}.", (passage,))),
        release_event(Sources((passage,))),
        release_event(Finished("engine", (passage,), {}, extracted_passages=(passage,), reasoning=f"Two{escape}")),
    ]
    assert "\x1b" not in repr(released)
    assert "\u202e" not in "".join(str(event) for event in released)
    assert released[0] == Text("One.", (Passage(1, "docs", "a.md", "A", "B", None, ""),))
    assert release_text("一\t二\n") == "一\t二\n"


def test_a_new_producer_is_found() -> None:
    assert imports_carrier("import re\nfrom knowledge.interfaces import (\n    Hit,\n    Viewers,\n)\n")
    assert imports_carrier("from bot.answering.events import Text, Question\n")
    assert not imports_carrier("from bot.answering.events import Question\n")
