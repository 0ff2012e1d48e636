"""What dan cannot reach: from inside his workspace, and with his Unix account on the server itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers import STORAGE, Server

PODMAN = "/run/user/$(id -u carrel-bob)"
OF_BOB = (
    f"{STORAGE}/bob",
    f"{STORAGE}/bob/workspace/diary",
    "/run/carrel/bob",
    "/run/carrel/bob/editor.sock",
    "/var/lib/carrel/secrets/bob.env",
    "/etc/carrel/secrets/bob",
    "/var/lib/carrel/state.json",
    "/var/lib/carrel/log.jsonl",
    "/var/lib/carrel/tls/site.key",
    PODMAN,
)
"""Files, sockets and secrets."""

SERVICES = (
    "http://127.0.0.1:22", "https://127.0.0.1:443", "http://[::1]:22", "http://10.0.2.15:22",
    "https://10.0.2.15:443", "http://127.0.0.53:22",
)  # fmt: skip
"""What listens on the server."""
ASK = "curl --silent --insecure --http0.9 --max-time 5 --head"
ASK_EACH = f'for url; do status=0; {ASK} "$url" >/dev/null || status=$?; echo "$status"; done'
"""Prints curl's exit status for each of the arguments."""
REFUSED = "7"

METADATA = "169.254.169.254"
CLOUD = f"""
# Or networkd would give it the address of the other card.
mkdir -p /run/systemd/network
printf '[Match]\\nName=cloud0\\n[Link]\\nUnmanaged=yes\\n' >/run/systemd/network/05-cloud.network
networkctl reload
ip netns add cloud
ip link add cloud0 type veth peer name eth0 netns cloud
ip address add 169.254.0.1/16 dev cloud0
ip link set cloud0 up
ip -n cloud address add {METADATA}/16 dev eth0
ip -n cloud link set eth0 up
systemd-run --quiet --unit=cloud --property=RuntimeMaxSec=600 \
    ip netns exec cloud python3 -m http.server --bind {METADATA} 80
timeout 60 sh -c 'until curl -so /dev/null --max-time 2 http://{METADATA}/; do sleep 1; done'
"""
"""A neighbour on the network that answers as a cloud's metadata service does."""


def as_dan(server: Server, script: str) -> str:
    """What a script of the account carrel-dan prints, on the server and not in the container."""
    server.guest.put("/run/as-dan.sh", script.encode(), 0o644)
    return server.run(
        "setpriv --reuid=carrel-dan --regid=carrel-dan --init-groups --no-new-privs "
        "sh /run/as-dan.sh 2>&1 || true"
    )


@pytest.fixture(scope="module")
def private(emulated: Server) -> Iterator[Server]:
    """The server, with something of bob's that is worth a look."""
    emulated.answers("dan")
    emulated.answers("bob")
    emulated.inside(
        "bob",
        "sh",
        "-c",
        "echo dear diary >diary; SECRET=of-bob setsid sleep 7654 >/dev/null 2>&1 &",
    )
    yield emulated
    emulated.inside("bob", "pkill", "--full", "sleep 7654")


def test_no_rights_are_left_inside(private: Server) -> None:
    said = private.inside(
        "dan", "grep", "-E", "^(CapEff|CapBnd|NoNewPrivs|Seccomp):", "/proc/self/status"
    )
    fields = dict(line.replace(":", "").split() for line in said.splitlines())
    nothing = "0" * 16
    assert fields == {"CapEff": nothing, "CapBnd": nothing, "NoNewPrivs": "1", "Seccomp": "2"}


def test_the_containers_root_is_no_account_of_the_server(private: Server) -> None:
    said = private.run("cat /proc/$(pgrep --uid carrel-dan --full out/node/entry.js)/uid_map")
    rows = [tuple(map(int, line.split())) for line in said.splitlines()]
    root = next(there for inside, there, _ in rows if inside == 0)
    assert private.run(f"getent passwd {root} || echo nobody") == "nobody\n"
    own = next(there for inside, there, _ in rows if inside == 1000)
    assert private.run(f"id --name --user {own}") == "carrel-dan\n"


def test_bobs_things_are_out_of_reach_from_inside(private: Server) -> None:
    places = private.run(f"ls --directory {' '.join(OF_BOB)}").split()
    assert len(places) == len(OF_BOB)
    look = "for place; do ls -A $place; cat $place; done 2>&1"
    said = private.inside("dan", "sh", "-c", look, "sh", *places, status=None).splitlines()
    refused = ("No such file or directory", "Permission denied")
    assert len(said) == 2 * len(places), said
    assert all(line.endswith(refused) for line in said), said


def test_bobs_things_are_out_of_reach_of_dans_account(private: Server) -> None:
    places = private.run(f"ls --directory {' '.join(OF_BOB)}").split()
    said = as_dan(
        private, f"for place in {' '.join(places)}; do cat $place; ls -A $place; done"
    ).splitlines()
    read = [line for line in said if line.startswith("cat: ")]
    assert len(read) == len(places), said
    assert all(line.endswith("Permission denied") for line in read), said
    # Of a file one may know the name where its directory is open, and no more.
    named = {line for line in said if not line.startswith(("cat: ", "ls: "))}
    state = "/var/lib/carrel"
    assert named <= {f"{state}/secrets/bob.env", f"{state}/state.json", f"{state}/log.jsonl"}, said
    connect = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    tried = f"for place in {' '.join(places)}; do python3 -c '{connect}' $place && echo in; done"
    assert "in" not in as_dan(private, f"exec 2>/dev/null; {tried}").split()


def test_bobs_processes_are_out_of_reach(private: Server) -> None:
    pid = private.run("pgrep --uid carrel-bob --full 'sleep 7654'").split()[0]
    inside = private.inside("dan", "ps", "-e", "-o", "args")
    assert "sleep 7654" not in inside
    assert "carrel-bob" not in inside
    outside = as_dan(
        private,
        f"kill {pid}; cat /proc/{pid}/environ; ls /proc/{pid}/root /proc/{pid}/fd; "
        f"nsenter --target {pid} --mount true",
    )
    assert "of-bob" not in outside
    lines = list(filter(None, outside.splitlines()))
    assert len(lines) == 5, outside
    assert all("denied" in line or "not permitted" in line for line in lines), outside
    assert private.run(f"ps --no-headers -o args {pid}") == "sleep 7654\n"


def test_no_service_of_the_server_answers(private: Server) -> None:
    outside = f"set -- {' '.join(SERVICES)}; {ASK_EACH}"
    # They are there: root reaches each.
    reached = private.run(outside).split()
    assert (len(reached), REFUSED in reached) == (len(SERVICES), False), reached
    nothing = [REFUSED] * len(SERVICES)
    assert private.inside("dan", "sh", "-c", ASK_EACH, "sh", *SERVICES).split() == nothing
    assert as_dan(private, outside).split() == nothing


def test_a_clouds_metadata_is_out_of_reach(private: Server) -> None:
    private.run(CLOUD)
    ask = ("curl", "--silent", "--show-error", "--max-time", "5", f"http://{METADATA}/")
    try:
        assert "Directory listing" in private.run(" ".join(ask))
        assert "Directory listing" not in private.inside("dan", *ask, status=None)
        assert "Directory listing" not in as_dan(private, " ".join(ask))
        # Without our rules, the unit's own filter still refuses it.
        private.run("nft delete table inet carrel")
        assert "Directory listing" not in private.inside("dan", *ask, status=None)
    finally:
        private.run("systemctl reload carrel-network; systemctl stop cloud; ip netns delete cloud")
