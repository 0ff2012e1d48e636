"""Whether there is room where Carrel and its users write."""

from __future__ import annotations

from collections.abc import Iterator

from carrel.core.site import GIB
from carrel.doctor.finding import Finding, ill, skipped, well
from carrel.doctor.subject import Subject

LEAST_BYTES = GIB
LEAST_FILES = 0.02


def check(subject: Subject) -> Iterator[Finding]:
    """The users' directories, and Carrel's own."""
    for what, path in (
        ("users' data", subject.site.storage),
        ("Carrel's own files", subject.opened.target.facts.layout.state),
    ):
        space = subject.look.space(path)
        if space is None:
            yield skipped(f"room for {what}", why=f"there is no {path} yet")
        elif space.bytes < LEAST_BYTES:
            yield ill(
                f"only {space.bytes / GIB:.1f} GB are free for {what} ({path})",
                why="a full disk stops editors, builds and renewals",
                fix="delete what nobody needs, `carrel image prune`, or make the disk larger",
            )
        elif space.files < LEAST_FILES:
            yield ill(
                f"{path} can hold hardly any more files, whatever their size",
                why="the file system has used up its inodes",
                fix="delete directories with many small files, such as node_modules",
            )
        else:
            yield well(f"{space.bytes / GIB:.0f} GB are free for {what}")
