"""Read each set as pairs of a sentence and its passages, labelled by people."""

from __future__ import annotations

import csv
import io
import json
import re
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bot.answering.markdown.sentences import passage_sentences, split_pieces
from scripts.support.sets import Evidence, Label, Loader, Pair, draw_sample, read_file, read_lines

_OWN = Path(__file__).resolve().parents[2] / "tests" / "data" / "support_pairs.jsonl"
_MAX_PAIRS = 700
_MIN_CHARS = 6
_CHATTER = re.compile(
    r"[我你您咱吗呢吧呀哈嗯哦喔啊？?!！]|不错|喜欢|知道|听说|谢谢|好的|是的|对的|应该|可能|感觉|觉得|希望|推荐|对啊|没错"
)


def load_pairs(name: str, folder: Path, most: int = _MAX_PAIRS) -> list[Pair]:
    """Return at most ``most`` pairs of a set."""
    return draw_sample((pair for pair in LOADERS[name](folder) if len(pair.sentence) >= _MIN_CHARS), most)


def _split_answer(
    name: str, key: str, text: str, passages: tuple[Evidence, ...], *, language: str = "en", question: str = ""
) -> Iterator[Pair]:
    """Yield the sentences of an answer that a person wrote from the passages, without questions."""
    for number, sentence in enumerate(passage_sentences(text)):
        if not sentence.rstrip().endswith(("?", "？", ":", "：")):
            answer = f"{name}/{key}"
            yield Pair(
                f"{answer}/{number}", name, language, passages, sentence, "supported", answer=answer, question=question
            )


def _join_tokens(text: str) -> str:
    """Return a text without the spaces between the Penn Treebank's tokens."""
    text = text.replace("``", '"').replace("''", '"').replace("-LRB-", "(").replace("-RRB-", ")")
    text = re.sub(r" (?=[,.;:!?%)\]]|n't\b|'(?:s|re|ve|ll|d|m)\b)", "", text)
    text = re.sub(r"(?<=[(\[$#£]) | (?=')(?=' )", "", text)
    return re.sub(r"(?<=\w) (?:--|–|-) (?=\w)", "-", text).strip()


def _load_clapnq(folder: Path) -> Iterator[Pair]:
    for row in read_lines(folder, "clapnq", "annotated_data/dev/clapnq_dev_answerable.jsonl"):
        passages = tuple(Evidence(_join_tokens(p["text"]), p["title"]) for p in row["passages"])
        for number, output in enumerate(row["output"][:1]):
            if output["answer"]:
                key, text = f"{row['id']}-{number}", _join_tokens(output["answer"])
                yield from _split_answer("clapnq", key, text, passages, question=row["input"])


def _load_wice(folder: Path) -> Iterator[Pair]:
    texts = set()
    for part in ("dev", "test"):
        path = f"code_and_resources/entailment_inputs/oracle_chunks/claim/{part}.jsonl"
        for row in read_lines(folder, "wice", path):
            meta = row["meta"]
            if meta["id"] not in texts:
                texts.add(meta["id"])
                label: Label = "supported" if row["label"] == "supported" else "unsupported"
                source = Evidence("\n".join(row["evidence"]), meta["claim_title"])
                yield Pair(f"wice/{meta['id']}", "wice", "en", (source,), row["claim"], label)


def _load_fever(folder: Path) -> Iterator[Pair]:
    labels: dict[str, Label] = {"SUPPORTS": "supported", "REFUTES": "contradicted", "NOT ENOUGH INFO": "unsupported"}
    for part in ("dev", "test"):
        for number, row in enumerate(read_lines(folder, "fever", f"symmetric_v0.2/fever_symmetric_{part}.jsonl")):
            source = Evidence(_join_tokens(row.get("evidence") or row["evidence_sentence"]))
            label = labels[row.get("gold_label") or row["label"]]
            yield Pair(f"fever/{part}{number}", "fever", "en", (source,), _join_tokens(row["claim"]), label)


_MTRAG = "mtrag-human/evaluations/reference_subset_with_human_evaluations.json"


def _load_mtrag(folder: Path) -> Iterator[Pair]:
    data = json.loads(read_file(folder, "mtrag", _MTRAG))
    documents = {document["document_id"]: document for document in data["documents"]}
    rated = {
        row["task_id"]: row["annotations"]["faithfulness"]
        for row in data["evaluations"]
        if row["model_id"] == "reference"
    }
    for task in data["tasks"]:
        votes = [int(vote["value"]) for vote in rated[task["task_id"]].values()]
        if task["Answerability"] == ["ANSWERABLE"] and statistics.median(votes) == 4:
            yield from _split_last_turn(
                "mtrag", task, [documents[context["document_id"]] for context in task["contexts"]]
            )


def _load_mtragun(folder: Path) -> Iterator[Pair]:
    held_out = json.loads(read_file(folder, "mtrag", _MTRAG))["documents"]
    openings = {document["text"].strip()[:60] for document in held_out}
    for task in read_lines(folder, "mtragun", "mtragun-human/generation_tasks/reference.jsonl"):
        shared = any(context["text"].strip()[:60] in openings for context in task["contexts"])
        if task["answerability"] == ["ANSWERABLE"] and task["contexts"] and not shared:
            yield from _split_last_turn("mtragun", task, task["contexts"])


def _split_last_turn(name: str, task: dict[str, Any], contexts: Sequence[dict[str, str]]) -> Iterator[Pair]:
    passages = tuple(Evidence(_join_tokens(context["text"]), context.get("title") or "") for context in contexts)
    question = task["input"][-1]["text"]
    yield from _split_answer(name, task["task_id"], task["targets"][0]["text"], passages, question=question)


def _load_begin(folder: Path) -> Iterator[Pair]:
    labels: dict[str, Label] = {"Fully attributable": "supported", "Not fully attributable": "not supported"}
    for path in ("wow/begin_test_wow.tsv", "cmu-dog/begin_dev_cmu.tsv", "topicalchat/begin_dev_tc.tsv"):
        text = read_file(folder, "begin", path)
        for number, row in enumerate(csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)):
            if row["begin_label"] in labels and sum(bool(piece.text) for piece in split_pieces(row["response"])) == 1:
                source = (Evidence(_join_tokens(row["knowledge"])),)
                yield Pair(f"begin/{path}{number}", "begin", "en", source, _join_tokens(row["response"]),
                           labels[row["begin_label"]], question=row["message"])  # fmt: skip


def _load_qags(folder: Path) -> Iterator[Pair]:
    for number, row in enumerate(read_lines(folder, "qags", "data/mturk_cnndm.jsonl")):
        for place, sentence in enumerate(row["summary_sentences"]):
            yes = sum(vote["response"] == "yes" for vote in sentence["responses"])
            label: Label = "supported" if 2 * yes > len(sentence["responses"]) else "not supported"
            yield Pair(f"qags/{number}-{place}", "qags", "en", (Evidence(row["article"]),), sentence["sentence"], label,
                       answer=f"qags/{number}")  # fmt: skip


_WHICH_IS_RIGHT = re.compile(r"^(?:根据|关于|以下|下列|下面|由|从).*(?:可以?知道?|正确|符合|对的)(?!.*[不错])")
_ABOUT = re.compile(r"^关于[“\"]?([^，,”\"]{1,12})[”\"]?[，,]|(?:知道|可知)([^，,：:？?什么]{1,8})[：:]?$")


def _load_c3(folder: Path) -> Iterator[Pair]:
    for part in ("dev", "test"):
        for (text, *_), questions, key in json.loads(read_file(folder, "c3", f"data/c3-m-{part}.json")):
            for number, row in enumerate(questions):
                if not _WHICH_IS_RIGHT.search(row["question"]) or re.search("标题|题目|哪个?词", row["question"]):
                    continue
                about = _ABOUT.search(row["question"])
                subject = (about[1] or about[2] or "") if about else ""
                for place, option in enumerate(row["choice"]):
                    label: Label = "supported" if option == row["answer"] else "not supported"
                    stated = option if option.startswith(subject[:2]) else subject + option
                    yield Pair(f"c3/{key}-{number}-{place}", "c3", "zh", (Evidence(text),), f"{stated}。", label,
                               question=row["question"])  # fmt: skip


def _load_kdconv(folder: Path) -> Iterator[Pair]:
    for domain in ("film", "music", "travel"):
        for number, talk in enumerate(json.loads(read_file(folder, "kdconv", f"data/{domain}/test.json"))):
            for place, message in enumerate(talk["messages"]):
                attributes = [a for a in message.get("attrs", ()) if a["attrvalue"] and len(a["attrvalue"]) >= 30]
                text = message["message"]
                if attributes and not _CHATTER.search(text):
                    sources = tuple(Evidence(a["attrvalue"], f"{a['name']} {a['attrname']}") for a in attributes)
                    question = talk["messages"][place - 1]["message"] if place else ""
                    yield from _split_answer("kdconv", f"{domain}{number}-{place}", text, sources, language="zh",
                                       question=question)  # fmt: skip


def _load_ocnli(folder: Path) -> Iterator[Pair]:
    labels: dict[str, Label] = {"entailment": "supported", "contradiction": "contradicted", "neutral": "unsupported"}
    for row in read_lines(folder, "ocnli", "data/ocnli/dev.json"):
        if row["label"] in labels:
            yield Pair(f"ocnli/{row['id']}", "ocnli", "zh", (Evidence(row["sentence1"]),), row["sentence2"],
                       labels[row["label"]])  # fmt: skip


def _read_paragraphs(path: Path) -> list[dict[str, Any]]:
    data = json.loads(path.read_text("utf-8"))["data"]
    return [{**paragraph, "title": article.get("title", "")} for article in data for paragraph in article["paragraphs"]]


_WH = (
    (
        re.compile(r"(?:是)?(?:在)?(?:哪一?年|什么时候|何时|什么时间|哪天|哪一天)"),
        re.compile(r"\d|[一二三四五六七八九十]"),
    ),
    (re.compile(r"(?:谁)"), re.compile(r"^[^，。0-9]{2,12}$")),
    (re.compile(r"(?:哪里|哪儿|何处|什么地方|哪个地方)"), re.compile(r"^[^，。]{2,20}$")),
    (re.compile(r"(?<=[是为叫])(?:什么|何)(?=[？?]?$)"), re.compile(r"^[^。]{2,30}$")),
    (re.compile(r"多少"), re.compile(r"^[\d,.万亿]+$")),
)


def make_statement(question: str, answer: str) -> str:
    """Return a Chinese question with its answer in place of the question word; "" if no rule fits."""
    for word, fits in _WH:
        found = word.search(question)
        if found and fits.search(answer) and len(re.findall(r"什么|谁|哪|多少|何|怎|为什么|几", question)) == 1:
            lead = "在" if found[0].lstrip("是").startswith("在") else ""
            stated = question[: found.start()] + lead + answer.strip("。，") + question[found.end() :]
            return re.sub(r"[？?]$", "", stated.strip()) + "。"
    return ""


def _load_cmrc(folder: Path) -> Iterator[Pair]:
    for paragraph in _read_paragraphs(folder / "cmrc2018" / "cmrc2018_dev.json"):
        source = (Evidence(paragraph["context"], paragraph["title"].removeprefix("DEV_")),)
        answers = {qa["question"]: qa["answers"][0]["text"] for qa in paragraph["qas"]}
        for qa in paragraph["qas"]:
            right = answers[qa["question"]]
            if stated := make_statement(qa["question"], right):
                pair = Pair(f"cmrc/{qa['id']}", "cmrc", "zh", source, stated, "supported", question=qa["question"])
                yield pair
                others = [other for other in answers.values() if not (other in right or right in other)]
                wrong = [statement for other in others if (statement := make_statement(qa["question"], other))]
                if wrong:
                    yield pair.with_sentence("other answer", wrong[pair.digest % len(wrong)])


def _load_xquad(folder: Path) -> Iterator[Pair]:
    texts = {language: _read_paragraphs(folder / "xquad" / f"xquad.{language}.json") for language in ("en", "zh")}
    for here, there in (("en", "zh"), ("zh", "en")):
        for number, (mine, other) in enumerate(zip(texts[here], texts[there], strict=True)):
            yield from _split_answer("xquad", f"{here}{number}", mine["context"], (Evidence(other["context"]),),
                               language=f"{there}>{here}")  # fmt: skip


_PLAIN_BLOCK = re.compile(r"^[^#|<`:\-*>{}\n][^\n|{}]{40,}$", re.MULTILINE)


def _list_sections(text: str) -> list[list[str]]:
    """Return the plain paragraphs of each section."""
    text = re.sub(r"^---\n.*?\n---\n|^```.*?^```|<!--.*?-->", "", text, flags=re.MULTILINE | re.DOTALL)
    return [_PLAIN_BLOCK.findall(part) for part in re.split(r"^#+ .*$", text, flags=re.MULTILINE)]


def _load_apisix(folder: Path) -> Iterator[Pair]:
    """Yield the sentences of sections with equally many paragraphs in both languages."""
    root = folder / "apisix-docs"
    for path in sorted((root / "en").rglob("*.md")):
        relative = path.relative_to(root / "en")
        twin = root / "zh" / relative
        both = [_list_sections(p.read_text("utf-8")) for p in (path, twin) if p.is_file()]
        if len(both) < 2 or len(both[0]) != len(both[1]):
            continue
        for number, (english, chinese) in enumerate(zip(*both, strict=True)):
            if english and len(english) == len(chinese) and re.search("[一-鿿]", chinese[0]):
                for here, there, language in ((english, chinese, "zh>en"), (chinese, english, "en>zh")):
                    yield from _split_answer("apisix", f"{language}{relative}#{number}", here[0],
                                       (Evidence("\n".join(there), path.stem),), language=language)  # fmt: skip


def _load_committed(*, fresh: bool) -> Iterator[Pair]:
    name = "fresh" if fresh else "own"
    for line in _OWN.read_text("utf-8").splitlines():
        row = json.loads(line)
        if row["id"].startswith("fresh-") == fresh:
            pair = (row["passage_lang"], row["sentence_lang"])
            language = pair[0] if pair[0] == pair[1] else ">".join(pair)
            label: Label = "supported" if row["supported"] else "not supported"
            yield Pair(f"{name}/{row['id']}", name, language, (Evidence(row["passage"]),), row["sentence"], label)


def _load_own(_: Path) -> Iterator[Pair]:
    return _load_committed(fresh=False)


def _load_fresh(_: Path) -> Iterator[Pair]:
    return _load_committed(fresh=True)


LOADERS: dict[str, Loader] = {
    "clapnq": _load_clapnq,
    "wice": _load_wice,
    "fever": _load_fever,
    "cmrc": _load_cmrc,
    "xquad": _load_xquad,
    "mtragun": _load_mtragun,
    "own": _load_own,
    "mtrag": _load_mtrag,
    "begin": _load_begin,
    "qags": _load_qags,
    "c3": _load_c3,
    "kdconv": _load_kdconv,
    "ocnli": _load_ocnli,
    "apisix": _load_apisix,
    "fresh": _load_fresh,
}
