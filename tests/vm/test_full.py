"""Somebody's programs fill what is not their own disk: it ends, and nobody else notices."""

from __future__ import annotations

import pytest

from servers import Server

MEMORY = 3 << 30
"""What a workspace has if the configuration says nothing else."""


@pytest.mark.parametrize(("place", "part"), [("/tmp", 4), ("/var/tmp", 8), ("/run", 16)])
def test_who_fills_a_temporary_directory_comes_to_its_end(
    server: Server, place: str, part: int
) -> None:
    before = server.started("dan", "bob")
    with server.editor("bob") as bob:
        said = server.inside(
            "dan",
            "sh",
            "-c",
            f"dd if=/dev/zero of={place}/fill bs=1M 2>&1; stat --format=%s {place}/fill",
            status=None,
        )
        assert server.alive("dan")
        assert bob.is_open()
        server.inside("dan", "rm", f"{place}/fill")
    assert server.started("dan", "bob") == before
    assert "No space left on device" in said
    assert int(said.split()[-1]) <= MEMORY // part


def test_there_is_no_layer_of_the_container_to_fill(server: Server) -> None:
    said = server.inside(
        "dan",
        "sh",
        "-c",
        "for place in / /usr/bin /opt/carrel /etc /var/lib /home; do"
        " dd if=/dev/zero of=$place/fill bs=1M count=1 2>&1; done; true",
    )
    assert said.count("Read-only file system") + said.count("Permission denied") == 6
    assert server.alive("dan")
