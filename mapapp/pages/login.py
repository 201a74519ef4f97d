"""The login page: plain HTML, no script, so that it works before anything else does."""

from __future__ import annotations

import html
from urllib.parse import urlencode

from data.core.access import Principal
from data.core.settings import Settings
from mapapp.text import lang, t

_PAGE = """<!doctype html>
<html lang="{html_lang}">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="/assets/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/assets/login.css">
</head>
<body class="gate">
<main class="gate-card">
<header><p class="gate-city">{city}</p><h1>{product}</h1><p class="gate-line">{line}</p></header>
<form method="post" action="/login">
{trouble}
<input type="hidden" name="next" value="{next_path}">
<label for="login">{user_label}</label>
<input id="login" name="login" value="{login}" autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="64"
 required{focus_user} data-testid="login-user">
<label for="password">{password_label}</label>
<input id="password" name="password" type="password" autocomplete="current-password" maxlength="256"
 required{focus_password} data-testid="login-password">
<button type="submit" data-testid="login-submit">{submit}</button>
</form>
<footer>{hint}<a href="/login?{switch}" hreflang="{other}" data-testid="lang-switch">{other_name}</a></footer>
</main>
</body>
</html>
"""


def render(settings: Settings, *, next_path: str = "", login: str = "", problem: str = "", wait_s: int = 0) -> str:
    """The page in the request's language; `problem` is a key of `error.*` and is shown above the fields."""
    trouble = ""
    if problem:
        said, then = t(f"error.{problem}", wait_s=wait_s), t(f"error.{problem}.next", wait_s=wait_s)
        trouble = (
            f'<p class="gate-trouble" role="alert" data-testid="login-problem"><strong>{html.escape(said)}</strong> {html.escape(then)}</p>'
        )
    other = "en" if lang() == "zh" else "zh"
    switch = {"lang": other} | ({"next": next_path} if next_path else {})
    return _PAGE.format(
        html_lang="zh-CN" if lang() == "zh" else "en",
        title=html.escape(t("login.title")),
        city=html.escape(settings.city_name_zh if lang() == "zh" else settings.city_name_en),
        product=html.escape(t("app.name")),
        line=html.escape(t("app.line")),
        trouble=trouble,
        next_path=html.escape(next_path),
        login=html.escape(login),
        user_label=html.escape(t("login.user")),
        password_label=html.escape(t("login.password")),
        focus_user="" if login else " autofocus",
        focus_password=" autofocus" if login else "",
        submit=html.escape(t("login.submit")),
        hint=f"<span>{html.escape(t('login.demo'))}</span>" if settings.demo else "",
        switch=html.escape(urlencode(switch)),
        other=other,
        other_name=html.escape(t("login.other_lang")),
    )


_ELSEWHERE = """<!doctype html>
<html lang="{html_lang}">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{product}</title>
<link rel="icon" href="/assets/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/assets/login.css">
</head>
<body class="gate">
<main class="gate-card">
<header><p class="gate-city">{product}</p><h1>{title}</h1></header>
<p>{line}</p>
<form method="post" action="/logout"><button type="submit" data-testid="logout">{log_out}</button></form>
</main>
</body>
</html>
"""


def render_elsewhere(person: Principal) -> str:
    """For somebody who is logged in and whose work is not on a screen like this one."""
    name = person.name_zh if lang() == "zh" else person.name_en
    return _ELSEWHERE.format(
        html_lang="zh-CN" if lang() == "zh" else "en",
        product=html.escape(t("app.name")),
        title=html.escape(t("login.elsewhere", name=name)),
        line=html.escape(t("login.elsewhere.next")),
        log_out=html.escape(t("login.log_out")),
    )
