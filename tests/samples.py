"""Sites, layouts and strategies that several tests use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import strategies as st

from carrel.core.layout import HostLayout, LocalLayout
from carrel.core.machine import Machine
from carrel.core.resources import (
    Account,
    Bundle,
    Certificate,
    Directory,
    Entry,
    File,
    Form,
    Holds,
    Image,
    Resource,
    Secret,
    Service,
    State,
    key,
)
from carrel.core.site import (
    Ai,
    AiMode,
    ImageRecipe,
    Limits,
    PasswordHash,
    Provider,
    SecretFile,
    Site,
    Tls,
    TlsMode,
    User,
    Wire,
)
from carrel.core.workspace import Ids
from carrel.render import host, local

LAYOUT = LocalLayout(
    site="0123abcd",
    root="/var/lib/carrel-local",
    runtime="/run/carrel-local",
    account="carrel-local",
    owner="root",
)
IMAGE = Image("localhost/carrel/workspace:0123456789ab", "auto", (), ())
AUTHORITIES = "-----BEGIN CERTIFICATE-----\nwhom this machine trusts\n-----END CERTIFICATE-----\n"
HASH = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$aGFzaGhhc2hoYXNo"

TWO_USERS = Site(
    domain="code.example.org",
    storage="/var/lib/vscode",
    users=(
        User(
            "dan", SecretFile("/run/secrets/dan"), Limits(memory=2 << 30, memory_soft=1 << 30), 8082
        ),
        User("alice", PasswordHash(HASH)),
    ),
    image=ImageRecipe(extensions=()),
    ai=Ai(
        AiMode.SHARED_KEYS,
        (
            Provider("anthropic", SecretFile("/run/secrets/anthropic"), wire=Wire.ANTHROPIC),
            Provider("mine", None, "https://llm.example.org/v1", ("small", "large")),
        ),
        "mine/small",
    ),
)

V1 = Machine(cgroups="v1", runtime="runc", nginx=(1, 22, 1))
V2 = Machine(
    controllers=frozenset({"memory", "cpu", "pids"}),
    cgroup_manager="systemd",
    nginx=(1, 26, 3),
    brotli="/usr/lib/nginx/modules/ngx_http_brotli_static_module.so",
)


def surroundings(machine: Machine = V1, layout: LocalLayout = LAYOUT) -> local.LocalSurroundings:
    """Everything besides the configuration, the same every time."""
    return local.LocalSurroundings(
        layout=layout,
        machine=machine,
        image=IMAGE,
        authority_copy="/etc/carrel/ca.crt",
        fingerprints={
            SecretFile("/run/secrets/dan"): "print-of-dan",
            SecretFile("/run/secrets/anthropic"): "print-of-anthropic",
            SecretFile(layout.secret_key): "print-of-key",
        },
        python="/opt/carrel/bin/python",
        authorities=AUTHORITIES,
    )


ACME = replace(
    TWO_USERS,
    tls=Tls(
        TlsMode.ACME, "ops@example.org", "vultr", SecretFile("/etc/carrel/secrets/vultr"),
        authority="/etc/ssl/company.pem", resolvers=("10.0.0.1:53",),
    ),
)  # fmt: skip
FILES = replace(
    TWO_USERS,
    tls=Tls(
        TlsMode.FILES, certificate="/etc/ssl/full chain.pem", key=SecretFile("/etc/ssl/key.pem")
    ),
)


def desired(site: Site = TWO_USERS, machine: Machine = V1) -> State:
    """The State of a site in local mode."""
    return local.state(site, surroundings(machine))


GATEWAY_SITE = replace(TWO_USERS, ai=replace(TWO_USERS.ai, mode=AiMode.GATEWAY))


def on_server(site: Site = GATEWAY_SITE, authorities: str = AUTHORITIES) -> State:
    """The State of a site on a server."""
    layout = HostLayout()
    users = [*(user.name for user in site.users), "gateway"]
    around = host.HostSurroundings(
        layout=layout,
        machine=replace(V2, ipv6=True, open_files=65536, cgroup_manager="cgroupfs"),
        image=IMAGE,
        image_directory=f"{layout.images}/0123456789ab",
        ids={name: Ids(990 - n, 100_000 + 65536 * n) for n, name in enumerate(users)},
        web_gid=33,
        fingerprints={
            **surroundings().fingerprints,
            SecretFile(layout.secret_key): "print-of-key",
        },
        python="/opt/carrel/bin/python",
        authorities=authorities,
    )
    return host.state(site, around)


def write_config(folder: Path, text: str, **secrets: str) -> Path:
    """A carrel.toml with its secrets in a folder."""
    file = folder / "carrel.toml"
    file.write_text(text)
    for name, value in secrets.items():
        (folder / name).write_text(value)
    return file


names = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
paths = st.lists(names, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
modes = st.sampled_from([0o600, 0o644, 0o700, 0o755])
texts = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=20)
entries = st.builds(
    Entry, names.map(str.upper), st.none() | st.builds(SecretFile, paths), st.sampled_from(Form)
)
resources: st.SearchStrategy[Resource] = st.one_of(
    st.builds(Account, names, paths, st.integers(0, 65536)),
    st.builds(Directory, paths, names, modes, st.sampled_from(Holds)),
    st.builds(File, paths, names, modes, texts),
    st.builds(Secret, paths, names, st.lists(entries, max_size=2).map(tuple), names),
    st.builds(Certificate, paths, names, st.lists(names, max_size=2).map(tuple), paths),
    st.builds(Bundle, paths, st.lists(names, max_size=2).map(tuple), names, paths),
    st.builds(Image, names, names, st.just(()), st.just(())),
    st.builds(
        Service, names, names, st.lists(names, max_size=2).map(tuple), st.just(()), paths, names
    ),
)


def _state(found: list[Resource]) -> State:
    return State.of({key(resource): resource for resource in found}.values())


states = st.lists(resources, max_size=8).map(_state)
