"""What the NixOS module refuses, in words of its own, and what is no fault; the real Nix evaluates."""

from pathlib import Path

import pytest

from nix.desks import ROOT, complaints, configuration, evaluate, refusal

HERE = "services.code-server-multi"

EVE = 'passwordFile = "/e";'
BROKEN = {
    "two users with one port": (
        "",
        f"dan.port = 9000; eve = {{ {EVE} port = 9000; }};",
        "dan eve have the same port, 9000",
    ),
    "two users with one number": (
        "",
        f"dan.number = 5; eve = {{ {EVE} number = 5; }};",
        "dan eve have the same number, 5",
    ),
    "a port of the system": ("", "dan.port = 443;", "dan.port is 443"),
    "a name with a hyphen": ("", f'"a-b" = {{ {EVE} }};', '"a-b" cannot be a user'),
    "a name that is too long for an account": (
        "",
        f"{'z' * 25} = {{ {EVE} }};",
        "cannot be a user's name. Use 1 to 24",
    ),
    "a name that no account can have": (
        "",
        f'"a:b" = {{ {EVE} }};',
        '"a:b" cannot be a user',
    ),
    "a certificate that nginx cannot read": (
        f'security.acme.certs."e.org".webroot = "/w"; {HERE}.useACMEHost = "e.org";',
        "",
        'the certificate "e.org" is for the group "acme", and nginx is not in it',
    ),
    "a name that is reserved": ("", f"www = {{ {EVE} }};", '"www" is reserved'),
    "no domain": (f'{HERE}.domain = lib.mkForce "";', "", 'domain is "", which is not a domain'),
    "no certificate": (
        f"{HERE}.acme.dnsProvider = null;",
        "",
        "there is no certificate for code.example.org",
    ),
    "a certificate that nobody declares": (
        f'{HERE}.useACMEHost = "elsewhere.org";',
        "",
        "there is no certificate for code.example.org",
    ),
    "half a certificate": (
        f'{HERE}.sslCertificate = "/c.pem";',
        "",
        "sslCertificate and sslCertificateKey belong together",
    ),
    "a soft limit above the hard one": (
        "",
        'dan = { memoryLimit = "1G"; memorySoftLimit = "2G"; };',
        "dan.memorySoftLimit is larger than memoryLimit",
    ),
    "too little memory": ("", 'dan.memoryLimit = "64M";', "dan.memoryLimit is less memory than"),
    "no CPU at all": ("", 'dan.cpuLimit = "0";', "dan.cpuLimit is nothing at all"),
    "docker": (
        'virtualisation.oci-containers.backend = "docker";',
        "",
        "containers of rootless podman",
    ),
    "a group without an id": (
        'services.nginx.group = "web"; users.groups.web = { };',
        "",
        'the group "web" of nginx has no fixed id',
    ),
    "a directory that cannot be quoted": (
        f'{HERE}.workspaceBase = "/srv/a:b";',
        "",
        "workspaceBase has characters",
    ),
    "shared keys of nobody": (f'{HERE}.ai.mode = "shared-keys";', "", "ai.providers is empty"),
    "a provider without a key": (
        f'{HERE}.ai = {{ mode = "shared-keys"; providers.anthropic = {{ }}; }};',
        "",
        "ai.providers.anthropic has neither apiKeyFile nor baseUrl",
    ),
    "a provider with a bad name": (
        f'{HERE}.ai.providers."Open AI".apiKeyFile = "/k";',
        "",
        'ai.providers."Open AI" is not a provider',
    ),
    "a server of one's own without models": (
        f'{HERE}.ai.providers.mine.baseUrl = "http://10.0.0.1/v1";',
        "",
        "ai.providers.mine.models is empty",
    ),
    "authorities that Nix does not know": (
        f'{HERE}.settings.network.ca_file = "/etc/company.pem";',
        "",
        "security.pki.certificateFiles",
    ),
    "a password in the Nix store": (
        "",
        'dan.passwordFile = "/nix/store/abc-password";',
        "/nix/store/abc-password is in the Nix store",
    ),
    "a variable that Carrel sets": (
        "",
        'dan.environment.HASHED_PASSWORD = "/h";',
        "HASHED_PASSWORD cannot be set there",
    ),
    "a variable that is none": ("", 'dan.environment."A B" = "/h";', "A B cannot be set there"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_configuration_with_a_fault_is_told_so(tmp_path: Path, what: str) -> None:
    more, users, message = BROKEN[what]
    broken = complaints(configuration(tmp_path, more, users=users))
    # NixOS says what it has to say as well.
    [ours] = [complaint for complaint in broken if complaint.startswith(HERE)]
    assert message in ours


def with_key(folder: Path, kind: str, more: str = "", **said: str) -> Path:
    """A site whose key is a secret of sops-nix or agenix, as far as our module looks at it."""
    values = " ".join(f'{name} = "{value}";' for name, value in said.items())
    return configuration(
        folder,
        f'{kind}.secrets.key = {{ path = "/run/secrets/key"; {values} }};'
        f'{HERE}.sslCertificate = "/c.pem"; {HERE}.sslCertificateKey = "/run/secrets/key";{more}',
        options=f"{kind}.secrets = lib.mkOption {{ type = lib.types.anything; }};",
    )


@pytest.mark.parametrize(
    ("said", "more"),
    [
        ({"owner": "nginx"}, ""),
        ({"group": "nginx", "mode": "0440"}, ""),
        ({"mode": "0444"}, ""),
        ({"group": "keys", "mode": "0440"}, 'users.users.nginx.extraGroups = [ "keys" ];'),
        (
            {"group": "keys", "mode": "440"},
            'systemd.services.nginx.serviceConfig.SupplementaryGroups = "other keys";',
        ),
    ],
)
def test_a_key_that_nginx_can_read_is_no_fault(
    tmp_path: Path, said: dict[str, str], more: str
) -> None:
    assert complaints(with_key(tmp_path, "sops", more, **said)) == []


@pytest.mark.parametrize("kind", ["sops", "age"])
def test_a_key_that_only_root_can_read_is_one(tmp_path: Path, kind: str) -> None:
    for said in ({}, {"group": "nginx", "mode": "0400"}, {"group": "keys", "mode": "0440"}):
        [broken] = complaints(with_key(tmp_path, kind, **said))
        assert f"{HERE}.sslCertificateKey is a secret that nginx cannot read" in broken
        assert 'owner = "nginx"' in broken


def test_nginx_is_in_the_group_of_a_certificate_by_one_of_two_ways(tmp_path: Path) -> None:
    for way in (
        'users.users.nginx.extraGroups = [ "acme" ];',
        'users.groups.acme.members = [ "nginx" ];',
    ):
        more = f'security.acme.certs."e.org".webroot = "/w"; {HERE}.useACMEHost = "e.org"; {way}'
        assert complaints(configuration(tmp_path, more)) == []


def test_the_longest_name_that_is_allowed_is_an_account_of_nixos(tmp_path: Path) -> None:
    name = "z" * 24
    desks = evaluate(configuration(tmp_path, users=f"{name} = {{ {EVE} }};"))
    assert desks.broken == []
    assert f"carrel-{name}" in desks.found["users"]["users"]


def test_who_manages_lingering_does_not_matter(tmp_path: Path) -> None:
    assert complaints(configuration(tmp_path, "users.manageLingering = false;")) == []


def test_every_assertion_has_a_configuration_that_breaks_it() -> None:
    text = (ROOT / "nix/checks.nix").read_text()
    assertions = text.count("(must ") + text.count("must false")
    assert assertions == 23
    # A certificate can be missing in two ways, a variable's name wrong in two, a user's in three; the
    # key that nginx cannot read has tests of its own.
    assert len(BROKEN) == assertions + 4 - 1


REFUSED = {
    "an option that does not exist": (f"{HERE}.dommain = 1;", "", "dommain' does not exist"),
    "a user without a password": (
        "",
        "eve = { };",
        "passwordFile' was accessed but has no value defined",
    ),
    "a password file that is a relative path": (
        "",
        'eve.passwordFile = "secret";',
        "string matching the pattern /.*",
    ),
    "a password file that Nix would copy": ("", "eve.passwordFile = ./secret;", "string matching"),
    "a size that is none": ("", 'dan.memoryLimit = "lots";', "dan.memoryLimit' is not of type"),
    "a number of CPUs that is too fine": ("", 'dan.cpuLimit = "1.125";', "dan.cpuLimit' is not"),
    "a mode of AI that is none": (f'{HERE}.ai.mode = "free";', "", "ai.mode' is not of type"),
    "another's list of paths for a backup": (f"{HERE}.backup.paths = [ ];", "", "read-only"),
    "an option of NixOS that the harness does not know": ("services.nginxx = 1;", "", "nginxx"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_value_of_the_wrong_kind_is_refused(tmp_path: Path, what: str) -> None:
    more, users, message = REFUSED[what]
    (tmp_path / "secret").write_text("open sesame")
    assert message in refusal(configuration(tmp_path, more, users=users))


# -- the boot ------------------------------------------------------------------------------


def test_what_is_written_into_passwd_is_one_field(tmp_path: Path) -> None:
    said = refusal(configuration(tmp_path, 'users.users.root.description = "one: two";'))
    assert "users.users.root.description' is not of type" in said
