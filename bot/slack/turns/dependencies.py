"""The parts of the bot that the Slack side uses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bot.answering.guidance import Guidance
from bot.answering.verified_answers.finder import VerifiedAnswerFinder
from bot.answering.verified_answers.verified_answerer import Answering
from bot.audit.audited_profiles import AuditedProfiles
from bot.audit.entries import NO_AUDIT, AuditLog
from bot.config.configuration import Configuration, QuestionLimits
from bot.document_additions import DocumentAdditions
from bot.http.listeners import Listeners
from bot.page_additions import PageAdditions
from bot.profiles.transactions.policy_passages import SearchDocuments
from bot.security.audit import SecurityAudit
from bot.slack.conversations.library import KnowledgeLibrary
from bot.slack.people.finder import ListNamed
from bot.storage.channels.channel_event_log import ChannelEventLog
from bot.storage.shared_changes import SharedChanges
from bot.storage.turns.ledger import Ledger
from bot.storage.verified_answers import VerifiedAnswers
from engine.interfaces import EngineStatus, ThinkingControl
from engine.routing.request_queue import QueueCounts
from knowledge.identity.email_addresses import EmailIdentitySource
from knowledge.identity.identity_map import IdentityMap
from knowledge.interfaces import Hit, Viewers
from knowledge.materials import MaterialLoader

FindPassage = Callable[[Sequence[str], Viewers], Awaitable[Hit | None]]
"""Returns the current passage that some chunks form, if all viewers may read it; None if nothing is left of it."""
WritePhrasings = Callable[[str], Awaitable[Sequence[str]]]
"""Returns other ways to ask a question; none if nothing can write them in time."""
FindSalt = Callable[[Viewers], Awaitable[str]]
"""Returns the salt of the engine's prefix cache for these viewers."""


async def omit_salt(_viewers: Viewers) -> str:
    """Return no salt: all requests share the engine's prefix cache."""
    return ""


@dataclass(frozen=True, slots=True)
class VerifiedTools:
    """What stores, finds and phrases verified answers."""

    stored: VerifiedAnswers
    finder: VerifiedAnswerFinder
    write_phrasings: WritePhrasings | None = None


@dataclass(frozen=True, slots=True)
class SlackDependencies:
    """The parts of the bot that the Slack side uses."""

    ledger: Ledger
    changes: SharedChanges
    """What other processes change; the app reads it as long as it runs."""
    answerer: Answering
    library: KnowledgeLibrary
    search: SearchDocuments
    engine_status: Callable[[], EngineStatus]
    event_log: ChannelEventLog | None = None
    """Stores events of public channels if they are a source."""
    adding: DocumentAdditions | None = None
    pages: PageAdditions | None = None
    passage: FindPassage | None = None
    configuration: Configuration = field(
        default_factory=lambda: Configuration((), None, question_limits=QuestionLimits(0, 0))
    )
    identities: IdentityMap = field(default_factory=lambda: IdentityMap([EmailIdentitySource()]))
    """Adds the principals of other systems to those that Slack gives a person."""
    list_named: ListNamed | None = None
    """Returns the principals that restricted documents name as readers; None if that is unknown."""
    forget: Callable[[str], None] = lambda _: None
    """Forgets what a conversation has seen, because a question of it was deleted or edited."""
    materials: MaterialLoader | None = None
    """Reads the files of questions; None where none is read."""
    find_salt: FindSalt = omit_salt
    verified: VerifiedTools | None = None
    """None where owners verify no answers."""
    control: Callable[[], ThinkingControl | None] = lambda: None
    """Returns the engine's control over thinking; None before the engine exists."""
    count_requests: Callable[[], QueueCounts] = QueueCounts
    """Returns how many requests of this process wait for the engine, and how many it answers."""
    security_audit: SecurityAudit | None = None
    record_vote: Callable[[str], None] = lambda _: None
    """Counts a vote on an answer, "good" or "bad"."""
    listeners: Listeners = field(default_factory=Listeners)
    """Opens the servers for Slack over HTTP and for the pages of the installation."""
    audit_log: AuditLog = NO_AUDIT
    guidance: Mapping[str, Guidance] = field(default_factory=dict)
    """The profiles that answer from guidelines alone, by name."""
    document_profiles: AuditedProfiles | None = None
    """Applies profiles to files; None where none is applied."""
