"""The edge of the module and Carrel's own are the same, directive by directive."""

from __future__ import annotations

import re

from nix.pairs import LAYOUT, Pair
from taken_apart import Statement, statements


def _servers(text: str) -> dict[str, list[Statement]]:
    """Servers by whom they are for, each with its directives."""
    found = {}
    for statement in statements(text):
        if statement.word == "server":
            inside = list(statements(statement.body or ""))
            found[_whose(inside)] = inside
    return found


def _whose(inside: list[Statement]) -> str:
    listen = [word for s in inside if s.word == "listen" for word in s.rest.split()]
    name = next((s.rest for s in inside if s.word == "server_name"), "").strip('"')
    if listen[0].startswith("127.0.0.1:"):
        return f"{listen[0]}{' stray' if 'default_server' in listen else ''}"
    return f"{name} {'ssl' if 'ssl' in listen else 'plain'}"


SAID_BY_VHOST = {
    "listen",
    "server_name",
    "http2",
    "ssl_certificate",
    "ssl_certificate_key",
    "ssl_reject_handshake",
    "location",
}


def _directives(server: list[Statement]) -> tuple[list[str], dict[str, list[str]]]:
    """What a server says for itself and in each of its locations, in no particular order."""
    plain = sorted(s.text for s in server if s.word not in SAID_BY_VHOST)
    places = {
        s.rest: sorted(map(_text, statements(s.body or ""))) for s in server if s.word == "location"
    }
    return plain, places


def _text(statement: Statement) -> str:
    # NixOS writes the address without quotes.
    return statement.text.replace('"', "") if statement.word == "proxy_pass" else statement.text


def _patterns(server: list[Statement]) -> list[str]:
    """The locations of which nginx takes the first that fits."""
    return [s.rest for s in server if s.word == "location" and s.rest.startswith("~")]


def _expected(pair: Pair) -> dict[str, list[Statement]]:
    """Our servers by the names that they have on NixOS, which has one for each desk."""
    domain = pair.site.domain
    ours = {name: s for name, s in _servers(pair.nginx).items() if not name.endswith(" plain")}
    desks = ours.pop(
        rf"~^(?<carrel_user>[a-z][a-z0-9]{{0,23}})\.{re.escape(domain)}$ ssl",
    )
    ours[f"*.{domain} ssl"] = ours.pop(rf"~^.+\.{re.escape(domain)}$ ssl")
    for user in pair.working:
        # The variable that the pattern sets.
        (mine,) = statements(f"set $carrel_user {user.name};")
        ours[f"{user.name}.{domain} ssl"] = [mine, *desks]
    if not pair.working:
        # nginx wants each variable to be set somewhere.
        ours[f"{domain} ssl"] += statements('set $carrel_user ""; set $carrel_jar "";')
    gone = {u.port for u in pair.site.users if u.suspended}
    return {name: s for name, s in ours.items() if name.split()[0] not in map(_loopback, gone)}


def _loopback(port: int | None) -> str:
    return f"127.0.0.1:{port}"


def test_every_server_has_the_same_directives(pair: Pair) -> None:
    theirs = {n: s for n, s in _servers(pair.desks.nginx).items() if not n.endswith(" plain")}
    ours = _expected(pair)
    assert {*theirs} == {*ours}
    for name, server in ours.items():
        assert _directives(theirs[name]) == _directives(server), name
        assert _patterns(theirs[name]) == _patterns(server), name


def _certified(pair: Pair) -> dict[str, list[Statement]]:
    """Servers on NixOS that answer with a certificate."""
    return {
        name: server
        for name, server in _servers(pair.desks.nginx).items()
        if name.endswith(" ssl") and all(s.word != "ssl_reject_handshake" for s in server)
    }


def test_every_server_uses_the_certificate_of_the_site(pair: Pair) -> None:
    for server in _certified(pair).values():
        files = {s.word: s.rest for s in server if s.word.startswith("ssl_certificate")}
        assert files == {
            "ssl_certificate": pair.site.tls.certificate,
            "ssl_certificate_key": pair.site.tls.key and pair.site.tls.key.path,
        }


def test_plain_http_is_sent_on_for_every_name(pair: Pair) -> None:
    theirs = _servers(pair.desks.nginx)
    secure = {name.removesuffix(" ssl") for name in _certified(pair)}
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
