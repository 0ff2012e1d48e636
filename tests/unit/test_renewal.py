"""What fits is installed, and nginx reads it; otherwise the certificate so far stays."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from carrel.adapters import certificates, probe, systemd
from carrel.adapters.certificates import Pair
from carrel.core import names
from carrel.core.certificate import DAY
from carrel.errors import ConfigError, NotReady, ToolFailed
from carrel.operations import certificate
from carrel.operations.certificate import Offer
from carrel.operations.report import report
from carrel.operations.site import Opened
from carrel.services import certificate as service
from carrel.targets import reloading
from fake_server import FakeServer
from samples import HASH

DOMAIN = "code.example.org"
NAMES = (DOMAIN, f"*.{DOMAIN}")
DAN = f'[users.dan]\npassword_hash = "{HASH}"\n'


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate, "SETTLE_SECONDS", 0.1)
    monkeypatch.setattr(certificate, "SERVED_SECONDS", 0.1)


class Files:
    """A server that takes its certificate from two files of the operator's."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.server = FakeServer(folder / "server").install(patch)
        self.server.shelve("0" * 12)
        self.chain, self.key = folder / "full.pem", folder / "key.pem"
        self.server.config.write_text(
            f'domain = "{DOMAIN}"\n[storage]\nbase = "{folder}/server/srv"\n{DAN}[tls]\nmode = "files"\n'
            f'certificate_file = "{self.chain}"\nkey_file = "{self.key}"\n'
        )
        self.server.apply()
        [self.bundle] = Path(self.server.layout.tls).glob("*.pem")
        self.first = self.bundle.read_text()

    def renewed(self, wanted: tuple[str, ...] = NAMES) -> Pair:
        pair = certificates.site(wanted, certificates.authority(DOMAIN))
        self.chain.write_text(pair.certificate)
        self.key.write_text(pair.key)
        return pair

    def install(self, *, links: bool = True) -> bool:
        chain, key, bundle = map(str, (self.chain, self.key, self.bundle))
        offer = Offer(NAMES, chain, key, bundle, self.server.layout.nginx, links)
        return certificate.install(offer, lambda _: None)

    def served(self) -> str | None:
        return probe.certificate(DOMAIN)

    def stays(self) -> bool:
        """Whether the first certificate is still there, and served."""
        first = certificates.facts(self.first, self.first)
        served = first is not None and self.served() == first.fingerprint
        return served and self.bundle.read_text() == self.first


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    return Files(tmp_path.resolve(), monkeypatch)


def test_a_renewed_certificate_is_installed_and_served_once(files: Files) -> None:
    pair = files.renewed()
    assert files.install()
    facts = certificates.facts(pair.certificate, pair.key)
    assert facts is not None
    assert files.served() == facts.fingerprint
    assert files.bundle.stat().st_mode & 0o777 == 0o600
    assert not files.install()
    assert files.server.plan() == []


def test_links_of_the_operator_are_followed(files: Files) -> None:
    files.renewed()
    for path in (files.chain, files.key):
        path.rename(f"{path}.1")
        path.symlink_to(f"{path}.1")
    assert files.install()


def test_links_of_lego_are_not_followed(files: Files) -> None:
    files.renewed()
    files.key.rename(f"{files.key}.1")
    files.key.symlink_to(f"{files.key}.1")
    with pytest.raises(ConfigError) as caught:
        files.install(links=False)
    assert "cannot be read" in caught.value.why
    assert files.stays()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: f.key.write_text(certificates.authority(DOMAIN).key), "another certificate"),
        (lambda f: f.renewed((DOMAIN,)), "it is for code.example.org, not for"),
        (lambda f: f.chain.write_text("no certificate"), "is no certificate"),
        (lambda f: f.chain.write_text(""), "is no certificate"),
        (lambda f: f.key.write_text("no key"), "another certificate"),
        (lambda f: f.key.write_bytes(b"\xff\xfe"), "another certificate"),
        (lambda f: f.key.unlink(), "there is no file"),
    ],
)
def test_what_does_not_fit_is_named_and_the_old_certificate_stays(
    files: Files, spoil: object, words: str
) -> None:
    files.renewed()
    assert callable(spoil)
    spoil(files)
    with pytest.raises(ConfigError) as caught:
        files.install()
    assert words in caught.value.why
    assert files.stays()


@pytest.mark.parametrize(("days", "words"), [(500, "ended 135 days ago"), (-2, "begins in 1 day")])
def test_what_the_clock_forbids_is_named_and_the_old_certificate_stays(
    files: Files, monkeypatch: pytest.MonkeyPatch, days: float, words: str
) -> None:
    files.renewed()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + days * DAY)
    with pytest.raises(ConfigError) as caught:
        files.install()
    assert words in caught.value.why
    assert files.stays()


def test_what_nginx_refuses_is_taken_back(files: Files) -> None:
    files.renewed()
    files.server.nginx_refuses = "something of another site"
    with pytest.raises(ToolFailed, match="nginx rejects"):
        files.install()
    assert files.stays()
    files.server.nginx_refuses = ""
    assert files.install()
    assert not files.stays()


def test_what_was_written_and_never_read_is_read_the_next_time(files: Files) -> None:
    pair = files.renewed()
    files.bundle.write_text(pair.key + pair.certificate)
    assert files.install()
    facts = certificates.facts(pair.certificate, pair.key)
    assert facts is not None
    assert files.served() == facts.fingerprint


def test_an_nginx_that_was_stopped_on_purpose_is_not_started(files: Files) -> None:
    files.renewed()
    systemd.stop([names.NGINX_UNIT])
    assert files.install()
    assert names.NGINX_UNIT not in files.server.systemd.running


def test_an_nginx_that_goes_on_serving_the_old_one_is_told(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.renewed()
    monkeypatch.setattr(systemd, "reload", lambda _: None)
    monkeypatch.setattr(reloading, "SECONDS", 0.1)
    with pytest.raises(NotReady, match="goes on with its old configuration"):
        files.install()


def test_the_units_program_says_in_the_journal_what_is_wrong(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    files.renewed((DOMAIN,))
    arguments = [f"--name={name}" for name in NAMES]
    arguments += [f"--chain={files.chain}", f"--key={files.key}", f"--bundle={files.bundle}"]
    arguments.append(f"--include={files.server.layout.nginx}")
    assert service.main(["install", *arguments]) == ConfigError.exit_code
    said = capsys.readouterr().err
    assert "is not installed; the one so far stays" in said
    assert "Why: it is for code.example.org" in said
    files.renewed()
    assert service.main(["install", *arguments]) == 0


def test_status_warns_two_weeks_before_the_end_and_is_no_longer_healthy(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Opened.of(files.server.target)
    assert report(opened).healthy
    now = time.time()
    for days, healthy in ((350, True), (352, False), (366, False)):
        monkeypatch.setattr(time, "time", lambda days=days: now + days * DAY)
        found = report(opened)
        assert found.healthy is healthy
        assert bool(found.certificate.concern) is not healthy
    assert "ended" in found.certificate.concern


def test_a_renewal_at_once_is_asked_of_the_unit(files: Files) -> None:
    certificate.renew(Opened.of(files.server.target))
    assert files.server.systemd.started[-1] == names.CERTIFICATE_UNIT
    assert not files.stays()


def test_a_wish_for_another_certificate_is_left_in_the_folder_of_the_unit(
    files: Files,
) -> None:
    config = files.server.config
    text = config.read_text().partition("[tls]")[0]
    acme = '[tls]\nmode = "acme"\nemail = "a@b.de"\ndns_provider = "exec"\n'
    config.write_text(text + acme)
    opened = Opened.of(files.server.target)
    with pytest.raises(NotReady, match="not applied"):
        certificate.renew(opened)
    files.server.apply()
    files.server.systemd.refuses = "too often"
    with pytest.raises(ToolFailed) as caught:
        certificate.renew(opened)
    assert "too often" in caught.value.why
    [wish] = Path(files.server.layout.obtained).glob("*/wanted")
    assert wish.read_text() == ""


def test_nobody_is_asked_for_a_certificate_of_our_own(files: Files) -> None:
    config = files.server.config
    config.write_text(config.read_text().partition("[tls]")[0])
    with pytest.raises(ConfigError, match="nobody to ask"):
        certificate.renew(Opened.of(files.server.target))
