"""What the journal says, whenever a command was killed in the middle of a line."""

from pathlib import Path

from carrel.adapters import files
from carrel.core.plan import Create
from carrel.core.resources import Directory, Holds
from carrel.targets.journal import Journal
from carrel.targets.record import Kept


def test_a_line_that_was_not_written_to_its_end_does_not_count(tmp_path: Path) -> None:
    owner = Path(tmp_path).owner()
    journal = Journal(str(tmp_path / "state.json"), str(tmp_path / "steps"), owner)
    directory = Directory("/srv/x", "root", 0o700, Holds.DATA)
    journal.note(Create(directory))
    journal.doom("ada", "/srv/ada")
    whole = (tmp_path / "steps").read_text()
    for length in range(len(whole)):
        (tmp_path / "steps").write_text(whole[:length])
        assert len(journal.state.resources) == (length >= whole.index("\n") + 1)
        assert journal.doomed == {}
    (tmp_path / "steps").write_text(whole + '{"doo')
    again = Journal(str(tmp_path / "state.json"), str(tmp_path / "steps"), owner)
    again.note(Create(directory))
    assert journal.doomed == {"ada": "/srv/ada"}
    journal.write(journal.state)
    assert Kept.of(files.text(str(tmp_path / "state.json")) or "").doomed == journal.doomed
    journal.deleted("ada")
    assert journal.doomed == {}
    assert journal.state.resources == (directory,)
