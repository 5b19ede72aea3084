"""The workbench of each embedder: its declaration, with a server at the wire where it needs one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext

from knowledge.embedding import EMBEDDERS, EmbedderSpec
from tests.embedding.toy_embedder import TOY

Workbench = Callable[[], AbstractAsyncContextManager[EmbedderSpec]]
"""Returns a block in which the embedder of the declaration can be opened."""

WORKBENCHES: Mapping[str, Workbench] = {
    spec.identity: functools.partial(nullcontext, spec)
    for spec in (*(one for one in EMBEDDERS if one.identity.startswith("multilingual-e5-small:")), TOY)
}
"""By identity."""
