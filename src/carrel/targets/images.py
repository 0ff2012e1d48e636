"""Builds the workspace image in a podman store, and keeps a record of each image beside it.

Used by the local backend and by `carrel image`. What goes into an image is decided in
images/workspace; here it is only fed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from carrel.adapters import bootstrap, files, space
from carrel.adapters.podman import Podman
from carrel.adapters.process import Identity
from carrel.core.editor_files import is_version
from carrel.core.layout import LocalLayout
from carrel.core.names import CODER_UID, MANIFEST, image_reference
from carrel.core.resources import Image
from carrel.core.site import GIB, ImageRecipe, Network
from carrel.errors import ConfigError, DiskFull, Missing
from carrel.targets import editor_files, facts
from carrel.targets.editor_files import EditorFiles

PUBLISHED_BASE = "docker.io/library/debian:trixie-slim"
PULLED = "localhost/carrel/base-pulled:trixie"
BOOTSTRAPPED = "localhost/carrel/base-bootstrapped:trixie"
PULL_SECONDS = 120
ROOM = 6 * GIB
"""The store holds the layers, the flattened image, and its copy for the account's ids."""

STEP = re.compile(r"(?:\[\d+/\d+\] )?STEP (\d+/\d+): (.*)")
DIRECT = Network()

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Built:
    """What is known of an image: its size unpacked, in bytes, and what is in it."""

    reference: str
    size: int
    manifest: dict[str, Any]

    @staticmethod
    def of(record: str | None) -> Built | None:
        """What a record says; None if there is none, or it was damaged: then the image is made anew."""
        try:
            return Built(**json.loads(record or ""))
        except (ValueError, TypeError):
            return None

    @property
    def editor(self) -> str:
        """Which build of the editor is in it; empty if it does not say, or has no files for nginx."""
        version = self.manifest.get("editor")
        return version if is_version(version) else ""

    @property
    def missing_extensions(self) -> tuple[str, ...]:
        """Extensions that were asked for and could not be fetched."""
        return tuple(self.manifest.get("missing_extensions", ()))


def context() -> Path:
    """The directory with the Containerfile: beside the sources, or inside the installed package."""
    here = Path(__file__).resolve()
    for place in (here.parents[3] / "images/workspace", here.parents[1] / "_workspace_image"):
        if (place / "Containerfile").is_file():
            return place
    raise Missing("Carrel's own image sources are not installed.", fix="install Carrel again")


def image(recipe: ImageRecipe, out: Network = DIRECT) -> Image:
    """The image of `recipe`; its tag changes with anything that goes into it.

    `out`: what the build goes by to fetch things.
    """
    digest = hashlib.sha256()
    for path in _files(context()):
        digest.update(str(path.relative_to(context())).encode() + b"\0" + path.read_bytes() + b"\0")
    for item in recipe.extensions:
        digest.update(Path(item).read_bytes() if item.endswith(".vsix") else item.encode())
    digest.update(repr((recipe.base, recipe.all_packages, recipe.extensions)).encode())
    reference = image_reference(digest.hexdigest())
    return Image(reference, recipe.base, recipe.all_packages, recipe.extensions, out)


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where images are built: `directory` holds the records, and is `owner`'s who goes by them.

    `scratch` is for the account that builds: what it writes there, only its own programs read.
    """

    directory: str
    owner: Identity
    scratch: str

    @staticmethod
    def of(layout: LocalLayout) -> Workshop:
        """That of the account of a layout."""
        return Workshop(layout.images, Identity.of(layout.owner), layout.scratch)


class Builder:
    """Builds into the store of one account."""

    def __init__(
        self,
        podman: Podman,
        workshop: Workshop,
        say: Say,
        editor_files: EditorFiles | None = None,
    ) -> None:
        """`editor_files`: where nginx gets the files of the images' editors from, if from this store."""
        self._podman = podman
        self._directory = workshop.directory
        self._owner = workshop.owner
        self._scratch = workshop.scratch
        self._say = say
        self._editor_files = editor_files

    def build(self, wanted: Image, *, fresh: bool = False, again: bool = False) -> Built:
        """Make sure `wanted` is in the store.

        `again`: build although it is there, so that extensions that could not be fetched get
        another chance. `fresh`: from a new base, without any cache.
        """
        with self._alone():
            if not again and not fresh and self._podman.image_exists(wanted.reference):
                built = self._recorded(wanted.reference) or self._record(wanted.reference)
            else:
                built = self._build(wanted, fresh=fresh, again=again)
            self._serve(built)
            return built

    def _serve(self, built: Built) -> None:
        """Give nginx the files of the image's editor, if it has not got them."""
        here = self._editor_files
        if here is None or not built.editor or built.editor in here.versions():
            return
        taken = f"{self._scratch}/editor.tar"
        try:
            self._podman.copy_out(built.reference, editor_files.ARCHIVE, taken)
            archive = files.opened(taken)
            if archive is not None:
                with archive:
                    here.unpack(built.editor, archive)
        finally:
            files.remove_file(taken)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        files.make_directory(self._directory, self._owner, 0o755)
        with files.locked(f"{self._directory}/.lock", self._waiting):
            yield

    def _waiting(self) -> None:
        self._say("another site is building an image; waiting for it")

    def _build(self, wanted: Image, *, fresh: bool, again: bool) -> Built:
        self._check_room()
        place, trust = f"{self._directory}/context", f"{self._directory}/authorities.crt"
        files.write(trust, facts.build_authorities(wanted.network), self._owner, 0o644)
        podman = self._podman.told(facts.way_out(wanted.network, trust))
        base = self._base(podman, wanted.base, fresh=fresh)
        files.remove_tree(place)
        try:
            self._fill(place, wanted)
            podman.build(
                self._arguments(wanted, base, place, trust, fresh=fresh, again=again), self._tell
            )
        finally:
            files.remove_tree(place)
        self._say("preparing the image for this account")
        return self._record(wanted.reference)

    def built(self) -> Iterator[Built]:
        """The images that are recorded and still in the store, the newest first."""
        for path in sorted(Path(self._directory).glob("*.json"), key=_age):
            known = self._read(str(path))
            if known is not None and self._podman.image_exists(known.reference):
                yield known

    def prune(self) -> int:
        """Remove unused images and build caches; how many went."""
        with self._alone():
            gone = self._podman.prune_images()
            if self._editor_files is not None:
                self._editor_files.keep({built.editor for built in self.built()})
            return gone

    def _recorded(self, reference: str) -> Built | None:
        return self._read(self._place(reference))

    def _read(self, path: str) -> Built | None:
        # One that the account could have made up is none: another is written.
        return None if files.foreign(path) else Built.of(files.text(path))

    def _record(self, reference: str) -> Built:
        # The first container with these ids makes podman copy the image once: now, not at the
        # first visit of a person.
        ids = f"--userns=keep-id:uid={CODER_UID},gid={CODER_UID}"
        text = self._podman.run_once(reference, "cat", MANIFEST, options=(ids,), seconds=600)
        known = Built(reference, self._podman.image_size(reference), json.loads(text))
        files.write(self._place(reference), json.dumps(asdict(known)), self._owner, 0o644)
        return known

    def _place(self, reference: str) -> str:
        return f"{self._directory}/{reference.rpartition(':')[2]}.json"

    def _check_room(self) -> None:
        room = space.FreeSpace.around(self._directory)
        if room.free < ROOM:
            raise DiskFull(
                f"The disk at {room.mounted} ({room.source}) is too full to build the image in "
                f"{self._directory}. Nothing was changed.",
                why=f"that needs {ROOM / GIB:.0f} GB; {room.free / GIB:.1f} GB are free",
                fix="free some space there, then run the same command again",
            )

    def _base(self, podman: Podman, base: str, *, fresh: bool) -> str:
        match base:
            case "debian":
                return self._bootstrapped(podman, fresh=fresh)
            case "auto":
                if not fresh and podman.image_exists(BOOTSTRAPPED):
                    return BOOTSTRAPPED
                self._say("looking for a Debian base in a container registry")
                if podman.pull(PUBLISHED_BASE, PULL_SECONDS):
                    return PUBLISHED_BASE
                self._say("no registry answers: making the base from this machine's apt sources")
                return self._bootstrapped(podman, fresh=fresh)
            case _:
                if podman.image_exists(base) or podman.pull(base, 15 * 60):
                    return base
                raise ConfigError(
                    f"The base image {base} is not here and cannot be pulled. Nothing was changed.",
                    why="no container registry gives it",
                    fix='check the name in image.base, or set it to "auto"',
                )

    def _bootstrapped(self, podman: Podman, *, fresh: bool) -> str:
        if fresh or not podman.image_exists(BOOTSTRAPPED):
            archive = f"{self._scratch}/base.tar"
            try:
                self._say("making a minimal Debian with mmdebstrap")
                bootstrap.root_file_system(archive, podman.world, self._quiet)
                podman.import_archive(archive, BOOTSTRAPPED)
            finally:
                files.remove_file(archive)
        return BOOTSTRAPPED

    def _fill(self, place: str, wanted: Image) -> None:
        files.copy_tree(context(), place, self._owner)
        files.make_directory(f"{place}/vsix", self._owner, 0o755)
        files.write(f"{place}/vsix/.keep", "", self._owner, 0o644)
        for item in wanted.extensions:
            if item.endswith(".vsix"):
                files.copy_file(Path(item), f"{place}/vsix/{Path(item).name}", self._owner)

    def _arguments(
        self, wanted: Image, base: str, place: str, trust: str, *, fresh: bool, again: bool
    ) -> list[str]:
        ids = [item for item in wanted.extensions if not item.endswith(".vsix")]
        return [
            "--network=host",
            # Our settings of podman say no, for workspaces. No step keeps what it is told this way.
            "--http-proxy=true",
            f"--file={place}/Containerfile",
            f"--tag={wanted.reference}",
            # Two stages that wait for nothing of each other go on at the same time.
            "--jobs=2",
            "--force-rm",
            *(["--no-cache"] if fresh else []),
            f"--build-arg=BASE={base}",
            f"--build-arg=PACKAGES={' '.join(wanted.packages)}",
            f"--build-arg=EXTENSIONS={' '.join(ids)}",
            # A new value runs the step that fetches extensions again, and what comes after it.
            f"--build-arg=REFRESH={time.time_ns() if again else 0}",
            f"--volume={trust}:/run/carrel-build/ca.crt:ro",
            place,
        ]

    def _tell(self, line: str) -> None:
        step = STEP.match(line)
        if step:
            self._say(f"step {step[1]}: {step[2][:90]}")
        elif line.startswith("carrel:"):
            # Our own build scripts speak to the operator this way.
            self._say(line.removeprefix("carrel:").strip())

    def _quiet(self, line: str) -> None:
        pass


def _files(folder: Path) -> list[Path]:
    # What only people read must not cost anybody a build.
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".md")


def _age(path: Path) -> float:
    return -path.stat().st_mtime
