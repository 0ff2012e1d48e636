"""Whether a browser can make a secure connection, and believes whom it meets."""

from __future__ import annotations

from collections.abc import Iterator

from carrel.core.site import TlsMode
from carrel.doctor.finding import Finding, ill, well
from carrel.doctor.subject import Subject

CURRENT = frozenset({"TLSv1.2", "TLSv1.3"})


def check(subject: Subject) -> Iterator[Finding]:
    """At this machine's own address: DNS is another check."""
    stop, target = subject.stop(), subject.opened.target
    local = target.facts.certificate(subject.site).source is TlsMode.LOCAL
    root = target.facts.authority if local else subject.site.tls.authority
    try:
        presented = subject.look.handshake(stop, (root,) if root else ())
    except OSError as error:
        yield ill(
            f"nobody makes a secure connection at port {stop.port}: {error.strerror or error}",
            why="nginx does not run, or does not know this site",
            fix="see `carrel status`, `carrel logs edge`, and `nginx -t` on a server",
        )
        return
    if presented.version not in CURRENT:
        yield ill(
            f"the connection speaks {presented.version}",
            why="browsers refuse it",
            fix="another part of nginx's configuration sets ssl_protocols: remove that",
        )
    elif presented.distrust:
        yield ill(
            f"the certificate is not believed: {presented.distrust}",
            why="the chain is incomplete, or from an authority that this machine does not know",
            fix="give the full chain; for a company's own authority, update-ca-certificates here "
            "and in every browser",
        )
    else:
        yield well(f"{presented.version}, and the certificate is believed")
    if local:
        yield well(f"browsers believe it as soon as they have {target.facts.authority}")
