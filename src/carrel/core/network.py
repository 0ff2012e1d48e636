"""What stands between a site and the internet: the authorities that it trusts, and a proxy.

Says what programs are told of both: in workspaces, in the AI gateway, for certificates, and where
images are built. Reads no file; `targets.facts` brings the texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from carrel.core.site import Network

Variables = tuple[tuple[str, str], ...]

BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
CERTIFICATE = re.compile(rf"{BEGIN}([A-Za-z0-9+/=\s]+){END}", re.ASCII)
LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""What is never asked for through a proxy: the AI gateway's port is there, and people's own servers."""


def certificates(text: str) -> tuple[str, ...]:
    """The certificates in a PEM text, without the words around them. A key in it is left out."""
    return tuple("\n".join((BEGIN, *body.split(), END)) for body in CERTIFICATE.findall(text))


def bundle(texts: Iterable[str]) -> str:
    """One PEM text with every certificate of `texts` once; empty if there is none."""
    unique = dict.fromkeys(found for text in texts for found in certificates(text))
    return "".join(f"{one}\n" for one in unique)


def trusting(path: str) -> Variables:
    """What programs are told that do not look at the system's own list, or not at all of it.

    curl, git, wget, Go and Debian's pip read the list at its usual place. OpenSSL alone looks for an
    authority by the name of a file; Node and requests bring lists of their own.
    """
    return (
        # OpenSSL (Python, Ruby, PHP), and what is written in Rust: uv, cargo.
        ("SSL_CERT_FILE", path),
        # requests, and pip in a virtual environment.
        ("REQUESTS_CA_BUNDLE", path),
        # Node, npm, pnpm, code-server, and Bun, which opencode is made with.
        ("NODE_EXTRA_CA_CERTS", path),
    )


def through_proxy(network: Network) -> Variables:
    """What programs are told of the proxy, if there is one, in either spelling that they know."""
    if not (network.http_proxy or network.https_proxy):
        return ()
    found = (
        ("http_proxy", network.http_proxy),
        ("https_proxy", network.https_proxy),
        ("no_proxy", ",".join(dict.fromkeys((*LOOPBACK, *network.no_proxy)))),
    )
    given = [(name, value) for name, value in found if value]
    # Node's own fetch looks at none of them unasked.
    return (*given, *((name.upper(), value) for name, value in given), ("NODE_USE_ENV_PROXY", "1"))


def proxy_for(network: Network, scheme: str, host: str) -> str:
    """The proxy through which a host is asked; empty: without one."""
    if any(_covers(entry, host.lower()) for entry in (*LOOPBACK, *network.no_proxy)):
        return ""
    return dict(through_proxy(network)).get(f"{scheme}_proxy", "")


def _covers(entry: str, host: str) -> bool:
    # As curl, Go, Python and Node have it: a name is also all names below it.
    name = entry.lower().removeprefix(".")
    return name in ("*", host) or host.endswith(f".{name}")
