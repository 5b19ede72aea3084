"""Build the embedder's files from the packed weights: ``python -m knowledge.embedding.local_e5.build WEIGHTS FOLDER``.

This is a separate process, so onnx and the float encoder (together about 500 MB) take no memory of the bot.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np

from knowledge.embedding.local_e5.files import ENCODER, POSITIONS, VOCABULARY, WORDS
from knowledge.embedding.local_e5.graph import write_int8_encoder
from knowledge.embedding.local_e5.vocabulary import build_sentencepiece_model
from knowledge.embedding.local_e5.weights import PackedWeights


def build_artefact(source: Path, folder: Path) -> None:
    """Write the four files of the artefact into ``folder``."""
    weights = PackedWeights(source)
    hidden = weights.shape.hidden_size
    (folder / VOCABULARY).write_bytes(build_sentencepiece_model(weights.pieces, weights.shape))
    np.save(folder / WORDS, weights.read_blocks("emb.word", hidden))
    # Every token has type 0, so the type's row is added to the positions.
    positions = weights.read_floats("emb.pos").reshape(-1, hidden) + weights.read_floats("emb.type")[:hidden]
    np.save(folder / POSITIONS, positions.astype(np.float32))
    write_int8_encoder(weights, folder / ENCODER)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    build_artefact(Path(sys.argv[1]), Path(sys.argv[2]))
