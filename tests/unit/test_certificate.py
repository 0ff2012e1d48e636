"""When a certificate is installed, renewed and worried about, and what lego's words mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrel.core import certificate
from carrel.core.certificate import DAY, CertificateFacts

WANTED = ("code.example.org", "*.code.example.org")
START = 1_800_000_000.0


def facts(
    days: float = 90, names: tuple[str, ...] = WANTED, *, key_fits: bool = True
) -> CertificateFacts:
    return CertificateFacts(names, START, START + days * DAY, key_fits)


@pytest.mark.parametrize(
    ("names", "good"),
    [
        (WANTED, True),
        (("*.CODE.example.org", "Code.Example.Org"), True),
        (("*.example.org", "*.code.example.org"), True),
        (("code.example.org",), False),
        (("*.code.example.org",), False),
        (("*.example.org", "code.example.org"), False),
        (("xcode.example.org", "*.xcode.example.org"), False),
        ((), False),
    ],
)
def test_a_certificate_has_to_be_for_the_domain_and_everything_below_it(
    names: tuple[str, ...], good: bool
) -> None:
    assert certificate.covers(names, WANTED) is good


@pytest.mark.parametrize(
    ("found", "day", "words"),
    [
        (facts(), 1, ""),
        (facts(), 89.9, ""),
        (facts(), 90, "ended less than a minute ago"),
        (facts(), 93, "ended 3 days ago"),
        (facts(), -0.1, "begins in 2 hours"),
        (facts(key_fits=False), 1, "another certificate"),
        (facts(names=("a.b",)), 1, "it is for a.b, not for code.example.org"),
        (facts(names=()), 1, "it is for no name"),
    ],
)
def test_only_what_fits_key_names_and_clock_is_installed(
    found: CertificateFacts, day: float, words: str
) -> None:
    reason = certificate.unfit(found, WANTED, START + day * DAY)
    assert words in reason
    assert bool(reason) == bool(words)


@pytest.mark.parametrize(
    ("lifetime", "renewed", "alarm"),
    [(90, 60, 76), (397, 397 * 2 / 3, 383), (6, 4, 5), (45, 30, 37.5)],
)
def test_it_is_renewed_at_two_thirds_and_worried_about_fourteen_days_before_its_end(
    lifetime: float, renewed: float, alarm: float
) -> None:
    found = facts(lifetime)
    assert not certificate.due(found, START + renewed * DAY - 1)
    assert certificate.due(found, START + renewed * DAY)
    for day, quiet in ((alarm - 0.01, True), (alarm, False), (lifetime, False)):
        concern = certificate.concern(found, WANTED, START + day * DAY, "mend it")
        assert (concern is None) == quiet
    assert "mend it" in str(concern)


def test_a_clock_that_was_set_back_makes_it_due() -> None:
    assert certificate.due(facts(), START - 1)


def test_no_certificate_is_a_concern() -> None:
    assert certificate.concern(None, WANTED, START, "mend it") is not None


@given(st.floats(60, 1000 * DAY), st.floats(0, 1))
def test_nobody_worries_before_the_first_attempt_to_renew(lifetime: float, share: float) -> None:
    found = CertificateFacts(WANTED, START, START + lifetime, key_fits=True)
    now = START + lifetime * share
    if certificate.concern(found, WANTED, now, "") is not None:
        assert certificate.due(found, now)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (
            "acme: error: 429 :: POST :: https://a/new-order :: "
            "urn:ietf:params:acme:error:rateLimited :: too many certificates",
            "too often",
        ),
        ("unrecognized DNS provider: vulture", "knows no DNS provider"),
        ("vultr: some credentials information are missing: VULTR_API_KEY", "lack a variable"),
        (
            "acme: error presenting token: vultr: unauthorized, error presenting token",
            "did not make",
        ),
        ("get directory at 'https://a': dial tcp 127.0.0.1:1: connection refused", "be reached"),
        ("get directory at 'x': x509: certificate signed by unknown authority", "not trusted"),
        ("x509: certificate has expired or is not yet valid: current time 2020", "clock"),
        ("propagation: time limit exceeded: last error: NS did not return", "does not see it"),
        ("urn:ietf:params:acme:error:caa :: CAA record", "forbids"),
        ("something new", "lego failed"),
    ],
)
def test_what_lego_says_is_told_in_words(output: str, words: str) -> None:
    cause = certificate.cause(output)
    assert words in cause.why
    assert cause.fix


def test_of_legos_output_only_the_complaints_are_repeated() -> None:
    output = "2026/11/24 07:00:00 [INFO] acme: Registering account\n" + 3 * (
        "2026/11/24 07:00:01 Could not obtain certificates:\n\terror: one\n"
    )
    assert certificate.last_words(output) == ("Could not obtain certificates:", "error: one")
