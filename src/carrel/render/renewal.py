"""The units that bring a server's certificate and renew it, as text for systemd.unit(5).

Used by render.host. What they run is services.certificate.
"""

from __future__ import annotations

from carrel.core import names, network
from carrel.core.layout import HostLayout
from carrel.core.resources import Bundle
from carrel.core.site import Site, TlsMode
from carrel.render.systemd import CONFINED, MADE_BY, quoted

WAY_OUT = ("SSL_CERT_FILE", "http_proxy", "https_proxy", "no_proxy")
"""What lego is told of the way to the internet, by variables of the unit."""
CREDENTIALS, AUTHORITY = "dns", "authority"
"""What systemd hands to lego: the DNS provider's credentials, and the root of a private authority."""


def service(site: Site, layout: HostLayout, bundle: Bundle, python: str) -> str:
    """The unit that asks for the certificate if it is time, and installs what is new and fits.

    `python` runs the programs of services.certificate.
    """
    head = f"""\
{MADE_BY}[Unit]
Description=Carrel: the certificate for {site.domain}
Documentation=man:carrel(1)
Wants=network-online.target
After=network-online.target nss-lookup.target time-sync.target

[Service]
Type=oneshot
SyslogIdentifier={names.CERTIFICATE_STATE}
"""
    match site.tls.mode:
        case TlsMode.ACME:
            return head + _order(site, layout, bundle, python)
        case TlsMode.FILES:
            return head + _copy(site, layout, bundle, python)
        case TlsMode.LOCAL:
            raise ValueError("the local authority needs no unit")


def timer(site: Site) -> str:
    """When the unit runs by itself: often enough that a failure is repaired long before the end."""
    return f"""\
{MADE_BY}[Unit]
Description=Carrel: looks after the certificate for {site.domain}
Documentation=man:carrel(1)

[Timer]
OnCalendar=*-*-* 00/8:00:00
# At another time than everybody else's, but always the same on this machine.
RandomizedDelaySec=8h
FixedRandomDelay=yes
Persistent=yes

[Install]
WantedBy=timers.target
"""


def path(site: Site) -> str:
    """Starts the unit when somebody else has renewed the files."""
    key = site.tls.key.path if site.tls.key else ""
    return f"""\
{MADE_BY}[Unit]
Description=Carrel: sees when the certificate for {site.domain} is another
Documentation=man:carrel(1)

[Path]
PathChanged={site.tls.certificate}
PathChanged={key}

[Install]
WantedBy=multi-user.target
"""


def _order(site: Site, layout: HostLayout, bundle: Bundle, python: str) -> str:
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
    credentials = "".join(f"LoadCredential={name}:{file}\n" for name, file in given if file)
    lego = f"{bundle.folder}/certificates/{bundle.names[0]}"
    install = _install(layout, bundle, f"{lego}.crt", f"{lego}.key")
    return f"""\
# lego runs as nobody in particular: it sees the credentials and its own directory.
DynamicUser=yes
{_way_out(site, layout)}\
StateDirectory={names.CERTIFICATE_STATE}
StateDirectoryMode=0700
{credentials}ExecStart={_program(python, "order", *_names(bundle), *wish)}
# As root: nginx's configuration may be anywhere, and the key is for root only.
ExecStartPost=+{_program(python, *install)}
# Some providers take half an hour to show a record.
TimeoutStartSec=1h

CapabilityBoundingSet=
{CONFINED}
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
SystemCallErrorNumber=EPERM
PrivateUsers=yes
"""


def _way_out(site: Site, layout: HostLayout) -> str:
    """The authorities of the site and its proxy, for Go programs."""
    trusted = (("SSL_CERT_FILE", layout.ca_bundle),) if site.network.ca_file else ()
    variables = (*trusted, *network.through_proxy(site.network))
    told = ((name, value) for name, value in variables if name in WAY_OUT)
    return "".join(f"Environment={quoted(f'{name}={value}')}\n" for name, value in told)


def _copy(site: Site, layout: HostLayout, bundle: Bundle, python: str) -> str:
    key = site.tls.key.path if site.tls.key else ""
    install = _install(layout, bundle, site.tls.certificate, key)
    return f"""\
# As root: the files and nginx's configuration may be anywhere, and the key is for root only.
ExecStart={_program(python, *install, "--links")}
"""


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


def _program(python: str, *arguments: str) -> str:
    # -I: nothing from the working directory or the environment.
    words = ("-I", "-m", "carrel.services.certificate", *arguments)
    return " \\\n    ".join([python, *map(quoted, words)])
