"""The static pages of the edge as HTML, used by every target; they load nothing and name nobody."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from html import escape
from typing import Literal
from urllib.parse import quote

from carrel.core.names import HTTPS, USER_NAME
from carrel.core.site import About
from carrel.render import words
from carrel.render.words import Page, Words

Lamp = Literal["on", "off", "waking"]
RETRY_SECONDS = 5


STYLE = """
:root{color-scheme:light dark;--paper:#f5f1e8;--ink:#25221c;--soft:#5c564a;--line:#d9d1c0;
--field:#fffdf8;--edge:#857c6a;--green:#1f5c4a;--on-green:#fff;--fault:#a32a1c;--wood:#a9794c;
--dark:#7d5432;--wall:#e6d8bf;--screen:#2b302d;--keys:#8d8f88;--brass:#b08a35;--book:#8c3f33}
@media (prefers-color-scheme:dark){:root{--paper:#181713;--ink:#efe9dc;--soft:#b3ab9a;
--line:#3a362d;--field:#211f1a;--edge:#8b8372;--green:#8fcfb5;--on-green:#10231c;--fault:#ff9d8c;
--wood:#8a6240;--dark:#5f4128;--wall:#2e2922;--screen:#0e100f;--keys:#6c6e68;--book:#a4574a}}
*{box-sizing:border-box}[hidden]{display:none}p{margin:0;text-wrap:pretty}
body{margin:0;min-height:100vh;min-height:100svh;display:grid;place-items:center;padding:1.5rem;
font:1.0625rem/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;
background:var(--paper);color:var(--ink);overflow-wrap:anywhere}
.page{width:100%;max-width:33rem}.scene{display:block;width:9.5rem;height:auto}
.mark{margin:.75rem 0 1.25rem;font-weight:600;letter-spacing:.02em;color:var(--green)}
h1{margin:0 0 .75rem;font:600 clamp(1.75rem,1.3rem + 2.2vw,2.375rem)/1.15 ui-serif,
"Iowan Old Style",Charter,Palatino,Georgia,serif;letter-spacing:-.015em;text-wrap:balance}
.lead{font-size:1.1875rem;line-height:1.5;color:var(--soft)}form,.act{margin-top:1.75rem}
label{display:block;font-weight:600;margin-bottom:.375rem}.row{display:flex;flex-wrap:wrap;gap:.625rem}
input,.button{font:inherit;min-height:3rem;border-radius:.5rem;padding:.5rem 1rem}
input{flex:1 1 12rem;min-width:0;color:inherit;background:var(--field);border:1px solid var(--edge)}
.button{display:inline-grid;place-items:center;border:0;cursor:pointer;font-weight:600;
background:var(--green);color:var(--on-green);text-decoration:none}
.button:hover{filter:brightness(1.08)}:focus-visible{outline:3px solid var(--green);outline-offset:2px}
[aria-invalid]{border-color:var(--fault)}.fault{color:var(--fault);margin-top:.5rem}
.address{margin-top:.625rem;color:var(--soft)}b{font-weight:600;color:var(--ink)}
a{color:var(--green);text-underline-offset:.2em}
footer{margin-top:2rem;padding-top:1.25rem;border-top:1px solid var(--line);color:var(--soft)}
footer p+p{margin-top:.5rem}
.wall{fill:var(--wall)}.wood{fill:var(--wood)}.dark{fill:var(--dark)}.screen{fill:var(--screen)}
.keys{fill:var(--keys)}.text{fill:#9fd8c0}.brass{fill:var(--brass)}.book{fill:var(--book)}
.shade{fill:var(--green)}.on .glow{opacity:.75}.off .glow{opacity:0}
.waking .glow{animation:wake 2.5s ease-in-out infinite}
@keyframes wake{0%,100%{opacity:.1}50%{opacity:.75}}
@media (prefers-reduced-motion:reduce){.waking .glow{animation:none;opacity:.35}}
@media (max-width:30rem){body{place-items:start center}.button{width:100%}}
"""

# What people type is shown as text and travels only after it matched the rule for names.
SCRIPT = r"""
const form=document.forms[0],field=form.elements.name,fault=document.getElementById("fault"),
shown=document.getElementById("shown"),sample=shown.textContent;form.hidden=false;
const typed=()=>field.value.trim().toLowerCase(),good=()=>/^@NAME@$/.test(typed());
function mark(bad){fault.hidden=!bad;bad?field.setAttribute("aria-invalid","true"):
field.removeAttribute("aria-invalid")}
field.addEventListener("input",()=>{mark(false);shown.textContent=good()?typed():sample});
form.addEventListener("submit",event=>{event.preventDefault();
if(good())location.assign("https://"+typed()+"."+form.dataset.host);else{mark(true);field.focus()}});
""".replace("@NAME@", USER_NAME.pattern)

# A desk between two partitions. Its lamp says how things stand: on, off or waking.
SCENE = """<svg class="scene {lamp}" viewBox="4 0 124 90" aria-hidden="true">
<defs><linearGradient id="light" x2="0" y2="1"><stop stop-color="#ffe9a8"/>
<stop offset="1" stop-color="#ffd766" stop-opacity=".35"/></linearGradient></defs>
<path class="wall" d="M16 8h100v54H16z"/><path class="wood" d="M16 62h100l12 10H4z"/>
<path class="dark" d="M16 8 4 2v70l12-10zM116 8l12-6v70l-12-10zM4 72h124v5H4zM8 77h5v13H8z
M119 77h5v13h-5z"/><path class="book" d="M23 42h6v23h-6z"/><path class="shade" d="M30 47h5v18h-5z"/>
<path class="brass" d="M36 39h4v26h-4zM97 32h2v33h-2zM90 65h16v2H90z"/>
<path class="screen" d="M50 43h26v20H50z"/><path class="keys" d="M50 63h26l4 4H46z"/>
<path class="text" d="M53 47h9v1.5h-9zM56 51h13v1.5H56zM56 55h8v1.5h-8z"/>
<path class="glow" fill="url(#light)" d="M89 32h18l9 30v5H76l4-5z"/>
<path class="shade" d="M90 21h16l6 11H84z"/></svg>"""
ICON = """<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'><path fill='#1f5c4a'
 d='M0 0h32v32H0z'/><path fill='#fff' d='M11 7h10l4 8H7zM15 15h2v8h-2zM6 23h20v3H6z'/></svg>"""


EMAIL = re.compile(r"[^\s@/:]+@[^\s@/:]+\.[^\s@/:]+")
WEB = re.compile(r"https?://\S+")

# Deletes every cookie that a page can see, wherever it may have been set for, and asks again once. The
# session is none of them: scripts cannot see it.
SWEEP = r"""
const parts=location.hostname.split("."),steps=location.pathname.split("/"),key="swept",
domains=["",...parts.map((_,at)=>";domain="+parts.slice(at).join("."))],
paths=new Set(steps.flatMap((_,at)=>{const path=steps.slice(0,at+1).join("/");
return[path||"/",path+"/"]})),
names=()=>document.cookie.split(/; */).filter(Boolean).map(each=>each.split("=")[0]);
function sweep(tries){const found=names();
for(const name of found)for(const domain of domains)for(const path of paths)
for(const kind of["",";secure;partitioned"])document.cookie=name+"=;max-age=0;path="+path+domain+kind;
if(document.cookie.length>1000){if(tries)setTimeout(sweep,300,tries-1)}
else if(found.length&&Date.now()-(sessionStorage.getItem(key)||0)>60000){
sessionStorage.setItem(key,Date.now());location.reload()}}
sweep(10);
"""

# Looks from time to time whether the desk answers, and opens it then. Not by loading the page again and
# again: somebody who listens to it would be interrupted each time, and would never hear its end.
KNOCK = """
setInterval(async()=>{try{const answer=await fetch(location.href,{method:"HEAD",cache:"no-store",
redirect:"manual"});if(answer.status!==503)location.reload()}catch{}},%d);
"""


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of one site."""

    domain: str
    port: int | None = None
    about: About = field(default_factory=About)

    def all(self) -> dict[str, str]:
        """Every page under the file name by which nginx serves it."""
        return {
            "welcome.html": self.welcome(),
            "404.html": self.not_found(),
            "unavailable.html": self.unavailable(),
            "too-many-attempts.html": self.too_many_attempts(),
            "cookies.html": self.cookies(),
        }

    def welcome(self) -> str:
        """The bare domain: what this is and the way to one's own desk."""
        said, page = self._words, self._words.welcome
        shown = f'<b id="shown">{escape(said.sample_name)}</b>.{self._host}'
        action = f"""<form data-host="{self._host}" novalidate hidden>
<label for="name">{escape(said.label)}</label>
<div class="row"><input id="name" name="name" autocomplete="username" autocapitalize="none"
 spellcheck="false" aria-describedby="fault address"><button
 class="button">{escape(page.action)}</button></div>
<p class="fault" id="fault" role="alert" hidden>{escape(said.bad_name)}</p></form>
<p class="address" id="address">{self._say(said.address, address=shown)}</p>
<noscript><p class="address">{escape(said.without_script)}</p></noscript>
<script>{SCRIPT}</script>"""
        return self._document(page, "on", action, script=SCRIPT)

    def not_found(self) -> str:
        """Any name that does not open, for whatever reason: the same page for all of them."""
        page = self._words.not_found
        address = f"<b>{escape(self._words.sample_name)}</b>.{self._host}"
        return self._document(page, "off", _link(self._home, page), address=address)

    def unavailable(self) -> str:
        """A desk that does not answer; the page asks again every `RETRY_SECONDS`."""
        page = self._words.unavailable
        script = KNOCK % (RETRY_SECONDS * 1000)
        again = f'<meta http-equiv="refresh" content="{RETRY_SECONDS}">'
        return self._document(
            page,
            "waking",
            f"{_link('', page)}<script>{script}</script>",
            head=f"<noscript>{again}</noscript>",
            script=script,
            home=f'<a href="{self._home}">{self._host}</a>',
            seconds=str(RETRY_SECONDS),
        )

    def too_many_attempts(self) -> str:
        """Too many tries to sign in; the link asks for the same address, without the password."""
        page = self._words.too_many_attempts
        return self._document(page, "off", _link("", page))

    def cookies(self) -> str:
        """More cookies than a desk can take: throws away those that anybody could have set."""
        page = self._words.cookies
        action = f"{_link('', page)}<script>{SWEEP}</script>"
        return self._document(page, "off", action, script=SWEEP)

    @property
    def _words(self) -> Words:
        return words.of(self.about.language)

    @property
    def _host(self) -> str:
        standard = self.port in {None, HTTPS}
        return escape(self.domain if standard else f"{self.domain}:{self.port}")

    @property
    def _home(self) -> str:
        return f"https://{self._host}/"

    @property
    def _operator(self) -> str:
        """Whom to ask, with a link where there can be one."""
        said = escape(self.about.contact)
        if EMAIL.fullmatch(self.about.contact):
            return f'<a href="mailto:{said}">{said}</a>'
        if WEB.fullmatch(self.about.contact):
            return f'<a href="{said}" rel="noreferrer">{said}</a>'
        return said or escape(self._words.operator).format(site=escape(self.about.name))

    def _say(self, text: str, **markup: str) -> str:
        known = {"operator": self._operator, "site": escape(self.about.name), **markup}
        return escape(text).format(**known)

    def _document(
        self, page: Page, lamp: Lamp, action: str, head: str = "", script: str = "", **markup: str
    ) -> str:
        name = escape(self.about.name)
        return f"""<!doctype html>
<html lang="{self._words.lang}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(script)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex, nofollow">
<title>{escape(page.title)} · {name}</title>
<link rel="icon" href="data:image/svg+xml,{quote(ICON)}">
{head}<style>{STYLE}</style>
</head>
<body><div class="page">
<header>{SCENE.format(lamp=lamp)}<p class="mark">{name}</p></header>
<main><h1>{escape(page.heading)}</h1><p class="lead">{self._say(page.lead, **markup)}</p>
{action}</main>
<footer><p>{self._say(page.hint, **markup)}</p>
<p>{self._say(page.ask, **markup)}</p></footer>
</div></body>
</html>
"""


def _policy(script: str) -> str:
    allowed = _sha256(script) if script else "'none'"
    return (
        f"default-src 'none'; style-src {_sha256(STYLE)}; script-src {allowed}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def _link(address: str, page: Page) -> str:
    return f'<p class="act"><a class="button" href="{address}">{escape(page.action)}</a></p>'


def _sha256(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
