"""What root goes by is root's, all the way down, in local mode beside an account without rights."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path, PurePosixPath

import pytest

import editors
from carrel.adapters import accounts, files, podman_runtime
from carrel.adapters.process import Identity
from carrel.core.layout import LocalLayout
from carrel.core.plan import diff, keep
from carrel.core.resources import Directory, Service, State
from carrel.core.site import SecretFile, Site, User
from carrel.errors import Refused, ToolFailed
from carrel.render import local as render
from carrel.targets.editor_files import ARCHIVE, EditorFiles
from carrel.targets.fingerprint import secret_key
from carrel.targets.images import Builder, Built, Workshop
from carrel.targets.journal import Journal
from carrel.targets.local.backend import Local
from fakes import FakePodman, FakeSupervisor
from others import as_root, nobody
from samples import IMAGE, LAYOUT, V1, desired

THE_ACCOUNTS = {
    "home": "its programs' home",
    "store": "podman's, which runs as the account",
    "scratch": "written and read by its own programs",
    "engine_runtime": "podman's, until a reboot",
    "sockets": "where its containers listen",
    "ai_sockets": "where its gateway listens",
    "gateway_admin": "where its gateway listens",
    "gateway": "its gateway's own directory",
    "books": "figures, to be shown",
    "nginx": "its nginx writes there, and is all that reads it",
    "nginx_config": "its nginx is all that reads it",
    "sign_ins": "lines, to be shown",
}
"""Paths at which the account may put what it likes: root neither runs nor deletes nor believes it."""

FOR_OTHERS = {
    "root": "the directory of all of it",
    "runtime": "the same, until a reboot",
    "images": "only records that are root's count",
    "engine": "podman reads it, as the account",
    "editor_files": "nginx serves them",
    "trust": "containers and the gateway read it",
    "ca_bundle": "containers and the gateway read it",
    "agent": "containers read it",
    "pages": "nginx reads them",
    "tls": "people trust what is signed there",
    "secrets": "the account reads its own",
    "gateway_config": "the gateway reads it",
    "gateway_secrets": "the gateway reads it",
}
"""Paths that root makes for others to read. They may not put anything else there."""

NAMES = {"site", "account", "owner", "divided", "obeyed"}


def paths(layout: LocalLayout) -> dict[str, str]:
    """Every path that a layout knows; those that depend on a name, for the user dan."""
    found = {}
    for name, member in inspect.getmembers(type(layout)):
        if name.startswith("_") or name in NAMES:
            continue
        value = getattr(layout, name)
        if inspect.isfunction(member):
            value = value("dan")
        found[name] = value
    return found


DERIVED = {
    "secrets_file", "socket_directory", "editor_socket", "ai_directory", "log", "container",
}  # fmt: skip
"""Below one of the others, by somebody's name; `container` is no path."""


def above(path: str) -> list[str]:
    return [str(parent) for parent in PurePosixPath(path).parents]


def test_every_path_of_the_layout_is_thought_of() -> None:
    found = paths(LAYOUT)
    obeyed = {name for name, path in found.items() if path in LAYOUT.obeyed}
    known = [obeyed, THE_ACCOUNTS.keys(), FOR_OTHERS.keys(), DERIVED]
    assert sum(map(len, known)) == len(set[str]().union(*known)), "one is in two of them"
    assert found.keys() == set[str]().union(*known)
    assert {found[name] for name in obeyed} == {*LAYOUT.obeyed}


@pytest.mark.parametrize(
    "name", [*FOR_OTHERS, *(n for n, p in paths(LAYOUT).items() if p in LAYOUT.obeyed)]
)
def test_whatever_root_goes_by_is_below_nobody_elses_directory(name: str) -> None:
    path = paths(LAYOUT)[name]
    directories = {r.path: r for r in desired(machine=V1) if isinstance(r, Directory)}
    owners = {p: directories[p].owner for p in (path, *above(path)) if p in directories}
    assert set(owners.values()) == {"root"}, owners
    assert LAYOUT.root in owners or LAYOUT.runtime in owners
    modes = {p: directories[p].mode for p in owners}
    assert not any(mode & 0o022 for mode in modes.values()), modes


def test_where_one_account_does_both_everything_stays_where_it_was() -> None:
    alone = LocalLayout("s", "/home/dan/.local/share/carrel", "/run/user/1000/carrel", "dan", "dan")
    assert (alone.home, alone.scratch) == (alone.root, f"{alone.root}/images")
    assert alone.store == f"{alone.root}/containers"


class Divided:
    """Local mode of root in a directory that everybody can enter, with the account `nobody`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.layout = LocalLayout("site", f"{folder}/lib", f"{folder}/run", "nobody", "root")
        self.podman = FakePodman()
        self.local = Local(
            self.layout,
            lambda image: self.podman.references.add(image.reference),
            supervisor=FakeSupervisor(self.layout.supervisor_programs),
            podman=self.podman,
        )
        self.password = folder / "password"
        self.password.write_text("open sesame\n")

    def converge(self) -> int:
        site = Site(
            "code.localhost", f"{self.folder}/data", (User("dan", SecretFile(str(self.password))),)
        )
        prints = {SecretFile(str(self.password)): "1"}
        around = render.LocalSurroundings(
            self.layout, V1, IMAGE, f"{self.folder}/ca.crt", prints, "python"
        )
        wanted = State.of(
            replace(r, check=()) if isinstance(r, Service) else r
            for r in render.state(site, around)
        )
        with self.local.locked():
            now = self.local.observe()
            plan = diff(now, keep(wanted, now))
            self.local.apply(plan, lambda _: None)
        return len(plan.steps)


@pytest.fixture
def divided(monkeypatch: pytest.MonkeyPatch) -> Iterator[Divided]:
    monkeypatch.setattr(accounts, "subordinate_ids", lambda _: 65536)
    folder = Path(tempfile.mkdtemp(prefix="carrel-trust-"))
    folder.chmod(0o755)
    umask = os.umask(0o022)
    yield Divided(folder)
    os.umask(umask)
    shutil.rmtree(folder)


@as_root
def test_the_account_can_replace_nothing_that_root_goes_by(divided: Divided) -> None:
    divided.converge()
    home = Path(divided.layout.home)
    assert nobody(lambda: (home / "mine").write_text("")) == "", "it has nothing of its own"
    for path, part in ways(divided.layout):
        if Path(part).exists():
            moved = partial(os.rename, part, f"{part}.old")
            assert nobody(moved) == "PermissionError", part
        assert files.foreign(path) is None


@as_root
def test_twice_changes_nothing(divided: Divided) -> None:
    assert divided.converge() > 10
    assert divided.converge() == 0


def ways(layout: LocalLayout) -> list[tuple[str, str]]:
    """Each path that root goes by, with each part of it that could be somebody else's."""
    tops = (layout.root, layout.runtime)
    return [
        (path, part)
        for path in layout.obeyed
        for part in (path, *above(path))
        if any(part.startswith(f"{top}/") for top in tops)
    ]


@as_root
@pytest.mark.parametrize("damage", ["owner", "mode", "link"])
def test_what_somebody_else_could_have_made_is_refused_and_stays(
    divided: Divided, damage: str
) -> None:
    divided.converge()
    for made in (divided.layout.steps, divided.layout.applied, divided.layout.log_of_changes):
        files.write(made, "", Identity.ours(), 0o600)
    secret_key(divided.layout.secret_key, Identity.ours())
    files.write(divided.layout.supervisor_socket, "", Identity.ours(), 0o600)
    account = Identity.of("nobody")
    for path, part in ways(divided.layout):
        place = Path(part)
        before = place.stat()
        if damage == "owner":
            os.chown(part, account.uid, account.gid)
        elif damage == "mode":
            place.chmod(before.st_mode | 0o002)
        else:
            place.rename(f"{part}.moved")
            place.symlink_to(f"{part}.moved")
        with pytest.raises(Refused, match="not used") as caught:
            files.own_text(path)
        assert part in caught.value.why
        with pytest.raises(Refused), divided.local.locked():
            pass
        if damage == "link":
            place.unlink()
            Path(f"{part}.moved").rename(part)
        os.chown(part, before.st_uid, before.st_gid)
        place.chmod(before.st_mode)
    assert divided.converge() == 0


@as_root
def test_a_directory_of_an_earlier_carrel_is_taken_over_with_what_is_roots_in_it(
    divided: Divided,
) -> None:
    divided.converge()
    account = Identity.of("nobody")
    layout = divided.layout
    for path in (layout.root, layout.images, layout.tls, layout.secrets):
        files.make_directory(path, account, 0o755)
    authority = Path(f"{layout.tls}/authority.crt")
    for part in Path(layout.tls).iterdir():
        os.chown(part, account.uid, account.gid)
    before = authority.read_text()
    with pytest.raises(Refused, match="not used") as caught:
        divided.local.recorded()
    assert "`carrel up` takes it over" in caught.value.fix
    divided.converge()
    assert divided.converge() == 0
    assert Path(layout.root).stat().st_uid == 0
    assert Path(f"{layout.tls}/authority.key").stat().st_uid == 0
    assert authority.read_text() != before, "the account knows the old authority's key"


@as_root
def test_a_journal_that_the_account_wrote_deletes_nothing(divided: Divided) -> None:
    layout, account = divided.layout, Identity.of("nobody")
    victim = divided.folder / "victim"
    victim.mkdir()
    files.make_directory(layout.root, account, 0o755)
    files.make_directory(layout.state, Identity.ours(), 0o755)
    forged = [{"kind": "Directory", "path": str(victim), "owner": "root", "mode": 0o755,
               "holds": "made by Carrel, can be made again", "skeleton": []}]  # fmt: skip

    def attack() -> None:
        os.rename(layout.sites, f"{layout.root}/old")
        os.makedirs(layout.state)
        Path(layout.journal).write_text(json.dumps(forged))

    assert nobody(attack) == ""
    with pytest.raises(Refused, match="not used"):
        divided.converge()
    assert victim.exists()
    # Now that the directory is root's, the account cannot do it again.
    shutil.rmtree(layout.sites)
    divided.converge()
    assert nobody(attack) == "PermissionError"


@as_root
def test_a_record_of_an_image_that_the_account_wrote_does_not_count(divided: Divided) -> None:
    divided.converge()
    workshop = Workshop.of(divided.layout)
    files.make_directory(workshop.directory, Identity.ours(), 0o755)
    builder = Builder(divided.podman, workshop, lambda _: None)
    record = Path(f"{workshop.directory}/0123456789ab.json")
    record.write_text(json.dumps({"reference": IMAGE.reference, "size": 1, "manifest": {}}))
    assert [built.size for built in builder.built()] == [1]
    os.chown(record, Identity.of("nobody").uid, -1)
    assert list(builder.built()) == []


class AccountsPodman(FakePodman):
    """Has one image, with an editor, and copies files out of it as the account: root is not asked."""

    def copy_out(self, image: str, inside: str, target: str) -> None:
        assert (image, inside) == (IMAGE.reference, ARCHIVE)
        content = editors.archive(editors.of(editors.NEW)).getvalue()
        assert nobody(lambda: Path(target).write_bytes(content)) == "", f"it cannot write {target}"


@as_root
def test_what_the_accounts_podman_copies_out_is_written_where_it_may_and_served_as_roots(
    divided: Divided,
) -> None:
    divided.converge()
    podman, workshop = AccountsPodman(), Workshop.of(divided.layout)
    podman.references.add(IMAGE.reference)
    served = EditorFiles(divided.layout.editor_files, Identity.ours())
    builder = Builder(podman, workshop, lambda _: None, served)
    files.make_directory(workshop.directory, Identity.ours(), 0o755)
    known = Built(IMAGE.reference, 1, {"editor": editors.NEW})
    Path(f"{workshop.directory}/0123456789ab.json").write_text(json.dumps(asdict(known)))
    builder.build(IMAGE)
    assert served.versions() == {editors.NEW}
    made = [path for path in Path(divided.layout.editor_files).rglob("*") if path.is_file()]
    assert made
    assert all(files.foreign(str(path)) is None for path in made)
    assert nobody(made[0].read_bytes) == ""
    assert list(Path(workshop.scratch).iterdir()) == []


@as_root
def test_root_ends_no_process_but_the_accounts(divided: Divided) -> None:
    divided.converge()
    config = divided.layout.nginx_config
    for account, found in (("root", False), ("nobody", True)):
        command, uid = ["tail", "-f", "/dev/null", config], Identity.of(account).uid
        with subprocess.Popen(command, user=uid, stdout=subprocess.DEVNULL) as process:
            Path(f"{divided.layout.nginx}/nginx.pid").write_text(f"{process.pid}\n")
            stray = [*divided.local._stray_nginx()]
            process.kill()
        assert stray == ([process.pid] if found else [])


def test_a_pipe_in_place_of_a_file_makes_nobody_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "file")
    with pytest.raises(ToolFailed, match="cannot be read"):
        files.text(str(tmp_path / "file"))


@as_root
def test_the_journal_and_the_key_are_read_by_nobody_but_their_owner(divided: Divided) -> None:
    divided.converge()
    layout = divided.layout
    journal = Journal(layout.journal, layout.steps, "root")
    assert journal.state.resources
    os.chown(layout.journal, Identity.of("nobody").uid, -1)
    with pytest.raises(Refused, match=r"state\.json"):
        _ = journal.state
    files.write(layout.secret_key, "00" * 32, Identity.of("nobody"), 0o600)
    with pytest.raises(Refused, match="key"):
        secret_key(layout.secret_key, Identity.ours())


def test_whoever_is_not_root_goes_by_what_they_find(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert files.foreign(str(shared / "file")) is None
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert files.foreign(str(shared / "file")) == str(shared)


@pytest.mark.parametrize("linked", ["libpod", "libpod/tmp"])
def test_a_link_in_podmans_own_directory_leads_root_nowhere(tmp_path: Path, linked: str) -> None:
    elsewhere, runtime = tmp_path / "elsewhere", tmp_path / "runtime"
    for place in (elsewhere, elsewhere / "tmp"):
        place.mkdir()
        (place / "pause.pid").write_text("")
    (runtime / linked).parent.mkdir(parents=True)
    (runtime / linked).symlink_to(elsewhere)
    with pytest.raises(ToolFailed, match="cannot be used"):
        podman_runtime.revive(str(runtime))
    assert len(list(elsewhere.rglob("pause.pid"))) == 2


def test_what_podman_remembered_goes_and_what_its_links_point_to_stays(tmp_path: Path) -> None:
    kept, runtime = tmp_path / "kept", tmp_path / "runtime"
    (kept / "deep").mkdir(parents=True)
    (runtime / "libpod/tmp/exits").mkdir(parents=True)
    (runtime / "libpod/tmp/pause.pid").write_text(str(2**22 + 1))
    (runtime / "link").symlink_to(kept)
    (runtime / "libpod/link").symlink_to(kept)
    os.mkfifo(runtime / "pipe")
    assert podman_runtime.revive(str(runtime))
    assert list(runtime.iterdir()) == []
    assert (kept / "deep").is_dir()
