"""The way to the internet: whom a site trusts, and through which proxy it goes."""

import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrel.adapters import certificates
from carrel.core import names, network
from carrel.core.resources import Directory, File, Resource, Service, State, Unit
from carrel.core.site import ImageRecipe, Network, Site
from carrel.errors import Missing
from carrel.render import gateway, local
from carrel.targets import facts, images, record
from samples import ACME, GATEWAY_SITE, LAYOUT, TWO_USERS, on_server, surroundings

HOUSE, COMPANY = (certificates.authority(name) for name in ("house.example", "company.example"))
PROXY = Network(http_proxy="http://proxy.example.org:3128", https_proxy="http://10.0.0.9:3129")
PROXIED = replace(PROXY, no_proxy=(".intern.example.org", "git.example.org"))


# -- whom to trust -------------------------------------------------------------------------


def test_a_bundle_has_each_certificate_once_and_no_key() -> None:
    mixed = f"# of the house\n{HOUSE.certificate}\n{HOUSE.key}\nwords ä{COMPANY.certificate}"
    found = network.bundle([HOUSE.certificate, mixed.replace("\n", "\r\n")])
    assert network.certificates(found) == (
        HOUSE.certificate.strip(),
        COMPANY.certificate.strip(),
    )
    assert "KEY" not in found
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=found)


@given(st.lists(st.text(max_size=30), max_size=3))
def test_what_holds_no_certificate_is_an_empty_bundle(texts: list[str]) -> None:
    assert network.bundle(texts) == ""


def test_a_site_trusts_whom_the_machine_trusts_and_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, own = tmp_path / "machine.pem", tmp_path / "own.pem"
    monkeypatch.setattr(facts, "CA_BUNDLES", (tmp_path / "nowhere", machine))
    with pytest.raises(Missing, match="ca-certificates"):
        facts.authorities(Network())
    machine.write_text(HOUSE.certificate)
    own.write_text(COMPANY.certificate)
    assert facts.authorities(Network()) == HOUSE.certificate
    both = HOUSE.certificate + COMPANY.certificate
    assert facts.authorities(Network(ca_file=str(own))) == both
    monkeypatch.setenv("SSL_CERT_FILE", str(own))
    assert facts.build_authorities(Network()) == both
    # What somebody's environment says reaches the build that they wait for, and no workspace.
    assert facts.authorities(Network()) == HOUSE.certificate


def running(state: State) -> dict[str, Resource]:
    return {r.name: r for r in state if isinstance(r, Service | Unit)}


def with_authorities(text: str, site: Site = TWO_USERS) -> State:
    return local.state(site, replace(surroundings(), authorities=text))


@pytest.mark.parametrize(
    ("trusting", "bundle"),
    [
        (with_authorities, LAYOUT.ca_bundle),
        (lambda text: on_server(authorities=text), "/var/lib/carrel/trust/ca-certificates.crt"),
    ],
)
def test_a_workspace_reads_the_authorities_and_starts_again_when_they_change(
    trusting: object, bundle: str
) -> None:
    assert callable(trusting)
    one, other = trusting(HOUSE.certificate), trusting(COMPANY.certificate)
    (file,) = (r for r in one if isinstance(r, File) and r.path == bundle)
    assert (file.content, file.mode, file.owner) == (HOUSE.certificate, 0o644, "root")
    above = bundle.rpartition("/")[0]
    (folder,) = (r for r in one if isinstance(r, Directory) and r.path == above)
    assert folder.mode == 0o755
    before, after = running(one), running(other)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {name for name in before if names.workspace_user(name)}


def command(state: State, user: str = "dan") -> tuple[str, ...]:
    (found,) = (r for r in state if isinstance(r, Service) and names.workspace_user(r.name) == user)
    return found.command


def test_the_authorities_lie_where_programs_look_and_nobody_can_change_them() -> None:
    found = command(with_authorities(HOUSE.certificate))
    assert f"--volume={LAYOUT.ca_bundle}:{names.CA_BUNDLE}:ro,nosuid,nodev" in found
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"):
        assert f"--env={variable}={names.CA_BUNDLE}" in found


def test_without_authorities_a_workspace_keeps_those_of_its_image() -> None:
    assert not [word for word in command(with_authorities("")) if names.CA_BUNDLE in word]


# -- the proxy -----------------------------------------------------------------------------


def test_a_workspace_is_told_of_the_proxy_in_either_spelling() -> None:
    found = command(with_authorities("", replace(TWO_USERS, network=PROXIED)))
    told = dict(
        word.removeprefix("--env=").split("=", 1) for word in found if word.startswith("--env=")
    )
    for spelled in (str.lower, str.upper):
        assert told[spelled("http_proxy")] == PROXIED.http_proxy
        assert told[spelled("https_proxy")] == PROXIED.https_proxy
        # The port of the AI gateway, and people's own servers, are never the proxy's business.
        assert told[spelled("no_proxy")] == (
            "localhost,127.0.0.1,::1,.intern.example.org,git.example.org"
        )
    assert told["NODE_USE_ENV_PROXY"] == "1"


def test_without_a_proxy_nobody_is_told_of_exceptions() -> None:
    assert network.through_proxy(Network(no_proxy=("a.example.org",))) == ()


@pytest.mark.parametrize(
    ("scheme", "host", "expected"),
    [
        ("https", "api.example.net", PROXIED.https_proxy),
        ("http", "api.example.net", PROXIED.http_proxy),
        ("https", "git.example.org", ""),
        ("https", "GIT.example.org", ""),
        ("https", "a.git.example.org", ""),
        ("https", "notgit.example.org", PROXIED.https_proxy),
        ("https", "a.intern.example.org", ""),
        ("https", "intern.example.org", ""),
        ("http", "localhost", ""),
        ("http", "127.0.0.1", ""),
        ("http", "::1", ""),
    ],
)
def test_the_gateway_asks_through_the_proxy_whom_it_should(
    scheme: str, host: str, expected: str
) -> None:
    assert network.proxy_for(PROXIED, scheme, host) == expected
    assert network.proxy_for(replace(PROXIED, no_proxy=("*",)), scheme, host) == ""
    assert network.proxy_for(Network(), scheme, host) == ""


def test_lego_is_told_of_the_proxy_and_the_sites_own_authorities() -> None:
    path = "/etc/systemd/system/carrel-certificate.service"

    def told(site: Site) -> list[str]:
        (unit,) = (r for r in on_server(site) if isinstance(r, File) and r.path == path)
        return [line for line in unit.content.splitlines() if line.startswith("Environment=")]

    assert told(ACME) == []
    assert told(replace(ACME, network=replace(PROXIED, ca_file="/etc/company.pem"))) == [
        'Environment="SSL_CERT_FILE=/var/lib/carrel/trust/ca-certificates.crt"',
        'Environment="http_proxy=http://proxy.example.org:3128"',
        'Environment="https_proxy=http://10.0.0.9:3129"',
        'Environment="no_proxy=localhost,127.0.0.1,::1,.intern.example.org,git.example.org"',
    ]


def test_the_gateway_reads_our_copy_of_the_authorities_and_only_if_the_site_has_its_own() -> None:
    plain = gateway.config(GATEWAY_SITE, LAYOUT)
    assert LAYOUT.ca_bundle not in plain
    own = replace(GATEWAY_SITE, network=Network(ca_file="/root/company.pem"))
    told = gateway.config(own, LAYOUT)
    assert LAYOUT.ca_bundle in told
    assert "/root/company.pem" not in told


def test_a_build_goes_by_the_configuration_and_else_by_the_operators_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert facts.way_out(Network(), "/ca.crt") == (("SSL_CERT_FILE", "/ca.crt"),)
    monkeypatch.setenv("HTTPS_PROXY", "http://elsewhere:1")
    assert dict(facts.way_out(Network(), "/ca.crt"))["https_proxy"] == "http://elsewhere:1"
    assert dict(facts.way_out(PROXY, "/ca.crt"))["https_proxy"] == PROXY.https_proxy


def test_another_way_out_makes_no_other_image_and_is_not_recorded() -> None:
    direct, proxied = images.image(ImageRecipe()), images.image(ImageRecipe(), PROXIED)
    assert direct == proxied
    assert "proxy" not in record.dump(State.of([proxied]))
    assert record.load(record.dump(State.of([proxied]))) == State.of([direct])
