import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrel.adapters import certificates
from carrel.config import load, schema, secrets
from carrel.config.load import Faulty
from carrel.config.template import example, network
from carrel.core.site import (
    LANGUAGES,
    AiLimits,
    AiMode,
    ImageRecipe,
    Limits,
    PasswordHash,
    Price,
    SecretFile,
    Site,
    Wire,
)
from carrel.errors import ConfigError
from carrel.gateway import settings
from carrel.render import secret
from carrel.targets import images
from samples import HASH, write_config

START = 'domain = "code.example.org"\n'
DAN = f'[users.dan]\npassword_hash = "{HASH}"\n'


def site(folder: Path, text: str, **files: str) -> Site:
    return load.load(write_config(folder, text, **files))


def faults(folder: Path, text: str, **files: str) -> dict[str, str]:
    with pytest.raises(Faulty) as caught:
        site(folder, text, **files)
    assert caught.value.exit_code == 2
    for fault in caught.value.faults:
        assert fault.path
        assert fault.reason
        assert fault.remedy
    return {fault.path: f"{fault.reason} | {fault.remedy}" for fault in caught.value.faults}


def test_a_domain_alone_is_a_site_with_the_documented_defaults(tmp_path: Path) -> None:
    found = site(tmp_path, START)
    assert found.domain == "code.example.org"
    assert found.storage == "/var/lib/vscode"
    assert found.local_port == 8443
    assert found.ai.mode is AiMode.OFF
    assert found.image.extensions == ("sst-dev.opencode",)


def test_the_design_example_is_accepted(tmp_path: Path) -> None:
    text = """
domain = "code.example.org"
[tls]
mode = "acme"
email = "ops@example.org"
dns_provider = "vultr"
credentials_file = "vultr"
[image]
base = "auto"
packages = []
extensions = ["sst-dev.opencode"]
[limits]
memory = "3G"
memory_soft = "2.5G"
cpus = 1.5
processes = 1024
[storage]
base = "/var/lib/vscode"
[ai]
mode = "gateway"
[ai.providers.anthropic]
api_key_file = "/run/secrets/anthropic"
[users.dan]
password_file = "dan"
[users.alice]
password_file = "alice"
limits.memory = "2G"
port = 8082
"""
    found = site(tmp_path, text, dan="secret\n", alice=HASH, vultr="VULTR_API_KEY=secret\n")
    assert found.users[0].limits == Limits()
    assert found.users[1].limits.memory == 2 << 30
    assert found.users[1].limits.memory_soft <= found.users[1].limits.memory
    assert found.users[1].port == 8082
    assert found.users[0].password == SecretFile(str(tmp_path / "dan"))


def test_the_file_that_init_writes_is_valid(tmp_path: Path) -> None:
    assert site(tmp_path, example()).users == ()


def test_init_writes_down_the_proxy_of_the_environment_if_workspaces_can_use_it(
    tmp_path: Path,
) -> None:
    environment = {
        "HTTPS_PROXY": "http://proxy.example.org:3128",
        "http_proxy": "http://dan:geheim@proxy.example.org:3128",
        "no_proxy": "localhost, .example.org",
    }
    text = example(network=network(environment))
    found = site(tmp_path, text).network
    assert (found.http_proxy, found.https_proxy) == ("", environment["HTTPS_PROXY"])
    assert found.no_proxy == ("localhost", ".example.org")
    assert "geheim" not in text
    assert "# http_proxy: what your environment says cannot be used here; run a forwarder" in text
    assert network({}) in example()


@given(st.dictionaries(st.sampled_from(["http_proxy", "HTTPS_PROXY", "no_proxy"]), st.text()))
def test_whatever_the_environment_says_init_writes_a_valid_file(
    environment: dict[str, str],
) -> None:
    text = example(network=network(environment))
    assert load.parse(text, Path("/carrel.toml")).users == ()


def test_relative_paths_start_at_the_configuration(tmp_path: Path) -> None:
    found = site(tmp_path, START + '[storage]\nbase = "data"\n')
    assert found.storage == str(tmp_path / "data")


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    text = (
        'domain = "nodots"\nunknwon = 1\n[limit]\n[limits]\nmemory = "lots"\ncpus = -1\n'
        '[users.Dan]\npassword_file = "x"\n[users.www]\npassword_file = "x"\n[tls]\nmode = "magic"\n'
    )
    found = faults(tmp_path, text)
    assert set(found) == {
        "domain", "unknwon", "limit", "limits.memory", "limits.cpus", "users.Dan", "users.www",
        "tls.mode",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        (START + "[limits]\nmemroy = '3G'\n", "limits.memroy", 'did you mean "memory"'),
        (START + f"[users.dan]\npasword_hash = '{HASH}'\n", "users.dan.pasword_hash", "password_hash"),
        (START + "[limits]\nmemory = '1G'\nmemory_soft = '2G'\n", "limits.memory_soft", "hard limit"),
        (START + "[limits]\nmemory = '10M'\n", "limits.memory", "less memory than"),
        (START + "[limits]\nmemory = 'many'\n", "limits.memory", '"2.5G"'),
        (START + "[limits]\nmemory = true\n", "limits.memory", "size"),
        (START + "[users.dan]\n", "users.dan", "exactly one of"),
        (START + "[users.'d-n']\npassword_file='x'\n", "users.d-n", "no hyphen"),
        (START + "[users.admin]\npassword_file='x'\n", "users.admin", "reserved"),
        (START + "[users.dan]\npassword_file='nowhere'\n", "users.dan.password_file", "no file"),
        (START + "[users.dan]\npassword_file='.'\n", "users.dan.password_file", "cannot be read"),
        (START + "[users.dan]\npassword_hash='plain'\n", "users.dan.password_hash", "argon2"),
        (START + DAN + "port = 8443\n", "users.dan.port", "already local.port"),
        (START + DAN + "port = 80\n", "users.dan.port", "1024"),
        (START + "[ai]\nmode='shared-keys'\n", "ai.providers", "empty"),
        (START + "[ai.providers.x]\nbase_url='https://h/v1'\n", "ai.providers.x.models", "name the"),
        (START + "[ai.providers.x]\nbase_url='file:///etc'\n", "ai.providers.x.base_url", "base URL"),
        (START + "[ai]\nmodel='a/b'\n", "ai.model", 'no provider "a"'),
        (START + "[image]\nextensions=['nodot']\n", "image.extensions.0", "Open VSX"),
        (START + "[image]\nextensions=['a.vsix']\n", "image.extensions", "no file"),
        (START + "[image]\npackages=['a;b']\n", "image.packages.0", "Debian package"),
        (START + "[image]\nbase='Not An Image'\n", "image.base", "not an image"),
        (START + "[storage]\nbase='/a\"; }'\n", "storage.base", "usable path"),
        ("domain = 'a.b'\ndomain = 'c.d'\n", "file", "not TOML"),
        ("[users.dan]\n[users.dan]\n", "file", "not TOML"),
    ],
)  # fmt: skip
def test_each_fault_names_its_path_and_its_remedy(
    tmp_path: Path, text: str, path: str, words: str
) -> None:
    assert words in faults(tmp_path, text)[path]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("a\nb\n", "one line"),
        ("a\0b", "one line"),
        ("x" * 70000, "large"),
    ],
)
def test_a_password_file_that_is_none_is_refused(tmp_path: Path, content: str, words: str) -> None:
    found = faults(tmp_path, START + "[users.dan]\npassword_file='dan'\n", dan=content)
    assert words in found["users.dan.password_file"]


def test_two_users_may_not_share_a_port(tmp_path: Path) -> None:
    text = START + DAN + "port = 8081\n" + DAN.replace("dan", "eve") + "port = 8081\n"
    assert "already users.dan.port" in faults(tmp_path, text)["users.eve.port"]


def test_a_missing_configuration_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no configuration") as caught:
        load.load(tmp_path / "carrel.toml")
    assert "carrel init" in caught.value.fix


def test_no_fault_repeats_a_secret(tmp_path: Path) -> None:
    text = START + "[users.dan]\npassword_hash = 'hunter2-in-plain-text'\nwrong = 1\n"
    with pytest.raises(Faulty) as caught:
        site(tmp_path, text)
    assert "hunter2" not in str(caught.value)


def test_a_hash_does_not_show_in_a_repr(tmp_path: Path) -> None:
    found = site(tmp_path, START + DAN)
    assert found.users[0].password == PasswordHash(HASH)
    assert HASH not in repr(found)


@given(st.text(max_size=60))
def test_no_text_makes_the_loader_fall_over(text: str) -> None:
    with suppress(ConfigError):
        assert load.parse(text, Path("/carrel.toml")).domain


def test_the_schema_describes_every_key() -> None:
    schema = load.json_schema()
    assert json.dumps(schema)
    definitions = schema["$defs"]
    assert isinstance(definitions, dict)
    for table in definitions.values():
        for name, value in table["properties"].items():
            assert value.get("description") or "$ref" in value, name


def test_each_way_to_a_certificate_says_what_it_lacks(tmp_path: Path) -> None:
    for mode, missing in (
        ("acme", ["tls.email", "tls.dns_provider"]),
        ("files", ["tls.certificate_file", "tls.key_file"]),
    ):
        assert list(faults(tmp_path, f'{START}[tls]\nmode = "{mode}"\n')) == missing


@pytest.mark.parametrize(
    ("content", "reason"),
    [("", "is empty"), ("VULTR_API_KEY: secret\n", "Line 1 of the credentials is not NAME=value")],
)
def test_credentials_that_lego_could_not_read_are_a_fault_that_repeats_no_secret(
    tmp_path: Path, content: str, reason: str
) -> None:
    acme = 'mode = "acme"\nemail = "a@b.de"\ndns_provider = "vultr"\ncredentials_file = "dns"\n'
    found = faults(tmp_path, f"{START}[tls]\n{acme}", dns=content)
    assert list(found) == ["tls.credentials_file"]
    assert reason in found["tls.credentials_file"]
    assert "VULTR" not in found["tls.credentials_file"]


GATEWAY = START + '[ai]\nmode = "gateway"\n'


def test_a_gateway_needs_neither_a_provider_nor_a_key_yet(tmp_path: Path) -> None:
    assert site(tmp_path, GATEWAY).ai.providers == ()
    found = site(tmp_path, GATEWAY + '[ai.providers.anthropic]\napi_key_file = "nowhere"\n')
    assert found.ai.providers[0].wire is Wire.ANTHROPIC


@pytest.mark.parametrize(
    "content",
    ["sk\n# of October\n", "# the key\nsk\n", "\n\n", "sk-\x01", "sk-ä", "s\tk", "\ufeffsk"],
)
@pytest.mark.parametrize("mode", ["gateway", "shared-keys"])
def test_what_config_check_accepts_as_a_key_the_gateway_reads(
    tmp_path: Path, mode: str, content: str
) -> None:
    (tmp_path / "key").write_text(content)
    text = GATEWAY.replace('"gateway"', f'"{mode}"')
    text += '[ai.providers.anthropic]\napi_key_file = "key"\n'
    where = "ai.providers.anthropic.api_key_file"
    assert where in faults(tmp_path, text)
    (tmp_path / "key").write_text(" sk-1\r\n")
    found = site(tmp_path, text)
    entries = secret.gateway_entries(
        replace(found, users=()), secret.Tokens(SecretFile(str(tmp_path / "key")))
    )
    (tmp_path / "secrets").write_text(secrets.environment_file(entries))
    assert settings.read_secrets(str(tmp_path / "secrets")) == {"ANTHROPIC_API_KEY": "sk-1"}


NETWORK = """
[network]
ca_file = "company.pem"
http_proxy = "http://proxy.example.org:3128"
https_proxy = "http://[2001:db8::1]:3128"
no_proxy = ["git.example.org", ".intern.example.org", "10.0.0.1", "fd00::1", "*"]
"""


def test_a_way_to_the_internet_is_taken_up(tmp_path: Path) -> None:
    authority = certificates.authority("company.example").certificate
    (tmp_path / "company.pem").write_text(f"of the company, ä\n{authority}")
    found = site(tmp_path, START + NETWORK).network
    assert found.ca_file == str(tmp_path / "company.pem")
    assert found.https_proxy == "http://[2001:db8::1]:3128"
    assert found.no_proxy[1] == ".intern.example.org"


@pytest.mark.parametrize(
    "content",
    ["", "not PEM", "\x80", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"],
)
def test_authorities_that_a_program_could_not_read_are_a_fault(
    tmp_path: Path, content: str
) -> None:
    found = faults(tmp_path, START + '[network]\nca_file = "own.pem"\n', **{"own.pem": content})
    assert list(found) == ["network.ca_file"]
    assert "openssl x509" in found["network.ca_file"]


def test_authorities_that_are_not_there_are_a_fault(tmp_path: Path) -> None:
    found = faults(tmp_path, START + '[network]\nca_file = "own.pem"\n')
    assert "no such file" in found["network.ca_file"]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("https_proxy", '"proxy:3128"', "http://proxy.example.org:3128"),
        ("https_proxy", '"https://proxy:3128"', "http://proxy.example.org:3128"),
        ("https_proxy", '"http://dan:geheim@proxy:3128"', "a name and a password"),
        ("http_proxy", '"http://127.0.0.1:3128"', "another machine"),
        ("http_proxy", '"http://localhost:3128/"', "another machine"),
        ("http_proxy", '"http://[::1]:3128"', "another machine"),
        ("http_proxy", '"http://proxy:3128 --env=A"', "http://proxy.example.org:3128"),
        ("no_proxy", '["10.0.0.0/8"]', "no ranges"),
        ("no_proxy", '["a,b"]', "no ranges"),
    ],
)
def test_a_proxy_that_workspaces_could_not_use_is_a_fault(
    tmp_path: Path, key: str, value: str, words: str
) -> None:
    found = faults(tmp_path, f"{START}[network]\n{key} = {value}\n")
    assert len(found) == 1
    (text,) = found.values()
    assert words in text
    assert "geheim" not in text


def test_languages_are_debians_packages_and_part_of_the_recipe(tmp_path: Path) -> None:
    text = START + '[image]\nlanguages = ["go", "php"]\npackages = ["php-cli", "cowsay"]\n'
    recipe = site(tmp_path, text).image
    assert recipe.all_packages[0] == "golang-go"
    assert recipe.all_packages[-1] == "cowsay"
    assert recipe.all_packages.count("php-cli") == 1
    found = faults(tmp_path, START + '[image]\nlanguages = ["cobol"]\n')
    assert "go" in found["image.languages.0"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_makes_another_image_and_none_makes_the_same(language: str) -> None:
    plain = images.image(ImageRecipe())
    assert images.image(ImageRecipe(languages=())) == plain
    other = images.image(ImageRecipe(languages=(language,)))
    assert other.reference != plain.reference
    assert other.packages == LANGUAGES[language]


def test_the_schema_knows_every_language() -> None:
    words = get_args(get_args(schema.ImageTable.model_fields["languages"].annotation)[0])
    assert words == tuple(LANGUAGES)


def test_limits_of_one_person_are_over_those_of_all(tmp_path: Path) -> None:
    text = GATEWAY + (
        "[ai.limits]\nmoney_per_day = 5\nconcurrent = 3\n[ai.total]\nmoney_per_month = 0.1\n"
        + DAN
        + "ai.money_per_day = 0.000000001\nai.request_size = '1M'\n"
        + DAN.replace("dan", "eve")
    )
    found = site(tmp_path, text)
    dan, eve = (user.ai for user in found.users)
    assert (dan.money_per_day, dan.concurrent, dan.request_size) == (1, 3, 1 << 20)
    assert (eve.money_per_day, eve.requests_per_minute) == (5_000_000_000, 120)
    assert found.ai.total == AiLimits(money_per_month=100_000_000)


def test_prices_aliases_and_the_wire_are_taken_up(tmp_path: Path) -> None:
    text = GATEWAY + (
        'model = "house/big"\naliases.fast = "house/big"\nunpriced = "free"\nwhen_full = "serve"\n'
        '[ai.providers.house]\nbase_url = "http://h/v1/"\nwire = "anthropic"\nmodels = ["big"]\n'
        "[ai.providers.house.prices.big]\ninput = 0.0125\noutput = 2\nmax_output = 9\n"
    )
    (house,) = site(tmp_path, text).ai.providers
    assert (house.wire, house.base_url) == (Wire.ANTHROPIC, "http://h/v1")
    assert dict(house.prices)["big"] == Price(12_500_000, 2 * 10**9, 12_500_000, 12_500_000, 9, 0)


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("[ai.providers.odd]\n", "ai.providers.odd", "add its base_url"),
        ("[ai.providers.groq]\n", "ai.providers.groq.models", "name the models"),
        ("[ai.providers.carrel]\n", "ai.providers.carrel", "another name"),
        ("model = 'openai/no'\n[ai.providers.openai]\n", "ai.model", "add it to its models"),
        ("aliases.a = 'b/c'\n", "ai.aliases.a", "PROVIDER/MODEL"),
        ("limits.money_per_day = -1\n", "ai.limits.money_per_day", "greater than or equal to 0"),
        ("limits.money_per_day = inf\n", "ai.limits.money_per_day", "finite"),
        ("limits.concurrent = 0\n", "ai.limits.concurrent", "greater than or equal to 1"),
        ("limits.money_per_dya = 1\n", "ai.limits.money_per_dya", 'did you mean "money_per_day"'),
        ("unpriced = 'maybe'\n", "ai.unpriced", "choose one"),
        (
            "[ai.providers.openai.prices.no]\ninput = 1\noutput = 1\n[ai.providers.openai]\n"
            "models = ['gpt-5']\n",
            "ai.providers.openai.prices.no",
            "add it to models",
        ),
    ],
)
def test_each_fault_of_a_gateway_names_its_path_and_its_remedy(
    tmp_path: Path, text: str, path: str, words: str
) -> None:
    assert words.lower() in faults(tmp_path, GATEWAY + text)[path].lower()
