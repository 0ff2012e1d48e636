from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import fields
from html.parser import HTMLParser

import pytest

from carrel.core import names
from carrel.core.site import About, Language
from carrel.render import pages, words
from carrel.render.pages import Pages

DOMAIN = "code.example.org"
PORT = 8443
HOST = f"{DOMAIN}:{PORT}"
ADDRESSES = {"src", "srcset", "href", "xlink:href", "action", "formaction", "data", "poster"}
VOID = {"meta", "link", "input", "br", "img", "hr"}
HOSTILE = [
    '"><script>alert(1)</script>',
    "'><img src=x onerror=alert(1)>",
    "</title></style></script><base href=//evil.example>",
    "&quot;&gt;<svg onload=alert(1)>",
    "{operator}{0}{",
]

Attributes = list[tuple[str, str | None]]

NAMES = tuple(Pages(DOMAIN).all())
every_page = pytest.mark.parametrize("name", NAMES)
every_page_with_a_domain = pytest.mark.parametrize(
    "name", ["welcome.html", "404.html", "unavailable.html"]
)
in_every_language = pytest.mark.parametrize("language", list(Language))


class Document(HTMLParser):
    """A page as its elements and texts; refuses a tag that is closed out of turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, Attributes]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        self.elements.append((tag, attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Attributes) -> None:
        self.elements.append((tag, attrs))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def skeleton(self) -> list[tuple[str, list[str]]]:
        return [(tag, [name for name, _ in attrs]) for tag, attrs in self.elements]

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [dict(attrs) for name, attrs in self.elements if name == tag]

    def text(self, tag: str) -> str:
        return "".join(data for parent, data in self.texts if parent == tag)

    def meta(self, key: str) -> str | None:
        found = [m for m in self.all("meta") if key in (m.get("name"), m.get("http-equiv"))]
        return found[0]["content"] if found else None


def text_of(name: str, language: Language = Language.ENGLISH) -> str:
    return Pages(DOMAIN, PORT, About(language=language)).all()[name]


def document(name: str, language: Language = Language.ENGLISH) -> Document:
    return Document(text_of(name, language))


@in_every_language
@every_page
def test_every_page_is_one_complete_document(name: str, language: Language) -> None:
    assert text_of(name, language).startswith("<!doctype html>")
    page = document(name, language)
    assert page.all("html") == [{"lang": language.value}]
    assert page.text("title").endswith(" · Carrel")
    assert page.meta("viewport") == "width=device-width, initial-scale=1"
    assert page.meta("robots") == "noindex, nofollow"
    for landmark in ("header", "main", "footer", "h1"):
        assert len(page.all(landmark)) == 1


@in_every_language
def test_no_two_pages_have_the_same_title(language: Language) -> None:
    titles = [document(name, language).text("title") for name in NAMES]
    assert len(set(titles)) == len(titles) == 5


def test_no_sentence_is_left_in_another_language() -> None:
    english, german = words.of(Language.ENGLISH), words.of(Language.GERMAN)
    same = {
        value
        for value in (*_said(english), *_said(german))
        if value in _said(english) and value in _said(german)
    }
    assert same == {"name"}


def _said(part: object) -> set[str]:
    if isinstance(part, str):
        return {part}
    return set().union(*(_said(getattr(part, f.name)) for f in fields(part)))  # type: ignore[arg-type]


@every_page
def test_no_id_is_used_twice_and_every_reference_to_one_is_met(name: str) -> None:
    attributes = [attribute for _, attrs in document(name).elements for attribute in attrs]
    ids = [value for key, value in attributes if key == "id"]
    wanted = {
        part
        for key, value in attributes
        if key in {"for", "aria-describedby"}
        for part in (value or "").split()
    }
    assert len(set(ids)) == len(ids)
    assert wanted <= set(ids)


@pytest.mark.parametrize("hostile", HOSTILE)
@every_page_with_a_domain
def test_a_hostile_domain_changes_no_element_of_the_page(name: str, hostile: str) -> None:
    page = Document(Pages(hostile, PORT).all()[name])
    assert page.skeleton() == document(name).skeleton()
    assert f"{hostile}:{PORT}" in "".join(data for _, data in page.texts)


@pytest.mark.parametrize("hostile", HOSTILE)
@every_page
def test_a_hostile_name_or_contact_changes_no_element_of_the_page(name: str, hostile: str) -> None:
    page = Document(Pages(DOMAIN, PORT, About(name=hostile, contact=hostile)).all()[name])
    assert page.skeleton() == document(name).skeleton()
    assert hostile in page.text("title")
    assert hostile in page.text("p")


@every_page
def test_no_page_points_anywhere_but_to_itself_and_the_bare_domain(name: str) -> None:
    for _, attrs in document(name).elements:
        for key, value in attrs:
            if key in ADDRESSES:
                assert value in ("", f"https://{HOST}/") or (value or "").startswith("data:")


@every_page
def test_no_page_mentions_another_host_or_loads_anything(name: str) -> None:
    text = text_of(name)
    # The script builds its address itself: there the host is empty.
    assert set(re.findall(r"https?://([^\s\"'<>/]*)", text)) <= {HOST, ""}
    assert "@import" not in text
    assert set(re.findall(r"url\((.)", text)) <= {"#"}


@every_page
def test_the_policy_of_every_page_allows_just_its_own_style_and_script(name: str) -> None:
    page = document(name)
    policy = page.meta("Content-Security-Policy") or ""
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        if page.all(tag):
            digest = hashlib.sha256(page.text(tag).encode()).digest()
            assert f"{tag}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy


@every_page
def test_no_element_carries_its_own_style_or_handler(name: str) -> None:
    for _, attrs in document(name).elements:
        assert not [key for key, _ in attrs if key == "style" or key.startswith("on")]


@every_page
def test_scripts_are_where_they_are_needed_and_tiny(name: str) -> None:
    page = document(name)
    assert len(page.all("script")) == (name in {"welcome.html", "cookies.html", "unavailable.html"})
    assert len(page.text("script")) < 1000


@every_page
def test_every_page_names_the_person_to_ask(name: str) -> None:
    assert "your operator, the person who runs Carrel for your team" in document(name).text("p")


@pytest.mark.parametrize(
    ("contact", "address"),
    [
        ("dana@example.org", "mailto:dana@example.org"),
        ("https://help.example.org/carrel", "https://help.example.org/carrel"),
        ("Dana, room 4", None),
        ("javascript:alert(1)", None),
    ],
)
@every_page
def test_the_operators_contact_is_on_every_page_with_a_link_where_there_can_be_one(
    name: str, contact: str, address: str | None
) -> None:
    page = Document(Pages(DOMAIN, PORT, About(contact=contact)).all()[name])
    links = [link["href"] for link in page.all("a")]
    assert contact in page.text("a" if address else "p")
    assert (address in links) == (address is not None)
    assert "your operator" not in page.text("p")


@in_every_language
def test_the_sites_name_is_the_one_that_people_know(language: Language) -> None:
    about = About(name="Lesesaal", language=language)
    for text in Pages(DOMAIN, PORT, about).all().values():
        page = Document(text)
        assert page.text("title").endswith(" · Lesesaal")
        assert "Carrel" not in "".join(data for _, data in page.texts)


@every_page
def test_no_page_shouts(name: str) -> None:
    page = document(name)
    said = "".join(data for parent, data in page.texts if parent not in {"style", "script"})
    assert "!" not in said
    assert said.isascii() or set(said) - set(map(chr, range(128))) == {"·"}


def test_the_page_about_cookies_throws_away_what_it_can_see_and_asks_again_once() -> None:
    script = document("cookies.html").text("script")
    assert script == pages.SWEEP
    assert "location.reload()" in script
    assert "sessionStorage" in script


def test_the_welcome_page_shows_the_address_to_a_browser_without_scripts() -> None:
    page = document("welcome.html")
    assert "hidden" in page.all("form")[0]
    assert page.text("b") == "name"
    assert f".{HOST}" in page.text("p")
    assert len(page.all("noscript")) == 1


def test_the_welcome_form_knows_the_host_and_the_rule_for_names() -> None:
    page = document("welcome.html")
    assert page.all("form")[0]["data-host"] == HOST
    assert f"/^{names.USER_NAME.pattern}$/" in page.text("script")


def test_the_not_found_page_depends_on_the_domain_and_the_port_alone() -> None:
    one, other = Pages("one.example", 1001).not_found(), Pages("other.example", 1002).not_found()
    assert one.replace("one.example:1001", "other.example:1002") == other
    assert one == Pages("one.example", 1001).not_found()


def test_the_not_found_page_leads_to_the_bare_domain() -> None:
    assert f"https://{HOST}/" in [link["href"] for link in document("404.html").all("a")]


def test_the_unavailable_page_asks_again_by_itself() -> None:
    page = document("unavailable.html")
    assert f",{pages.RETRY_SECONDS * 1000});" in page.text("script")
    # For a browser without scripts.
    assert page.meta("refresh") == str(pages.RETRY_SECONDS)
    assert f"every {pages.RETRY_SECONDS} seconds" in page.text("p")


def test_no_other_page_reloads_itself() -> None:
    for name in set(NAMES) - {"unavailable.html"}:
        assert document(name).meta("refresh") is None


@pytest.mark.parametrize("port", [None, 443])
@every_page_with_a_domain
def test_the_standard_port_is_not_shown(name: str, port: int | None) -> None:
    text = Pages(DOMAIN, port).all()[name]
    assert DOMAIN in text
    assert f"{DOMAIN}:" not in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("front", "back", "least"),
    [
        ("ink", "paper", 4.5),
        ("soft", "paper", 4.5),
        ("green", "paper", 4.5),
        ("fault", "paper", 4.5),
        ("ink", "field", 4.5),
        ("on-green", "green", 4.5),
        ("edge", "paper", 3),
        ("edge", "field", 3),
    ],
)
def test_colours_stand_out_enough_for_wcag_aa(
    scheme: str, front: str, back: str, least: float
) -> None:
    light, dark = (
        dict(re.findall(r"--([\w-]+):(#[0-9a-f]+)", block))
        for block in re.findall(r":root\{(.*?)\}", pages.STYLE, re.DOTALL)
    )
    colours = light if scheme == "light" else light | dark
    high, low = sorted((luminance(colours[front]), luminance(colours[back])), reverse=True)
    assert (high + 0.05) / (low + 0.05) >= least


def luminance(colour: str) -> float:
    """The relative luminance of #rgb or #rrggbb, as WCAG 2 defines it."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    channels = (int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
