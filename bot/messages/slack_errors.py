"""What Kvasir says when a call to Slack fails."""

from bot.messages.message import Message

UNAUTHORIZED = Message(
    "Slack does not accept {variable} ({code}). Open api.slack.com/apps, reinstall the app if need be, copy the token "
    "into .env and start Kvasir again.",
    "Slack 不接受 {variable}（{code}）。请打开 api.slack.com/apps，必要时重新安装应用，"
    "把令牌填入 .env，然后重新启动 Kvasir。",
)
MISSING_SCOPE = Message(
    "The Slack app may not call {method}: it lacks {scope}. Add it under OAuth & Permissions at api.slack.com/apps "
    "(`kvasir manifest` prints all of them) and reinstall the app.",
    "Slack 应用不能调用 {method}：缺少 {scope}。请在 api.slack.com/apps 的 OAuth & Permissions 中添加"
    "（`kvasir manifest` 会列出全部权限），然后重新安装应用。",
)
A_SCOPE = Message("a scope", "一项权限")
GONE = Message(
    "Slack says {code} to {method}. Check that the channel is open and Kvasir is a member of it.",
    "Slack 对 {method} 回应 {code}。请确认频道仍然开放，并且 Kvasir 是其成员。",
)
STOPPED = Message("The answer was stopped.", "回答已停止。")
FAILED = Message(
    "Slack failed on {method} ({reason}). Try again in a minute.",
    "Slack 处理 {method} 时出错（{reason}）。请稍后再试。",
)
REFUSED = Message(
    "Slack refused {method} ({reason}). See the log, and Slack's status page.",
    "Slack 拒绝了 {method}（{reason}）。请查看日志和 Slack 的状态页面。",
)
LIMITED = Message(
    "Slack asks to wait {seconds:.0f} s. Try again then.", "Slack 要求等待 {seconds:.0f} 秒，请在此之后再试。"
)
UNREACHABLE = Message(
    "Slack cannot be reached. Check the machine's network and SLACK_API_URL; Kvasir tries again.",
    "无法连接 Slack。请检查本机网络和 SLACK_API_URL；Kvasir 会继续尝试。",
)
