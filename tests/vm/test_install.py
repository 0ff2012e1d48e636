"""What `make install` and `carrel apply` have made, and that applying again mends what was changed."""

from __future__ import annotations

from servers import STORAGE, Server

UNITS = "/etc/systemd/system"


def test_both_sign_in_over_https_and_get_their_workbench(server: Server) -> None:
    for user in ("dan", "bob"):
        server.shows_workbench(user)
        assert server.get(user, "/").headers["Location"].startswith("./login")


def test_nobody_elses_session_or_password_opens_a_desk(server: Server) -> None:
    foreign = server.workbench("dan", server.sign_in("bob"))
    assert (foreign.status, foreign.headers["Location"][:7]) == (302, "./login")
    assert server.workbench("nobody", server.sign_in("bob")).status == 404


def test_a_second_apply_does_nothing(server: Server) -> None:
    assert server.steps() == []
    before = server.started("dan", "bob")
    server.run("touch /run/before")
    assert server.carrel("apply").output == "Nothing to do.\n"
    assert server.started("dan", "bob") == before
    # Of all that Carrel writes or has others write; desks at work write into their own.
    changed = server.run("find /etc /var/lib/carrel /run/systemd -newer /run/before ! -name lock")
    assert changed == ""


def test_drift_that_no_desk_depends_on_is_mended_and_nobody_is_disturbed(server: Server) -> None:
    before = server.started("dan", "bob")
    server.run(
        f"""
        chmod 0755 {STORAGE}/dan/workspace
        chown root {STORAGE}/bob/config
        rm -r /var/lib/carrel/pages
        echo '# mine' >>/etc/nginx/conf.d/carrel.conf
        sed -i 's/^MemoryMax=.*/MemoryMax=1G/' {UNITS}/carrel.slice
        systemctl daemon-reload
        """
    )
    assert set(server.steps()) >= {
        f"~ directory {STORAGE}/bob/config (owner)",
        f"~ directory {STORAGE}/dan/workspace (mode)",
        "+ directory /var/lib/carrel/pages",
        "~ nginx configuration /etc/nginx/conf.d/carrel.conf (content)",
        f"~ file {UNITS}/carrel.slice (content)",
    }
    server.carrel("apply")
    assert server.steps() == []
    assert server.started("dan", "bob") == before
    said = server.run(
        f"""
        stat --format='%U %a' {STORAGE}/dan/workspace {STORAGE}/bob/config
        grep -c mine /etc/nginx/conf.d/carrel.conf || true
        systemctl show --property=NeedDaemonReload --value carrel.slice
        [ "$(systemctl show --property=MemoryMax --value carrel.slice)" -gt 2000000000 ] && echo ours
        """
    )
    assert said.split("\n") == ["carrel-dan 700", "carrel-bob 700", "0", "no", "ours", ""]
    assert server.get().status == 200


def test_drift_of_one_desk_is_mended_and_only_that_desk_starts_anew(server: Server) -> None:
    drop_in = f"{UNITS}/carrel-workspace@dan.service.d/carrel.conf"
    before = server.started("dan", "bob")
    server.run(
        f"""
        sed -i 's/^MemoryMax=.*/MemoryMax=infinity/' {drop_in}
        rm {UNITS}/run-carrel-dan.mount
        chmod 0644 /var/lib/carrel/secrets/dan.env
        """
    )
    assert set(server.steps()) == {
        f"~ file {drop_in} (content)",
        f"+ file {UNITS}/run-carrel-dan.mount",
        "~ unit run-carrel-dan.mount (revision)",
        "~ secrets /var/lib/carrel/secrets/dan.env (fingerprint)",
        "~ unit carrel-workspace@dan.service (revision)",
    }
    server.carrel("apply")
    assert server.steps() == []
    after = server.started("dan", "bob")
    assert (after["dan"] != before["dan"], after["bob"]) == (True, before["bob"])
    said = server.run(
        """
        systemctl show --property=MemoryMax --value carrel-workspace@dan
        systemctl is-enabled run-carrel-dan.mount
        stat --format=%a /var/lib/carrel/secrets/dan.env
        """
    )
    assert said.split("\n") == [str(3 << 30), "enabled", "600", ""]
    server.shows_workbench("dan")


def test_a_desk_that_somebody_stopped_is_started_and_the_other_is_left_alone(
    server: Server,
) -> None:
    before = server.started("dan", "bob")
    server.run("systemctl disable --now --quiet carrel-workspace@bob.service")
    assert not server.alive("bob")
    assert server.steps() == ["+ unit carrel-workspace@bob.service"]
    server.carrel("apply")
    server.answers("bob")
    after = server.started("dan", "bob")
    assert (after["dan"], after["bob"] != before["bob"]) == (before["dan"], True)
    assert server.steps() == []


def test_what_a_mount_is_made_of_is_mended_together_with_the_desk_on_it(server: Server) -> None:
    before = server.started("dan", "bob")
    server.run(f"echo '# mine' >>{UNITS}/run-carrel-dan.mount")
    server.carrel("apply")
    after = server.started("dan", "bob")
    assert (after["dan"] != before["dan"], after["bob"]) == (True, before["bob"])
    server.answers("dan")
    assert server.steps() == []
