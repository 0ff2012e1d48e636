"""What the NixOS module makes of configurations, and what it refuses; the real Nix evaluates."""

import json
from collections.abc import Callable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

from carrel.core import names
from nix.desks import EXAMPLE, ROOT, Desks, configuration, evaluate, run

Evaluated = Callable[..., Desks]
FILES = sorted([*ROOT.glob("nix/*.nix"), *ROOT.glob("tests/nix/*.nix"), ROOT / "flake.nix"])
HERE = "services.code-server-multi"


@pytest.fixture(scope="module")
def example() -> Desks:
    """The interface as it was asked for, without a change."""
    return evaluate(EXAMPLE)


@pytest.fixture
def site(tmp_path: Path) -> Evaluated:
    def of(more: str = "", *, users: str = "") -> Desks:
        return evaluate(configuration(tmp_path, more, users=users))

    return of


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nix_can_read_every_file(file: Path) -> None:
    result = run("nix-instantiate", "--store", "dummy://", "--parse", str(file))
    assert result.status == 0, result.errors


def test_the_example_of_the_request_has_nothing_wrong(example: Desks) -> None:
    assert example.broken == []
    assert example.warnings == [
        f'{HERE}.baseImage is "codercom/code-server:latest": nobody knows which version that will '
        "be, and two servers may differ. Name a version, or a digest."
    ]


def test_the_example_runs_exactly_this_container(example: Desks) -> None:
    assert example.podman("dan") == [
        "podman",
        "--root=/run/user/41283/store",
        "--runroot=/run/user/41283/containers",
        "--storage-driver=vfs",
        "--cgroup-manager=cgroupfs",
        "--events-backend=none",
        "--log-level=error",
        "run",
        "--name=carrel-dan",
        "--log-driver=passthrough",
        "--hostname=dan",
        "--cidfile=/run/carrel-dan/ctr-id",
        "--cgroups=enabled",
        "--sdnotify=conmon",
        "-d",
        "--replace",
        *("-e", "CARREL_EMAIL=dan@code.example.org"),
        *("-e", "CARREL_FULL_NAME=dan"),
        *("-e", "NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt"),
        *("-e", "OPENCODE_DISABLE_AUTOUPDATE=1"),
        *("-e", "OPENCODE_DISABLE_MODELS_FETCH=1"),
        *("-e", "REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt"),
        *("-e", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"),
        *("--env-file", "/var/lib/carrel/image/environment"),
        *("--env-file", "/var/lib/carrel/secrets/dan.env"),
        *("-u", "1000:1000"),
        *("-v", "/var/lib/vscode/dan/home:/home/coder:rw,nosuid,nodev"),
        *("-v", "/var/lib/vscode/dan/workspace:/home/coder/project:rw,nosuid,nodev"),
        *("-v", "/var/lib/vscode/dan/config:/home/coder/.local/share/code-server:rw,nosuid,nodev"),
        *("-v", "/run/carrel/dan:/run/carrel:rw,nosuid,nodev"),
        *("-v", "/nix/store/carrel-agent-dan:/etc/opencode:ro,nosuid,nodev"),
        *(
            "-v",
            "/nix/store/ca-certificates.crt:/etc/ssl/certs/ca-certificates.crt:ro,nosuid,nodev",
        ),
        *("-l", "carrel.user=dan"),
        *("-w", "/home/coder/project"),
        "--rm",
        "--cap-drop=all",
        *("--pull", "never"),
        "--sdnotify=ignore",
        "--conmon-pidfile=/run/user/41283/conmon.pid",
        "--cgroups=split",
        "--userns=keep-id:uid=1000,gid=1000",
        "--security-opt=no-new-privileges",
        "--read-only",
        "--tmpfs=/tmp:rw,exec,nosuid,nodev,mode=1777,size=536870912",
        "--tmpfs=/var/tmp:rw,exec,nosuid,nodev,mode=1777,size=268435456",
        "--tmpfs=/run:rw,exec,nosuid,nodev,mode=1777,size=67108864",
        "--stop-timeout=15",
        "--memory=2147483648",
        "--memory-reservation=1789569706",
        "--memory-swap=2147483648",
        "--cpus=1.5",
        "--pids-limit=1024",
        "--ulimit=nproc=1024:1024",
        "--ulimit=nofile=65536:65536",
        "--network=pasta:--no-map-gw,--map-guest-addr,none",
        "--rootfs",
        "/run/carrel-root/dan",
        "/usr/bin/tini",
        "--",
        "/opt/carrel/entrypoint",
        "--auth=password",
        "--socket=/run/carrel/editor.sock",
        "--socket-mode=666",
        "--app-name=dan · Carrel",
        "--i18n=/etc/opencode/sign-in.json",
    ]


def test_the_example_makes_exactly_these_directories(example: Desks) -> None:
    assert [line for line in example.found["tmpfiles"] if "alice" not in line] == [
        "d /var/lib/carrel/editor 0755 root root -",
        "d /var/lib/carrel/images 0755 root root -",
        "d /var/lib/carrel/secrets 0711 root root -",
        "d /var/lib/vscode/dan 0700 carrel-dan carrel-dan -",
        "d /var/lib/vscode/dan/config 0700 carrel-dan carrel-dan -",
        "d /var/lib/vscode/dan/home 0700 carrel-dan carrel-dan -",
        "d /var/lib/vscode/dan/home/project 0700 carrel-dan carrel-dan -",
        "d /var/lib/vscode/dan/home/.local 0700 carrel-dan carrel-dan -",
        "d /var/lib/vscode/dan/home/.local/share 0700 carrel-dan carrel-dan -",
        "d /var/lib/vscode/dan/home/.local/share/code-server 0700 carrel-dan carrel-dan -",
        "d /var/lib/vscode/dan/workspace 0700 carrel-dan carrel-dan -",
        "L+ /var/lib/carrel/engine - - - - /nix/store/carrel-engine",
    ]


def test_a_container_is_rootless_and_below_its_unit(example: Desks) -> None:
    unit = example.service("carrel-workspace@alice")
    account = example.found["users"]["users"]["carrel-alice"]
    assert unit["serviceConfig"]["User"] == "carrel-alice"
    assert unit["serviceConfig"]["Slice"] == "carrel.slice"
    assert unit["serviceConfig"]["Delegate"] == "yes"
    assert account["isSystemUser"]
    assert not account["linger"]
    assert [r["count"] for r in account["subUidRanges"]] == [65536]
    assert account["subUidRanges"][0]["startUid"] == account["subGidRanges"][0]["startGid"]


def test_the_settings_of_nixos_do_not_win_over_ours(example: Desks) -> None:
    unit = example.service("carrel-workspace@dan")
    assert unit["serviceConfig"]["TimeoutStopSec"] == "40"
    assert set(unit["serviceConfig"]["RuntimeDirectory"]) == {"user/41283", "carrel-dan"}
    assert unit["environment"]["HOME"] == "/run/user/41283"
    assert unit["serviceConfig"]["Environment"] == "PODMAN_SYSTEMD_UNIT=%n"


def test_no_value_of_a_secret_and_no_key_is_in_the_system(example: Desks) -> None:
    """The key's file is named to the unit that reads it, and nowhere in a container or its unit."""
    workspace = repr([example.podman("alice"), example.service("carrel-workspace@alice")])
    assert "opencode-anthropic" not in workspace
    assert "ANTHROPIC" not in workspace
    assert example.etc("nixos.json")["environment"] == {
        "alice": {"ANTHROPIC_API_KEY": "/run/secrets/opencode-anthropic"}
    }


def test_the_example_gets_one_certificate_for_all_names(example: Desks) -> None:
    certificate = example.found["security"]["acme"]["certs"]["code.example.org"]
    assert certificate["extraDomainNames"] == ["*.code.example.org"]
    assert certificate["dnsProvider"] == "vultr"
    assert certificate["group"] == "nginx"
    hosts = example.found["hosts"]
    secured = {name for name, host in hosts.items() if host["useACMEHost"] == "code.example.org"}
    assert secured == {
        "code.example.org",
        "*.code.example.org",
        "dan.code.example.org",
        "alice.code.example.org",
    }
    assert all(hosts[name]["forceSSL"] for name in secured)


def test_the_example_listens_for_tunnels_on_loopback_only(example: Desks) -> None:
    listens = [listen for host in example.found["hosts"].values() for listen in host["listen"]]
    assert {(listen["addr"], listen["port"]) for listen in listens} == {
        ("127.0.0.1", 8081),
        ("127.0.0.1", 8082),
    }


# -- variations ----------------------------------------------------------------------------


def test_an_own_number_decides_all_ids(site: Evaluated) -> None:
    desks = site(users="dan.number = 7;")
    account = desks.found["users"]["users"]["carrel-dan"]
    assert account["uid"] == 40007
    assert account["subUidRanges"] == [{"startUid": 1879048192 + 7 * 65536, "count": 65536}]


def test_ids_do_not_depend_on_who_else_is_there(site: Evaluated) -> None:
    alone = site().found["users"]["users"]["carrel-dan"]
    among = site(users='aaron.passwordFile = "/run/secrets/aaron";')
    assert among.found["users"]["users"]["carrel-dan"] == alone


def test_one_more_user_changes_nothing_for_the_others(site: Evaluated) -> None:
    before = site()
    after = site(users='eve = { passwordFile = "/run/secrets/eve"; port = 9000; };')
    assert after.podman("dan") == before.podman("dan")
    for name in ("carrel-workspace@dan", "carrel-secrets@dan", "carrel-image"):
        assert after.service(name) == before.service(name)
    mine = [mount for mount in after.found["mounts"] if mount["where"].endswith("/dan")]
    assert mine == before.found["mounts"]


def test_limits_for_everybody_are_overridden_for_one(site: Evaluated) -> None:
    desks = site(
        f'{HERE} = {{ memoryLimit = "1.5G"; cpuLimit = 2; processLimit = 256; }};',
        users='eve = { passwordFile = "/e"; memoryLimit = "512M"; cpuLimit = "0.25"; };',
    )
    assert {"--memory=1610612736", "--cpus=2", "--pids-limit=256"} <= {*desks.podman("dan")}
    assert {"--memory=536870912", "--cpus=0.25", "--pids-limit=256"} <= {*desks.podman("eve")}
    unit = desks.service("carrel-workspace@eve")["serviceConfig"]
    assert (unit["MemoryMax"], unit["CPUQuota"], unit["TasksMax"]) == ("536870912", "25%", "256")


def test_a_suspended_user_keeps_account_and_files_and_has_no_desk(site: Evaluated) -> None:
    desks = site(users="dan.suspended = true;")
    assert "carrel-dan" in desks.found["users"]["users"]
    assert "d /var/lib/vscode/dan/home 0700 carrel-dan carrel-dan -" in desks.found["tmpfiles"]
    assert desks.found["podman"] == {}
    assert desks.found["mounts"] == []
    assert "dan.code.example.org" not in desks.found["hosts"]


def test_a_site_without_users_is_one(site: Evaluated, tmp_path: Path) -> None:
    file = configuration(tmp_path, f"{HERE}.users = lib.mkForce {{ }};")
    desks = evaluate(file)
    assert desks.broken == []
    assert "elements" not in desks.found["rules"]


def test_an_operators_certificate_takes_the_place_of_acme(site: Evaluated) -> None:
    desks = site(f'{HERE} = {{ sslCertificate = "/c.pem"; sslCertificateKey = "/k.pem"; }};')
    assert desks.broken == []
    assert desks.found["security"]["acme"]["certs"] == {}
    assert desks.found["hosts"]["dan.code.example.org"]["sslCertificate"] == "/c.pem"
    assert desks.etc("carrel.toml")["tls"]["key_file"] == "/k.pem"


def test_a_certificate_that_is_there_already_is_used_and_not_declared(site: Evaluated) -> None:
    desks = site(
        'security.acme.certs."example.org" = { dnsProvider = "bunny"; group = "nginx"; };'
        f'{HERE}.useACMEHost = "example.org";'
    )
    assert desks.broken == []
    assert desks.found["security"]["acme"]["certs"]["example.org"]["extraDomainNames"] == []
    assert [*desks.found["security"]["acme"]["certs"]] == ["example.org"]
    assert desks.found["hosts"]["dan.code.example.org"]["useACMEHost"] == "example.org"


def test_what_an_operator_declares_of_the_certificate_is_added(site: Evaluated) -> None:
    desks = site(
        'users.groups.web.members = [ "nginx" ]; security.acme.certs."code.example.org".group = "web";'
    )
    certificate = desks.found["security"]["acme"]["certs"]["code.example.org"]
    assert certificate["group"] == "web"
    assert certificate["extraDomainNames"] == ["*.code.example.org"]


def test_an_operator_overrides_anything_with_ordinary_options(site: Evaluated) -> None:
    desks = site(
        'services.nginx.virtualHosts."dan.code.example.org".extraConfig = "allow 10.0.0.0/8;";'
        'systemd.services."carrel-workspace@dan".serviceConfig.CPUWeight = lib.mkForce "50";'
        'virtualisation.oci-containers.containers.carrel-dan.environment.EDITOR = "vi";'
    )
    assert "allow 10.0.0.0/8;" in desks.found["hosts"]["dan.code.example.org"]["extraConfig"]
    assert desks.service("carrel-workspace@dan")["serviceConfig"]["CPUWeight"] == "50"
    assert "EDITOR=vi" in desks.podman("dan")


def test_recommended_proxy_settings_do_not_reach_our_locations(site: Evaluated) -> None:
    desks = site("services.nginx.recommendedProxySettings = true;")
    assert "include recommended" not in desks.nginx


def test_with_nftables_the_rules_come_back_after_a_flush(site: Evaluated) -> None:
    desks = site("networking.nftables.enable = true;")
    again = "-/nix/store/systemd/bin/systemctl --no-block reload carrel-network.service"
    assert desks.service("nftables")["serviceConfig"]["ExecReload"] == [again]
    assert "nftables" not in site().found["services"]


def test_the_rules_name_every_account(site: Evaluated) -> None:
    desks = site(
        users='eve = { passwordFile = "/e"; number = 9; suspended = true; }; dan.number = 10;'
    )
    assert "elements = { 40009, 40010 }" in desks.found["rules"]


def test_more_of_the_configuration_file_can_be_given(site: Evaluated) -> None:
    desks = site(f'{HERE}.settings.tls.email = "ops@example.org";')
    assert desks.etc("carrel.toml")["tls"]["email"] == "ops@example.org"
    assert desks.etc("carrel.toml")["tls"]["mode"] == "files"


def test_a_backup_knows_what_to_take_and_how_to_halt(site: Evaluated) -> None:
    backup = site(f'{HERE}.workspaceBase = "/srv/desks";').found["settings"]["backup"]
    assert backup["paths"] == ["/srv/desks"]
    assert "freeze carrel.slice" in backup["quiesce"]
    assert "thaw carrel.slice" in backup["resume"]


def test_without_enable_nothing_is_there(site: Evaluated) -> None:
    desks = site(f"{HERE}.enable = lib.mkForce false;")
    assert desks.found["services"] == {}
    assert desks.found["hosts"] == {}
    assert desks.found["tmpfiles"] == []
    assert desks.broken == []


# -- what is refused -----------------------------------------------------------------------


def boot_order(desks: Desks) -> dict[str, set[str]]:
    """What each unit comes after, also what it does not say: systemd.service(5) and systemd.mount(5)."""
    after: dict[str, set[str]] = {"sysinit.target": {"local-fs.target"}}

    def add(name: str, unit: dict[str, Any], by_default: str, until: str = "") -> None:
        after.setdefault(name, set()).update(unit["after"])
        for other in unit["before"]:
            after.setdefault(other, set()).add(name)
        if unit["unitConfig"].get("DefaultDependencies", True) in (True, "yes"):
            after[name].add(by_default)
            if until:
                after.setdefault(until, set()).add(name)

    for name, unit in desks.found["services"].items():
        add(f"{name}.service", unit, "sysinit.target")
    for unit in desks.found["mounts"]:
        where = names.mount_unit(unit["where"])
        add(where, unit, "local-fs-pre.target", "local-fs.target")
    return after


def test_no_unit_comes_after_itself(example: Desks) -> None:
    order = boot_order(example)
    assert any(name.endswith(".mount") for name in order)
    assert list(TopologicalSorter(order).static_order())


def test_the_search_for_cycles_finds_one(example: Desks) -> None:
    found = json.loads(json.dumps(example.found))
    for mount in found["mounts"]:
        mount["unitConfig"].pop("DefaultDependencies", None)
    with pytest.raises(CycleError):
        list(TopologicalSorter(boot_order(Desks(found))).static_order())


def test_podman_is_there_before_anybody_works(tmp_path: Path) -> None:
    desks = evaluate(configuration(tmp_path, "services.code-server-multi.users = lib.mkForce { };"))
    assert desks.found["virtualisation"]["podman"]["enable"]
    assert desks.found["podman"] == {}
