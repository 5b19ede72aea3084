"""What the security audit finds: each problem with its next step, and the report to administrators and owners."""

from __future__ import annotations

from collections.abc import Mapping

from bot.messages.message import Message

PROBLEMS: Mapping[str, Message] = {
    "home-workspace": Message(
        "The app is installed by OAuth, but {what} is missing, so nobody may install it. Name your workspaces there, "
        "the home of the documents first.",
        "应用通过 OAuth 安装，但缺少 {what}，因此无人可以安装。请在其中列出您的工作区，文档所属的工作区放在第一位。",
    ),
    "no-owners": Message(
        "Nobody is named in {what}, so everybody may refresh the documents. Name the owners there.",
        "{what} 中没有列出任何人，因此所有人都可以刷新文档。请在其中列出负责人。",
    ),
    "running-as-root": Message(
        "Kvasir runs as root ({what}). Run it under an account of its own.",
        "Kvasir 以 root 身份运行（{what}）。请改用专用账户运行。",
    ),
    "loose-modes": Message(
        "Other accounts of this machine can read {what}. Take their rights away with `chmod go-rwx`.",
        "本机的其他账户可以读取 {what}。请用 `chmod go-rwx` 收回权限。",
    ),
    "secret-in-config": Message(
        "The configuration contains something like a secret: {what}. Move it to `.env`, and replace the secret.",
        "配置文件中有疑似密钥的内容：{what}。请移到 `.env`，并更换该密钥。",
    ),
    "parser-sandbox": Message(
        "The parser of strangers' files lacks a part of its sandbox: {what}. Use a kernel that has it.",
        "解析外来文件的程序缺少部分沙箱功能：{what}。请使用支持它的内核。",
    ),
    "open-ports": Message(
        "Other machines can reach {what}, where Kvasir serves metrics or the API without TLS. Set KVASIR_METRICS_HOST "
        "and KVASIR_API_HOST to 127.0.0.1, or put TLS in front.",
        "其他机器可以访问 {what}，而 Kvasir 在此以明文提供指标或 API。请将 KVASIR_METRICS_HOST 和 KVASIR_API_HOST 设为 "
        "127.0.0.1，或在前面配置 TLS。",
    ),
    "engine-plain": Message(
        "Prompts travel unencrypted to {what}. Put TLS in front of the engine, and use https://.",
        "提示词以明文发送到 {what}。请为引擎配置 TLS，并使用 https://。",
    ),
    "engine-without-key": Message(
        "The engine at {what} gets no key, so others can use it, too. Give it a key, and set KVASIR_ENGINE_API_KEY.",
        "{what} 的引擎没有密钥，其他人也能使用。请为它设置密钥，并设置 KVASIR_ENGINE_API_KEY。",
    ),
    "storage-plain": Message(
        "Texts of documents travel unencrypted to {what}. Use sslmode=verify-full for PostgreSQL, and https:// for "
        "other stores.",
        "文档内容以明文发送到 {what}。PostgreSQL 请使用 sslmode=verify-full，其他存储请使用 https://。",
    ),
    "weaviate-anonymous": Message(
        "Weaviate at {what} answers without a key, so everybody there reads all passages. Turn on authentication.",
        "{what} 的 Weaviate 无需密钥即可访问，任何人都能读取全部内容。请启用身份验证。",
    ),
    "weaviate-administrator": Message(
        "Kvasir's key at Weaviate ({what}) may read other collections than Kvasir's. Give it the role of `deploy/`.",
        "Kvasir 在 Weaviate（{what}）的密钥可以读取其他集合。请为它分配 `deploy/` 中的角色。",
    ),
    "source-plain": Message(
        "Credentials of a source travel unencrypted: {what}. Use an address with https://, or sslmode=verify-full.",
        "来源的凭据以明文发送：{what}。请使用 https:// 地址，或 sslmode=verify-full。",
    ),
    "world-reads-private": Message(
        "Hosts of your own network are open to everybody in the world: {what}. Name other readers, or other hosts.",
        "您内部网络的主机对所有人开放：{what}。请指定其他读者或其他主机。",
    ),
    "trusted-proxy": Message(
        "A trusted proxy connects to every name that a page names: {what}. List the domains of the web, or let Kvasir "
        "resolve names.",
        "受信任的代理会连接网页中出现的任何名称：{what}。请列出允许的域名，或由 Kvasir 解析名称。",
    ),
    "rights-drift": Message(
        "Sources no longer name readers that the index has: {what}. Sync them; Kvasir asks again before it shows a "
        "passage.",
        "来源已不再包含索引中的读者：{what}。请同步；Kvasir 在显示内容之前会重新询问。",
    ),
    "audit-chain": Message(
        "The audit's records were changed: {what}. Keep the files, and find out who could write there.",
        "审计记录被改动：{what}。请保留文件，并查明谁能写入。",
    ),
    "unusual-reading": Message(
        "Somebody reads unusually much: {what}. Ask the person.",
        "有人的阅读量异常：{what}。请询问本人。",
    ),
    "advisories": Message(
        "Packages have known vulnerabilities: {what}. Update Kvasir.", "软件包存在已知漏洞：{what}。请更新 Kvasir。"
    ),
}
"""The problems by the names of their checks (``bot.security.checks``); ``{what}`` lists where they are."""

REPORT = Message("*The security audit of Kvasir*", "*Kvasir 安全审计*")
NOTHING_FOUND = Message("No problem was found.", "没有发现问题。")
FOUND = Message("*{count} problems*", "*{count} 个问题*", "*1 problem*")
NEW = Message("new", "新增")
GONE = Message("No longer found: {names}", "已不再出现：{names}")
NOT_CHECKED = Message("Not checked: {names}", "未检查：{names}")
FILES = Message("The whole report is in `{path}` on Kvasir's machine.", "完整报告位于 Kvasir 所在机器的 `{path}`。")
