"""The editor's own files, from images to where nginx looks for them."""

from __future__ import annotations

import json
import os
import re
import stat
import tarfile
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import editors
from carrel.adapters import files
from carrel.adapters.process import Identity
from carrel.core import editor_files as rules
from carrel.core.names import image_reference
from carrel.targets.editor_files import ARCHIVE, EditorFiles
from carrel.targets.image_store import RECORD, ImageStore
from carrel.targets.images import Built
from editors import NEW, OLD
from fake_effects import Crash, Disk, Power, Trees

SCRIPT = "static/out/vs/code/workbench.js"
PACKER = Path(__file__).parents[2] / "images/workspace/build/static"


def here(folder: Path) -> EditorFiles:
    return EditorFiles(str(folder / "editor"), Identity.ours())


def tree(folder: Path) -> dict[str, bytes]:
    """All files below a folder; anything that is neither a file nor a directory is a fault."""
    found = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        assert stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode), path
        if stat.S_ISREG(status.st_mode):
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


# -- one archive -------------------------------------------------------------------------------


def test_all_files_of_a_version_come_out_readable_for_everybody(tmp_path: Path) -> None:
    here(tmp_path).unpack(NEW, editors.archive(editors.of(NEW), mode=0o4777))
    assert tree(tmp_path / "editor") == editors.of(NEW)
    for path in (tmp_path / "editor").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644)


part = st.sampled_from(
    [
        "..",
        ".",
        "",
        "static",
        "out",
        "a.js",
        ".hidden.js",
        "a.js.br",
        "x",
        "a b.js",
        "a\n.js",
        OLD,
        NEW,
        "etc",
    ]
)
entry = st.builds(
    editors.member,
    st.lists(part, min_size=1, max_size=5).map("/".join).filter(bool) | st.just(f"{NEW}/{SCRIPT}"),
    kind=st.sampled_from(
        [
            tarfile.REGTYPE,
            tarfile.SYMTYPE,
            tarfile.LNKTYPE,
            tarfile.CHRTYPE,
            tarfile.FIFOTYPE,
            tarfile.DIRTYPE,
        ]
    ),
    mode=st.sampled_from([0o644, 0o4755, 0o777]),
)


@given(st.lists(entry, max_size=8), st.sampled_from(["/etc/passwd", "../../../secret", OLD]))
@example(
    [editors.member(f"{NEW}/static", kind=tarfile.SYMTYPE), editors.member(f"{NEW}/static/a.js")],
    "../..",
)
@example([editors.member(f"{NEW}/static/../../../a.js")], "")
def test_whatever_is_in_an_archive_only_plain_files_of_that_version_come_out(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tarfile.TarInfo], target: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "secret").write_bytes(b"secret")
    for one in entries:
        one.linkname = target
    here(folder).unpack(NEW, editors.archive({f"{NEW}/static/real.js": b"real"}, entries))
    found = tree(folder)
    assert found.pop("secret") == b"secret"
    assert found.pop(f"editor/{NEW}/static/real.js") == b"real"
    for name in found:
        assert re.fullmatch(rf"{rules.PATH}(\.br|\.gz)?", name.removeprefix("editor/")), name
        assert name.startswith(f"editor/{NEW}/")


@pytest.mark.parametrize("data", [b"", b"no archive", bytes(2048), b"\x1f\x8b" + bytes(600)])
def test_what_is_no_archive_changes_nothing(tmp_path: Path, data: bytes) -> None:
    there = here(tmp_path)
    there.unpack(NEW, editors.archive(editors.of(NEW)))
    (tmp_path / "packed").write_bytes(data)
    with (tmp_path / "packed").open("rb") as packed:
        there.unpack(NEW, packed)
    assert tree(tmp_path / "editor") == editors.of(NEW)


def test_ended_anywhere_there_is_a_whole_version_or_none_and_the_next_time_heals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    power = Power()
    monkeypatch.setattr(files, "os", Disk(power))
    monkeypatch.setattr(files, "shutil", Trees(power))
    names = (f"{NEW}/{SCRIPT}", f"{NEW}/{SCRIPT}.br")
    before, after = (
        {name: f"{name} {says}".encode() for name in names} for says in ("before", "after")
    )
    moments = 0
    while True:
        folder = tmp_path / str(moments)
        power.lasts = None
        here(folder).unpack(NEW, editors.archive(before))
        power.spent, power.lasts = 0, moments
        try:
            here(folder).unpack(NEW, editors.archive(after))
            break
        except Crash:
            moments += 1
        seen = {
            name: data for name, data in tree(folder / "editor").items() if name.startswith(NEW)
        }
        # While a version is taken away or brought, the editor itself answers for what is missing.
        assert all(data in (before[name], after[name]) for name, data in seen.items())
        assert len({data.endswith(b"before") for data in seen.values()}) <= 1
        power.lasts = None
        here(folder).unpack(NEW, editors.archive(after))
        assert tree(folder / "editor") == after
    assert moments > 20


def test_what_the_image_packs_is_what_nginx_serves() -> None:
    said = re.search(r"const wanted = /\\\.\(([a-z|]+)\)\$/", PACKER.read_text())
    assert said is not None
    assert set(said[1].split("|")) == rules.KINDS.keys()


# -- the images of a server --------------------------------------------------------------------


class Images:
    """A server's images, each with an editor of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.served = here(folder)
        self.store = ImageStore(str(folder / "images"), self.served)

    def add(self, digest: str, editor: object, contents: dict[str, bytes] | None = None) -> str:
        """An image whose manifest says `editor`; without `contents`, it has no archive."""
        root = self.folder / f"images/{digest}/rootfs"
        (root / "opt/carrel").mkdir(parents=True)
        if contents is not None:
            (root / ARCHIVE.lstrip("/")).write_bytes(editors.archive(contents).getvalue())
        built = Built(image_reference(digest), 1, {"editor": editor})
        (root.parent / RECORD).write_text(json.dumps(asdict(built)))
        return digest

    def script(self, version: str) -> bytes | None:
        path = self.folder / f"editor/{version}/{SCRIPT}"
        return path.read_bytes() if path.exists() else None


@pytest.fixture
def images(tmp_path: Path) -> Images:
    return Images(tmp_path)


def test_the_image_in_use_and_the_one_before_it_are_served_and_no_other(images: Images) -> None:
    third = f"stable-{'c' * 40}"
    old, new, last = (
        images.add(digest, version, editors.of(version))
        for digest, version in (("1" * 12, OLD), ("2" * 12, NEW), ("3" * 12, third))
    )
    assert images.served.versions() == frozenset()
    served = []
    for digest in (old, new, last):
        images.store.select(digest)
        served.append(images.served.versions())
    assert served == [{OLD}, {OLD, NEW}, {NEW, third}]
    images.store.select(new)
    assert images.served.versions() == {NEW, third}


def test_going_back_brings_back_what_was_served(images: Images) -> None:
    old = images.add("1" * 12, OLD, editors.of(OLD))
    new = images.add("2" * 12, NEW, editors.of(NEW))
    images.store.select(old)
    images.store.select(new)
    images.store.restore(old, "")
    assert images.served.versions() == {OLD}
    assert images.script(OLD) is not None


def test_selecting_the_image_in_use_again_brings_back_what_somebody_deleted(images: Images) -> None:
    digest = images.add("1" * 12, NEW, editors.of(NEW))
    images.store.select(digest)
    files.remove_tree(str(images.folder / "editor"))
    images.store.select(digest)
    assert tree(images.folder / "editor") == editors.of(NEW)


def test_of_two_images_with_one_editor_the_one_in_use_says_what_its_files_are(
    images: Images,
) -> None:
    first = images.add("1" * 12, NEW, editors.of(NEW, "first"))
    second = images.add("2" * 12, NEW, editors.of(NEW, "second"))
    for digest, says in ((first, b"first"), (second, b"second"), (first, b"first")):
        images.store.select(digest)
        assert (images.script(NEW) or b"").endswith(says)


def test_an_image_that_nobody_uses_cannot_say_what_others_browsers_get(images: Images) -> None:
    images.store.select(images.add("1" * 12, NEW, editors.of(NEW, "good")))
    images.add("2" * 12, NEW, editors.of(NEW, "evil"))
    assert (images.script(NEW) or b"").endswith(b"good")


@pytest.mark.parametrize(
    "editor",
    [
        "",
        None,
        7,
        "..",
        "stable",
        f"../{NEW}",
        f"{NEW}/x",
        f"{NEW}\n",
        "oss-dev",
        "STABLE-" + "a" * 40,
    ],
)
def test_an_image_with_an_editor_of_no_known_build_serves_nothing(
    images: Images, editor: object
) -> None:
    images.store.select(images.add("1" * 12, editor, editors.of(NEW)))
    assert images.served.versions() == frozenset()
    assert tree(images.folder / "editor") == {}


def test_an_image_without_the_archive_is_as_good_as_before(images: Images) -> None:
    images.store.select(images.add("1" * 12, NEW))
    assert images.store.selected == "1" * 12
    assert images.served.versions() == frozenset()


@pytest.mark.parametrize("planted", ["link", "pipe", "directory", "link on the way"])
def test_an_archive_that_is_no_plain_file_of_the_image_is_not_opened(
    images: Images, planted: str
) -> None:
    digest = images.add("1" * 12, NEW)
    outside = images.folder / "outside.tar"
    outside.write_bytes(editors.archive(editors.of(NEW)).getvalue())
    place = images.folder / f"images/{digest}/rootfs{ARCHIVE}"
    match planted:
        case "link":
            place.symlink_to(outside)
        case "pipe":
            os.mkfifo(place)
        case "directory":
            place.mkdir()
        case _:
            (images.folder / "carrel").mkdir()
            outside.rename(images.folder / "carrel/editor.tar")
            place.parent.rmdir()
            place.parent.symlink_to(images.folder / "carrel")
    images.store.select(digest)
    assert images.store.selected == digest
    assert images.served.versions() == frozenset()
