"""The test machine itself: if one of these fails, no other test of this folder means anything."""

from __future__ import annotations

import pytest

from carrel.errors import ToolFailed
from servers import Server
from vm.guest import Guest, Restarted


def test_it_is_a_debian_server_with_systemd_that_has_booted_without_a_fault(guest: Guest) -> None:
    said = guest.run(
        """
        systemctl is-system-running
        . /etc/os-release && echo "$ID $VERSION_ID"
        stat --file-system --format=%T /sys/fs/cgroup
        hostname
        """
    )
    assert said.output.split("\n") == ["running", "debian 13", "cgroup2fs", "carrel-test", ""]


def test_it_has_the_sources_the_wheels_and_the_image(guest: Guest) -> None:
    said = guest.run(
        """
        stat --format='%U %a' /srv/carrel/Makefile
        ls /srv/wheels | grep -c '^pydantic_core.*cp313'
        stat --format='%U' /var/lib/carrel/images/*/rootfs/usr/bin/git
        """
    )
    assert said.output.split("\n") == ["root 644", "1", "root", ""]


def test_it_reaches_nothing_outside(guest: Guest) -> None:
    # The host's own SSH or web server would answer here if the network forwarded it.
    said = guest.run("curl --silent --max-time 5 http://10.0.2.2/", check=False)
    assert said.status in {7, 28}


def test_a_script_ends_at_its_first_fault_and_the_error_has_what_it_said(guest: Guest) -> None:
    with pytest.raises(ToolFailed, match="no-such-file"):
        guest.run("cat /no-such-file; echo not reached")
    assert guest.run("cat; exit 3", check=False).status == 3


def test_a_file_arrives_whole(guest: Guest) -> None:
    data = bytes(range(256)) * 1000
    guest.put("/run/test machine/file", data, 0o600)
    said = guest.run("cd '/run/test machine' && stat --format='%a %s' file && sha256sum <file")
    assert said.output.startswith("600 256000\n")


def test_it_starts_again_when_it_is_told_to_and_a_copy_does_not_reach_the_disk(
    fresh_guest: Guest,
) -> None:
    assert fresh_guest.run("test -e /root/mark", check=False).status == 1
    fresh_guest.run("echo kept >/root/mark && echo lost >/run/mark")
    fresh_guest.reboot()
    assert fresh_guest.run("cat /root/mark; cat /run/mark", check=False).output == "kept\n"
    fresh_guest.reset()
    assert fresh_guest.run("cat /root/mark; cat /run/mark", check=False).output == "kept\n"
    assert fresh_guest.starts == 2
    fresh_guest.power_off()


def test_what_was_synced_survives_a_power_cut_and_a_kernel_that_gives_up(emulated: Server) -> None:
    guest = emulated.guest
    guest.run("echo kept >/root/mark && sync && echo lost >/run/mark")
    before = guest.run("cat /proc/sys/kernel/random/boot_id").output
    guest.reset()
    assert guest.run("cat /root/mark; cat /run/mark", check=False).output == "kept\n"
    assert guest.run("cat /proc/sys/kernel/random/boot_id").output != before
    # A kernel that gives up starts again, and nobody waits for ever for what ended with it.
    with pytest.raises(Restarted, match=r"(?s)started again.*sysrq"):
        guest.run("echo c >/proc/sysrq-trigger; sleep 600", seconds=600)
    guest.wait()
    assert guest.run("cat /root/mark").output == "kept\n"
