"""A reboot, and the power going away at the worst moments: everybody works again."""

from __future__ import annotations

from servers import CONFIG, STORAGE, Server

EVERYBODY = ("dan", "bob")
SETTINGS = ".local/share/code-server/User/settings.json"
KEPT = {
    "kept": "work\n",
    f"../{SETTINGS}": '{"editor.fontSize": 17}\n',
    "../.bash_history": "ls\n",
}
"""What was written where, seen from the project."""


def write(server: Server, user: str) -> None:
    written = (
        f"mkdir -p $(dirname {path}); printf %s '{content}' >{path}"
        for path, content in KEPT.items()
    )
    server.inside(user, "sh", "-c", "; ".join(written))


def kept(server: Server, user: str) -> bool:
    return server.inside(user, "cat", *KEPT) == "".join(KEPT.values())


def test_after_a_reboot_everybody_is_back_without_a_hand(server: Server) -> None:
    for user in EVERYBODY:
        server.answers(user)
        write(server, user)
    server.guest.reboot()
    for user in EVERYBODY:
        server.shows_workbench(user)
        assert kept(server, user)
        usage = 'curl -s -H "Authorization: Bearer $CARREL_AI_TOKEN" 127.0.0.1:4141/carrel/usage'
        assert f'"user": "{user}"' in server.inside(user, "sh", "-c", usage)
    assert server.steps() == []


def test_a_power_cut_in_the_middle_of_apply_is_mended_by_the_next_one(emulated: Server) -> None:
    for user in EVERYBODY:
        write(emulated, user)
    secret = "/etc/carrel/secrets"
    users = "".join(
        f'\n[users.{name}]\npassword_file = "{secret}/{name}"\n' for name in ("eve", "fay")
    )
    emulated.run(
        f"""
        for name in eve fay; do cp {secret}/dan {secret}/$name; done
        echo '{users}' >>{CONFIG}
        sync
        systemd-run --quiet --no-block --unit=half carrel apply
        until grep --quiet 'made.*run-carrel-fay.mount' /var/lib/carrel/steps.jsonl; do :; done
        """
    )
    emulated.guest.reset()
    emulated.run("test -s /var/lib/carrel/steps.jsonl")
    assert emulated.steps() != []
    emulated.carrel("apply")
    for user in (*EVERYBODY, "eve", "fay"):
        emulated.shows_workbench(user)
    assert emulated.steps() == []
    assert all(kept(emulated, user) for user in EVERYBODY)


def test_a_power_cut_in_the_middle_of_making_a_container_is_none_for_the_next_boot(
    emulated: Server,
) -> None:
    emulated.run(
        """
        systemctl stop carrel-workspace@dan
        systemctl start --no-block carrel-workspace@dan
        until [ -d /run/user/$(id -u carrel-dan)/store/vfs-containers ]; do :; done
        """
    )
    emulated.guest.reset()
    for user in EVERYBODY:
        emulated.shows_workbench(user)
        assert kept(emulated, user)
    assert emulated.steps() == []
    assert emulated.run(f"stat --format=%U {STORAGE}/dan/workspace/kept") == "carrel-dan\n"
