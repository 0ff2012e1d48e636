"""The static pages people meet at the edge, as HTML; used by render for nginx, never says who exists.
"""

import base64
import hashlib
from dataclasses import dataclass
from html import escape
from typing import Literal
from urllib.parse import quote

Lamp = Literal["on", "off", "waking"]

HTTPS_PORT = 443


@dataclass(frozen=True, slots=True)
class _Page:
    """What one page says, top to bottom."""

    title: str
    heading: str
    lead: str
    notes: tuple[str, ...]
    action: str


@dataclass(frozen=True, slots=True)
class _Words:
    """Everything the pages say in one language; `{…}` is filled with escaped values."""

    lang: str
    product: str
    label: str
    bad_name: str
    address: str
    sample_name: str
    without_script: str
    welcome: _Page
    not_found: _Page
    unavailable: _Page
    too_many_attempts: _Page


ENGLISH = _Words(
    lang="en",
    product="Carrel",
    label="Your name",
    bad_name="Only letters and digits, please: a letter first, no spaces, at most 31 in all.",
    address="Your desk is at {address}",
    sample_name="name",
    without_script="Type that address into your browser, with your own name in place of the first word.",
    welcome=_Page(
        title="Welcome",
        heading="A quiet desk of your own",
        lead="Everyone on the team has a private place here to write code, with an AI assistant "
        "at hand. It opens in your browser, and there is nothing to install.",
        notes=(
            "Inside you will find VS Code, your files and your assistant, as you left them.",
            "No name or password yet, or forgotten one? Ask your operator, "
            "the person who set up Carrel for your team.",
        ),
        action="Go to my desk",
    ),
    not_found=_Page(
        title="Nothing at this address",
        heading="Nothing opens at this address",
        lead="A letter may have slipped, or the address may not be in use.",
        notes=(
            "Check the spelling. The address of a desk looks like {address}",
            "If it looks right and still does not open, ask your operator, "
            "the person who set up Carrel for your team.",
        ),
        action="Start again at {host}",
    ),
    unavailable=_Page(
        title="One moment",
        heading="Your desk is not ready yet",
        lead="It is starting, or it was resting and has to wake up. You can leave this page open: "
        "it tries again by itself every {seconds} seconds.",
        notes=(
            "The files you saved are safe.",
            "Still here after two minutes? Ask your operator, the person who set up Carrel "
            "for your team. You can also start again at {home}.",
        ),
        action="Try now",
    ),
    too_many_attempts=_Page(
        title="Too many tries",
        heading="Let us pause for a minute",
        lead="There were too many tries to sign in. Wait a minute, then try again.",
        notes=(
            "The pause keeps strangers from guessing passwords. Nothing is broken.",
            "Forgotten your password? Ask your operator, the person who set up Carrel "
            "for your team, to reset it.",
        ),
        action="Back to sign in",
    ),
)

# A desk between two partitions, with a lamp. The lamp tells the state of the page.
SCENE = """<svg class="scene lamp-{lamp}" viewBox="0 0 132 92" aria-hidden="true">
<path class="back" d="M16 8h100v54H16z"/><path class="side" d="M16 8 4 2v70l12-10zM116 8l12-6v70l-12-10z"/>
<path class="glow" d="M73 33h26l13 29H60z"/><path class="top" d="M16 62h100l12 10H4z"/>
<path class="side" d="M4 72h124v5H4zM8 77h5v13H8zM119 77h5v13h-5z"/>
<path class="book1" d="M24 44h6v18h-6z"/><path class="book2" d="M31 40h5v22h-5z"/>
<path class="book3" d="m37.500 45 5-1.300 4.700 17.400-5 1.300z"/>
<path class="brass" d="M85 32h2v31h-2zM78 63h16v3H78z"/><path class="shade" d="M77 22h18l6 11H71z"/>
</svg>"""
ICON = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'><rect width='32' height='32' "
    "rx='7' fill='#1f5c4a'/><path fill='#f6f1e6' d='M12 8h8l4 7H8zM15 15h2v8h-2zM6 23h20v3H6z'/></svg>"
)
