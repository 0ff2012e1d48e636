"""Carrel is taken off a server, and comes back: what people made and what the operator wrote stay."""

from __future__ import annotations

from servers import STORAGE, Server

PROJECT = "/srv/carrel"
IMAGES = "/var/lib/carrel/images"
OURS = (
    "/etc/systemd/system/*carrel* /etc/nginx/conf.d/carrel.conf /etc/tmpfiles.d/carrel.conf"
    " /usr/local/bin/carrel /opt/carrel*"
)


def test_taken_off_it_leaves_the_work_and_put_back_everybody_is_where_they_were(
    server: Server,
) -> None:
    server.inside("dan", "sh", "-c", "echo mine >~/project/kept")
    before = owners(server)
    # The guest has no network to build another one.
    server.run(f"cp -al {IMAGES} /root/images")
    server.run(f"make -C {PROJECT} uninstall")
    assert server.run(f"ls -d {OURS} 2>/dev/null || true") == ""
    assert server.run("pgrep --count --full code-server || true") == "0\n"
    assert server.run(f"cat {STORAGE}/dan/workspace/kept /etc/carrel/secrets/dan") == (
        "mine\npassword-of-dan\n"
    )
    assert owners(server) == before
    # The operator's nginx goes on without us.
    server.run("nginx -t && systemctl is-active nginx")
    server.run(f"make -C {PROJECT} uninstall")

    server.run(f"mv /root/images {IMAGES} && make -C {PROJECT} install && carrel apply")
    # The old authority went with the rest: it was Carrel's, and nobody's work.
    server.trust()
    for user in ("dan", "bob"):
        server.shows_workbench(user)
    assert owners(server) == before
    assert server.inside("dan", "cat", "kept") == "mine\n"


def owners(server: Server) -> str:
    return server.run(f"stat --format='%n %u %a' {STORAGE}/*/*")
