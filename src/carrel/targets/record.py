"""States as JSON: how backends remember what they made, and how tests and reviews read it.

No value of a secret is ever part of it. A file's text can be left out for those who keep it
elsewhere.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from carrel.core import names
from carrel.core.plan import Change, Create, Remove, Step
from carrel.core.resources import (
    ORDER,
    Bundle,
    Certificate,
    Directory,
    Entry,
    Form,
    Holds,
    Image,
    OnChange,
    Resource,
    Secret,
    Service,
    State,
    Token,
    Unit,
    key,
)
from carrel.core.site import SecretFile
from carrel.errors import Missing

VERSION = 2
"""Of journals. The first was a bare list of resources."""

KINDS = {kind.__name__: kind for kind in ORDER}


def dump(state: State) -> str:
    """`state` as text that is easy to compare."""
    return json.dumps([_plain(resource) for resource in state], indent=1) + "\n"


def load(text: str) -> State:
    """The State that `dump` wrote."""
    return State.of(_resource(entry) for entry in json.loads(text))


def line(step: Step) -> str:
    """A step that was taken, for a list that only grows."""
    match step:
        case Create(resource) | Change(_, resource):
            return _line("made", _plain(resource))
        case Remove(resource):
            return _line("gone", _plain(resource))


def doomed(user: str, data: str) -> str:
    """That the data of a user is to be deleted, for the same list; `data` empty: that it is done."""
    return _line("doomed", {"user": user, "data": data})


def _line(fate: str, entry: object) -> str:
    return json.dumps({fate: entry}) + "\n"


@dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    """What a journal says.

    What was made; whose data is to be deleted, with its directory; and how often somebody of a name was
    removed, who had a token for the AI gateway.
    """

    state: State = dataclasses.field(default_factory=State)
    doomed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    removals: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def text(self) -> str:
        """As a file."""
        whole = {
            "version": VERSION,
            "doomed": dict(self.doomed),
            "removals": dict(self.removals),
            "resources": [_plain(resource) for resource in self.state],
        }
        return json.dumps(whole, indent=1) + "\n"

    @staticmethod
    def of(text: str) -> Kept:
        """What the file says; also one of an earlier version, a bare list. `Missing` if it is newer."""
        value = json.loads(text or "[]")
        if isinstance(value, list):
            return Kept(State.of(map(_resource, value)))
        if value["version"] > VERSION:
            raise Missing(
                "A newer Carrel keeps this site; this one does not understand its journal. "
                "Nothing was changed.",
                why=f"the journal has version {value['version']}, and this is for {VERSION}",
                fix="install the newer Carrel again",
            )
        state = State.of(map(_resource, value["resources"]))
        return Kept(state, value["doomed"], value.get("removals", {}))

    def after(self, lines: str) -> Kept:
        """What it says after the steps in `lines`, also if it has some of them already.

        What comes after the last line break was not written to its end, and does not count.
        """
        state, doom, removals = self.state.by_key(), dict(self.doomed), Counter(self.removals)
        for text in lines.split("\n")[:-1]:
            [(fate, entry)] = json.loads(text).items()
            if fate == "doomed":
                doom[entry["user"]] = entry["data"]
                continue
            resource = _resource(entry)
            before = state.pop(key(resource), None)
            if fate == "made":
                state[key(resource)] = resource
            removals.update(_with_token(before) - _with_token(state.get(key(resource))))
        doomed = {user: data for user, data in doom.items() if data}
        return Kept(State.of(state.values()), doomed, dict(removals))

    def with_state(self, state: State) -> Kept:
        """The same, with another state. What is only missing in it was not removed by us."""
        return dataclasses.replace(self, state=state)


def _with_token(resource: Resource | None) -> frozenset[str]:
    """Whose token for the AI gateway it is, if it is the environment file of somebody who has one."""
    if not isinstance(resource, Secret):
        return frozenset()
    tokens = (entry.source for entry in resource.entries if isinstance(entry.source, Token))
    return frozenset(
        token.user
        for token in tokens
        if resource.path.endswith(f"/{names.secrets_name(token.user)}")
    )


def _plain(resource: Resource) -> dict[str, Any]:
    fields = {f.name: getattr(resource, f.name) for f in dataclasses.fields(resource)}
    if isinstance(resource, Image):
        # How a build gets out is no part of what was built.
        del fields["network"]
    if isinstance(resource, Secret):
        fields["entries"] = [_plain_entry(entry) for entry in resource.entries]
    return {"kind": type(resource).__name__, **fields}


def _plain_entry(entry: Entry) -> dict[str, Any]:
    # A given hash is a bearer secret: the fingerprint of the whole file stands for it.
    plain: dict[str, Any] = {"variable": entry.variable, "form": entry.form, "file": ""}
    match entry.source:
        case SecretFile(path=path):
            plain["file"] = path
        case Token(user=user, turn=turn, key=SecretFile(path=path), removals=removals):
            plain |= {"file": path, "user": user, "turn": turn}
            plain |= {"removals": removals} if removals else {}
    return plain


def _resource(entry: dict[str, Any]) -> Resource:
    fields = dict(entry)
    kind = KINDS[fields.pop("kind")]
    if kind is Directory:
        fields["holds"] = Holds(fields["holds"])
        fields["skeleton"] = tuple(fields["skeleton"])
    elif kind is Secret:
        fields["entries"] = tuple(map(_entry, fields["entries"]))
    elif kind is Service:
        fields["environment"] = tuple(tuple(pair) for pair in fields["environment"])
        fields |= {name: tuple(fields[name]) for name in ("command", "check")}
    elif kind is Image:
        fields |= {name: tuple(fields[name]) for name in ("packages", "extensions")}
    elif kind is Unit:
        fields["on_change"] = OnChange(fields["on_change"])
        fields |= {name: tuple(fields[name]) for name in ("files", "parts")}
    elif kind in {Certificate, Bundle}:
        fields["names"] = tuple(fields["names"])
    resource: Resource = kind(**fields)
    return resource


def _entry(fields: dict[str, Any]) -> Entry:
    file = SecretFile(fields["file"]) if fields["file"] else None
    source: SecretFile | Token | None = file
    if file and "user" in fields:
        source = Token(fields["user"], fields["turn"], file, fields.get("removals", 0))
    return Entry(fields["variable"], source, Form(fields["form"]))
