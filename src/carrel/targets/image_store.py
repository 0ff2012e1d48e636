"""The images of a server: one unpacked root file system per version, and which of them is in use.

    DIGEST/rootfs/        what containers see; owned by the container's ids, mounted with a map
    DIGEST/environment    the image's variables, for podman's --env-file
    DIGEST/image.json     the record; written last, so a directory without it is not an image
    selected, previous    the digest in use, and the one to go back to

Used by the host backend and by `carrel image`. Fills a directory from a podman store.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from carrel.adapters import archive, files
from carrel.adapters.podman import Podman
from carrel.adapters.process import Identity
from carrel.core import names
from carrel.errors import ConfigError, Refused
from carrel.targets import editor_files
from carrel.targets.editor_files import EditorFiles
from carrel.targets.images import Built

RECORD = "image.json"

MOUNT_POINTS = ("/dev", "/proc", "/sys", "/run", "/tmp", "/var/tmp", names.RUN, names.AGENT_CONFIG)  # noqa: S108
MOUNTED_FILES = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", names.CA_BUNDLE)


class ImageStore:
    """The directory with the images. Only root writes there."""

    def __init__(self, directory: str, editor_files: EditorFiles) -> None:
        self.directory = directory
        self._editor_files = editor_files

    def path(self, digest: str) -> str:
        """Where the image with this digest is, or would be."""
        return f"{self.directory}/{digest}"

    def get(self, digest: str) -> Built | None:
        """The record of an image, or None if it is not here or not whole."""
        text = files.text(f"{self.path(digest)}/{RECORD}") if digest else None
        return Built(**json.loads(text)) if text else None

    def all(self) -> Iterator[Built]:
        """All whole images, the newest first."""
        records = Path(self.directory).glob(f"*/{RECORD}")
        for path in sorted(records, key=lambda p: -p.stat().st_mtime):
            built = self.get(path.parent.name)
            if built is not None:
                yield built

    @property
    def selected(self) -> str:
        """The digest of the image in use; empty before the first."""
        return (files.text(f"{self.directory}/selected") or "").strip()

    @property
    def previous(self) -> str:
        """The digest that was in use before; empty if there is none, or it is gone."""
        digest = (files.text(f"{self.directory}/previous") or "").strip()
        return digest if self.get(digest) else ""

    def select(self, digest: str) -> None:
        """Say which image is in use; the one so far becomes the previous one."""
        self._serve(digest)
        before = self.selected
        if before == digest:
            return
        if before:
            self._write("previous", before)
        self._write("selected", digest)
        self._serve_no_other()

    def restore(self, selected: str, previous: str) -> None:
        """Undo `select`: both as they were."""
        self._serve(selected)
        self._write("selected", selected)
        self._write("previous", previous)
        self._serve_no_other()

    def _serve(self, digest: str) -> None:
        """Give nginx the files of the image's editor; only one in use is trusted with that."""
        version = self._editor(digest)
        if version:
            archive = files.opened(f"{self.path(digest)}/rootfs{editor_files.ARCHIVE}")
            if archive is not None:
                with archive:
                    self._editor_files.unpack(version, archive)

    def _serve_no_other(self) -> None:
        # Workspaces run the one in use, or, while they are switched, the one before.
        self._editor_files.keep((self._editor(self.selected), self._editor(self.previous)))

    def _editor(self, digest: str) -> str:
        built = self.get(digest)
        return built.editor if built else ""

    def find(self, name: str) -> Built:
        """The image that `name` (a digest or its beginning) means; ConfigError if not just one."""
        fits = [built for built in self.all() if digest_of(built.reference).startswith(name)]
        if len(fits) != 1:
            known = ", ".join(digest_of(built.reference) for built in self.all()) or "none yet"
            problem = "There is no image" if not fits else "More than one image begins with"
            raise ConfigError(
                f"{problem} {name}. Nothing was changed.", fix=f"images here: {known}"
            )
        return fits[0]

    def add(self, podman: Podman, built: Built) -> None:
        """Unpack an image of a podman store; does nothing if it is here already."""
        digest = digest_of(built.reference)
        if self.get(digest) is not None:
            return
        place, mine = self.path(digest), Identity.ours()
        files.remove_tree(place)
        files.make_directory(place, mine, 0o755)
        files.make_directory(f"{place}/rootfs", mine, 0o755)
        archive.unpack_image(podman, built.reference, f"{place}/rootfs")
        self._complete(f"{place}/rootfs")
        variables = podman.image_environment(built.reference)
        files.write(f"{place}/environment", "".join(f"{v}\n" for v in variables), mine, 0o644)
        built = replace(built, manifest={**_manifest(f"{place}/rootfs"), **built.manifest})
        files.write(f"{place}/{RECORD}", json.dumps(asdict(built)), mine, 0o644)

    def _complete(self, root: str) -> None:
        """Add what podman would add if it could write there."""
        mine = Identity.ours()
        for point in MOUNT_POINTS:
            files.make_directory_once(f"{root}{point}", mine, 0o755)
        for point in MOUNTED_FILES:
            if files.look(f"{root}{point}") is None:
                files.write(f"{root}{point}", "", mine, 0o644)
        files.make_link(f"{root}/etc/mtab", "/proc/mounts")

    def remove(self, digest: str) -> None:
        """Remove an image; `Refused` for the one in use."""
        if digest == self.selected:
            raise Refused(f"The image {digest} is in use. Nothing was changed.")
        self.discard(digest)

    def discard(self, digest: str) -> None:
        """Remove an image even if it was in use: nothing runs any more."""
        if digest == self.selected:
            files.remove_file(f"{self.directory}/selected")
        # Without its record it is no image, should this be interrupted.
        files.remove_file(f"{self.path(digest)}/{RECORD}")
        files.remove_tree(self.path(digest))

    def leftovers(self) -> list[str]:
        """Directories that are no whole image: what an interruption left."""
        found = (path for path in Path(self.directory).glob("*/") if path.is_dir())
        return [path.name for path in found if not (path / RECORD).is_file()]

    def _write(self, name: str, digest: str) -> None:
        files.write(f"{self.directory}/{name}", f"{digest}\n", Identity.ours(), 0o644)


def digest_of(reference: str) -> str:
    """The digest in an image's reference, which is its tag."""
    return reference.rpartition(":")[2]


def _manifest(root: str) -> dict[str, Any]:
    """What the image says that is in it; nothing if it is not one of Carrel's."""
    try:
        found = json.loads(files.text(f"{root}{names.MANIFEST}") or "{}")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
