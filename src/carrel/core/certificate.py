"""Decides about the edge's certificate: whether it may be installed, is due, or a reason to worry.

Used by operations.certificate and doctor. Reads no certificate and no clock: what one says comes in as
Facts, and the time as seconds since 1970.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from carrel.core import names
from carrel.core.layout import HostLayout
from carrel.core.resources import Bundle
from carrel.core.site import Site, TlsMode

DAY = 86400.0

ALARM_SECONDS = 14 * DAY
"""When a certificate has less left, something is wrong with its renewal."""
ALARM_SHARE = 1 / 6
"""The same for those that live only for days: this share of their lifetime."""
RENEWAL_SHARE = 2 / 3
"""At this share of its lifetime a certificate is renewed."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate and the private key beside it say. Times are seconds since 1970."""

    names: tuple[str, ...]
    begins: float
    ends: float
    key_fits: bool
    fingerprint: str = ""
    """SHA-256 of the certificate, to know it again."""

    @property
    def lifetime(self) -> float:
        """Seconds from its first to its last moment."""
        return self.ends - self.begins

    @property
    def renewal(self) -> float:
        """When it is to be renewed."""
        return self.begins + self.lifetime * RENEWAL_SHARE

    @property
    def alarm(self) -> float:
        """When it should have been renewed long ago."""
        return self.ends - min(ALARM_SECONDS, self.lifetime * ALARM_SHARE)


@dataclass(frozen=True, slots=True)
class Served:
    """The certificate that a site serves: its files, which may be one, and where it comes from."""

    chain: str
    key: str
    source: TlsMode


def bundle(site: Site, layout: HostLayout) -> Bundle | None:
    """The certificate that a server gets from elsewhere, or None if it makes its own."""
    match site.tls.mode:
        case TlsMode.LOCAL:
            return None
        case TlsMode.ACME:
            source = names.certificate_source("acme", site.domain, site.tls.server)
            folder = f"{layout.obtained}/{source}"
        case TlsMode.FILES:
            key = site.tls.key.path if site.tls.key else ""
            source = names.certificate_source("files", site.domain, site.tls.certificate, key)
            folder = ""
    wanted = wanted_names(site.domain)
    return Bundle(layout.bundle(source), wanted, names.CERTIFICATE_UNIT, folder)


def wanted_names(domain: str) -> tuple[str, str]:
    """The names that a site's certificate has to be for."""
    return (domain, f"*.{domain}")


def covers(have: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Whether a certificate for `have` is good for all `wanted`; a wildcard covers one label."""
    known = {name.lower() for name in have}
    return all(name in known or f"*.{name.partition('.')[2]}" in known for name in wanted)


def unfit(facts: CertificateFacts, wanted: tuple[str, ...], now: float) -> str:
    """Why this certificate must not be installed; empty if it may."""
    if not facts.key_fits:
        return "the private key belongs to another certificate"
    if not covers(facts.names, wanted):
        return f"it is for {', '.join(facts.names) or 'no name'}, not for {' and '.join(wanted)}"
    if now >= facts.ends:
        return f"it ended {days(now - facts.ends)} ago, by this machine's clock"
    if now < facts.begins:
        return f"it begins in {days(facts.begins - now)}, by this machine's clock"
    return ""


def due(facts: CertificateFacts, now: float) -> bool:
    """Whether it is time for another one; also when the clock says that it is not valid yet."""
    return not facts.begins <= now < facts.renewal


@dataclass(frozen=True, slots=True)
class Concern:
    """Something about the certificate that a person should know."""

    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}"


def concern(
    facts: CertificateFacts | None, wanted: tuple[str, ...], now: float, remedy: str
) -> Concern | None:
    """What is wrong with the certificate that is installed, from 14 days before its end."""
    if facts is None:
        return Concern("there is no certificate", remedy)
    reason = unfit(facts, wanted, now)
    if reason:
        return Concern(f"the certificate is of no use: {reason}", remedy)
    if now >= facts.alarm:
        left = days(facts.ends - now)
        return Concern(f"the certificate ends in {left} and was not renewed", remedy)
    return None


def days(seconds: float) -> str:
    """A span of time in words, in the largest unit that says enough."""
    for size, unit in ((DAY, "day"), (3600.0, "hour"), (60.0, "minute")):
        if seconds >= size:
            count = int(seconds / size)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "less than a minute"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why the authority or the DNS provider did not do what lego asked, and what helps."""

    why: str
    fix: str


CAUSES: tuple[tuple[str, Cause], ...] = (
    (
        r"rateLimited|HTTP 429|error: 429",
        Cause(
            "the authority says that it was asked too often",
            "wait until the time that it names; every further attempt may make the wait longer",
        ),
    ),
    (
        r"unrecognized DNS provider",
        Cause(
            "lego knows no DNS provider of this name",
            "set tls.dns_provider to a code that `lego dnshelp` lists",
        ),
    ),
    (
        r"credentials information are missing|some credentials|missing credentials",
        Cause(
            "the credentials lack a variable that the DNS provider needs",
            "`lego dnshelp -c PROVIDER` lists the variables for tls.credentials_file",
        ),
    ),
    (
        r"error presenting token|could not determine zone|zone .* not found",
        Cause(
            "the DNS provider did not make the record",
            "check that the credentials in tls.credentials_file are right, may change this zone, and "
            "allow this server's address",
        ),
    ),
    (
        r"certificate signed by unknown authority|failed to verify certificate: x509",
        Cause(
            "the authority's own HTTPS certificate is not trusted here",
            "name the private authority's root in tls.ca_file, or check tls.server",
        ),
    ),
    (
        r"has expired or is not yet valid",
        Cause(
            "by this machine's clock, a certificate on the way is not valid",
            "set the clock: `timedatectl status` says whether it is synchronised",
        ),
    ),
    (
        r"get directory at|no such host|connection refused|i/o timeout|Client\.Timeout",
        Cause(
            "the authority, or the DNS provider, could not be reached",
            "check the network and tls.server; the timer tries again by itself",
        ),
    ),
    (
        r"time limit exceeded|did not return the expected TXT|Incorrect TXT|No TXT record",
        Cause(
            "the record was made, but the world does not see it",
            "check that the domain's name servers are this provider's; if this machine cannot ask "
            "them, set tls.dns_resolvers",
        ),
    ),
    (
        r"acme:error:caa",
        Cause(
            "a CAA record of the domain forbids this authority",
            "allow it there, for wildcards too (issuewild)",
        ),
    ),
    (
        r"acme:error:rejectedIdentifier|acme:error:unauthorized",
        Cause(
            "the authority refuses this domain",
            "check `domain`; what the authority said is above",
        ),
    ),
)
"""What lego's output means, the most telling first."""

UNKNOWN = Cause("lego failed", "what it said is above; `lego dnshelp` describes the providers")


def cause(output: str) -> Cause:
    """What lego's output means to an operator."""
    found = (known for pattern, known in CAUSES if re.search(pattern, output))
    return next(found, UNKNOWN)


def last_words(output: str) -> tuple[str, ...]:
    """The lines of lego's output that say what went wrong, without times and repetitions."""
    lines = [re.sub(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ", "", text) for text in output.splitlines()]
    kept = [text.strip() for text in lines if text.strip() and not text.startswith("[INFO]")]
    return tuple(dict.fromkeys(kept))[-LAST_WORDS:]


LAST_WORDS = 8
