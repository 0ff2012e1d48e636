"""Files of ours that somebody filled with what is no text: mended, or told; never a traceback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrel.adapters import certificates, files
from carrel.adapters.process import Identity
from carrel.cli import console
from carrel.config import secrets
from carrel.core.resources import Certificate, File, Include, Secret
from carrel.errors import CarrelError
from carrel.operations import applied, converge
from carrel.operations.site import Opened
from carrel.targets import disk
from fake_server import FakeServer
from samples import HASH

GARBAGE = (b"# gr\xfc\xdfe\n", b"\xff\xfe\0\0", b"", b"{}", b"[[]]\n", b"\x80" * 9000)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    """A server with two people and the gateway, on which everything is well."""
    umask = os.umask(0o022)
    found = FakeServer(tmp_path / "server").install(monkeypatch)
    found.shelve("0" * 12)
    people = "".join(f'[users.{n}]\npassword_hash = "{HASH}"\n' for n in ("ada", "dan"))
    storage = f'[storage]\nbase = "{found.folder}/srv"\n[ai]\nmode = "gateway"\n'
    found.config.write_text(f'domain = "code.example.org"\n{storage}{people}')
    found.apply()
    assert found.apply() == []
    yield found
    os.umask(umask)


@given(st.binary())
def test_what_is_read_can_be_written_back(content: bytes) -> None:
    folder = Path("/dev/shm") / f"carrel-bytes-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    file = folder / "file"
    file.write_bytes(content)
    text = files.text(str(file))
    assert text is not None
    files.write(f"{file}2", text, Identity.ours(), 0o600)
    read = Path(f"{file}2").read_bytes()
    # Line breaks are ours: \n.
    assert read == content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    files.remove_tree(str(folder))


@given(st.binary())
def test_what_is_no_text_is_no_certificate_and_no_hash(content: bytes) -> None:
    text = content.decode(errors="surrogateescape")
    assert certificates.facts(text, text) is None
    assert not certificates.fits(text, text)
    assert certificates.permitted(text) == ()
    assert not secrets.matches(text, "open sesame")


def managed(server: FakeServer) -> list[str]:
    """The paths of all that has text of ours."""
    found = []
    for r in server.target.store.recorded():
        match r:
            case File(path=path) | Secret(path=path) | Include(path=path):
                found.append(path)
            case Certificate(directory=folder, public_copy=copy):
                found += [
                    copy,
                    *(f"{folder}/{n}" for n in ("site.crt", "site.key", "authority.key")),
                ]
                found.append(f"{folder}/authority.crt")
            case _:
                continue
    return found


@pytest.mark.parametrize("garbage", GARBAGE)
def test_whatever_carrel_made_is_made_anew(server: FakeServer, garbage: bytes) -> None:
    before = {path: Path(path).read_text() for path in managed(server) if "tls" not in path}
    assert len(before) > 20
    for path in managed(server):
        Path(path).write_bytes(garbage)
    plan = converge.plan(Opened.of(server.target))
    assert len(plan.steps) > 20
    server.apply()
    changed = {p for p, text in before.items() if Path(p).read_text() != text}
    assert all("ca.crt" in path for path in changed), changed
    assert server.apply() == []


@pytest.mark.parametrize("garbage", GARBAGE[:2])
def test_each_of_them_alone_is_seen(server: FakeServer, garbage: bytes) -> None:
    seen = {}
    for r in server.target.store.recorded():
        if isinstance(r, File | Certificate):
            paths = [r.path] if isinstance(r, File) else [r.public_copy, f"{r.directory}/site.crt"]
            for path in paths:
                whole = Path(path).read_bytes()
                Path(path).write_bytes(garbage)
                seen[path] = disk.seen(r) != r
                Path(path).write_bytes(whole)
    assert seen
    assert all(seen.values()), seen


@pytest.mark.parametrize("garbage", [g for g in GARBAGE if g])
@pytest.mark.parametrize("name", ["state.json", "steps.jsonl"])
def test_a_journal_that_cannot_be_understood_is_named_and_stays(
    server: FakeServer, name: str, garbage: bytes
) -> None:
    if (name, garbage) == ("steps.jsonl", b"{}"):
        garbage += b"\n"
    path = Path(server.layout.state) / name
    if name == "steps.jsonl" and not garbage.endswith(b"\n"):
        garbage += b"\n"
    path.write_bytes(garbage)
    for verb in (server.apply, lambda: converge.plan(Opened.of(server.target)), server.down):
        with pytest.raises(CarrelError, match="is damaged") as caught:
            verb()
        assert str(path) in caught.value.what
        assert caught.value.fix
    assert path.read_bytes() == garbage


@pytest.mark.parametrize("garbage", GARBAGE[:2])
def test_a_key_that_is_none_is_named(server: FakeServer, garbage: bytes) -> None:
    Path(server.layout.secret_key).write_bytes(garbage)
    with pytest.raises(CarrelError, match=r"damaged|cannot be read") as caught:
        server.apply()
    assert server.layout.secret_key in caught.value.what


@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_record_of_an_image_that_is_none_is_no_image(server: FakeServer, garbage: bytes) -> None:
    images = server.target.store.images
    Path(images.path("0" * 12), "image.json").write_bytes(garbage)
    assert images.get("0" * 12) is None
    assert list(images.all()) == []


@pytest.mark.parametrize("garbage", GARBAGE)
def test_what_was_applied_last_is_written_anew(server: FakeServer, garbage: bytes) -> None:
    path = Path(server.layout.applied)
    path.write_bytes(garbage)
    server.apply()
    assert applied.recalled(server.target) == server.config.read_text()


def test_what_is_no_text_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    console.result("gr\udcfc\udcdfe")
    console.result_json({"name": "gr\udcfc\udcdfe"})
    assert "gr" in capsys.readouterr().out
