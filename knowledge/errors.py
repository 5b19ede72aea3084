"""Everything that can go wrong with knowledge, each with the next step for a person.

KnowledgeError
├── SourceError              a source cannot be listed or read
│   ├── UnknownSource        no source of that name is configured
│   ├── SourceMisconfigured  its table in the configuration is wrong
│   ├── SourceUnavailable    the whole source is out of reach, not one document of it
│   └── SourceDenied         the whole source refuses us: credentials that are wrong or have expired
├── ParseError               a document cannot be read as its format
│   ├── DocumentTooLarge
│   ├── DocumentEncrypted
│   └── UnsupportedFormat
├── FetchError               something on the web cannot be fetched; its ``reason`` is for the log alone
│   ├── FetchRefused         … because the guard says no
│   ├── FetchTypeNotAllowed  … because it is of a type that is not read
│   ├── FetchTooLarge        … because it is larger than what is read
│   ├── FetchTimeout         … because it took too long
│   ├── FetchFailed          … because it cannot be reached, or broke off
│   ├── FetchBadStatus       … because the site answers with a status that is no page
│   └── FetchUnreadable      … because there is no text to read on it: a login, a consent, scripts, a bot check
├── ProviderError            a search provider did not answer a search of the web
│   ├── ProviderRefused      … because it refuses the key, or what is paid for is used up
│   ├── ProviderBusy         … because it asks to be left alone for a while
│   └── ProviderFailed       … because it cannot be reached, is too slow, or answers with something else
├── CacheFailed              the kept pages of the web cannot be cleared
├── StoreError               the store refused or failed
│   ├── StoreUnavailable     … because it cannot be reached in time
│   ├── StoreReadOnly        … because it takes no writes (its disk is nearly full, a key without rights)
│   └── StoreMisconfigured   … because the key or the schema is wrong
├── DatabaseError            the database of Kvasir's tables failed
│   ├── DatabaseUnavailable  … because it is locked, down or slow; the same call may succeed soon
│   └── DatabaseFull         … because its disk is full, or Kvasir may not write to it
├── NothingRead              no document was read yet, or none is there; its ``why`` says which
├── InvalidFilter            a filter in a question cannot be read
├── EmbedderError            the embedder's artefact is missing, damaged or cannot run
│   └── EmbedderUncalibrated … because no constants were measured for it
├── PendingDeletionsChanged  what is held is not what a person was shown and agreed to
└── SyncRunning              another sync holds this state directory
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal


class KnowledgeError(Exception):
    """An error whose text is for a person: what happened, then the next step.

    ``str(error)`` is one or two sentences and never holds a secret or a document's text.
    """


class SourceError(KnowledgeError):
    """A source cannot be listed or read."""


class UnknownSource(SourceError):
    """No source of that name is configured."""


class SourceMisconfigured(SourceError):
    """A source's table in the configuration is wrong: an unknown kind or key, a missing or wrong value."""


class SourceUnavailable(SourceError):
    """The whole source is out of reach, not one document of it: going on with the next document is of no use."""


class SourceDenied(SourceError):
    """The whole source refuses us (credentials wrong or expired): going on with the next document is of no use."""


class ParseError(KnowledgeError):
    """A document cannot be read as its format."""


class DocumentTooLarge(ParseError):
    """A document is over the size that is read."""


class DocumentEncrypted(ParseError):
    """A document needs a password."""


class UnsupportedFormat(ParseError):
    """No parser takes this kind of file."""


class FetchError(KnowledgeError):
    """Something on the web cannot be fetched.

    What is said is the same whatever the reason: who may have things fetched must not learn from it what there is in
    the inner network. ``reason`` is a phrase of ours with the exact reason, for the log and the operator.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("This page cannot be read from here. Open it in a browser, or leave it out.")
        self.reason = reason


class FetchRefused(FetchError):
    """The guard says no to the address."""


class FetchTypeNotAllowed(FetchError):
    """It is of a type that was not asked for."""


class FetchTooLarge(FetchError):
    """It is larger than what is read, as it comes or once unpacked."""


class FetchTimeout(FetchError):
    """It took too long."""


class FetchFailed(FetchError):
    """It cannot be reached, is not what HTTP and TLS ask for, or broke off."""


class FetchBadStatus(FetchError):
    """The site answers with a status that is no page: it is not there, not for us, or the site is out of order."""

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
    """It was fetched, but there is no text on it for us; that much may be said, for the page could be asked for."""

    def __init__(self, reason: UnreadableReason) -> None:
        super().__init__(reason.value)
        self.args = (f"This page cannot be read: {reason.value}. Open it in a browser.",)
        self.unreadable_reason = reason


class ProviderError(KnowledgeError):
    """A search provider did not answer a search of the web. The next provider is asked instead."""


class ProviderRefused(ProviderError):
    """It refuses the key, or what is paid for is used up: only an operator can mend that."""


class ProviderBusy(ProviderError):
    """It has been asked too often."""

    def __init__(self, told: str, retry_after_s: float | None = None) -> None:
        super().__init__(told)
        self.retry_after_s = retry_after_s
        """For how long it asks to be left alone; None where it does not say."""


class ProviderFailed(ProviderError):
    """It cannot be reached, is too slow, or answers with something that is no list of results."""


class CacheError(KnowledgeError):
    """The pages of the web that are kept cannot be cleared."""


class StoreError(KnowledgeError):
    """The store refused or failed."""


class StoreUnavailable(StoreError):
    """The store cannot be reached, or did not answer within its deadline."""


class StoreReadOnly(StoreError):
    """The store takes no writes."""


class StoreMisconfigured(StoreError):
    """The key, the address or the schema is wrong; trying again will not help."""


class DatabaseError(KnowledgeError):
    """The database of Kvasir's tables failed."""


class DatabaseUnavailable(DatabaseError):
    """The database is locked, down or slow; the same call may succeed soon."""


class DatabaseFull(DatabaseError):
    """The disk under the database is full, or Kvasir may not write to it."""


NothingReadReason = Literal["no_source", "reading", "failed", "never", "empty"]
_NOTHING_READ_TEXTS: Final[dict[NothingReadReason, str]] = {
    "no_source": "No source of documents is configured. Add a [[source]] to kvasir.toml, then run `kvasir sync`.",
    "reading": "The documents are being read for the first time{progress}. Please ask again in a moment.",
    "failed": "No document was read: the last sync stopped with an error. `kvasir status` says why.",
    "never": "No document was read yet. Run `kvasir sync`, then ask again.",
    "empty": "The sources were read and hold no documents. Check their paths in kvasir.toml, then run `kvasir sync`.",
}


class NothingRead(KnowledgeError):
    """No document was read yet, or none is there.

    ``why`` says which; ``done`` of ``total`` documents are read, where that is known.
    """

    def __init__(self, why: NothingReadReason, done: int = 0, total: int = 0) -> None:
        super().__init__(_NOTHING_READ_TEXTS[why].format(progress=f" ({done} of {total})" if total else ""))
        self.why, self.done, self.total = why, done, total


class InvalidFilter(KnowledgeError):
    """A filter that was typed into a question cannot be read, or nothing is asked beside it."""


class EmbedderError(KnowledgeError):
    """The embedder's artefact is missing, damaged or cannot run."""


class EmbedderUncalibrated(EmbedderError):
    """Search or the verifier has no constants for this embedder."""


class PendingDeletionsChanged(KnowledgeError):
    """What is held of a source is not what a person was shown and agreed to; nothing was deleted."""


class SyncRunning(KnowledgeError):
    """Another sync holds this state directory; a result rather than a fault."""
