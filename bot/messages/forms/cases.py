"""Cases of transactions: ``/kb cases``, its buttons and the modal for a decision."""

from bot.messages.message import Message

HEAD = Message(
    "*{count} open cases*. Rules have flagged these accounts; a person decides about each.",
    "*{count}个待处理的案例*。这些账户由规则标出，是否可疑由人判断。",
    "*1 open case*. Rules have flagged this account; a person decides about it.",
)
NONE_OPEN = Message(
    "There are no open cases. `kvasir transactions` with `--open-cases` opens some from a table of transactions.",
    "没有待处理的案例。用 `kvasir transactions` 并加 `--open-cases` 可从交易表中建立案例。",
)
ENTRY = Message("*{account}* · {profile} · score {score}", "*{account}* · {profile} · 分数 {score}")
RULE = Message("• *{rule}*: {count} transactions", "• *{rule}*：{count} 笔交易", "• *{rule}*: 1 transaction")
MORE_TRANSACTIONS = Message("and {count} more", "另外 {count} 笔")
MORE_CASES = Message(
    "{count} more cases follow when these are decided.",
    "处理完这些之后，还有 {count} 个案例。",
    "1 more case follows when these are decided.",
)
NO_PASSAGES = Message(
    "_The documents cannot be searched now, so passages of the policy may be missing._",
    "_目前无法检索文档，因此可能缺少相关规定的段落。_",
)
YES = Message("Suspicious…", "可疑…")
NO = Message("Not suspicious…", "不可疑…")

# ── The modal ────────────────────────────────────────────────────────────────────────────────────────────────────────

TITLE_YES = Message("Suspicious: why?", "可疑：理由")
TITLE_NO = Message("Not suspicious: why?", "不可疑：理由")
REASON = Message("Your reason", "您的理由")
REASON_HINT = Message("It is stored with your decision and in the audit.", "理由会与您的决定一同保存，并记入审计日志。")
REASON_MISSING = Message("Please write a reason.", "请写明理由。")
SAVE = Message("Save decision", "保存决定")
CANCEL = Message("Cancel", "取消")
SAVED_YES = Message("Stored: {account} is suspicious.", "已保存：{account} 可疑。")
SAVED_NO = Message("Stored: {account} is not suspicious.", "已保存：{account} 不可疑。")
DECIDED_BEFORE = Message(
    "This case was decided or deleted meanwhile, or has new transactions. `/kb cases` shows the open ones.",
    "此案例已有人处理、已被删除或有了新的交易。`/kb 案例` 可查看待处理的案例。",
)

# ── Figures ──────────────────────────────────────────────────────────────────────────────────────────────────────────

FIGURES_HEAD = Message("*Decided cases of {profile}*", "*{profile}：已处理的案例*")
FIGURES = Message(
    "• {rule}: {yes} of {count} are suspicious ({share})", "• {rule}：{count} 个案例中 {yes} 个可疑（{share}）"
)
