"""Everything that can go wrong with knowledge, each with the next step for a person.

KnowledgeError
├── SourceError              a source cannot be listed or read
│   ├── UnknownSource        no source of that name is configured
│   ├── SourceMisconfigured  its table in the configuration is wrong
│   ├── SourceUnavailable    the whole source is unreachable, not one document of it
│   └── SourceDenied         the whole source refuses Kvasir: wrong or expired credentials
├── ParseError               a document cannot be read as its format
│   ├── DocumentTooLarge
│   ├── DocumentEncrypted
│   ├── DocumentScanned      … because it has only images of text
│   ├── UnsupportedFormat
│   └── ParserUnavailable    … now, for a reason of this machine, so it is tried again
├── FetchError               something on the web cannot be fetched; its ``reason`` is for the log only
│   ├── FetchRefused         … because the guard refuses it
│   ├── FetchTypeNotAllowed  … because its media type is not accepted
│   ├── FetchTooLarge        … because it is larger than the limit
│   ├── FetchTimeout         … because it took too long
│   ├── FetchFailed          … because it is unreachable, or the connection broke
│   ├── FetchBadStatus       … because the site answers with an error status
│   └── FetchUnreadable      … because it has no text to read: a login, a consent, scripts, a bot check
├── ProviderError            a search provider did not answer
│   ├── ProviderRefused      … because it refuses the key, or its quota is used up
│   ├── ProviderBusy         … because it got too many requests
│   └── ProviderFailed       … because it is unreachable, too slow, or answers with something else
├── CacheError               the cached web pages cannot be deleted
├── StoreError               the store refused a call or failed
│   ├── StoreUnavailable     … because it cannot be reached in time
│   ├── StoreReadOnly        … because it accepts no writes (a full disk, a key without permissions)
│   ├── IndexLost            … because the index is missing or damaged, so that it is built again
│   └── StoreMisconfigured   … because the key or the schema is wrong
├── DatabaseError            the database of Kvasir's tables failed
│   ├── DatabaseUnavailable  … because it is locked, down or slow; the same call may succeed soon
│   └── DatabaseFull         … because its disk is full, or Kvasir may not write to it
├── IdentityError            an identity source cannot say which principals people hold
├── IndexRebuilding          an index that was lost is being built again, so documents are missing from answers
├── NothingRead              no document was read yet, or there is none; its ``why`` says which
├── InvalidFilter            a filter in a question cannot be read
├── EmbedderError            the embedder's artefact is missing, damaged or cannot run
│   └── EmbedderUnavailable  … because its server is down or busy, so that the same texts may be embedded later
├── ClusterError             the Ray cluster cannot be used for a sync
├── PendingDeletionsChanged  the pending deletions are not those that a person approved
├── LeaseLost                another process leads now, so this one may not write the index
├── NobodyLeads              this process may not lead, and no other does
└── SyncRunning              another sync uses this state directory
    └── BackupRunning        a backup is being made
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import ClassVar, Final, Literal


class ErrorCode(StrEnum):
    """What went wrong, as the manifest stores it and the bot words it. The values must not change."""

    OTHER = ""
    CACHE = "cache"
    DATABASE = "database"
    DATABASE_FULL = "database full"
    DEFECT = "defect"
    DENIED = "denied"
    EMBEDDER = "embedder"
    ENCRYPTED = "encrypted"
    FETCH = "fetch"
    FORMAT = "format"
    INDEX_LOST = "index lost"
    MISCONFIGURED = "misconfigured"
    PARSE = "parse"
    SOURCE = "source"
    STORE = "store"
    STORE_MISCONFIGURED = "store misconfigured"
    STORE_READ_ONLY = "store read-only"
    TIMEOUT = "timeout"
    TOO_LARGE = "too large"
    UNAVAILABLE = "unavailable"


def read_code(value: str) -> ErrorCode:
    """Return a stored code; OTHER for one of another version."""
    return ErrorCode(value) if value in ErrorCode.__members__.values() else ErrorCode.OTHER


class KnowledgeError(Exception):
    """An error whose text tells a person what happened and what to do next.

    ``str(error)`` is one or two sentences, without secrets and without a document's text.
    """

    code: ClassVar[ErrorCode] = ErrorCode.OTHER


class SourceError(KnowledgeError):
    """A source cannot be listed or read."""

    code = ErrorCode.SOURCE


class UnknownSource(SourceError):
    """No source of that name is configured; ``nearest`` is a configured name that resembles it, "" if none does."""

    def __init__(self, name: str, names: Collection[str], *, in_question: bool = False) -> None:
        self.name, self.known, self.in_question = name, tuple(names), in_question
        self.nearest = find_nearest(name, names)
        suggestion = suggest_nearest(name, names)
        hint = " To search for the words themselves, put them in quotes." if in_question else ""
        super().__init__(f"There is no source “{name}”.{suggestion} Sources are: {', '.join(names) or 'none'}.{hint}")


class SourceMisconfigured(SourceError):
    """A source's table in the configuration is wrong: an unknown kind or key, or a missing or invalid value."""

    code = ErrorCode.MISCONFIGURED


class SourceUnavailable(SourceError):
    """The whole source is unreachable, so trying its other documents is useless."""

    code = ErrorCode.UNAVAILABLE


class SourceDenied(SourceError):
    """The whole source refuses Kvasir (wrong or expired credentials), so trying its other documents is useless."""

    code = ErrorCode.DENIED


class ParseError(KnowledgeError):
    """A document cannot be read as its format."""

    code = ErrorCode.PARSE
    bytes_key: str = ""
    """Names the bytes that cause it, so that a sync parses only others again; "" if they are not the cause."""


class DocumentTooLarge(ParseError):
    """A document is over the size limit."""

    code = ErrorCode.TOO_LARGE


class DocumentEncrypted(ParseError):
    """A document needs a password."""

    code = ErrorCode.ENCRYPTED


class DocumentScanned(ParseError):
    """A document has pages with only images of text."""

    def __init__(self, text: str, unread_pages: int = 1) -> None:
        super().__init__(text)
        self.unread_pages = unread_pages


class UnsupportedFormat(ParseError):
    """No parser reads this kind of file."""

    code = ErrorCode.FORMAT


class ParserUnavailable(ParseError):
    """The machine lacks memory or time for the parsing process, so that the same bytes may be read later."""


def make_parse_error(code: str, text: str) -> ParseError:
    """Return the error that had this code and text."""
    kinds = {kind.code: kind for kind in (ParseError, DocumentTooLarge, DocumentEncrypted, UnsupportedFormat)}
    return kinds.get(read_code(code), ParseError)(text)


class FetchError(KnowledgeError):
    """Something on the web cannot be fetched.

    The text is the same for every reason, so that nobody can explore the internal network with links. ``reason`` is
    our own phrase with the exact reason, for the log and the operator.
    """

    code = ErrorCode.FETCH

    def __init__(self, reason: str) -> None:
        super().__init__("This page cannot be read from here. Open it in a browser, or leave it out.")
        self.reason = reason


class FetchRefused(FetchError):
    """The guard refuses the address."""


class FetchTypeNotAllowed(FetchError):
    """Its media type is not accepted."""


class FetchTooLarge(FetchError):
    """It is larger than the limit, as transferred or decompressed."""


class FetchTimeout(FetchError):
    """It took too long."""


class FetchFailed(FetchError):
    """It is unreachable, violates HTTP or TLS, or the connection broke."""


class FetchBadStatus(FetchError):
    """The site answers with an error status: the page is missing or forbidden, or the site is out of order."""

    def __init__(self, status: int) -> None:
        super().__init__(f"it answers {status}")
        self.status = status


class UnreadableReason(StrEnum):
    """Why a page that was fetched has no text to read."""

    HUMAN_CHECK = "it asks for a proof that a person is reading"
    COOKIES = "it asks for cookies"
    SCRIPTS = "it shows its text by scripts alone"
    SUBSCRIPTION = "it shows its text to subscribers alone"
    LOGIN = "it asks for a login"
    CONSENT = "it shows its text after a consent alone"
    ENCRYPTED = "it needs a password"
    FILE_TYPE = "Kvasir does not read files of this kind"
    BROKEN = "it cannot be parsed"
    EMPTY = "there is no text on it"


class FetchUnreadable(FetchError):
    """The page was fetched but has no text to read. The person may learn why, because the page is public."""

    def __init__(self, reason: UnreadableReason) -> None:
        super().__init__(reason.value)
        self.args = (f"This page cannot be read: {reason.value}. Open it in a browser.",)
        self.unreadable_reason = reason


class ProviderError(KnowledgeError):
    """A search provider did not answer. The next provider is tried."""


class ProviderRefused(ProviderError):
    """It refuses the key, or its quota is used up. Only an operator can correct that."""


class ProviderBusy(ProviderError):
    """It got too many requests."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ProviderFailed(ProviderError):
    """It is unreachable, too slow, or answers with something that is not a list of results."""


class CacheError(KnowledgeError):
    """The cached web pages cannot be deleted."""

    code = ErrorCode.CACHE


class StoreError(KnowledgeError):
    """The store refused a call or failed."""

    code = ErrorCode.STORE


class StoreUnavailable(StoreError):
    """The store is unreachable, or did not answer within its deadline."""


class StoreReadOnly(StoreError):
    """The store accepts no writes."""

    code = ErrorCode.STORE_READ_ONLY


class IndexLost(StoreError):
    """The index is missing from the store, or its files are damaged. The next sync builds it again."""

    code = ErrorCode.INDEX_LOST


class StoreMisconfigured(StoreError):
    """The key, the address or the schema is wrong, so a retry will not help."""

    code = ErrorCode.STORE_MISCONFIGURED


class DatabaseError(KnowledgeError):
    """The database of Kvasir's tables failed."""

    code = ErrorCode.DATABASE


class DatabaseUnavailable(DatabaseError):
    """The database is locked, down or slow; the same call may succeed soon."""


class DatabaseFull(DatabaseError):
    """The disk under the database is full, or Kvasir may not write to it."""

    code = ErrorCode.DATABASE_FULL


class IdentityError(KnowledgeError):
    """An identity source cannot say which principals people hold, so nobody gets any from it."""


NothingReadReason = Literal["no_source", "reading", "failed", "never", "empty"]
NOTHING_READ_TEXTS: Final[dict[NothingReadReason, str]] = {
    "no_source": "No source of documents is configured. Add a [[source]] to kvasir.toml, then run `kvasir sync`.",
    "reading": "The documents are being read for the first time{progress}. Please ask again in a moment.",
    "failed": "No document was read: the last sync stopped with an error. `kvasir status` says why.",
    "never": "No document was read yet. Run `kvasir sync`, then ask again.",
    "empty": "The sources were read and hold no documents. Check their paths in kvasir.toml, then run `kvasir sync`.",
}


class NothingRead(KnowledgeError):
    """No document was read yet, or there is none; ``why`` says which.

    ``done`` of ``total`` documents are read, if that is known.
    """

    def __init__(self, why: NothingReadReason, done: int = 0, total: int = 0) -> None:
        super().__init__(NOTHING_READ_TEXTS[why].format(progress=f" ({done} of {total})" if total else ""))
        self.why, self.done, self.total = why, done, total


class FilterProblem(StrEnum):
    """What is wrong with the filters of a question."""

    NO_WORDS = "There is nothing to search for except “{text}”: add what you want to know."
    NO_DATE = (
        "“{text}” is not a date. Write one like 2026-01-31, 2026-01 or 2026; to search for the words themselves, put "
        "them in quotes."
    )
    RUN_TOGETHER = "The filters of this question run into each other: put a blank between them."
    TOO_MANY = "The filters in this question cannot be read together. Use fewer, and put them at its end."
    NOT_IN_CHANNEL = (
        "Only {key}:{allowed} is searched here, and the question asks for {key}:{requested}. "
        "Leave {key}: out, or ask elsewhere."
    )


class InvalidFilter(KnowledgeError):
    """A filter in a question is invalid, or the question has only filters; ``fields`` are those of the problem."""

    def __init__(self, problem: FilterProblem, **fields: str) -> None:
        self.problem, self.fields = problem, fields
        super().__init__(problem.value.format(**fields))


class IndexRebuilding(KnowledgeError):
    """An index that was lost is being built again from the sources; ``share`` of its documents is complete."""

    code = ErrorCode.INDEX_LOST

    def __init__(self, share: float) -> None:
        super().__init__(f"The index is being rebuilt, {share:.0%}. Until then, answers may lack documents.")
        self.share = share


class EmbedderError(KnowledgeError):
    """The embedder's artefact is missing, damaged or cannot run."""

    code = ErrorCode.EMBEDDER


class EmbedderUnavailable(EmbedderError):
    """The embedder's server cannot be reached, is busy or fails."""


class ClusterError(KnowledgeError):
    """The Ray cluster cannot be used for a sync."""


class PendingDeletionsChanged(KnowledgeError):
    """The pending deletions are not those that the person saw and approved. Nothing was deleted."""

    def __init__(self, source: str) -> None:
        self.source = source
        super().__init__(f"The pending deletions of {source} have changed. Look at them again, and approve those.")


class LeaseLost(KnowledgeError):
    """Another process leads now, so what this one would write is refused."""

    def __init__(self) -> None:
        super().__init__("Another process of Kvasir leads now, so this sync stopped. The other one continues it.")


class NobodyLeads(KnowledgeError):
    """No process may sync."""

    def __init__(self) -> None:
        super().__init__(
            "No process of Kvasir leads, so nothing is synced. Start one with KVASIR_ROLE=all or KVASIR_ROLE=sync."
        )


class SyncRunning(KnowledgeError):
    """Another sync runs, of ``sources`` or by ``process``, if known. This is a result rather than a defect."""

    _what = "A sync"

    def __init__(self, sources: Collection[str] = (), process: str = "") -> None:
        self.sources, self.process = tuple(sources), process
        of = f" of {', '.join(sources)}" if sources else ""
        by = f" ({process})" if process else ""
        super().__init__(f"{self._what}{of} is running already{by}. Wait until it has ended.")


class BackupRunning(SyncRunning):
    """A backup is being made, during which the store deletes nothing."""

    _what = "A backup"


def find_nearest(name: str, names: Iterable[str]) -> str:
    """Return the known name that resembles a name most, in any case, or "" if none does."""
    folded = {one.casefold(): one for one in names}
    close = difflib.get_close_matches(name.casefold(), folded, n=1)
    return folded[close[0]] if close else ""


def suggest_nearest(name: str, names: Iterable[str]) -> str:
    """Return " Did you mean “…”?" with the nearest known name, or "" if none is near."""
    nearest = find_nearest(name, names)
    return f" Did you mean “{nearest}”?" if nearest else ""
