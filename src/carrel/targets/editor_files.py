"""The editor's own files where nginx looks for them: one directory per version of the editor.

    QUALITY-COMMIT/static/…    as the addresses say it, each file beside itself compressed

They come out of an image, in one archive that building it left there (images/workspace/build/static).
Used by whatever brings images: targets.images and targets.image_store. An image without the archive
costs nothing but speed: what nginx does not find, the editor itself answers.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

from carrel.adapters import files
from carrel.adapters.process import Identity
from carrel.core import editor_files as rules

ARCHIVE = "/opt/carrel/editor.tar"
"""In an image."""

_INCOMING = ".incoming"


class EditorFiles:
    """The directory with all of them; `owner` writes there, and everybody may read."""

    def __init__(self, directory: str, owner: Identity) -> None:
        self.directory = directory
        self._owner = owner

    def versions(self) -> frozenset[str]:
        """Those that are here."""
        found = Path(self.directory).glob("*/static")
        return frozenset(p.parent.name for p in found if rules.is_version(p.parent.name))

    def unpack(self, version: str, archive: BinaryIO) -> None:
        """Put what an archive has of a version in the place of what is here of it.

        Whoever made the image made the archive: of what is in it, only plain files with names that a
        browser may ask for come out, readable for everybody. Nothing is seen before all of it is on
        the disk, because browsers keep what they get for a year.
        """
        incoming = f"{self.directory}/{_INCOMING}"
        files.make_directory(self.directory, self._owner, 0o755)
        files.remove_tree(incoming)
        files.make_directory(incoming, self._owner, 0o755)
        try:
            if self._extract(version, archive, incoming):
                os.sync()
                files.remove_tree(f"{self.directory}/{version}")
                files.move(f"{incoming}/{version}", f"{self.directory}/{version}")
        finally:
            files.remove_tree(incoming)

    def _extract(self, version: str, archive: BinaryIO, place: str) -> bool:
        made = {place}
        try:
            with tarfile.open(fileobj=archive, mode="r:") as members:
                for member in members:
                    if not (member.isreg() and rules.belongs(member.name, version)):
                        continue
                    self._make_way(f"{place}/{member.name}".rpartition("/")[0], made)
                    content = members.extractfile(member)
                    assert content is not None  # noqa: S101 - it is a plain file
                    files.fill(f"{place}/{member.name}", content, self._owner)
        except tarfile.TarError:
            # Not one of ours: the editor of such an image serves its files itself.
            return False
        return made != {place}

    def _make_way(self, folder: str, made: set[str]) -> None:
        if folder not in made:
            self._make_way(folder.rpartition("/")[0], made)
            files.make_directory(folder, self._owner, 0o755)
            made.add(folder)

    def keep(self, versions: Collection[str]) -> None:
        """Remove all versions but these."""
        for version in self.versions() - frozenset(versions):
            files.remove_tree(f"{self.directory}/{version}")
