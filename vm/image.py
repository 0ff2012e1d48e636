"""The workspace image, unpacked as Carrel keeps it on a server; made outside the guest.

Used by disk: inside, on an emulated processor, building or loading it would take most of an hour.
"""

from __future__ import annotations

import sys
from pathlib import Path

from carrel.adapters import accounts, process
from carrel.adapters.process import Identity
from carrel.core.resources import Image
from carrel.core.site import ImageRecipe
from carrel.targets import facts, images
from carrel.targets.editor_files import EditorFiles
from carrel.targets.image_store import ImageStore
from carrel.targets.images import Builder
from carrel.targets.local.backend import Local
from vm import cache
from vm.cache import say

CONFIG = cache.FOLDER / "local/carrel.toml"
"""Of a site in local mode that is never started: it says for whom images are built here."""


def wanted() -> Image:
    """The image that a server with the default recipe asks for; its digest is in the reference."""
    return images.image(ImageRecipe())


def image_directory(target: Path) -> None:
    """Make `target` a directory of images with the wanted one in it, built here if need be."""
    target.mkdir(parents=True)
    image = wanted()
    layout = facts.layout(CONFIG)
    local = Local(layout, lambda _: None)
    if not accounts.exists(layout.account) or not local.podman.image_exists(image.reference):
        _build()
    owner = Identity.of(layout.account)
    builder = Builder(local.podman, f"{layout.root}/images", owner, say)
    say(f"unpacking {image.reference}")
    # Nothing is selected yet, and so nothing is served.
    store = ImageStore(str(target), EditorFiles(f"{target}.editor", Identity.ours()))
    store.add(local.podman, builder.build(image))


def _build() -> None:
    say("building the workspace image, about five minutes")
    CONFIG.parent.mkdir(parents=True, exist_ok=True)
    CONFIG.write_text('domain = "code.localhost"\n', encoding="utf-8")
    command = [sys.executable, "-m", "carrel", "image", "build", "--config", str(CONFIG)]
    process.follow(command, process.here(), lambda line: say(f"| {line}"))
