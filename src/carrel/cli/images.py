"""`carrel image`: the image that every workspace runs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from carrel.cli import console
from carrel.cli.options import config_option, json_option
from carrel.core.site import GIB
from carrel.operations import images
from carrel.operations.site import Opened, server, target_at
from carrel.targets.images import Built


@click.group()
def image() -> None:
    """Build and list workspace images."""


@image.command()
@config_option
@click.option("--retry", is_flag=True, help="Build again if an extension could not be fetched.")
@click.option("--fresh", is_flag=True, help="Build from a new base, without any cache.")
def build(file: Path, *, retry: bool, fresh: bool) -> None:
    """Build the image that the configuration asks for, step by step."""
    story = console.Story()
    opened = Opened.at(file, story.say)
    built = opened.target.images.build(opened.site, story.step, retry=retry, fresh=fresh)
    _describe(built)


@image.command()
@config_option
@click.argument("archive", type=click.Path(path_type=Path))
def load(file: Path, archive: Path) -> None:
    """Keep the image that `podman save` wrote to ARCHIVE; `carrel image use` switches to it."""
    story = console.Story()
    _describe(images.load(target_at(file, story.say), archive, story.step))


@image.command()
@config_option
@click.argument("digest")
def use(file: Path, digest: str) -> None:
    """Switch all workspaces to the image DIGEST, one by one; goes back by itself if one fails."""
    story = console.Story()
    where = target_at(file, story.say)
    built = server(where).find(digest)
    images.use(where, built, story.step)
    console.note(f"Every workspace runs {built.reference}.")


@image.command()
@config_option
def rollback(file: Path) -> None:
    """Switch all workspaces back to the image before this one."""
    story = console.Story()
    built = images.rollback(target_at(file, story.say), story.step)
    console.note(f"Every workspace runs {built.reference} again.")


@image.command("list")
@config_option
@json_option
def list_(file: Path, *, as_json: bool) -> None:
    """List the images with what is in them."""
    opened = Opened.to_read(file, console.note)
    found = opened.target.images.all()
    if as_json:
        console.result_json([asdict(built) for built in found])
        return
    used = opened.image.reference
    console.table(
        ["IMAGE", "SIZE", "CODE-SERVER", "OPENCODE", "MISSING EXTENSIONS", ""],
        [
            (
                built.reference,
                f"{built.size / GIB:.2f} GB",
                str(built.manifest.get("code_server", "")),
                str(built.manifest.get("opencode", "")),
                ", ".join(built.missing_extensions) or "none",
                "in use" if built.reference == used else "",
            )
            for built in found
        ],
    )


@image.command()
@config_option
def prune(file: Path) -> None:
    """Remove images that no workspace needs, with the caches of their builds."""
    freed = target_at(file, console.note).images.prune()
    console.note(f"Removed {freed} images." if freed else "There was nothing to remove.")


def _describe(built: Built) -> None:
    console.result(f"{built.reference}  {built.size / GIB:.2f} GB unpacked")
    if built.missing_extensions:
        console.warning(
            f"not in the image, because Open VSX could not be reached: "
            f"{', '.join(built.missing_extensions)}. `carrel image build --retry` tries again; a path "
            "of a .vsix file in image.extensions always works."
        )
