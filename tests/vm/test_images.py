"""Switching everybody to another image, and back: by hand, and by itself when it does not work."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping

import pytest

from servers import Server

SHELF = "/var/lib/carrel/images"
BROKEN = "/root/broken.tar"
"""Root's own: whoever builds images for us cannot read there."""
COPY = "c0c0c0c0c0c0"
MARK = "/opt/carrel/mark"


def tar(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def saved_image(files: Mapping[str, bytes]) -> bytes:
    """What `podman save` would write for an image with these files."""
    layer = tar(files)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["LANG=C.UTF-8"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    contents = {"Config": "config.json", "RepoTags": ["localhost/b:1"], "Layers": ["layer.tar"]}
    return tar(
        {
            "config.json": json.dumps(config).encode(),
            "layer.tar": layer,
            "manifest.json": json.dumps([contents]).encode(),
        }
    )


@pytest.fixture
def at_first(server: Server) -> Iterator[str]:
    """The image in use; it is again afterwards, and the others are gone."""
    before = selected(server)
    yield before
    if selected(server) != before:
        server.carrel("image", "use", before)
    server.run(f"rm -rf {SHELF}/{COPY} {SHELF}/previous {BROKEN}")
    server.carrel("image", "prune")


def selected(server: Server) -> str:
    return server.run(f"cat {SHELF}/selected").strip()


def moment(server: Server, user: str, event: str) -> int:
    """When something last happened to a user's unit, in microseconds after boot."""
    unit = f"carrel-workspace@{user}.service"
    return int(server.run(f"systemctl show --property={event}TimestampMonotonic --value {unit}"))


def listed(server: Server) -> dict[str, str]:
    """The images that `carrel image list` shows: the version of code-server in each."""
    found = json.loads(server.carrel("image", "list", "--json").output)
    return {i["reference"].rpartition(":")[2]: i["manifest"].get("code_server") for i in found}


def test_an_image_that_does_not_work_is_taken_back_and_whoever_had_not_got_it_is_not_disturbed(
    server: Server, at_first: str
) -> None:
    files = {"opt/carrel/manifest.json": b'{"code_server": "0.0.0"}'}
    server.guest.put(BROKEN, saved_image(files), mode=0o600)
    server.carrel("image", "load", BROKEN)
    images = listed(server)
    [broken] = set(images) - {at_first}
    assert images[broken] == "0.0.0" != images[at_first]
    before = server.started("dan", "bob")

    said = server.carrel("image", "use", broken, status=7).errors

    assert f"The image {broken} does not work. Every workspace is back on {at_first}." in said
    assert "the log of carrel-workspace@bob.service ends with:" in said
    assert selected(server) == at_first
    assert server.steps() == []
    for user in ("dan", "bob"):
        server.shows_workbench(user)
    after = server.started("dan", "bob")
    assert (after["bob"] != before["bob"], after["dan"]) == (True, before["dan"])


def test_everybody_moves_to_another_image_one_after_the_other_and_back(
    server: Server, at_first: str
) -> None:
    server.second_image(COPY, MARK)
    for user in ("dan", "bob"):
        server.inside(user, "sh", "-c", "echo mine >~/project/kept; touch /tmp/lost")

    server.carrel("image", "use", COPY)

    for user in ("dan", "bob"):
        server.shows_workbench(user)
        assert server.inside(user, "cat", MARK, "kept") == "second\nmine\n"
        assert server.inside(user, "ls", "/tmp/lost", status=2) == ""
    assert moment(server, "bob", "ActiveEnter") < moment(server, "dan", "InactiveEnter")
    assert server.carrel("apply").output == "Nothing to do.\n"

    server.carrel("image", "rollback")

    for user in ("dan", "bob"):
        server.shows_workbench(user)
        assert server.inside(user, "ls", MARK, status=2) == ""
    assert selected(server) == at_first
