"""The units that bring a server's certificate and renew it.

Used by render.host. What they run is services.certificate.
"""

from __future__ import annotations

from collections.abc import Iterator

from carrel.core import names, network
from carrel.core.layout import HostLayout
from carrel.core.resources import Bundle
from carrel.core.site import Site, TlsMode
from carrel.render.systemd import AT_BOOT, CONFINED, MANUAL
from carrel.render.unit_file import Command, Line, Note, UnitFile, quoted, unit_file

WAY_OUT = ("SSL_CERT_FILE", "http_proxy", "https_proxy", "no_proxy")
"""What lego is told of the way to the internet, by variables of the unit."""
CREDENTIALS, AUTHORITY = "dns", "authority"
"""What systemd hands to lego: the DNS provider's credentials, and the root of a private authority."""


def service(site: Site, layout: HostLayout, bundle: Bundle, python: str) -> UnitFile:
    """The unit that asks for the certificate if it is time, and installs what is new and fits.

    `python` runs the programs of services.certificate.
    """
    match site.tls.mode:
        case TlsMode.ACME:
            way = _order(site, layout, bundle, python)
        case TlsMode.FILES:
            way = _copy(site, layout, bundle, python)
        case TlsMode.LOCAL:
            raise ValueError("the local authority needs no unit")
    return unit_file(
        Unit=(
            ("Description", f"Carrel: the certificate for {site.domain}"),
            MANUAL,
            ("Wants", "network-online.target"),
            ("After", "network-online.target nss-lookup.target time-sync.target"),
        ),
        Service=(
            ("Type", "oneshot"),
            ("SyslogIdentifier", names.CERTIFICATE_STATE),
            *way,
        ),
    )


def timer(site: Site) -> UnitFile:
    """When the unit runs by itself: often enough that a failure is repaired long before the end."""
    return unit_file(
        Unit=(
            ("Description", f"Carrel: looks after the certificate for {site.domain}"),
            MANUAL,
        ),
        Timer=(
            ("OnCalendar", "*-*-* 00/8:00:00"),
            Note("At another time than everybody else's, but always the same on this machine."),
            ("RandomizedDelaySec", "8h"),
            ("FixedRandomDelay", "yes"),
            ("Persistent", "yes"),
        ),
        Install=(("WantedBy", "timers.target"),),
    )


def path(site: Site) -> UnitFile:
    """Starts the unit when somebody else has renewed the files."""
    key = site.tls.key.path if site.tls.key else ""
    return unit_file(
        Unit=(
            ("Description", f"Carrel: sees when the certificate for {site.domain} is another"),
            MANUAL,
        ),
        Path=(
            ("PathChanged", site.tls.certificate),
            ("PathChanged", key),
        ),
        Install=(AT_BOOT,),
    )


def _order(site: Site, layout: HostLayout, bundle: Bundle, python: str) -> tuple[Line, ...]:
    tls = site.tls
    wish = (
        f"--folder={bundle.folder}",
        f"--server={tls.server}",
        f"--email={tls.email}",
        f"--provider={tls.dns_provider}",
        *(f"--resolver={address}" for address in tls.resolvers),
    )
    given = [
        (CREDENTIALS, tls.credentials.path if tls.credentials else ""),
        (AUTHORITY, tls.authority),
    ]
    lego = f"{bundle.folder}/certificates/{bundle.names[0]}"
    install = _install(layout, bundle, f"{lego}.crt", f"{lego}.key")
    return (
        Note("lego runs as nobody in particular: it sees the credentials and its own directory."),
        ("DynamicUser", "yes"),
        *_way_out(site, layout),
        ("StateDirectory", names.CERTIFICATE_STATE),
        ("StateDirectoryMode", "0700"),
        *(("LoadCredential", f"{name}:{file}") for name, file in given if file),
        _program("ExecStart", python, "order", *_names(bundle), *wish),
        Note("As root: nginx's configuration may be anywhere, and the key is for root only."),
        _program("ExecStartPost", f"+{python}", *install),
        Note("Some providers take half an hour to show a record."),
        ("TimeoutStartSec", "1h"),
        Note(),
        ("CapabilityBoundingSet", ""),
        *CONFINED,
        ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_NETLINK AF_UNIX"),
        ("SystemCallErrorNumber", "EPERM"),
        ("PrivateUsers", "yes"),
    )


def _way_out(site: Site, layout: HostLayout) -> Iterator[Line]:
    """The authorities of the site and its proxy, for Go programs."""
    trusted = (("SSL_CERT_FILE", layout.ca_bundle),) if site.network.ca_file else ()
    for name, value in (*trusted, *network.through_proxy(site.network)):
        if name in WAY_OUT:
            yield "Environment", quoted(f"{name}={value}")


def _copy(site: Site, layout: HostLayout, bundle: Bundle, python: str) -> tuple[Line, ...]:
    key = site.tls.key.path if site.tls.key else ""
    install = _install(layout, bundle, site.tls.certificate, key)
    return (
        Note(
            "As root: the files and nginx's configuration may be anywhere, and the key is for root only."
        ),
        _program("ExecStart", python, *install, "--links"),
    )


def _install(layout: HostLayout, bundle: Bundle, chain: str, key: str) -> tuple[str, ...]:
    return (
        "install",
        *_names(bundle),
        f"--chain={chain}",
        f"--key={key}",
        f"--bundle={bundle.path}",
        f"--include={layout.nginx}",
    )


def _names(bundle: Bundle) -> tuple[str, ...]:
    return tuple(f"--name={name}" for name in bundle.names)


def _program(key: str, python: str, *arguments: str) -> Command:
    # -I: nothing from the working directory or the environment.
    return Command(key, python, ("-I", "-m", "carrel.services.certificate", *arguments))
