"""The public data sets on which the checker is fitted and measured. Their texts are not committed here.

Each set is either for fitting or held out. The split was committed before the first fit.

**Fitting** (their licences allow it):

- ``clapnq``: answers that annotators wrote from one Wikipedia passage (English).
- ``wice``: Wikipedia claims with the chunks that support them fully, partly or not (English).
- ``fever``: symmetric FEVER claims, each supported or refuted by one sentence (English).
- ``cmrc``: statements built from a question and its answer, CMRC 2018 (Chinese).
- ``xquad``: sentences against their paragraph's translation by a person, XQuAD (both ways across languages).
- ``mtragun``: answers of the later MT-RAG-UN, without those that share a document with ``mtrag`` (English). Added after
  the held-out sets were first read, because the other sets have no answers from several passages.
- ``own``: ``tests/data/support_pairs.jsonl``, all but the pairs whose id begins with "fresh" (both languages, across).

**Held out** (read after the weights and thresholds are fixed):

- ``mtrag``: reference answers of a multi-turn RAG benchmark with their passages, rated by three people (English).
- ``begin``: dialogue responses, attributable to their source or not (English).
- ``qags``: summary sentences of CNN/DailyMail, consistent with the article or not, by majority of three (English).
- ``c3``: options of exam questions "which statement is right?" (Chinese).
- ``kdconv``: turns of people who talk about a text (Chinese).
- ``ocnli``: sentence pairs written and labelled by five people (Chinese).
- ``apisix``: sentences against the same section in the other language, Apache APISIX (across).
- ``fresh``: the other committed pairs (both languages, across).

Put a clone of each repository into one folder, under the name ``owner+name``: ``git clone
https://github.com/primeqa/clapnq FOLDER/primeqa+clapnq``. The folder also needs ``xquad``, ``cmrc2018`` and
``apisix-docs`` of the other evaluations. Files are read from git at the commit below.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

Label = Literal["supported", "unsupported", "contradicted", "not supported"]
"""``not supported``: unsupported or contradicted; the source does not say which."""


@dataclass(frozen=True, slots=True)
class DataRepository:
    """A published repository."""

    name: str
    commit: str
    licence: str


REPOSITORIES = {
    "clapnq": DataRepository("primeqa/clapnq", "eb26840d130f4dcf4c4c5c12a47d0beffc9cc586", "Apache-2.0"),
    "wice": DataRepository("ryokamoi/wice", "ddeb6c183665e2a20c5f03c5aa07f03888b9870f", "ODC-BY, texts CC BY-SA"),
    "fever": DataRepository("TalSchuster/FeverSymmetric", "fa25d17e73ea0694edc78133ec654b9f32f6db73", "CC BY-SA 3.0"),
    "mtrag": DataRepository("IBM/mt-rag-benchmark", "cc5b1d481b391181b89f7ced860308482e785463", "Apache-2.0"),
    "mtragun": DataRepository("IBM/mt-rag-benchmark", "cc5b1d481b391181b89f7ced860308482e785463", "Apache-2.0"),
    "begin": DataRepository(
        "google/BEGIN-dataset", "6e65f0d5a1ed1b9574643a7640ff1678d4e979b5", "one for each source, free"
    ),
    "qags": DataRepository("W4ngatang/qags", "47798e9b63344e2d3fb4df2def6edc18e9402d30", "not stated"),
    "c3": DataRepository("nlpdata/c3", "1f41682ebb684d63afe7c583c8f38e137fc8a826", "non-commercial research"),
    "kdconv": DataRepository("thu-coai/KdConv", "653db76432de09a004ba708a68f8bbd5500e6bec", "Apache-2.0"),
    "ocnli": DataRepository("CLUEbenchmark/OCNLI", "b53efdee17257a5c33993cf6fcf8ffff0497ea0e", "CC BY-NC 2.0"),
}
"""``xquad`` and ``cmrc`` (both CC BY-SA 4.0) and ``apisix`` (Apache-2.0): see ``scripts/eval_sets.py``."""

FITTING = ("clapnq", "wice", "fever", "cmrc", "xquad", "mtragun", "own")
HELD_OUT = ("mtrag", "begin", "qags", "c3", "kdconv", "ocnli", "apisix", "fresh")


@dataclass(frozen=True, slots=True)
class Evidence:
    """A passage."""

    text: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """A sentence of an answer with the passages that the answer was written from."""

    id: str
    set_name: str
    language: str
    """``en``, ``zh``, or the passage's and the sentence's: ``en>zh``, ``zh>en``."""
    passages: tuple[Evidence, ...]
    sentence: str
    label: Label
    kind: str = "human"
    """``human``: written and labelled by a person; otherwise the change of a supported sentence."""
    answer: str = ""
    """The id of the answer that the sentence belongs to."""
    question: str = ""

    @property
    def digest(self) -> int:
        """Return a number that depends only on the id, to draw samples and to choose among changes."""
        return int(hashlib.sha256(self.id.encode()).hexdigest(), 16)

    def with_sentence(self, kind: str, sentence: str, label: Label = "contradicted") -> Pair:
        """Return the pair with another sentence."""
        return replace(self, id=f"{self.id}/{kind}", sentence=sentence, label=label, kind=kind)


Loader = Callable[[Path], Iterator[Pair]]


def read_file(folder: Path, name: str, path: str) -> str:
    """Return a file of a set's repository at its commit.

    Raises:
        FileNotFoundError: the folder has no clone of it, or the clone lacks the commit.

    """
    repository = REPOSITORIES[name]
    clone = folder / repository.name.replace("/", "+")
    call = ["git", "-C", str(clone), "show", f"{repository.commit}:{path}"]
    if not clone.exists():
        raise FileNotFoundError(f"There is no {clone}. Run: git clone https://github.com/{repository.name} {clone}")
    done = subprocess.run(call, capture_output=True, check=False)
    if done.returncode:
        raise FileNotFoundError(
            f"{clone} has no {path} at {repository.commit}. Fetch that commit: {done.stderr.decode().strip()}"
        )
    return done.stdout.decode("utf-8")


def read_lines(folder: Path, name: str, path: str) -> list[Any]:
    """Return the objects of a file with one JSON value a line."""
    return [json.loads(line) for line in read_file(folder, name, path).splitlines() if line.strip()]


def draw_sample(pairs: Iterator[Pair], most: int) -> list[Pair]:
    """Return at most ``most`` pairs, in an order that depends only on their ids; an answer stays complete."""
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair.answer or pair.id, []).append(pair)
    drawn: list[Pair] = []
    for key in sorted(groups, key=lambda key: hashlib.sha256(key.encode()).hexdigest()):
        if len(drawn) >= most:
            break
        drawn += groups[key]
    return drawn
