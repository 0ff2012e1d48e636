"""Whether the domain, and any name below it, leads to this server."""

from __future__ import annotations

from collections.abc import Iterator

from carrel.core import names
from carrel.doctor.finding import Finding, ill, skipped, well
from carrel.doctor.subject import Subject
from carrel.operations import certificate

STRANGER = "carrel-check"
"""With a hyphen: nobody's desk."""


def check(subject: Subject) -> Iterator[Finding]:
    """The bare domain, and a name that only a wildcard record can answer for."""
    domain = subject.site.domain
    if domain.endswith(".localhost"):
        yield skipped(
            "whether DNS leads here",
            why="browsers resolve names below localhost by themselves (RFC 6761)",
        )
        return
    for name, record in ((domain, domain), (names.host(STRANGER, domain), f"*.{domain}")):
        addresses = subject.look.resolve(name)
        if not addresses:
            yield ill(
                f"{name} has no address",
                why="a browser asks DNS for it before anything else",
                fix=f"at your DNS provider, make an A (and AAAA) record for {record}",
            )
        for address in addresses:
            yield _leads(subject, name, address)


def _leads(subject: Subject, name: str, address: str) -> Finding:
    user = "" if name == subject.site.domain else STRANGER
    try:
        presented = subject.look.handshake(subject.stop(user, at=address), ())
    except OSError as error:
        return skipped(
            f"whether {name} leads here ({address})",
            why=f"this machine cannot reach that address itself: {error.strerror or error}",
            fix=f"from elsewhere: curl -I https://{name}/; if that fails too, open port 443",
        )
    facts = certificate.read(subject.opened)
    if facts is None or presented.fingerprint != facts.fingerprint:
        return ill(
            f"{name} leads to {address}, where another certificate is presented",
            why="the record points to another machine, or something stands between",
            fix="let the record point to this server; a proxy before it has to pass TLS through",
        )
    return well(f"{name} leads here ({address})")
