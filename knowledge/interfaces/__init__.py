"""The interfaces of the knowledge package and the data that crosses them.

Documents go ``Source → parse → chunk → Embedder → Store``, and the manifest decides what is current. A question goes
``plan → Embedder, Store (vectors and BM25) → manifest → ranking → Hit``.
"""

from knowledge.interfaces.audiences import (
    ANY_MEMBER,
    EVERYONE,
    GUESTS,
    WORLD,
    Viewers,
    intersect_readers,
    make_class_key,
    may_read,
    narrow_readers,
)
from knowledge.interfaces.documents import WEB, Chunk, Document, Section
from knowledge.interfaces.embedding import Embedder, Matrix, Priority, Vector
from knowledge.interfaces.materials import MATERIAL, MESSAGE_KIND, PICTURE_KINDS, Material, MaterialOrigin
from knowledge.interfaces.results import (
    Hit,
    LiveWebRequest,
    SearchResult,
    SkippedPage,
    SkipReason,
    WebOrigin,
    WebSearchReport,
    WebTrouble,
)
from knowledge.interfaces.sources import (
    DocumentContent,
    ExplainingSource,
    ListedDocument,
    Memory,
    RightsLimit,
    RightsSource,
    Source,
    SourceContext,
    SourceKey,
    WatchableSource,
    find_place,
    has_uniform_readers,
    lists_rights,
)
from knowledge.interfaces.stores import Candidate, CurrentChunk, Scope, Store, StoredChunk

__all__ = [
    "ANY_MEMBER",
    "EVERYONE",
    "GUESTS",
    "MATERIAL",
    "MESSAGE_KIND",
    "PICTURE_KINDS",
    "WEB",
    "WORLD",
    "Candidate",
    "Chunk",
    "CurrentChunk",
    "Document",
    "DocumentContent",
    "Embedder",
    "ExplainingSource",
    "Hit",
    "ListedDocument",
    "LiveWebRequest",
    "Material",
    "MaterialOrigin",
    "Matrix",
    "Memory",
    "Priority",
    "RightsLimit",
    "RightsSource",
    "Scope",
    "SearchResult",
    "Section",
    "SkipReason",
    "SkippedPage",
    "Source",
    "SourceContext",
    "SourceKey",
    "Store",
    "StoredChunk",
    "Vector",
    "Viewers",
    "WatchableSource",
    "WebOrigin",
    "WebSearchReport",
    "WebTrouble",
    "find_place",
    "has_uniform_readers",
    "intersect_readers",
    "lists_rights",
    "make_class_key",
    "may_read",
    "narrow_readers",
]
