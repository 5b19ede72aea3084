"""Small hand-written pages: blocked ones, and readable ones that look similar."""

# ruff: noqa: E501 - a page stands on its line

from __future__ import annotations

_EN = "The harbour was dredged in spring so that the ferries may land again at low tide. "
_DE = "Der Hafen wurde im Frühjahr ausgebaggert, damit die Fähren auch bei Ebbe wieder anlegen können. "
_ZH = "港口在春天疏浚，渡轮在退潮时也能重新靠岸，岛上的居民因此不必再等到涨潮。"


def page(title: str, body: str, head: str = "") -> str:
    return f"<!doctype html><html><head><title>{title}</title>{head}</head><body>{body}</body></html>"


LOGIN, CONSENT, PAYWALL = "login", "consent", "subscribers"
SCRIPT, COOKIES, ROBOT = "scripts", "cookies", "proof"

WALLS: dict[str, tuple[str, str]] = {
    # English
    "en cloudflare": (ROBOT, page("Just a moment...", "<noscript>Enable JavaScript and cookies to continue</noscript>"
        "<script>window._cf_chl_opt={cvId:'3'}</script><div>docs.example needs to review the security of your connection</div>")),
    "en captcha": (ROBOT, page("Security check", "<h1>One more step</h1><p>Please complete the security check to access the site.</p>")),
    "en denied": (ROBOT, page("Access to this page has been denied", "<p>Press &amp; hold to confirm you are a human.</p><div id=px-captcha></div>")),
    "en traffic": (ROBOT, page("Sorry", "<p>Our systems have detected unusual traffic from your computer network.</p>")),
    "en cookies": (COOKIES, page("Example", "<p>Please enable cookies in your browser to see this page.</p>")),
    "en script": (SCRIPT, page("App", "<div id=root></div><noscript>You need to enable JavaScript to run this app.</noscript><script src=a.js></script>")),
    "en script said": (SCRIPT, page("Board", "<p>JavaScript is not enabled. Please turn on JavaScript to use Board.</p>")),
    "en paywall": (PAYWALL, page("The harbour", f"<article><h1>The harbour</h1><p>{_EN * 2}</p>"
        "<div class=paywall><p>Subscribe to continue reading. Already a subscriber? Log in.</p></div></article>",
        '<script type="application/ld+json">{"@type":"NewsArticle","isAccessibleForFree":false}</script>')),
    "en login": (LOGIN, page("Sign in - Example Wiki", "<form><input name=u><input type=password><button>Sign in</button></form>")),
    "en login said": (LOGIN, page("Example", "<h1>Members</h1><p>You must be logged in to view this page.</p>")),
    "en consent": (CONSENT, page("Before you continue", "<h1>Before you continue</h1><p>We use cookies and data to deliver and maintain"
        " services.</p><button>Reject all</button><button>Accept all</button>")),
    "en consent 2": (CONSENT, page("Example News", "<div><p>We and our 842 partners store cookies. With your consent we may use precise"
        " data. Some rely on legitimate interest.</p><button>Accept all</button><button>Manage options</button></div>")),
    # German
    "de cloudflare": (ROBOT, page("Nur einen Moment…", "<p>Bestätigen Sie, dass Sie ein Mensch sind. Dies kann einige Sekunden dauern.</p>")),
    "de captcha": (ROBOT, page("Prüfung", "<p>Bitte bestätigen Sie, dass Sie kein Roboter sind.</p>")),
    "de cookies": (COOKIES, page("Portal", "<p>Ihre Cookies sind deaktiviert. Bitte Cookies aktivieren und die Seite neu laden.</p>")),
    "de script": (SCRIPT, page("Portal", "<p>Bitte aktivieren Sie JavaScript, um diese Seite zu nutzen.</p>")),
    "de paywall": (PAYWALL, page("Der Hafen", f"<article><h1>Der Hafen</h1><p>{_DE * 2}</p><p>Weiterlesen mit Plus."
        " Dieser Artikel ist nur für Abonnenten. Jetzt testen und abonnieren.</p></article>", "<meta name=x content=paywall>")),
    "de login": (LOGIN, page("Anmelden", "<form>Benutzer <input> Passwort <input type=password></form>")),
    "de login said": (LOGIN, page("Intern", "<p>Bitte melden Sie sich an, um fortzufahren.</p>")),
    "de consent": (CONSENT, page("Zustimmung", "<p>Wir und unsere Partner verwenden Cookies. Mit Ihrer Einwilligung zeigen wir"
        " Werbung.</p><button>Alle akzeptieren</button><button>Alle ablehnen</button>")),
    # Chinese
    "zh captcha": (ROBOT, page("安全验证", "<p>请完成以下验证后继续访问</p>")),
    "zh traffic": (ROBOT, page("提示", "<p>您的访问过于频繁，请拖动滑块完成验证。</p>")),
    "zh cookies": (COOKIES, page("提示", "<p>请启用浏览器的 Cookie 后刷新页面。</p>")),
    "zh script": (SCRIPT, page("应用", "<p>请启用 JavaScript 以使用本站。</p>")),
    "zh paywall": (PAYWALL, page("港口", f"<article><h1>港口</h1><p>{_ZH}</p><p>剩余内容需付费阅读，开通会员后即可查看全文。</p></article>")),
    "zh login": (LOGIN, page("登录", "<form>账号<input>密码<input type=password></form>")),
    "zh login said": (LOGIN, page("文档中心", "<p>请先登录，登录后才能查看该文档。</p>")),
    "zh consent": (CONSENT, page("隐私设置", "<p>我们与合作伙伴使用 Cookie。您可以同意全部或拒绝全部，详见隐私政策。</p>")),
}  # fmt: skip

TEXTS: dict[str, str] = {
    "en short": page("Opening hours", "<h1>Opening hours</h1><p>Monday to Friday, 9 to 17. Closed on Sundays and on holidays.</p>"),
    "en article with a login form": page("The harbour", f"<header><form><input><input type=password>Log in</form></header><main><h1>The"
        f" harbour</h1><p>{_EN * 14}</p></main>"),
    "en short with comments": page("Note", f"<main><h1>Note</h1><p>{_EN * 4}</p></main><div>You must be logged in to post a comment.</div>"),
    "en about cookies": page("What cookies are", f"<main><h1>What cookies are</h1><p>{'A cookie is a small text that a site leaves with a browser. ' * 8}"
        "Many sites ask for consent.</p></main>"),
    "en about captchas": page("How captchas work", f"<main><h1>How captchas work</h1><p>{'A captcha tells people from programs by a small task. ' * 9}"
        "It often says: I am not a robot.</p></main>"),
    "en with a banner": page("The harbour", f"<main><h1>The harbour</h1><p>{_EN * 6}</p></main><footer>We use cookies. <a>Privacy settings</a></footer>"),
    "en free article of a paper": page("The harbour", f"<article><h1>The harbour</h1><p>{_EN * 30}</p></article><aside>Subscribe now to read more"
        "</aside>", '<script type="application/ld+json">{"isAccessibleForFree":false}</script>'),
    "en with scripts": page("Release 2", f"<h1>Release 2</h1><p>{_EN * 3}</p><script src=a.js></script><noscript>Please enable JavaScript for the search.</noscript>"),
    "de short": page("Öffnungszeiten", "<h1>Öffnungszeiten</h1><p>Montag bis Freitag von 9 bis 17 Uhr, am Wochenende geschlossen.</p>"),
    "de note": page("Hinweis", f"<main><h1>Hinweis</h1><p>{_DE * 3}</p></main><p>Bitte melden Sie sich an, um diesen Artikel zu kommentieren.</p>"),
    "de with a banner": page("Der Hafen", f"<main><h1>Der Hafen</h1><p>{_DE * 5}</p></main><div>Diese Seite nutzt Cookies. Mehr im Datenschutz.</div>"),
    "de about subscriptions": page("Abo-Modelle der Verlage", f"<main><h1>Abo-Modelle der Verlage</h1><p>{'Viele Verlage leben von ihren Lesern und von Anzeigen. ' * 20}</p></main>"),
    "zh short": page("营业时间", "<h1>营业时间</h1><p>周一至周五九点到十七点，周末休息。</p>"),
    "zh article": page("港口", f"<main><h1>港口</h1><p>{_ZH * 6}</p></main><footer>隐私政策 登录 注册</footer>"),
    "zh with comments": page("随笔", f"<main><h1>随笔</h1><p>{_ZH * 3}</p></main><div>请登录后发表评论</div>"),
    "zh about login": page("单点登录是什么", f"<main><h1>单点登录是什么</h1><p>{'单点登录让员工用一个账号进入所有系统。' * 8}</p></main>"),
}  # fmt: skip
