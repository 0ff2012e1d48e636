"""What a site's commands made, and what they are about to do: a file, and a list that only grows.

Used by the targets that change a machine. A step is named before it begins (core.intent) and again when
it is done; what was promised ("delete ada with her data") stays until it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping

from carrel.adapters import files
from carrel.adapters.process import Identity
from carrel.core.plan import Step
from carrel.core.resources import State
from carrel.errors import CarrelError
from carrel.targets import record
from carrel.targets.record import Kept

MODE = 0o600


class Journal:
    """The journal of one site: the file at `path`, what came since in `steps`, both of `owner`."""

    def __init__(self, path: str, steps: str, owner: str) -> None:
        self._path = path
        self._steps = steps
        self._owner = owner
        self._whole = False
        """Whether the list is known to end with a whole line."""

    @property
    def state(self) -> State:
        """What was made, or was about to be."""
        return self._kept.state

    @property
    def doomed(self) -> Mapping[str, str]:
        """Whose data is to be deleted, and where it is."""
        return self._kept.doomed

    @property
    def removals(self) -> Mapping[str, int]:
        """How often somebody of a name was removed: whoever has it next gets another token."""
        return self._kept.removals

    @property
    def interrupted(self) -> bool:
        """Whether a command ended before its end."""
        return files.own_text(self._steps) is not None

    @property
    def _kept(self) -> Kept:
        made, since = files.own_text(self._path), files.own_text(self._steps)
        path = self._path
        try:
            kept = Kept.of(made or "")
            path = self._steps
            return kept.after(since or "")
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise CarrelError(
                f"{path} is damaged. Nothing was changed.",
                why=f"it is a part of the journal of what Carrel made, and says nothing: {error}",
                fix="put it back from a backup; without one, move it away: what is there already is "
                "then made anew, around the users' data",
            ) from error

    def note(self, step: Step) -> None:
        """A step begins (as core.intent has it), or is done."""
        self._append(record.line(step))

    def doom(self, user: str, data: str) -> None:
        """The data of `user` is to be deleted, whatever happens until then."""
        self._append(record.doomed(user, data))

    def deleted(self, user: str) -> None:
        """It is gone."""
        self._append(record.doomed(user, ""))

    def write(self, state: State) -> None:
        """Make `state` what it says, in one piece."""
        text = self._kept.with_state(state).text()
        files.write(self._path, text, Identity.of(self._owner), MODE)
        files.remove_file(self._steps)

    def _append(self, line: str) -> None:
        if not self._whole:
            self._cut()
        files.append(self._steps, line, Identity.of(self._owner), MODE)

    def _cut(self) -> None:
        """Take away what was not written to its end: the next line would become a part of it."""
        text = files.own_text(self._steps) or ""
        if text and not text.endswith("\n"):
            lines = text[: text.rfind("\n") + 1]
            files.write(self._steps, lines, Identity.of(self._owner), MODE)
        self._whole = True
