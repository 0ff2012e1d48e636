"""A certificate from elsewhere: asks for it when it is time, installs it when it fits, says how it is.

Used by services.certificate on a server, by `carrel certificate`, and by report. What nginx uses is
one file with chain and key, so that it never sees a half of another.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from carrel.adapters import certificates, files, lego, nginx, probe, systemd
from carrel.adapters.lego import Wish
from carrel.adapters.process import Identity
from carrel.core import certificate as rules
from carrel.core import names
from carrel.core.certificate import CertificateFacts
from carrel.core.resources import Bundle
from carrel.core.site import TlsMode
from carrel.errors import CarrelError, ConfigError, NotReady, ToolFailed
from carrel.operations.site import Opened, server
from carrel.targets import reloading
from carrel.targets.protocol import Say
from carrel.targets.waiting import until

SETTLE_SECONDS = 10
"""Whoever renews files writes two of them: this long a mismatch may be half of a change."""
SERVED_SECONDS = 30


# -- asking for it -------------------------------------------------------------------------


def order(wish: Wish, folder: str, credentials: Mapping[str, str], say: Say) -> bool:
    """Ask for a certificate if the last one is due, does not fit, or another is wanted at once."""
    # Whoever systemd made up for this run may have no name: there is no account.
    ourselves = Identity("", os.geteuid(), os.getegid(), folder)
    files.make_directory(folder, ourselves, 0o700)
    now, facts = time.time(), obtained(wish, folder)
    if facts is not None and not _wanted(folder):
        reason = rules.unfit(facts, wish.names, now)
        if not reason and not rules.due(facts, now):
            say(f"the next certificate is due in {rules.days(facts.renewal - now)}")
            return False
        say(reason or "it is time for another certificate")
    lego.order(wish, folder, credentials)
    got = obtained(wish, folder)
    if got is None:
        raise ToolFailed(f"lego ended well, but there is no certificate in {folder}.")
    files.remove_file(_marker(folder))
    say(f"got a certificate for {', '.join(got.names)}")
    return True


def obtained(wish: Wish, folder: str) -> CertificateFacts | None:
    """What the certificate says that was got last, if there is one."""
    chain, key = map(files.text, lego.files(folder, wish.names[0]))
    return None if chain is None or key is None else certificates.facts(chain, key)


def want(bundle: Bundle) -> None:
    """Have the next run ask for another certificate, whether or not it is time."""
    if bundle.folder and files.look(bundle.folder) is not None:
        files.write(_marker(bundle.folder), "", Identity.ours(), 0o600)


def _wanted(folder: str) -> bool:
    return files.look(_marker(folder)) is not None


def _marker(folder: str) -> str:
    return f"{folder}/wanted"


# -- installing it -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Offer:
    """Files with a chain and a key, and what they would become: `bundle`, which `include` may use.

    `links`: whether symbolic links are followed. The operator's are; lego has no rights and gets none.
    """

    names: tuple[str, ...]
    chain: str
    key: str
    bundle: str
    include: str
    links: bool


def install(offer: Offer, say: Say) -> bool:
    """Put chain and key in place if they fit together, the names and the clock; nginx reads them.

    Raises, and the old certificate stays, if they do not, or if nginx refuses them.
    """
    found = _fitting(offer)
    before = files.text(offer.bundle)
    if before != found.text:
        files.write(offer.bundle, found.text, Identity.ours(), 0o600)
    if not _in_use(offer):
        return before != found.text
    if before == found.text and _served(offer, found):
        return False
    try:
        nginx.test()
    except CarrelError:
        if before is not None:
            files.write(offer.bundle, before, Identity.ours(), 0o600)
        raise
    with reloading.taken_up():
        nginx.reload()
    until(partial(_served, offer, found), seconds=SERVED_SECONDS, what="nginx's new certificate")
    say(f"nginx serves a certificate that ends in {rules.days(found.ends - time.time())}")
    return True


@dataclass(frozen=True, slots=True)
class _Look:
    """What was in the files: `reason` says why it must not be installed."""

    reason: str
    text: str = ""
    fingerprint: str = ""
    ends: float = 0


def _fitting(offer: Offer) -> _Look:
    looks: list[_Look] = []

    def fits() -> bool:
        looks.append(_look(offer))
        return not looks[-1].reason

    with contextlib.suppress(NotReady):
        until(fits, seconds=SETTLE_SECONDS, what=offer.chain)
    if looks[-1].reason:
        raise ConfigError(
            f"The certificate in {offer.chain} is not installed; the one so far stays.",
            why=looks[-1].reason,
            fix="put a full chain and its key there; `carrel doctor` shows what is served now",
        )
    return looks[-1]


def _look(offer: Offer) -> _Look:
    paths = (offer.chain, offer.key)
    try:
        chain, key = (files.text(os.path.realpath(p) if offer.links else p) for p in paths)
    except (OSError, ToolFailed) as error:
        return _Look(f"{' or '.join(paths)} cannot be read: {error}")
    if chain is None or key is None:
        return _Look(f"there is no file {offer.chain if chain is None else offer.key}")
    facts = certificates.facts(chain, key)
    if facts is None:
        return _Look(f"{offer.chain} is no certificate")
    reason = rules.unfit(facts, offer.names, time.time())
    text = f"{key.rstrip()}\n{chain.rstrip()}\n"
    return _Look(reason, text, facts.fingerprint, facts.ends)


def _in_use(offer: Offer) -> bool:
    return offer.bundle in (files.text(offer.include) or "") and nginx.running()


def _served(offer: Offer, found: _Look) -> bool:
    return probe.certificate(offer.names[0]) == found.fingerprint


# -- an operator's view --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CertificateReport:
    """The certificate that the site serves, for a report. Times are seconds since 1970.

    `concern`: what is wrong, and what to do; empty while all is well.
    """

    source: str
    names: tuple[str, ...]
    ends: float | None
    renewal: float | None
    concern: str


def standing(opened: Opened) -> CertificateReport:
    """How the site's certificate is."""
    facts, mode = read(opened), opened.target.facts.certificate(opened.site).source
    concern = rules.concern(
        facts, rules.wanted_names(opened.site.domain), time.time(), REMEDY[mode]
    )
    return CertificateReport(
        source=mode.value,
        names=facts.names if facts else (),
        ends=facts.ends if facts else None,
        renewal=facts.renewal if facts and mode is TlsMode.ACME else None,
        concern=str(concern) if concern else "",
    )


def read(opened: Opened) -> CertificateFacts | None:
    """What the certificate says that nginx is told to serve."""
    served = opened.target.facts.certificate(opened.site)
    chain, key = files.text(served.chain), files.text(served.key)
    return None if chain is None or key is None else certificates.facts(chain, key)


REMEDY = {
    TlsMode.ACME: "`carrel certificate renew` tries again and says what is wrong",
    TlsMode.FILES: "renew tls.certificate_file and tls.key_file; Carrel installs them by itself",
    TlsMode.LOCAL: "`carrel apply` (local mode: `carrel up`) makes another",
}


def renew(opened: Opened) -> None:
    """Ask for another certificate now, and install it; ToolFailed with the reason if that fails."""
    target = opened.target
    server(target)
    bundle = target.facts.bundle(opened.site)
    if bundle is None:
        raise ConfigError(
            'There is nobody to ask: tls.mode is "local". Nothing was changed.',
            fix="`carrel apply` renews a certificate of the local authority in time",
        )
    if bundle not in set(target.store.recorded()):
        raise NotReady("This site was not applied yet.", fix="run `carrel apply`")
    want(bundle)
    systemd.run_once(bundle.unit, names.CERTIFICATE_STATE)
