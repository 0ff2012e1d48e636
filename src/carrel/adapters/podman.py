"""podman, run as one account with an environment of our own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from carrel.adapters import podman_runtime, process
from carrel.adapters.process import Result, World
from carrel.errors import ToolFailed

COMPLAINT = re.compile(r"^Error|level=(error|fatal)", re.MULTILINE)
"""How podman begins to say that it could not do what it was asked."""


class Podman:
    """Podman in one World: one account, one store.

    After a crash that left podman's runtime directory behind, it is revived by the first command.
    """

    def __init__(self, world: World) -> None:
        self.world = world

    def told(self, variables: Iterable[tuple[str, str]]) -> Podman:
        """The same with more environment, for what goes out."""
        return Podman(
            replace(self.world, environment={**self.world.environment, **dict(variables)})
        )

    def cli(
        self,
        *arguments: str,
        statuses: tuple[int, ...] | None = (0,),
        seconds: float = 120,
        given: str = "",
    ) -> Result:
        """Run podman to the end."""
        command = ("podman", *arguments)

        def attempt() -> Result:
            return process.run(command, self.world, statuses=None, seconds=seconds, given=given)

        result = attempt()
        if _lost(result) and podman_runtime.revive(self._runtime):
            result = attempt()
        if _lost(result):
            # Its exit status is the one of "no" for some questions.
            statuses = (0,)
        return result if statuses is None else process.accepted(command, result, statuses)

    @property
    def _runtime(self) -> str:
        return self.world.environment["XDG_RUNTIME_DIR"]

    def _long(self, *arguments: str) -> tuple[str, ...]:
        """The command line of what cannot be tried twice, with podman awake."""
        self.cli("info", "--format={{.Host.Arch}}")
        return ("podman", *arguments)

    def info(self) -> dict[str, Any]:
        """What podman knows of its host: versions, cgroups, store."""
        found: dict[str, Any] = json.loads(self.cli("info", "--format=json").output)
        return found

    def image_exists(self, reference: str) -> bool:
        """Whether the store holds the image; ToolFailed when podman cannot tell."""
        question = ("image", "exists", reference)
        result = self.cli(*question, statuses=(0, 1))
        if _complains(result):
            # The first command after a restart also tells what it found of containers.
            result = self.cli(*question, statuses=(0, 1))
        # Podman ends with 1 also when it could not look.
        statuses = (0,) if _complains(result) else (0, 1)
        process.accepted(("podman", *question), result, statuses)
        return result.status == 0

    def images(self, name: str) -> list[dict[str, Any]]:
        """The tagged images called `name`, newest first."""
        found: list[dict[str, Any]] = json.loads(
            self.cli("image", "list", "--format=json", name).output or "[]"
        )
        return found

    def pull(self, reference: str, seconds: float) -> bool:
        """Fetch an image; False when no registry gives it."""
        try:
            result = self.cli(
                "pull", "--quiet", "--retry=0", reference, statuses=None, seconds=seconds
            )
            if "unknown flag" in result.errors:
                result = self.cli("pull", "--quiet", reference, statuses=None, seconds=seconds)
        except ToolFailed:
            return False
        return result.status == 0

    def import_archive(self, archive: str, reference: str) -> None:
        """Make an image of a root file system's tar archive."""
        self.cli("import", "--quiet", archive, reference, seconds=600)

    def build(self, arguments: Sequence[str], line: Callable[[str], None]) -> None:
        """Build an image; every line that podman says goes to `line`."""
        process.follow(self._long("build", *arguments), self.world, line)

    def image_size(self, reference: str) -> int:
        """Bytes of an image, unpacked."""
        return int(self.cli("image", "inspect", "--format={{.Size}}", reference).output)

    def image_environment(self, reference: str) -> list[str]:
        """The variables that an image sets, as NAME=value."""
        found: list[str] = json.loads(
            self.cli("image", "inspect", "--format={{json .Config.Env}}", reference).output
        )
        return found

    def load(self, archive: str) -> str:
        """Load an archive that `podman save` or `docker save` made; the image's id.

        We read it: podman's account may not be able to.
        """
        ours = replace(self.world, identity=None)
        load = self._long("load", "--quiet")
        said = process.pipe(("cat", "--", archive), ours, load, self.world, seconds=1800)
        name = said.strip().splitlines()[-1].rpartition("Loaded image: ")[2]
        return self.cli("image", "inspect", "--format={{.Id}}", name).output.strip()

    def tag(self, image: str, reference: str) -> None:
        """Give an image a name."""
        self.cli("tag", image, reference)

    def discard(self, reference: str) -> None:
        """Remove an image under all its names."""
        self.cli("image", "rm", "--force", reference, seconds=600)

    def run_once(
        self, image: str, *command: str, options: Sequence[str] = (), seconds: float = 120
    ) -> str:
        """The output of a command in a throw-away container without network."""
        return self.cli(
            "run", "--rm", "--network=none", "--log-driver=none", "--cap-drop=all",
            "--security-opt=no-new-privileges", "--pull=never", "--entrypoint=", *options,
            image, *command,
            seconds=seconds,
        ).output  # fmt: skip

    def copy_out(self, image: str, inside: str, target: str) -> None:
        """Copy a file of an image, whose links lead nowhere but into the image, to `target`."""
        container = self.cli("create", "--pull=never", image).output.strip()
        try:
            self.cli("cp", f"{container}:{inside}", target)
        finally:
            self.cli("rm", "--force", container)

    def execute(self, container: str, command: Sequence[str], *, terminal: bool) -> int:
        """Run a command in a running container with our own standard streams; its exit status."""
        options = ("--interactive", "--tty") if terminal else ("--interactive",)
        return process.hand_over(("podman", "exec", *options, container, *command), self.world)

    def running(self, container: str) -> bool:
        """Whether the container runs; ToolFailed when podman cannot tell."""
        name = f"--filter=name=^{re.escape(container)}$"
        return bool(self.cli("ps", "--quiet", name, "--filter=status=running").output.strip())

    def remove_labelled(self, label: str) -> None:
        """Remove all containers with a label, running or not."""
        names = self.cli("ps", "--all", "--quiet", f"--filter=label={label}").output.split()
        if names:
            self.cli("rm", "--force", "--time=5", "--ignore", *names)

    def containers(self) -> int:
        """How many containers the account has, of any site."""
        return len(self.cli("ps", "--all", "--quiet").output.split())

    def untag(self, reference: str) -> None:
        """Remove an image that nothing uses."""
        self.cli("image", "rm", reference)

    def prune_images(self) -> int:
        """Remove images that no container uses, intermediate ones too; how many went."""
        pruned = self.cli("image", "prune", "--all", "--force", seconds=600)
        return len(pruned.output.split())

    def empty(self, path: str) -> None:
        """Remove what is in a directory as the container's root, who owns what programs made."""
        self.cli("unshare", "find", path, "-xdev", "-mindepth", "1", "-delete", seconds=600)

    def rest(self) -> None:
        """End the process that podman keeps between commands, with the mounts it holds."""
        self.cli("system", "migrate", statuses=None)


def _lost(result: Result) -> bool:
    return result.status != 0 and podman_runtime.lost(result.errors)


def _complains(result: Result) -> bool:
    return result.status != 0 and COMPLAINT.search(result.errors) is not None
