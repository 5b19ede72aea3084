"""A model from files: small graphs of a table of vectors, so that each vector can be computed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from bot.config.settings import load_settings
from bot.errors import SettingsError
from knowledge.embedding import EmbedderSpec, choose_spec, open_embedder
from knowledge.errors import EmbedderError
from knowledge.interfaces import Embedder
from knowledge.sync.manifest.embedder_records import EmbedderRecords
from knowledge.sync.manifest.manifest import open_manifest
from knowledge.web.http.settings import WebSettings

WORDS = {"[CLS]": 0, "[UNK]": 1, "query:": 2, "passage:": 3, "room": 4, "key": 5, "hook": 6}
TABLE = np.random.default_rng(7).normal(size=(len(WORDS), 6)).astype(np.float32)


def write_graph(
    path: Path, *, inputs: Sequence[str] = ("input_ids", "attention_mask", "token_type_ids"), pooled: bool = False
) -> Path:
    nodes = [helper.make_node("Gather", ["table", inputs[0]], ["states"])]
    nodes += [helper.make_node("ReduceSum", ["states", "axis"], ["vector"], keepdims=0)] if pooled else []
    graph = helper.make_graph(
        nodes,
        "table",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "t"]) for name in inputs],
        [helper.make_tensor_value_info("vector" if pooled else "states", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(TABLE, "table"), numpy_helper.from_array(np.array([1]), "axis")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(path))
    return path


def write_vocabulary(path: Path) -> Path:
    vocabulary = Tokenizer(WordLevel(WORDS, unk_token="[UNK]"))
    vocabulary.pre_tokenizer = Whitespace()
    vocabulary.post_processor = TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 0)])
    vocabulary.enable_padding(length=128)
    vocabulary.save(str(path))
    return path


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    return {
        "FILE": write_graph(tmp_path / "model.onnx"),
        "TOKENIZER": write_vocabulary(tmp_path / "tokenizer.json"),
    }


def declare(files: dict[str, Any], **more: Any) -> EmbedderSpec:
    return choose_spec(files | more, WebSettings())


async def open_spec(spec: EmbedderSpec, memory: EmbedderRecords | None = None) -> Embedder:
    return await open_embedder(spec, Path(), None, memory=memory)  # type: ignore[arg-type]


def unit(vector: Any) -> Any:
    return vector / np.linalg.norm(vector)


async def test_hidden_states_become_one_vector_as_configured(files: dict[str, Any]) -> None:
    texts = ["room key", "hook"]
    for pooling, expected in {
        "mean": [TABLE[[0, 4, 5]].mean(axis=0), TABLE[[0, 6]].mean(axis=0)],
        "cls": [TABLE[0], TABLE[0]],
    }.items():
        for dimensions in (6, 4):
            embedder = await open_spec(declare(files, POOLING=pooling, DIMENSIONS=dimensions))
            vectors = await embedder.embed_passages(texts)
            assert np.allclose(vectors, [unit(one[:dimensions]) for one in expected], atol=1e-6)
            assert embedder.dimensions == dimensions
            await embedder.close()


async def test_a_graph_may_return_a_vector_of_each_text(files: dict[str, Any], tmp_path: Path) -> None:
    pooled = write_graph(tmp_path / "pooled.onnx", inputs=["input_ids"], pooled=True)
    embedder = await open_spec(declare(files, FILE=pooled))
    assert np.allclose(await embedder.embed_query("room key"), unit(TABLE[[0, 4, 5]].sum(axis=0)), atol=1e-6)
    await embedder.close()


async def test_prefixes_and_the_longest_text(files: dict[str, Any]) -> None:
    embedder = await open_spec(declare(files, QUERY_PREFIX="key ", PASSAGE_PREFIX="hook ", MAX_TOKENS=3))
    assert np.allclose(await embedder.embed_query("room key key"), unit(TABLE[[0, 5, 4]].mean(axis=0)), atol=1e-6)
    (vector,) = await embedder.embed_passages(["room key key"])
    assert np.allclose(vector, unit(TABLE[[0, 6, 4]].mean(axis=0)), atol=1e-6)
    assert embedder.count_tokens("room " * 50) == 50, "the count is not cut"
    await embedder.close()


def test_the_identity_is_that_of_the_files_and_of_their_use(files: dict[str, Any], tmp_path: Path) -> None:
    (elsewhere := tmp_path / "elsewhere").mkdir()
    moved = {name: path.rename(elsewhere / path.name) for name, path in files.items()}
    first = declare(moved).identity
    others = [
        declare(moved, **{name: value}).identity
        for name, value in {
            "POOLING": "cls",
            "DIMENSIONS": 4,
            "QUERY_PREFIX": "q",
            "PASSAGE_PREFIX": "q",
            "MAX_TOKENS": 99,
        }.items()
    ]
    write_graph(moved["FILE"], inputs=["input_ids"])
    others.append(declare(moved).identity)
    (elsewhere / "model.onnx_data").write_bytes(b"weights")
    others.append(declare(moved).identity)
    moved["TOKENIZER"].write_text("{}")
    others.append(declare(moved).identity)
    write_graph(moved["FILE"])
    write_vocabulary(moved["TOKENIZER"])
    (elsewhere / "model.onnx_data").unlink()
    assert declare({name: path.rename(tmp_path / path.name) for name, path in moved.items()}).identity == first
    assert len({first, *others}) == len(others) + 1


async def test_only_the_first_opening_of_all_loads_the_model(files: dict[str, Any], tmp_path: Path) -> None:
    manifest = await open_manifest(f"sqlite:///{tmp_path}/kvasir.db")
    records, spec = EmbedderRecords(manifest.database, ""), declare(files)
    await (await open_spec(spec, records)).close()
    files["FILE"].unlink()
    opened = await open_spec(spec, records)
    assert (opened.dimensions, opened.trouble) == (6, "")
    with pytest.raises(EmbedderError, match=r"model\.onnx cannot be opened \(NoSuchFile\)"):
        await opened.embed_query("room")
    assert "KVASIR_EMBEDDER_FILE" in opened.trouble
    write_graph(files["FILE"])
    assert (await opened.embed_query("room")).shape == (6,)
    assert opened.trouble == ""
    await opened.close()
    await manifest.close()


@pytest.mark.parametrize("wrong", ["no graph", "other inputs", "no vectors", "no vocabulary"])
async def test_wrong_files_are_named_and_stop_no_opening(files: dict[str, Any], wrong: str) -> None:
    match wrong:
        case "no graph":
            files["FILE"].write_bytes(b"\x00 no graph")
            text = "model.onnx cannot be opened (InvalidProtobuf)"
        case "other inputs":
            write_graph(files["FILE"], inputs=["emb"])
            text = "model.onnx takes emb instead of tokens"
        case "no vectors":
            graph = onnx.load(str(files["FILE"]))
            graph.graph.node.append(helper.make_node("Shape", ["states"], ["sizes"]))
            graph.graph.output[0].CopyFrom(helper.make_tensor_value_info("sizes", TensorProto.INT64, None))
            onnx.save(graph, str(files["FILE"]))
            text = "model.onnx returns an array of shape (3,) for 1 texts"
        case _:
            files["TOKENIZER"].write_text("{}")
            text = "which is no tokenizer.json"
    embedder = await open_spec(declare(files))
    assert text in embedder.trouble
    assert embedder.dimensions == 0
    with pytest.raises(EmbedderError) as raised:
        await embedder.embed_query("room")
    assert text in str(raised.value)
    await embedder.close()


def load(folder: Path, **variables: str) -> EmbedderSpec:
    (folder / "kvasir.toml").write_text('[[source]]\nname = "docs"\nkind = "folder"\npath = "."\n')
    variables = {f"KVASIR_{name}": value for name, value in variables.items()}
    return load_settings({"KVASIR_HOME": str(folder / "home")} | variables, folder).knowledge.embedder


def test_relative_paths_begin_at_the_configuration(files: dict[str, Any], tmp_path: Path) -> None:
    spec = load(tmp_path, EMBEDDER_FILE="model.onnx", EMBEDDER_TOKENIZER="tokenizer.json", EMBEDDER_POOLING="cls")
    assert spec.identity == declare(files, POOLING="cls").identity


def test_the_model_is_read_once_and_only_for_its_identity(files: dict[str, Any], tmp_path: Path) -> None:
    spec = load(tmp_path, EMBEDDER_FILE="model.onnx", EMBEDDER_TOKENIZER="tokenizer.json")
    write_graph(files["FILE"], inputs=["input_ids"])
    expected = declare(files).identity
    assert spec.identity == expected
    files["FILE"].unlink()
    assert spec.identity == expected


@pytest.mark.usefixtures("files")
def test_wrong_variables_are_refused_with_the_next_step(tmp_path: Path) -> None:
    both = {"EMBEDDER_FILE": "model.onnx", "EMBEDDER_TOKENIZER": "tokenizer.json"}
    for variables, text in [
        ({"EMBEDDER_FILE": "model.onnx"}, "KVASIR_EMBEDDER_TOKENIZER is not"),
        ({"EMBEDDER_POOLING": "cls"}, "KVASIR_EMBEDDER_URL is not"),
        (both | {"EMBEDDER_BATCH": "8"}, "KVASIR_EMBEDDER_BATCH does not go with KVASIR_EMBEDDER_FILE"),
        (both | {"EMBEDDER_POOLING": "max"}, "KVASIR_EMBEDDER_POOLING should be mean or cls"),
        (both | {"EMBEDDER_FILE": "gone.onnx"}, "gone.onnx cannot be read"),
        (
            both | {"EMBEDDER_URL": "http://gpu:1", "EMBEDDER_MODEL": "m"},
            "KVASIR_EMBEDDER_FILE does not go with KVASIR_EMBEDDER_URL",
        ),
    ]:
        with pytest.raises(SettingsError) as raised:
            load(tmp_path, **variables)
        assert text in str(raised.value)
