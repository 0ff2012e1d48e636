"""The headers that the edge adds to answers and sets on requests, as data.

Used by whatever configures a web server: render.nginx, and NixOS. Decides nothing about names or paths.
Values with a `$` are nginx's variables; those that start with `$carrel_` are made in render.nginx_maps.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Header:
    """One header. An empty value on a request means that it is not passed on."""

    name: str
    value: str


class Transport(StrEnum):
    """How people reach a listener, and therefore what a browser may be told to remember."""

    PUBLIC = "TLS with a certificate that browsers trust"
    LOCAL = "TLS with the local authority's certificate"
    TUNNEL = "plain HTTP on loopback, through SSH"


LASTING_TLS = Header("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
"""Two years, as Mozilla asks. Never with the local authority: nobody could get past a warning."""

NO_SNIFFING = Header("X-Content-Type-Options", "nosniff")
REFERRER = Header("Referrer-Policy", "same-origin")
"""Not `no-referrer`: browsers would then send `Origin: null` with a form, which is nobody's origin."""

OWN_FRAMES = Header("Content-Security-Policy", "frame-ancestors 'self'")
"""VS Code's webviews are frames of its own origin in frames of its own origin."""
NO_FRAMES = Header("Content-Security-Policy", "frame-ancestors 'none'")
FRESH = Header("Cache-Control", "no-store")


def desk(transport: Transport) -> tuple[Header, ...]:
    """On what code-server answers."""
    return (*lasting(transport), NO_SNIFFING, REFERRER, OWN_FRAMES)


def port(transport: Transport) -> tuple[Header, ...]:
    """On what a program behind VS Code's ports answers: its other headers are its own business."""
    return (*lasting(transport), OWN_FRAMES)


def page(transport: Transport) -> tuple[Header, ...]:
    """On a page of ours."""
    return (*lasting(transport), NO_SNIFFING, REFERRER, NO_FRAMES, FRESH)


def lasting(transport: Transport) -> tuple[Header, ...]:
    """On every answer: whether a browser shall remember to come back with TLS only."""
    return (LASTING_TLS,) if transport is Transport.PUBLIC else ()


TO_A_DESK = (
    Header("Host", "$carrel_host"),
    Header("Upgrade", "$carrel_upgrade"),
    Header("Connection", "$carrel_connection"),
    Header("Cookie", "$carrel_cookies"),
    Header("X-Real-IP", "$remote_addr"),
    Header("X-Forwarded-For", "$remote_addr"),
    Header("X-Forwarded-Proto", "$scheme"),
    # What a client says of these is an invention. code-server believes the first two before Host
    # when it compares origins; programs behind its ports believe others.
    *(
        Header(name, "")
        for name in (
            "Forwarded", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Server",
            "X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Forwarded-Prefix", "X-Forwarded-Path",
            "X-Forwarded-Uri", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups",
            "X-Forwarded-Protocol", "X-Original-URL", "X-Rewrite-URL", "X-Client-IP",
            "True-Client-IP",
        )
    ),
)  # fmt: skip
"""What a desk is told with every request. The name it is asked for keeps its port: origins have one."""
