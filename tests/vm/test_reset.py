"""`carrel reset`, and files that are named like attacks."""

from __future__ import annotations

import shlex

from carrel.targets.waiting import until
from servers import STORAGE, Server

INSIDE = "/home/coder/project", "/home/coder", "/home/coder/.local/share/code-server"
HOSTILE = (
    "-rf",
    "a\nb: c",
    "'; touch /tmp/pwned; '",
    '"$(touch /tmp/pwned)"',
    "%n$HOME",
    "[Service]\nExecStart=touch /tmp/pwned",
)
WAITED_SECONDS = 15
STILL_WAITING = 124
"""What timeout(1) ends with when its time was up."""
OUTSIDE = """
    sha256sum /etc/shadow /etc/passwd
    find /etc /root /var/lib/carrel/images -maxdepth 4 -printf '%p %u %m %s\\n' | sort
    ls /tmp/pwned || true
"""
"""All that must stay as it is."""


def test_the_container_and_its_changes_go_and_the_work_stays(server: Server) -> None:
    before = server.started("bob")
    server.inside(
        "dan",
        "sh",
        "-c",
        "echo mine >kept; mkdir -p ~/.local/share/code-server/User; touch /tmp/lost;"
        'echo "{}" >~/.local/share/code-server/User/settings.json;'
        "setsid sleep 12345 >/dev/null 2>&1 & sleep 1",
    )
    assert "sleep 12345" in server.inside("dan", "ps", "-eo", "args")

    server.carrel("reset", "dan", "--yes")

    server.shows_workbench("dan")
    assert "sleep 12345" not in server.inside("dan", "ps", "-eo", "args")
    assert server.inside("dan", "sh", "-c", "cat kept; ls /tmp/lost || true") == "mine\n"
    settings = f"{STORAGE}/dan/config/User/settings.json"
    assert server.run(f"cat {settings}") == "{}\n"

    server.carrel("reset", "dan", "--settings", "--yes")

    server.shows_workbench("dan")
    assert server.inside("dan", "cat", "kept") == "mine\n"
    server.run(f"! [ -e {settings} ] || [ \"$(cat {settings})\" != '{{}}' ]")
    assert server.started("bob") == before


def test_what_files_are_called_or_point_to_changes_nothing_outside(server: Server) -> None:
    server.shows_workbench("dan")
    before = server.run(OUTSIDE)
    make = [
        f"mkdir -p {place}/hostile; cd {place}/hostile;"
        f"for name in {shlex.join(HOSTILE)}; do"
        ' mkdir -- "./$name"; touch -- "./$name/$name" || true; done;'
        "ln -sfn /etc/shadow shadow; ln -sfn /etc etc; ln -sfn / root;"
        for place in INSIDE
    ]
    # In place of what nginx, `carrel status` and the next container come by.
    make.append("ln -sf /run/carrel/bob/editor.sock /run/carrel/editor.sock;")
    make.append("mv ~/.local ~/.local.mine; ln -s /etc ~/.local")
    server.inside("dan", "sh", "-c", "".join(make))
    # nginx keeps its connections to the old socket for a while.
    server.run("systemctl reload nginx")
    until(lambda: not server.alive("dan"), seconds=30, what="the end of dan's old socket")

    server.carrel("plan")
    # It would go on for three minutes, with the same look at dan's desk again and again.
    server.run(f"timeout --signal=INT {WAITED_SECONDS} carrel apply || [ $? = {STILL_WAITING} ]")
    for command in (("status",), ("reset", "dan", "--yes"), ("apply",)):
        # Not all is well here, but nothing is unforeseen.
        assert "Traceback" not in server.carrel(*command, status=None).errors

    assert server.run(OUTSIDE) == before
    server.carrel("reset", "dan", "--settings", "--yes")
    assert server.run(OUTSIDE) == before
    server.shows_workbench("dan")
    assert server.steps() == []
    server.inside("dan", "sh", "-c", "chmod -R u+rwx hostile; rm -r hostile")
