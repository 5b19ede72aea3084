"""Make the lists of words of the profile ``medical-record`` again, from two published lists of terms.

    scripts/make_medical_words.py THUOCL_medical.txt icd10c-tabular-April-1-2026.xml

``SOURCE.toml`` of the profile says where both files come from. A term is chosen by its form alone: no annotated record
is read. Of THUOCL (MIT), a term of 2 to 8 characters counts that 100 or more documents have, and its ending gives its
class. Of ICD-10-CM (public domain), titles and inclusion terms of at most four words count: of the categories of
chapters 1 to 14, 17 and 19 as diseases, and of R00 to R69 as findings.
"""

from __future__ import annotations

import hashlib
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

PROFILE = Path(__file__).parent.parent / "bot/profiles/shipped/medical-record"
LEAST_DOCUMENTS = 100
ENDINGS = {
    "diseases": "炎|癌|瘤|症|病|综合征|结核|结石|骨折|梗死|梗塞|硬化|衰竭|息肉|囊肿|脓肿|血栓|感染|中毒|气胸"
    "|肺气肿|增生|脱位|疝|痔|疮"
    "|麻痹|瘫痪|哮喘|感冒|溃疡|贫血|高血压|低血压|高血糖|低血糖|近视|白内障|青光眼|脂肪肝|狼疮|紊乱|障碍|畸形",
    "findings": "痛|痒|咳嗽|咳痰|出血|咯血|呕血|便血|血尿|水肿|呕吐|恶心|腹泻|便秘|腹胀|发热|发烧|乏力|无力"
    "|头晕|眩晕|昏迷|抽搐|麻木"
    "|胸闷|气短|气促|心悸|失眠|呼吸困难|皮疹|红肿|肿大|黄疸|盗汗|食欲不振|耳鸣|鼻塞|流涕|休克|晕厥|痉挛|震颤",
    "examinations": "检查|化验|检验|造影|超声|心电图|脑电图|镜|血常规|尿常规|活检|血压|体温|脉搏|心率|肝功能"
    "|肾功能|视力|听力|血糖|血脂"
    "|胆固醇|白细胞|红细胞|血小板|血红蛋白|听诊|触诊|叩诊",
    "treatments": "手术|除术|移植术?|切开术|植入术|置换术|环切术|矫正术|疗法|化疗|放疗|透析|输血|输液|针灸"
    "|推拿|按摩|注射液|胶囊|颗粒|口服液"
    "|糖浆|软膏|丸|片|生素|霉素|环素|西林|沙星|胰岛素|激素|疫苗",
    "body_parts": "骨|动脉|静脉|神经|肌|肌肉|腺|黏膜|粘膜|血管|气管|食管|关节|腔|韧带|淋巴结|椎|皮肤|部|咽喉"
    "|胃|胆囊|膀胱|子宫|卵巢|乳头"
    "|直肠|结肠|小肠|阑尾|牙|角膜|视网膜|大脑|小脑",
}
"""The endings of terms of each class; a term belongs to the first class that has its ending."""
EXCEPTIONS = re.compile(
    "(?:疾病|慢病|疫病|起病|杂病|绝症|血症|热症|寒症|分裂症|硬化症|综合[征症]|后遗症|并发症|适应症|禁忌症|消炎"
    "|紊乱|障碍|止痛|扑热息痛|消炎痛"
    "|薄片|冰片|涂片|骨片|宫颈刮片|空心胶囊|糖丸|药丸|住院部|百部|龙骨|甲骨|尖牙|拔牙|补牙|出牙|长牙|钢牙|瓷牙"
    "|全瓷牙|空腔|洗胃|反胃"
    "|接骨|无骨|健脾|四环素牙|营养神经|大椎|油性皮肤|干性皮肤|坏胆固醇|卫生检验"
    "|检查|特殊检查|疗法|移植|口服液|胶囊|软胶囊|软膏|糖浆|咀嚼片|泡腾片)|.*显微镜|(?:人工|人造|动物|医学|先天性巨).*"
)
"""Terms that have an ending of a class but name none of its things."""
OTHER = re.compile(
    r"\b(?:other|unspecified|and|or|due|with|without|in|by|for|of|to|from|not|nec|as|during|on|the|at|code"
    r"|certain|specified|multiple"
    r"|disorders|diseases|injury|burn|findings?|score|words|commands|pain|death|old age|illness|fit|falling"
    r"|screaming|worries|unhappiness|loneliness|hostility)\b"
)


def class_terms(text: str) -> dict[str, list[str]]:
    """Return the terms of THUOCL of each class."""
    classes: dict[str, list[str]] = {name: [] for name in ENDINGS}
    for line in text.splitlines():
        term, _, documents = line.partition("\t")
        if not 2 <= len(term) <= 8 or int(documents or 0) < LEAST_DOCUMENTS or EXCEPTIONS.fullmatch(term):
            continue
        if fitting := [name for name, endings in ENDINGS.items() if re.fullmatch(f".*(?:{endings})", term)]:
            classes[fitting[0]].append(term)
    return classes


def list_titles(root: ET.Element) -> Iterator[tuple[str, str]]:
    """Yield the class of each short title of ICD-10-CM, and the title."""
    for code in root.iter("diag"):
        name = code.findtext("name", "")
        is_disease = len(name) == 3 and name[0] in "ABCDEFGHIJKLMNQST"
        if not is_disease and not "R00" <= name < "R70":
            continue
        for title in (code.findtext("desc", ""), *(one.text or "" for one in code.findall("inclusionTerm/note"))):
            short = re.sub(r" ?[(\[][^)\]]*[)\]]|, unspecified.*|,? NOS\b", "", title).strip().lower()
            if re.fullmatch(r"[a-z][a-z'-]{2,}(?: [a-z0-9'-]+){0,3}", short) and not OTHER.search(short):
                yield ("english_diseases" if is_disease else "english_findings"), short


def write_list(name: str, terms: Iterable[str]) -> None:
    """Write a list, in the order of its terms, and print its checksum."""
    content = "".join(f"{one}\n" for one in ["# Made by scripts/make_medical_words.py: see SOURCE.toml", *terms])
    (PROFILE / f"{name}.txt").write_text(content, encoding="utf-8")
    print(f'"{name}.txt" = "{hashlib.sha256(content.encode()).hexdigest()}"')


def main(thuocl: Path, icd: Path) -> None:
    """Write all lists, and print the checksums that ``SOURCE.toml`` should have."""
    sources = tomllib.loads((PROFILE / "SOURCE.toml").read_text(encoding="utf-8"))
    for path, source in ((thuocl, sources["thuocl"]), (icd, sources["icd-10-cm"])):
        if hashlib.sha256(path.read_bytes()).hexdigest() != source["sha256"]:
            sys.exit(f"{path} is not the file that SOURCE.toml names. Fetch it again.")
    for name, terms in class_terms(thuocl.read_text(encoding="utf-8-sig")).items():
        write_list(name, sorted(set(terms)))
    titles = set(list_titles(ET.parse(icd).getroot()))  # noqa: S314 - the checksum is right
    for name in ("english_diseases", "english_findings"):
        write_list(name, sorted(title for kind, title in titles if kind == name))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
