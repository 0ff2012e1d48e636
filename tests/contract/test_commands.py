"""The command line on real tools: every verb, and what a person may do wrong."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from carrel.adapters import accounts
from carrel.targets.waiting import until
from samples import HASH
from sites import RealSite


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSite]:
    """A site that these tests may take down and put up again."""
    real = RealSite(tmp_path_factory.mktemp("desk"), ["ada"])
    try:
        yield real
    finally:
        real.clean()


def answers(desk: RealSite, user: str) -> bool:
    return desk.get(user, "/healthz")[0] == 200


def test_a_site_goes_up_once_and_twice(desk: RealSite) -> None:
    table = desk.carrel("up").stdout
    assert desk.address("ada") in table
    assert str(desk.folder / "secrets/ada") in table
    assert desk.password("ada") not in table
    assert desk.carrel("plan").stdout.strip() == "Nothing to do."
    assert desk.carrel("up").returncode == 0
    assert answers(desk, "ada")


def test_status_tells_states_limits_and_what_is_not_enforced(desk: RealSite) -> None:
    desk.carrel("up")
    found = json.loads(desk.carrel("status", "--json").stdout)
    (workspace,) = found["workspaces"]
    assert workspace["state"] == "running"
    assert workspace["address"] == desk.address("ada")
    assert workspace["memory"] == "3G"
    enforced = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    assert enforced or any("memory limits are not enforced" in s for s in found["shortfalls"])


def test_a_user_comes_and_goes_while_another_stays(desk: RealSite) -> None:
    desk.carrel("up")
    before = desk.target.store.supervisor.programs()
    said = desk.carrel("user", "add", "eve").stderr
    assert answers(desk, "eve")
    assert desk.password("eve") not in said
    listed = json.loads(desk.carrel("user", "list", "--json").stdout)
    assert [row["user"] for row in listed] == ["ada", "eve"]
    desk.inside("eve", "sh", "-c", "echo work > essay.txt")

    desk.carrel("user", "remove", "eve", "--yes")
    until(lambda: desk.get("eve")[0] == 404, seconds=5, what="the end of eve's desk")
    assert (desk.workspace("eve") / "essay.txt").read_text() == "work\n"
    after = desk.target.store.supervisor.programs()
    for name in ("edge", "workspace-ada"):
        assert after[name].pid == before[name].pid
    (desk.folder / "secrets/eve").unlink()
    log = json.loads(desk.carrel("log", "--user", "eve", "--since", "1h", "--json").stdout)
    assert [entry["did"] for entry in log] == ["user add", "user remove"]
    assert {entry["who"] for entry in log} == {accounts.at_the_terminal()}
    shown = desk.carrel("log").stdout
    assert "WHO" in shown
    assert re.search(r"\bup\b.*\bada\b", shown)


def test_removing_with_the_data_deletes_it_after_a_question(desk: RealSite) -> None:
    desk.carrel("up")
    desk.carrel("user", "add", "fay")
    refused = desk.carrel("user", "remove", "fay", "--delete-data", status=5)
    assert "--yes" in refused.stderr
    assert answers(desk, "fay")
    desk.carrel("user", "remove", "fay", "--delete-data", "--yes")
    assert not (Path(desk.storage) / "fay").exists()
    assert desk.workspace("ada").exists()


def test_a_new_password_ends_old_sessions(desk: RealSite) -> None:
    desk.carrel("up")
    status, headers, _ = desk.sign_in("ada")
    assert status == 302
    cookie = headers["Set-Cookie"]
    assert "Secure" in cookie
    assert "HttpOnly" in cookie
    session = {"Cookie": cookie.partition(";")[0]}
    assert desk.get("ada", "/?folder=/home/coder/project", session)[0] == 200
    desk.carrel("user", "passwd", "ada", "--password-stdin", given="new-words\n")
    assert desk.password("ada") == "new-words"
    assert desk.get("ada", "/?folder=/home/coder/project", session)[0] == 302


def test_plan_shows_what_nginx_will_read(desk: RealSite) -> None:
    said = desk.carrel("plan", "--show", "nginx").stdout
    assert f"# {desk.layout.nginx_config}\n" in said
    assert Path(desk.layout.nginx_config).read_text().strip() in said


def test_signing_somebody_out_ends_every_session_and_keeps_the_password(desk: RealSite) -> None:
    desk.carrel("up")
    before = desk.password("ada")
    session = {"Cookie": desk.sign_in("ada")[1]["Set-Cookie"].partition(";")[0]}
    assert desk.get("ada", "/?folder=/home/coder/project", session)[0] == 200
    said = desk.carrel("user", "logout", "ada").stderr
    assert "Every session of ada has ended." in said
    assert desk.get("ada", "/?folder=/home/coder/project", session)[0] == 302
    assert desk.password("ada") == before
    assert desk.sign_in("ada")[0] == 302
    assert desk.carrel("plan").stdout.strip() == "Nothing to do."
    assert "no user eve" in desk.carrel("user", "logout", "eve", status=2).stderr


def test_a_hash_that_somebody_else_made_has_no_other_salt(desk: RealSite) -> None:
    desk.carrel("up")
    file = desk.folder / "secrets/ada"
    password = file.read_text()
    file.write_text(HASH)
    said = desk.carrel("user", "logout", "ada", status=None)
    assert said.returncode != 0
    assert "carrel user passwd ada" in said.stderr
    file.write_text(password)
    assert answers(desk, "ada")


def test_a_suspended_user_looks_like_nobody(desk: RealSite) -> None:
    desk.carrel("up")
    desk.carrel("user", "suspend", "ada")
    until(lambda: desk.get("ada")[0] == 404, seconds=5, what="the end of ada's desk")
    assert desk.get("ada")[2] == desk.get("nobody")[2]
    desk.carrel("user", "resume", "ada")
    until(lambda: answers(desk, "ada"), seconds=5, what="ada's desk")


def test_the_exit_status_of_a_command_in_the_workspace_is_passed_on(desk: RealSite) -> None:
    desk.carrel("up")
    assert desk.carrel("shell", "ada", "--", "sh", "-c", "exit 7", status=7).stdout == ""
    assert desk.carrel("shell", "ada", "--", "pwd").stdout.strip() == "/home/coder/project"


def test_the_log_of_a_workspace_can_be_read(desk: RealSite) -> None:
    desk.carrel("up")
    assert "HTTP server listening" in desk.carrel("logs", "ada", "-n", "200").stdout
    assert desk.carrel("logs", "edge").returncode == 0


def test_reset_renews_the_container_and_keeps_the_work(desk: RealSite) -> None:
    desk.carrel("up")
    desk.inside("ada", "sh", "-c", "echo a > kept.txt; echo b > ~/kept; echo c > /tmp/gone")
    desk.carrel("reset", "ada")
    assert desk.inside("ada", "cat", "kept.txt", "/home/coder/kept") == "a\nb\n"
    desk.inside("ada", "cat", "/tmp/gone", status=1)


def test_reset_with_settings_renews_the_home_after_a_question(desk: RealSite) -> None:
    desk.carrel("up")
    desk.inside("ada", "sh", "-c", "echo a > kept.txt; echo b > ~/gone")
    assert "--yes" in desk.carrel("reset", "ada", "--settings", status=5).stderr
    assert desk.inside("ada", "cat", "/home/coder/gone") == "b\n"
    desk.carrel("reset", "ada", "--settings", "--yes")
    assert desk.inside("ada", "cat", "kept.txt") == "a\n"
    desk.inside("ada", "ls", "/home/coder/gone", status=2)
    assert desk.inside("ada", "sh", "-c", "touch ~/.local/share/x; echo $?").strip() == "0"


@pytest.mark.parametrize("victim", ["workspace-ada", "edge"])
def test_what_is_killed_comes_back(desk: RealSite, victim: str) -> None:
    desk.carrel("up")
    pid = desk.target.store.supervisor.programs()[victim].pid
    os.kill(pid, signal.SIGKILL)
    until(
        lambda: desk.target.store.supervisor.programs()[victim].pid not in (0, pid),
        seconds=20,
        what=victim,
    )
    until(lambda: _reachable(desk), seconds=30, what="ada")


def _reachable(desk: RealSite) -> bool:
    try:
        return answers(desk, "ada")
    except OSError:
        return False


def test_a_killed_supervisor_is_cleaned_up_after(desk: RealSite) -> None:
    desk.carrel("up")
    pid = int((Path(desk.layout.run) / "supervisord.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{pid}").exists(), seconds=10, what="the end")
    desk.carrel("up")
    assert answers(desk, "ada")
    assert desk.carrel("plan").stdout.strip() == "Nothing to do."


def test_down_leaves_nothing_running_or_mounted(desk: RealSite) -> None:
    desk.carrel("up")
    desk.carrel("down")
    assert desk.layout.site not in Path("/proc/mounts").read_text()
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes()
        except OSError:
            continue
        assert desk.layout.container("ada").encode() not in words
        assert desk.layout.nginx_config.encode() not in words
    assert desk.status()["workspaces"][0]["state"] == "stopped"
    assert "not running" in desk.carrel("down").stderr
    assert "carrel up" in desk.carrel("shell", "ada", status=7).stderr


def test_a_taken_port_is_named_and_nothing_is_changed(new_site: RealSite) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", new_site.port))
        other.listen()
        error = new_site.carrel("up", status=4).stderr
    assert str(new_site.port) in error
    assert "local.port" in error
    assert not Path(new_site.layout.journal).exists()
    new_site.carrel("up")


def test_an_unknown_user_is_refused_with_the_known_ones(new_site: RealSite) -> None:
    for command in (
        ("shell", "eve"),
        ("logs", "eve"),
        ("reset", "eve"),
        ("user", "remove", "eve", "--yes"),
    ):
        error = new_site.carrel(*command, status=2).stderr
        assert "no user eve" in error
        assert "ada" in error


def test_a_bad_new_name_changes_nothing(new_site: RealSite) -> None:
    before = new_site.config.read_text()
    for name in ("Eve", "www", "a-b", "../x"):
        assert name in new_site.carrel("user", "add", name, status=2).stderr
    assert new_site.config.read_text() == before
    assert [p.name for p in (new_site.folder / "secrets").iterdir()] == ["ada"]


def test_an_unknown_base_image_is_named(new_site: RealSite) -> None:
    new_site.more = '[image]\nbase = "localhost/no-such-image:1"'
    new_site.write(["ada"])
    error = new_site.carrel("up", status=2).stderr
    assert "localhost/no-such-image:1" in error
    assert "image.base" in error
    new_site.more = ""
    new_site.write(["ada"])
    new_site.carrel("up")


def test_a_missing_tool_is_named_with_its_package(new_site: RealSite, tmp_path: Path) -> None:
    # Debian keeps these tools in /usr; a name space without nginx stands for a machine without it.
    if os.geteuid() != 0:
        pytest.skip("hiding a program takes root")
    script = f"mount --bind /dev/null {shutil.which('nginx')} && exec {sys.executable} -m carrel up"
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        env={**os.environ, "CARREL_CONFIG": str(new_site.config)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 3, result.stderr
    assert "apt-get install nginx-light" in result.stderr


def test_an_interrupted_start_can_be_run_again(new_site: RealSite) -> None:
    assert "again" in new_site.interrupted("up", at="service")
    new_site.carrel("up")
    assert answers(new_site, "ada")


def test_init_writes_a_file_that_is_in_order(tmp_path: Path, new_site: RealSite) -> None:
    file = tmp_path / "new.toml"
    new_site.carrel("init", "--config", str(file))
    assert new_site.carrel("config", "check", "--config", str(file)).returncode == 0
    assert "already" in new_site.carrel("init", "--config", str(file), status=4).stderr


def test_all_faults_are_told_and_nothing_is_changed(new_site: RealSite) -> None:
    new_site.config.write_text('domain = "nodots"\nwrong = 1\n')
    for command in (("config", "check"), ("up",), ("plan",), ("status",)):
        error = new_site.carrel(*command, status=2).stderr
        assert "domain" in error
        assert "wrong" in error
    assert not Path(new_site.layout.state).exists()
    faults = json.loads(new_site.carrel("config", "check", "--json", status=2).stdout)
    assert {fault["path"] for fault in faults} == {"domain", "wrong"}
    new_site.carrel("down")


def test_render_writes_what_would_be_made(new_site: RealSite, tmp_path: Path) -> None:
    out = tmp_path / "out"
    new_site.carrel("render", "--target", "tree", str(out))
    text = (out / f"files{new_site.layout.nginx_config}").read_text()
    assert f"listen 127.0.0.1:{new_site.port} ssl" in text
    assert not Path(new_site.layout.state).exists()


def test_show_and_schema_print_json_without_secrets(new_site: RealSite) -> None:
    shown = new_site.carrel("config", "show").stdout
    assert json.loads(shown)["users"][0]["name"] == "ada"
    assert new_site.password("ada") not in shown
    assert "domain" in json.loads(new_site.carrel("config", "schema").stdout)["properties"]
