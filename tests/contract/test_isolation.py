"""What a workspace cannot do, tried from inside; and what the host side of it looks like."""

import json
from pathlib import Path

import pytest

from carrel.adapters.process import Identity
from carrel.core import names
from sites import RealSite


def status_field(site: RealSite, name: str) -> str:
    lines = site.inside("ada", "cat", "/proc/self/status").splitlines()
    return next(line.split(":")[1].strip() for line in lines if line.startswith(f"{name}:"))


@pytest.mark.parametrize(
    ("field", "value"),
    [("CapEff", "0" * 16), ("CapBnd", "0" * 16), ("NoNewPrivs", "1"), ("Seccomp", "2")],
)
def test_no_rights_are_left(site: RealSite, field: str, value: str) -> None:
    assert status_field(site, field) == value


def test_people_are_coder_and_nobody_else(site: RealSite) -> None:
    assert site.inside("ada", "id", "-un").strip() == "coder"
    assert site.inside("ada", "id", "-u").strip() == "1000"
    # What is called sudo says that there is none.
    site.inside("ada", "sudo", "id", status=1)
    assert site.inside("ada", "sh", "-c", "command -v su || true").strip() in ("", "/usr/bin/su")
    find = ("find", "/", "-xdev", "-perm", "/6000", "-type", "f")
    # Status 1: some directories are closed even to look into.
    assert site.inside("ada", *find, status=1).strip() == ""


def test_the_containers_root_is_nobody_on_the_host(site: RealSite) -> None:
    name = site.layout.container("ada")
    inspect = ("container", "inspect", "--format={{.State.Pid}}", name)
    pid = site.target.store.podman.cli(*inspect).output.strip()
    # Read from the host, the second column holds ids of the host.
    rows = [line.split() for line in Path(f"/proc/{pid}/uid_map").read_text().splitlines()]
    outside = {int(inside): int(there) for inside, there, _ in rows}
    assert 0 not in outside.values()
    assert outside[1000] == Identity.of(site.layout.account).uid
    assert outside[0] >= 100_000
    ours = site.inside("ada", "readlink", "/proc/self/ns/user").strip()
    assert ours != str(Path("/proc/self/ns/user").readlink())


def test_only_the_users_directories_come_from_the_host(site: RealSite) -> None:
    lines = site.inside("ada", "cat", "/proc/self/mountinfo").splitlines()
    disks = {}
    for line in lines:
        left, _, right = line.partition(" - ")
        kind = right.split()[0]
        if kind not in {
            "proc",
            "sysfs",
            "tmpfs",
            "devpts",
            "mqueue",
            "cgroup",
            "cgroup2",
            "overlay",
        }:
            disks[left.split()[4]] = left.split()[3]
    own = site.storage
    run = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/run/.containerenv"}
    expected = {
        "/home/coder": f"{own}/ada/home",
        "/home/coder/project": f"{own}/ada/workspace",
        "/home/coder/.local/share/code-server": f"{own}/ada/config",
        "/etc/opencode": site.layout.agent,
        names.CA_BUNDLE: site.layout.ca_bundle,
    }
    for target, source in expected.items():
        assert source.endswith(disks.pop(target)), target
    # Devices like /dev/null, and /dev/null over what the runtime hides in /proc.
    rest = {target for target in disks if not target.startswith(("/dev/", "/proc/"))}
    assert rest <= run | {"/run/carrel"}


def test_no_environment_of_the_host_comes_in(site: RealSite) -> None:
    names = {
        line.partition("=")[0] for line in site.inside("ada", "env").splitlines() if "=" in line
    }
    assert names <= {
        "PATH", "HOME", "USER", "SHELL", "LANG", "EDITOR", "VISUAL", "TERM", "container", "HOSTNAME",
        "PWD", "SHLVL", "BASH_ENV", "_", "OPENCODE_DISABLE_MODELS_FETCH", "OPENCODE_DISABLE_AUTOUPDATE",
        "OLDPWD", "GIT_EDITOR", "BROWSER", "NPM_CONFIG_PREFIX",
        "PIP_BREAK_SYSTEM_PACKAGES", "PIP_USER", "npm_config_prefix",
        "CARGO_INSTALL_ROOT", "GOBIN", "pnpm_config_global_bin_dir",
        # Whom to trust, and who works here: made for this workspace.
        "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
        "CARREL_FULL_NAME", "CARREL_EMAIL",
    }  # fmt: skip


def test_etc_hosts_says_nothing_about_the_host(site: RealSite) -> None:
    inside = site.inside("ada", "cat", "/etc/hosts")
    for line in Path("/etc/hosts").read_text().splitlines():
        names = line.partition("#")[0].split()[1:]
        assert not {n for n in names if not n.startswith(("localhost", "ip6"))} & set(
            inside.split()
        )


@pytest.mark.parametrize("path", ["workspace", "home", "config"])
def test_the_other_users_files_are_out_of_reach(site: RealSite, path: str) -> None:
    (Path(site.storage) / "ben/workspace/diary.txt").write_text("private")
    for target in (f"{site.storage}/ben/{path}", site.layout.socket_directory("ben")):
        assert site.inside("ada", "ls", target, status=2) == ""


def test_the_runtime_directory_holds_only_the_own_socket_and_what_git_is_told(
    site: RealSite,
) -> None:
    assert site.inside("ada", "ls", "/run/carrel").split() == ["editor.sock", "gitconfig"]


def test_no_service_on_the_hosts_loopback_answers(site: RealSite) -> None:
    for address in ("127.0.0.1", "10.0.2.2", "host.containers.internal"):
        out = site.carrel(
            "shell", "ada", "--", "curl", "-sk", "--max-time", "3", f"https://{address}:{site.port}/",
            status=None,
        )  # fmt: skip
        assert out.returncode != 0, address


def test_a_fork_bomb_ends_at_the_limit(site: RealSite) -> None:
    code = (
        "import os,sys\n"
        "n=0\n"
        "try:\n"
        "  while n<3000:\n"
        "    if os.fork()==0:\n"
        "      import signal; signal.pause()\n"
        "    n+=1\n"
        "except OSError as e: print('stopped', n)\n"
        "finally: os.killpg(0, 15)\n"
    )
    out = site.carrel(
        "shell", "ada", "--", "setsid", "-w", "python3", "-u", "-c", code, status=None
    )
    assert "stopped" in out.stdout
    assert int(out.stdout.split()[1]) < 1024
    assert site.get("ben", "/healthz")[0] == 200
    assert site.get("ada", "/healthz")[0] == 200


def test_the_root_file_system_is_read_only(site: RealSite) -> None:
    for path in ("/usr/bin/x", "/opt/carrel/x", "/etc/x"):
        assert site.inside("ada", "sh", "-c", f"echo x > {path}; true") == ""
        assert site.inside("ada", "ls", path, status=2) == ""


def test_podman_inspect_of_one_user_says_nothing_of_the_other(site: RealSite) -> None:
    podman = site.target.store.podman
    hashes = {}
    for user in ("ada", "ben"):
        text = Path(site.layout.secrets_file(user)).read_text()
        hashes[user] = text.partition("HASHED_PASSWORD=")[2].strip()
    for user, other in (("ada", "ben"), ("ben", "ada")):
        seen = podman.cli("inspect", site.layout.container(user)).output
        json.loads(seen)
        assert hashes[other] not in seen
        assert site.password(user) not in seen
        assert site.password(other) not in seen


def test_no_password_is_in_a_log_or_a_process_list(site: RealSite) -> None:
    for user in ("ada", "ben"):
        password = site.password(user).encode()
        assert site.sign_in(user, "wrong")[0] == 200
        for file in Path(site.layout.state).rglob("*"):
            assert not file.is_file() or password not in file.read_bytes(), file
        for process in Path("/proc").glob("[0-9]*"):
            for name in ("cmdline", "environ"):
                try:
                    assert password not in (process / name).read_bytes()
                except OSError:
                    continue


def test_the_sockets_are_for_their_account_and_nginx_only(site: RealSite) -> None:
    for path in (site.layout.sockets, site.layout.socket_directory("ada")):
        status = Path(path).stat()
        assert status.st_mode & 0o077 == 0
        assert Path(path).owner() == site.layout.account


def test_containers_run_without_root(site: RealSite) -> None:
    info = site.target.store.podman.info()
    assert info["host"]["security"]["rootless"] is True
    pid = site.target.store.supervisor.programs()["workspace-ada"].pid
    assert Path(f"/proc/{pid}").owner() == site.layout.account
