"""Whether the certificate is for the right names, valid for a while yet, and the one that is served."""

from __future__ import annotations

from collections.abc import Iterator

from carrel.core import certificate as rules
from carrel.doctor.finding import Finding, ill, skipped, well
from carrel.doctor.subject import Subject
from carrel.operations import certificate


def check(subject: Subject) -> Iterator[Finding]:
    """The file that nginx is told to read, and what it presents."""
    facts, now = certificate.read(subject.opened), subject.look.now()
    remedy = certificate.REMEDY[subject.opened.target.facts.certificate(subject.site).source]
    concern = rules.concern(facts, rules.wanted_names(subject.site.domain), now, remedy)
    if concern is not None:
        yield ill(concern.problem, fix=concern.remedy)
    if facts is None:
        return
    if concern is None:
        yield well(f"certificate for {', '.join(facts.names)}, {rules.days(facts.ends - now)} left")
    try:
        presented = subject.look.handshake(subject.stop(), ())
    except OSError as error:
        yield skipped("what nginx presents", why=f"nobody answers: {error.strerror or error}")
        return
    if presented.fingerprint != facts.fingerprint:
        yield ill(
            "nginx presents another certificate than the one that is installed",
            why="it was not told to read the new one, or another site answers for this name",
            fix="on a server: `nginx -t && systemctl reload nginx`; local mode: `carrel down`, `up`",
        )
