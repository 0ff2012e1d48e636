"""The verbs for images: build everywhere; load, switch and go back on a server."""

from __future__ import annotations

from pathlib import Path

from carrel.core.audit import Did
from carrel.errors import CarrelError, ConfigError, NotReady
from carrel.operations import audit, converge
from carrel.operations.site import server
from carrel.targets.image_store import digest_of
from carrel.targets.images import Built
from carrel.targets.protocol import Target, Told


def use(target: Target, built: Built, told: Told) -> None:
    """Switch every workspace to an image, one after the other, each checked before the next.

    If one does not start with it, all go back to the image so far, and `NotReady` says so.
    """
    unpacked = server(target)
    digest = digest_of(built.reference)
    if target.declared is not None:
        audit.record(target, Did.IMAGE_USE, about=digest)
        target.declared.use(built)
        return
    with target.store.locked():
        before = (unpacked.selected, unpacked.previous)
        audit.record(target, Did.IMAGE_USE, about=digest)
        unpacked.select(digest)
        try:
            converge.up(target, told)
        except CarrelError as error:
            if not before[0] or before[0] == digest:
                raise
            target.say(f"the image {digest} does not work; going back to {before[0]}")
            unpacked.restore(*before)
            converge.up(target, told)
            raise NotReady(
                f"The image {digest} does not work. Every workspace is back on {before[0]}.",
                why=str(error),
                fix="look at what it says, and build the image again; nothing of the users was lost",
            ) from error


def load(target: Target, archive: Path, told: Told) -> Built:
    """Keep an image that `podman save` or `docker save` wrote beside the others."""
    server(target)
    if not archive.is_file():
        raise ConfigError(f"There is no file {archive}. Nothing was changed.")
    with target.store.locked():
        audit.record(target, Did.IMAGE_LOAD, about=archive.name)
        return target.images.load(archive, told)


def rollback(target: Target, told: Told) -> Built:
    """Switch every workspace to the image that was in use before."""
    unpacked = server(target)
    with target.store.locked():
        if not unpacked.previous:
            raise ConfigError("There is no earlier image to go back to. Nothing was changed.")
        built = unpacked.find(unpacked.previous)
        use(target, built, told)
    return built
