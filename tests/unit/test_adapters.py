import os
import signal
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from carrel.adapters import files, probe, process
from carrel.adapters.process import Identity, World
from carrel.errors import Missing, ToolFailed
from carrel.targets.waiting import until

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
    with pytest.raises(OSError, match="No space"):
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


def test_a_full_disk_is_named_as_the_cause() -> None:
    with pytest.raises(ToolFailed) as caught:
        process.follow(["sh", "-c", "echo 'write: No space left on device'; exit 1"], PLAIN, print)
    assert "disk is full" in caught.value.fix


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
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
