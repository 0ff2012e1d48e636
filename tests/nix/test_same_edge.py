"""The edge of the module and Carrel's own are the same, directive by directive."""

from __future__ import annotations

import re

from carrel.render.blocks import Statement, statements
from nix.pairs import LAYOUT, Pair


def _servers(text: str) -> dict[str, list[Statement]]:
    """Servers by whom they are for, each with its directives."""
    found = {}
    for statement in statements(text):
        if statement.word == "server":
            inside = list(statements(statement.body or ""))
            found[_whose(inside)] = inside
    return found


def _whose(inside: list[Statement]) -> str:
    listen = " ".join(s.rest for s in inside if s.word == "listen")
    name = next((s.rest for s in inside if s.word == "server_name"), "").strip('"')
    if "127.0.0.1:" in listen:
        return listen.split()[0]
    return f"{name} {'ssl' if 'ssl' in listen else 'plain'}"


SAID_BY_VHOST = {"listen", "server_name", "ssl_certificate", "ssl_certificate_key", "set"}


def _directives(server: list[Statement]) -> tuple[list[str], dict[str, list[str]]]:
    """What a server says for itself and in each of its locations, in no particular order."""
    plain = sorted(s.text for s in server if s.word not in SAID_BY_VHOST | {"location"})
    places = {
        s.rest: sorted(map(_text, statements(s.body or ""))) for s in server if s.word == "location"
    }
    return plain, places


def _text(statement: Statement) -> str:
    # NixOS writes the address without quotes.
    return statement.text.replace('"', "") if statement.word == "proxy_pass" else statement.text


def test_every_desk_is_served_by_the_same_directives(pair: Pair) -> None:
    domain = pair.site.domain
    ours = _servers(pair.nginx)
    theirs = _servers(pair.desks.nginx)
    escaped = re.escape(domain)
    pattern = rf"~^(?<carrel_user>[a-z][a-z0-9]{{0,30}})\.{escaped}$ ssl"
    assert {n for n in theirs if n.endswith(f".{domain} ssl") and "*" not in n} == {
        f"{user.name}.{domain} ssl" for user in pair.working
    }
    for user in pair.working:
        desk = theirs[f"{user.name}.{domain} ssl"]
        assert _directives(desk) == _directives(ours[pattern])
        # The variable that the pattern would set.
        assert [s.text for s in desk if s.word == "set"] == [f"set $carrel_user {user.name};"]
        if user.port is not None:
            where = f"127.0.0.1:{user.port}"
            assert _directives(theirs[where]) == _directives(ours[where])


def test_welcome_and_unknown_names_are_served_by_the_same_directives(pair: Pair) -> None:
    domain = pair.site.domain
    ours = _servers(pair.nginx)
    theirs = _servers(pair.desks.nginx)
    unknown = rf"~^.+\.{re.escape(domain)}$ ssl"
    assert _directives(theirs[f"{domain} ssl"]) == _directives(ours[f"{domain} ssl"])
    assert _directives(theirs[f"*.{domain} ssl"]) == _directives(ours[unknown])


def test_every_server_uses_the_certificate_of_the_site(pair: Pair) -> None:
    for name, server in _servers(pair.desks.nginx).items():
        if name.endswith(" ssl"):
            files = {s.word: s.rest for s in server if s.word.startswith("ssl_certificate")}
            assert files == {
                "ssl_certificate": pair.site.tls.certificate,
                "ssl_certificate_key": pair.site.tls.key and pair.site.tls.key.path,
            }


def test_plain_http_is_sent_on_for_every_name(pair: Pair) -> None:
    theirs = _servers(pair.desks.nginx)
    secure = {name.removesuffix(" ssl") for name in theirs if name.endswith(" ssl")}
    plain = {name.removesuffix(" plain") for name in theirs if name.endswith(" plain")}
    assert plain == secure
    redirect = "return 301 https://$host$request_uri;"
    for name in plain:
        _, places = _directives(theirs[f"{name} plain"])
        assert places == {"/": [redirect]}


def test_maps_limits_and_kept_connections_are_the_same(pair: Pair) -> None:
    ours = [*statements(pair.nginx)]
    ours += statements(pair.file(LAYOUT.nginx_kept))
    theirs = {s.text.replace('"', "") for s in statements(pair.desks.nginx) if s.word != "server"}
    working = {user.name for user in pair.working}
    for statement in ours:
        text = statement.text.replace('"', "")
        if statement.word in {"server", "include"}:
            continue
        for user in pair.site.users:
            if user.name not in working:
                # Nobody is led to a desk that is not there.
                text = text.replace(f" \\{user.name} carrel_{user.name};", "")
        name = statement.rest.removeprefix("carrel_")
        if statement.word == "upstream" and name not in working:
            continue
        assert text in theirs
