"""The workbench of each embedder: its declaration, with a server at the wire where it needs one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext

from knowledge.embedding import EMBEDDERS, EmbedderSpec
from tests.embedding.toy_embedder import TOY

Workbench = Callable[[], AbstractAsyncContextManager[EmbedderSpec]]
"""Returns a block in which the embedder of the declaration can be opened."""

WORKBENCHES: Mapping[str, Workbench] = {
    "multilingual-e5-small:1571fc982750:int8:6.1": lambda: nullcontext(EMBEDDERS[0]),
    TOY.identity: lambda: nullcontext(TOY),
}
"""By identity."""
