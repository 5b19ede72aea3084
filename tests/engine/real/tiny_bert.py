"""Make a tiny random BERT: ``tiny_bert.py KIND FOLDER``, run with the engine's Python. Texts come as JSON by stdin.

An ``embedder`` pools the first token (CLS), as bge does; a ``reranker`` scores pairs with one label. It knows nothing:
what transformers computes for the texts is printed, to compare it with what SGLang serves.
"""

from __future__ import annotations

import json
import string
import sys
from pathlib import Path

import torch
from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizerFast

KINDS = {"embedder": BertModel, "reranker": BertForSequenceClassification}
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = string.ascii_lowercase + string.digits + string.punctuation


def main(kind: str, folder: str) -> None:
    torch.manual_seed(0)
    vocabulary = Path(folder, "vocab.txt")
    vocabulary.write_text("\n".join([*SPECIAL, *LETTERS, *("##" + letter for letter in LETTERS)]) + "\n")
    tokenizer = BertTokenizerFast(str(vocabulary), model_max_length=512)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        initializer_range=0.3,  # so that the vectors of two texts differ
        num_labels=1,
        position_embedding_type="absolute",  # transformers does not write its default, and SGLang reads it
        architectures=[KINDS[kind].__name__],
        dtype="float32",
    )
    model = KINDS[kind](config).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    with torch.no_grad():
        json.dump([_compute(model, tokenizer, text) for text in json.load(sys.stdin)], sys.stdout)


def _compute(model, tokenizer, text: str | list[str]) -> list[float]:  # noqa: ANN001  # of the engine's environment
    tokens = tokenizer(*([text] if isinstance(text, str) else text), return_tensors="pt")
    output = model(**tokens)
    if "logits" in output:
        return [float(output.logits[0, 0])]
    return [float(number) for number in torch.nn.functional.normalize(output.last_hidden_state[0, 0], dim=0)]


if __name__ == "__main__":
    main(*sys.argv[1:])
