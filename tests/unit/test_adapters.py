import os
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from carrel.adapters import files, nginx, probe, process, versions
from carrel.adapters.podman import Podman
from carrel.adapters.process import Identity, World
from carrel.errors import DiskFull, Missing, ToolFailed
from carrel.targets.waiting import until
from others import as_root

ME = Identity.ours()
PLAIN = World({"PATH": os.environ["PATH"]})


def test_a_file_is_replaced_whole_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    files.write(str(path), "new", ME, 0o640)
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["a"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(DiskFull, match="is full"):
        files.write(str(path), "new", ME, 0o600)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_link_in_place_of_the_file_is_replaced_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(victim)
    files.write(str(link), "new", ME, 0o600)
    assert victim.read_text() == "mine"
    assert not link.is_symlink()


@pytest.mark.parametrize("action", ["write", "make", "copy"])
def test_a_link_on_the_way_is_refused(tmp_path: Path, action: str) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (tmp_path / "link").symlink_to(victim)
    path = f"{tmp_path}/link/deep/file" if action == "make" else f"{tmp_path}/link/file"
    source = tmp_path / "source"
    source.write_text("x")
    act: dict[str, Callable[[], None]] = {
        "write": lambda: files.write(path, "x", ME, 0o600),
        "make": lambda: files.make_directory(path, ME, 0o700),
        "copy": lambda: files.copy_file(source, path, ME),
    }
    with pytest.raises(ToolFailed, match="symbolic link"):
        act[action]()
    assert list(victim.iterdir()) == []


def test_nothing_is_seen_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir/file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "dir")
    assert files.look(f"{tmp_path}/dir/file") is not None
    assert files.look(f"{tmp_path}/link/file") is None
    assert files.look(f"{tmp_path}/link") is None
    assert files.look(f"{tmp_path}/none") is None


def test_removing_a_tree_leaves_what_its_links_point_to(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/file").write_text("x")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/link").symlink_to(tmp_path / "victim")
    files.remove_tree(f"{tmp_path}/tree")
    assert (tmp_path / "victim/file").read_text() == "x"
    assert not (tmp_path / "tree").exists()


def test_relative_paths_are_a_mistake() -> None:
    for path in ("a/b", "/a/../b"):
        with pytest.raises(ValueError, match="absolute"):
            files.look(path)


def test_a_missing_program_is_named_with_its_package() -> None:
    with pytest.raises(Missing, match="podman") as caught:
        process.run(["podman"], World({"PATH": "/nowhere"}))
    assert caught.value.fix == "apt-get install podman"


def test_a_failure_shows_what_the_program_said() -> None:
    with pytest.raises(ToolFailed) as caught:
        process.run(["sh", "-c", "echo it broke >&2; exit 3"], PLAIN)
    assert "status 3" in caught.value.what
    assert "it broke" in caught.value.why


def test_a_program_that_hangs_is_ended_with_its_children() -> None:
    with pytest.raises(ToolFailed, match="did not finish"):
        process.run(["sh", "-c", "sleep 600 & echo $!; wait"], PLAIN, seconds=0.3)


def test_an_interrupt_ends_the_program_and_its_children(tmp_path: Path) -> None:
    note = tmp_path / "pid"

    def interrupt(_: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        process.follow(
            ["sh", "-c", f"sleep 600 & echo $! > {note}; echo ready; wait"], PLAIN, interrupt
        )
    child = Path(f"/proc/{note.read_text().strip()}/cmdline")
    until(lambda: not child.exists() or child.read_bytes() == b"", seconds=10, what="the end")


def test_output_arrives_line_by_line(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    seen: list[str] = []

    def line(text: str) -> None:
        seen.append(text)
        if text == "one":
            # The program waits for this: had the line been held back, both would hang.
            fifo.write_text("go")

    process.follow(["sh", "-c", f"echo one; cat {fifo}; echo; echo two"], PLAIN, line)
    assert seen == ["one", "go", "two"]


def test_exit_status_and_signals_are_passed_on() -> None:
    assert process.hand_over(["sh", "-c", "exit 7"], PLAIN) == 7
    assert process.hand_over(["sh", "-c", "kill -TERM $$"], PLAIN) == 128 + signal.SIGTERM


def test_a_program_sees_only_its_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    assert "SECRET" not in process.run(["env"], PLAIN).output


@as_root
def test_a_program_can_run_as_somebody_else() -> None:
    nobody = Identity.of("nobody")
    world = World(PLAIN.environment, identity=nobody)
    assert process.run(["id", "-u"], world).output.strip() == str(nobody.uid)
    assert process.run(["id", "-G"], world).output.split() == [str(nobody.gid)]


def test_a_free_port_is_free_until_somebody_listens() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert not probe.port_free(port)
        assert probe.port_open(port)
    assert probe.port_free(port)
    assert not probe.port_open(port)


def test_a_silent_socket_is_not_an_editor(tmp_path: Path) -> None:
    path = f"{tmp_path}/s"
    assert not probe.healthy(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        assert not probe.healthy(path, seconds=0.1)

        server.accept()[0].close()  # the one that gave up

        def answer() -> None:
            client, _ = server.accept()
            with client:
                client.recv(1000)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert probe.healthy(path)
        thread.join()


@pytest.fixture
def podman(tmp_path: Path) -> Callable[..., Podman]:
    """A podman that says what it is told to say: each call takes the next of the answers."""

    def told(*answers: tuple[int, str]) -> Podman:
        for number, (status, said) in enumerate(answers):
            (tmp_path / f"{number}.says").write_text(said)
            (tmp_path / f"{number}.status").write_text(str(status))
        program = tmp_path / "podman"
        program.write_text(
            "#!/bin/sh\n"
            f"cd {tmp_path}; n=$(ls *.asked 2>/dev/null | wc -l); : >$n.asked\n"
            "cat $n.says >&2; exit $(cat $n.status)\n"
        )
        program.chmod(0o755)
        (tmp_path / "run").mkdir()
        runtime = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "XDG_RUNTIME_DIR": f"{tmp_path}/run"}
        return Podman(World(runtime, directory=str(tmp_path)))

    return told


LOST = (
    'level=error msg="invalid internal status, try resetting the pause process with \\"podman '
    'system migrate\\": could not find any running process: no such process"'
)
SHARED = 'level=warning msg="\\"/\\" is not a shared mount, this could cause issues"'


@pytest.mark.parametrize(
    "said",
    [
        LOST,
        'level=error msg="cannot setup namespace using newuidmap: exit status 1"',
        "Error: database static dir is another one",
        'level=fatal msg="no such directory"',
    ],
)
def test_that_podman_cannot_look_is_not_taken_for_an_image_that_is_not_there(
    podman: Callable[..., Podman], said: str
) -> None:
    with pytest.raises(ToolFailed, match="podman image failed"):
        podman((1, f"{SHARED}\n{said}"), (1, said)).image_exists("localhost/a:1")


@pytest.mark.parametrize(
    ("status", "said", "there"), [(0, "", True), (1, "", False), (1, SHARED, False)]
)
def test_an_image_is_there_or_not(
    podman: Callable[..., Podman], status: int, said: str, there: bool
) -> None:
    assert podman((status, said)).image_exists("localhost/a:1") is there


def test_what_podman_finds_at_its_first_start_is_no_answer(podman: Callable[..., Podman]) -> None:
    found = 'level=error msg="Refreshing container 0655: acquiring lock 6 for it: file exists"'
    assert not podman((1, found), (1, SHARED)).image_exists("localhost/a:1")


@pytest.mark.parametrize(
    "said", [LOST, "cannot set user namespace", "Error: acquiring lock on /r/libpod/tmp/pause.pid"]
)
def test_podman_that_remembers_what_is_gone_begins_anew(
    podman: Callable[..., Podman], tmp_path: Path, said: str
) -> None:
    revived = podman((1, said), (0, ""))
    remembered = tmp_path / "run/libpod/tmp/pause.pid"
    remembered.parent.mkdir(parents=True)
    remembered.write_text(str(os.getpid()))  # a process that is not podman's
    (tmp_path / "run/containers").symlink_to(tmp_path)
    assert revived.image_exists("localhost/a:1")
    assert os.listdir(tmp_path / "run") == []
    assert (tmp_path / "podman").exists()


def test_podman_whose_container_runs_keeps_what_it_remembers(
    podman: Callable[..., Podman], tmp_path: Path
) -> None:
    revived = podman((1, LOST), (0, ""))
    remembered = tmp_path / "run/libpod/tmp/pause.pid"
    remembered.parent.mkdir(parents=True)
    remembered.write_text("")
    (tmp_path / "conmon").symlink_to("/bin/sh")
    here = str(remembered.parent)
    # Reads a line that never comes; its words are those of a monitor of this directory.
    command = [str(tmp_path / "conmon"), "-c", "read line", here]
    with subprocess.Popen(command, stdin=subprocess.PIPE):
        assert revived.image_exists("localhost/a:1")
        assert os.listdir(here) == []
        assert remembered.parent.is_dir()


def test_podman_whose_pause_process_lives_is_left_alone(
    podman: Callable[..., Podman], tmp_path: Path
) -> None:
    failing = podman((1, LOST))
    remembered = tmp_path / "run/libpod/tmp/pause.pid"
    remembered.parent.mkdir(parents=True)
    pause = ["podman pause", "-c", "read line"]
    with subprocess.Popen(pause, executable="/bin/sh", stdin=subprocess.PIPE) as process:
        remembered.write_text(str(process.pid))
        with pytest.raises(ToolFailed, match="invalid internal status"):
            failing.image_exists("localhost/a:1")
        assert remembered.exists()


MODULE = "ngx_http_brotli_static_module.so"
LOAD = f"load_module modules/{MODULE};\n"


@pytest.mark.parametrize(
    ("main", "enabled", "found"),
    [
        ("include /etc/nginx/modules-enabled/*.conf;\n", {"50-brotli.conf": LOAD}, True),
        (
            "include modules-enabled/*.conf;\n",
            {"50-echo.conf": "load_module modules/echo.so;\n"},
            False,
        ),
        ("include modules-enabled/*.conf;\n", {"50-brotli.conf": f"# {LOAD}"}, False),
        ("include modules-enabled/*.conf;\n", {"brotli.disabled": LOAD}, False),
        ("# include modules-enabled/*.conf;\n", {"50-brotli.conf": LOAD}, False),
        ("events {}\n", {"50-brotli.conf": LOAD}, False),
        (f'load_module "/usr/lib/nginx/modules/{MODULE}";\nevents {{}}\n', {}, True),
        (f"  {LOAD}", {}, True),
        (f"load_module modules/not_{MODULE};\n", {}, False),
    ],
)
def test_a_module_counts_when_the_operators_nginx_loads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, main: str, enabled: dict[str, str], found: bool
) -> None:
    monkeypatch.setattr(nginx, "CONFIGURATION", tmp_path / "nginx.conf")
    assert nginx.loaded(MODULE) == "", "no nginx, no module"
    (tmp_path / "nginx.conf").write_text(main)
    (tmp_path / "modules-enabled").mkdir()
    for name, text in enabled.items():
        (tmp_path / "modules-enabled" / name).write_text(text)
    assert nginx.loaded(MODULE).endswith(MODULE) == found


@pytest.mark.parametrize(
    "said", ["", "nginx version: nginx/1.26.3\n", "--modules-path=/nowhere --x"]
)
def test_a_module_that_is_not_beside_the_others_is_not_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str
) -> None:
    monkeypatch.setattr(versions, "nginx_options", lambda: said)
    assert nginx.installed(MODULE) == ""
    (tmp_path / MODULE).touch()
    monkeypatch.setattr(
        versions, "nginx_options", lambda: f"--prefix=/x --modules-path={tmp_path} --y"
    )
    assert nginx.installed(MODULE) == f"{tmp_path}/{MODULE}"
