"""A State in a directory of plain files: golden tests, `carrel render`, reviews. Runs nothing.

`state.json` lists every resource; the text of each File is below `files/`, at its own path.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from carrel.adapters import files
from carrel.adapters.process import Identity
from carrel.core.plan import Change, Create, Plan, Remove
from carrel.core.resources import File, State
from carrel.errors import ConfigError
from carrel.targets import record
from carrel.targets.protocol import Told


class Tree:
    """A backend that is a directory."""

    def __init__(self, directory: Path) -> None:
        self._root = str(directory.resolve())
        self._owner = Identity.ours()

    def observe(self) -> State:
        """The State written here; empty for a directory that is new."""
        path = f"{self._root}/state.json"
        try:
            listed = record.load(files.text(path) or "[]")
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise ConfigError(
                f"{path} was not written by `carrel render`. Nothing was changed.",
                why=str(error),
                fix="name another directory",
            ) from error
        return State.of(
            replace(r, content=files.text(self._place(r)) or "") if isinstance(r, File) else r
            for r in listed
        )

    def apply(self, plan: Plan, told: Told) -> None:
        """Write the State that results from `plan`."""
        after = plan.applied_to(self.observe())
        files.make_directory(self._root, self._owner, 0o755)
        for step in plan.steps:
            told(step)
            match step:
                case Create(File() as file) | Change(_, File() as file):
                    place = self._place(file)
                    files.make_directory(str(Path(place).parent), self._owner, 0o755)
                    files.write(place, file.content, self._owner, 0o644)
                case Remove(File() as file):
                    files.remove_file(self._place(file))
                case Create() | Change() | Remove():
                    pass
        listed = State.of(replace(r, content="") if isinstance(r, File) else r for r in after)
        files.write(f"{self._root}/state.json", record.dump(listed), self._owner, 0o644)

    def _place(self, file: File) -> str:
        return f"{self._root}/files{file.path}"
