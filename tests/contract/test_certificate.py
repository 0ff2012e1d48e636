"""The real lego against the real Pebble: a certificate is got, renewed, and refused for good reasons."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from authority import Authority, authority
from carrel.adapters import certificates, lego
from carrel.adapters.lego import Wish
from carrel.core.certificate import CertificateFacts
from carrel.errors import ToolFailed
from carrel.operations import certificate

NAMES = ("code.example.org", "*.code.example.org")
DAY = 24 * 3600


@pytest.fixture(scope="module")
def pebble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with authority(tmp_path_factory.mktemp("pebble")) as found:
        yield found


@dataclass
class Office:
    """What the unit of a server has: its folder, and a wish that comes from the configuration."""

    wish: Wish
    folder: str
    credentials: dict[str, str]
    said: list[str]

    def order(self) -> bool:
        return certificate.order(self.wish, self.folder, self.credentials, self.said.append)

    def facts(self) -> CertificateFacts:
        found = certificate.obtained(self.wish, self.folder)
        assert found is not None
        return found

    def refused(self) -> ToolFailed:
        """The error of an order that fails; what was there before is still there."""
        before = kept(Path(self.folder))
        with pytest.raises(ToolFailed) as caught:
            self.order()
        assert kept(Path(self.folder)) == before
        assert all(value not in str(caught.value) for value in secret_values(self.credentials))
        return caught.value


def trusted(office: Office, pebble: Authority) -> bool:
    """Whether openssl builds a chain from what was got to the authority's root."""
    chain, _ = lego.files(office.folder, NAMES[0])
    command = ["openssl", "verify", "-CAfile", str(pebble.issuer), "-untrusted", chain, chain]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def kept(folder: Path) -> dict[str, str]:
    return {p.name: p.read_text() for p in folder.glob("certificates/*")}


def secret_values(credentials: dict[str, str]) -> list[str]:
    return [value for name, value in credentials.items() if "PASSWORD" in name]


@pytest.fixture
def office(pebble: Authority, tmp_path: Path) -> Office:
    wish = Wish(
        NAMES, pebble.directory, "ops@example.org", "httpreq", (pebble.resolver,), str(pebble.root)
    )
    return Office(wish, f"{tmp_path}/lego", dict(pebble.credentials), [])


def service(
    office: Office, *arguments: str, clock: str = "", status: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run the unit's program as systemd does, with another clock if need be."""
    folder = Path(office.folder).parent / "credentials"
    folder.mkdir(exist_ok=True)
    lines = (f'{name}="{value}"\n' for name, value in office.credentials.items())
    (folder / "dns").write_text("".join(lines))
    (folder / "authority").write_text(Path(office.wish.authority).read_text())
    shifted = ["faketime", clock] if clock else []
    result = subprocess.run(
        [*shifted, sys.executable, "-m", "carrel.services.certificate", *arguments],
        env={**os.environ, "CREDENTIALS_DIRECTORY": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == status, result.stderr
    return result


def order(office: Office, clock: str = "") -> str:
    wish = office.wish
    arguments = [f"--folder={office.folder}", f"--server={wish.server}", f"--email={wish.email}"]
    arguments += [f"--provider={wish.provider}", *(f"--resolver={r}" for r in wish.resolvers)]
    arguments += [f"--name={name}" for name in NAMES]
    return service(office, "order", *arguments, clock=clock).stderr


def test_one_certificate_for_the_domain_and_everything_below_it_is_got_once(
    office: Office, pebble: Authority
) -> None:
    assert office.order()
    facts = office.facts()
    assert set(facts.names) == set(NAMES)
    assert facts.key_fits
    assert facts.lifetime == pytest.approx(90 * DAY, abs=10)
    assert trusted(office, pebble)
    asked = len(pebble.orders)
    assert not office.order()
    assert len(pebble.orders) == asked
    assert "the next certificate is due in 59 days" in office.said[-1]


def test_another_one_can_be_had_at_once_and_has_another_key(office: Office) -> None:
    office.order()
    before = kept(Path(office.folder))
    (Path(office.folder) / "wanted").touch()
    assert office.order()
    after = kept(Path(office.folder))
    for name in ("code.example.org.crt", "code.example.org.key"):
        assert after[name] != before[name]
    assert not office.order()


def test_the_program_of_the_unit_renews_at_two_thirds_of_the_lifetime(office: Office) -> None:
    assert "got a certificate" in order(office)
    first = office.facts().fingerprint
    assert "due in 1 day" in order(office, clock="+58 days")
    assert office.facts().fingerprint == first
    # lego is a static program and keeps the true time, as the authority does.
    assert "it is time" in order(office, clock="+61 days")
    assert office.facts().fingerprint != first


def test_a_clock_that_is_behind_asks_again_instead_of_keeping_what_is_not_valid_yet(
    office: Office,
) -> None:
    order(office)
    assert "it begins in" in order(office, clock="-3 days")


def test_wrong_credentials_are_named_and_not_repeated(office: Office) -> None:
    office.credentials["HTTPREQ_PASSWORD"] = "a-wrong-one"
    error = office.refused()
    assert "the DNS provider did not make the record" in error.what
    assert "401" in error.why
    assert "tls.credentials_file" in error.fix


def test_missing_credentials_are_named(office: Office) -> None:
    office.credentials.clear()
    assert "HTTPREQ_ENDPOINT" in office.refused().why


def test_an_unknown_provider_is_named(office: Office) -> None:
    office.wish = replace(office.wish, provider="nobody")
    error = office.refused()
    assert "knows no DNS provider" in error.what
    assert "nobody" in error.why


def test_an_authority_that_is_down_is_named_and_the_old_certificate_stays(office: Office) -> None:
    office.order()
    (Path(office.folder) / "wanted").touch()
    office.wish = replace(office.wish, server="https://localhost:1/dir")
    error = office.refused()
    assert "could not be reached" in error.what
    assert "localhost:1" in error.why


def test_an_authority_that_was_asked_too_often_is_named_and_the_old_certificate_stays(
    office: Office, pebble: Authority
) -> None:
    office.order()
    (Path(office.folder) / "wanted").touch()
    pebble.busy = True
    try:
        error = office.refused()
    finally:
        pebble.busy = False
    assert "asked too often" in error.what
    assert "too many certificates already issued" in error.why
    # The wish is not forgotten.
    assert office.order()


def test_an_authority_of_nobodys_trust_is_named(office: Office) -> None:
    office.wish = replace(office.wish, authority="")
    error = office.refused()
    assert "not trusted" in error.what
    assert "tls.ca_file" in error.fix


def test_a_record_that_nobody_sees_is_named(office: Office, tmp_path: Path) -> None:
    # A provider that takes the record, but is not the one whom the world asks.
    with authority(tmp_path) as elsewhere:
        office.credentials["HTTPREQ_ENDPOINT"] = elsewhere.provider
        office.credentials["HTTPREQ_PROPAGATION_TIMEOUT"] = "2"
        error = office.refused()
    assert "does not see it" in error.what
    assert "dns_resolvers" in error.fix


def test_nothing_of_anybodys_is_readable_for_others(office: Office) -> None:
    office.order()
    chain, key = lego.files(office.folder, NAMES[0])
    for path in (chain, key):
        assert Path(path).stat().st_mode & 0o077 == 0
    assert certificates.fits(Path(chain).read_text(), Path(key).read_text())
