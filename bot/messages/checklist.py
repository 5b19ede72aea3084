"""Texts about the statements of a checklist and the clauses of a contract."""

from typing import Final

from bot.messages.message import Message

CHECK: Final = Message(
    "A person decides: answers may be wrong, and what is not mentioned may stand in other words. Read each clause.",
    "由人来决定：回答可能有误，“未提及”的内容也可能以其他措辞出现。请阅读每个条款。",
)
DROPPED: Final = Message(
    "{count} quotes of the model were dropped: not in the text.",
    "模型给出的 {count} 处引文已舍弃：文中没有。",
    en_one="One quote of the model was dropped: not in the text.",
)
UNSURE: Final = Message(
    "No sure answer to these statements; read the contract: {names}.", "以下陈述没有确定的回答，请阅读合同：{names}。"
)
RULES_LATE: Final = Message(
    "The rules took too long and were stopped; clauses may be missing of: {names}. Split the document.",
    "规则耗时过长，已停止，以下陈述可能缺少条款：{names}。请拆分文件。",
)
OTHER_LANGUAGE: Final = Message(
    "The rules of this checklist do not know the language of this contract, so they were not used.",
    "此清单的规则不适用于该合同的语言，因此未使用规则。",
)
NO_CHANGE: Final = Message("No statement has another answer.", "没有陈述的回答发生变化。")
ADDED: Final = Message("Added clauses", "新增的条款")
REMOVED: Final = Message("Removed clauses", "删除的条款")
LABELS: Final = {
    "entailed": Message("entailed", "成立"),
    "contradicted": Message("contradicted", "相反"),
    "not_mentioned": Message("not mentioned", "未提及"),
    "unsure": Message("unsure", "不确定"),
}
"""The answers to a statement."""
