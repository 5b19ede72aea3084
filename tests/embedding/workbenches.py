"""The workbench of each embedder: its declaration, with a server at the wire where it needs one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext

from knowledge.embedding import EMBEDDERS, EmbedderSpec
from tests.embedding.toy_embedder import TOY

Workbench = Callable[[], AbstractAsyncContextManager[EmbedderSpec]]
"""Returns a block in which the embedder of the declaration can be opened."""

E5 = next(spec for spec in EMBEDDERS if spec.identity.startswith("multilingual-e5-small:"))

WORKBENCHES: Mapping[str, Workbench] = {
    E5.identity: lambda: nullcontext(E5),
    TOY.identity: lambda: nullcontext(TOY),
}
"""By identity."""
