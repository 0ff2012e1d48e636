from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given

from carrel.core import guard
from carrel.core.plan import Change, Create, Plan, Remove, diff, keep, sentence
from carrel.core.resources import Directory, File, Holds, Image, Service, State, Unit, key
from carrel.core.site import Language, SecretFile, Site
from carrel.core.workspace import NetworkMode, Placement, Reads, StoredImage, workspace
from carrel.errors import Refused
from carrel.render import local
from samples import TWO_USERS, V1, V2, desired, on_server, states, surroundings


# One pair is drawn for all four: drawing it is what takes the time.
@given(states, states)
def test_the_difference_of_any_two_states(now: State, wanted: State) -> None:
    steps = diff(now, wanted).steps
    assert Plan(steps).applied_to(now) == wanted
    touched = [key(step.after if isinstance(step, Change) else step.resource) for step in steps]
    assert len(touched) == len(set(touched)), "touched twice"
    kinds = [isinstance(step, Remove) for step in steps]
    assert kinds == sorted(kinds), "removed before everything was made"
    kept = diff(now, keep(wanted, now)).steps
    removed = [step.resource for step in kept if isinstance(step, Remove)]
    assert not [r for r in removed if isinstance(r, Image)]
    assert not [r for r in removed if isinstance(r, Directory) and r.holds is Holds.DATA]


@given(states)
def test_a_state_does_not_differ_from_itself(state: State) -> None:
    assert not diff(state, state)


def test_parents_are_made_before_what_is_in_them() -> None:
    made = [r.path for r in desired() if isinstance(r, Directory)]
    for path in made:
        assert all(made.index(p) < made.index(path) for p in made if path.startswith(f"{p}/"))


def test_two_resources_with_one_key_are_a_mistake() -> None:
    file = File("/a", "root", 0o644, "one")
    with pytest.raises(ValueError, match="two resources"):
        State.of([file, replace(file, content="two")])


def test_a_plan_reads_as_sentences() -> None:
    old = File("/a", "root", 0o644, "x")
    steps = (Create(old), Change(old, replace(old, mode=0o600, content="y")), Remove(old))
    assert [sentence(s) for s in steps] == ["+ file /a", "~ file /a (mode, content)", "- file /a"]


def test_a_plan_does_not_speak_of_the_order_in_which_units_start() -> None:
    old = next(r for r in on_server() if isinstance(r, Unit) and r.after)
    step = Change(old, replace(old, revision="another", after=()))
    assert sentence(step).endswith(" (revision)")


def test_changing_one_user_leaves_the_other_user_alone() -> None:
    dan, alice = TWO_USERS.users
    changed = replace(TWO_USERS, users=(replace(dan, limits=replace(dan.limits, cpus=0.5)), alice))
    # V2 enforces limits, so that the change has an effect at all.
    steps = diff(desired(machine=V2), desired(changed, V2)).steps
    assert [sentence(step) for step in steps] == ["~ service workspace-dan (command)"]


def test_a_new_password_restarts_only_its_owner() -> None:
    around = surroundings()
    prints = {**around.fingerprints, SecretFile("/run/secrets/dan"): "another"}
    after = local.state(TWO_USERS, replace(around, fingerprints=prints))
    assert [sentence(step) for step in diff(desired(), after).steps] == [
        "~ secrets /var/lib/carrel-local/sites/0123abcd/secrets/dan.env (fingerprint)",
        "~ service workspace-dan (revision)",
    ]


def test_the_guard_refuses_to_remove_data() -> None:
    data = Directory("/var/lib/vscode/dan", "dan", 0o700, Holds.DATA)
    with pytest.raises(Refused, match="/var/lib/vscode/dan"):
        guard.check(Plan((Remove(data),)), may_stop=frozenset({"dan"}))


def test_the_guard_lets_data_go_that_was_named() -> None:
    data = Directory("/var/lib/vscode/dan", "dan", 0o700, Holds.DATA)
    other = replace(data, path="/var/lib/vscode/bob")
    guard.check(Plan((Remove(data),)), may_stop=frozenset(), may_delete=frozenset({data.path}))
    with pytest.raises(Refused, match="bob"):
        guard.check(
            Plan((Remove(data), Remove(other))),
            may_stop=frozenset(),
            may_delete=frozenset({data.path}),
        )


def test_the_guard_refuses_to_stop_a_workspace_nobody_asked_to_stop() -> None:
    service = next(r for r in desired() if isinstance(r, Service) and "dan" in r.name)
    with pytest.raises(Refused, match="dan"):
        guard.check(Plan((Remove(service),)), may_stop=frozenset({"alice"}))
    guard.check(Plan((Remove(service),)), may_stop=frozenset({"dan"}))


def service(name: str, *after: str) -> Service:
    return Service(name, "me", ("true",), (), f"/log/{name}", "1", after=after)


def test_what_runs_is_made_after_what_it_comes_after_and_removed_before() -> None:
    state = State.of([service("a", "z", "nobody"), service("m", "a"), service("z"), service("b")])
    names = [r.name for r in state if isinstance(r, Service)]
    assert names == ["b", "z", "a", "m"]
    gone = [s.resource for s in diff(state, State()).steps if isinstance(s, Remove)]
    assert [r.name for r in gone if isinstance(r, Service)] == ["m", "a", "z", "b"]


def test_another_order_restarts_nothing() -> None:
    assert not diff(
        State.of([service("a"), service("b")]), State.of([service("a", "b"), service("b")])
    )


def test_services_that_come_after_each_other_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="cycle"):
        State.of([service("a", "b"), service("b", "a")])


def test_every_file_that_a_workspace_reads_makes_it_another() -> None:
    read = tuple(Reads(f"/read/{number}", "as it was") for number in range(3))
    placement = Placement(
        "me",
        None,
        "box",
        (),
        StoredImage("i:1"),
        NetworkMode.OPEN,
        read,
        (),
        "/s",
        "/a",
        "/p",
        "/ai",
    )
    desk = workspace(TWO_USERS, TWO_USERS.users[0], placement, V1)
    assert desk.revision() == replace(desk, after=("other",)).revision()
    for number, file in enumerate(read):
        other = (*read[:number], replace(file, print="another"), *read[number + 1 :])
        assert replace(desk, reads=other).revision() != desk.revision()


@pytest.mark.parametrize("target", [desired, on_server])
def test_other_words_for_signing_in_restart_every_workspace(
    target: Callable[[Site], State],
) -> None:
    other = replace(TWO_USERS, about=replace(TWO_USERS.about, language=Language.GERMAN))
    before, after = (
        {r.name: r.revision for r in target(site) if isinstance(r, Service | Unit)}
        for site in (TWO_USERS, other)
    )
    desks = {name for name in before if "workspace" in name}
    assert len(desks) == len(TWO_USERS.users)
    assert {name for name in before if before[name] != after[name]} - {"edge"} == desks
