from dataclasses import replace

import pytest
from hypothesis import given

from carrel.core import guard
from carrel.core.plan import Change, Create, Plan, Remove, diff, keep, sentence
from carrel.core.resources import Directory, File, Holds, Image, Service, State, key
from carrel.core.site import SecretFile
from carrel.errors import Refused
from carrel.render import local
from samples import TWO_USERS, V2, desired, states, surroundings


@given(states, states)
def test_applying_the_difference_gives_the_wanted_state(now: State, wanted: State) -> None:
    assert diff(now, wanted).applied_to(now) == wanted


@given(states)
def test_a_state_does_not_differ_from_itself(state: State) -> None:
    assert not diff(state, state)


@given(states, states)
def test_a_plan_touches_each_thing_once(now: State, wanted: State) -> None:
    keys = [
        key(step.after if isinstance(step, Change) else step.resource)
        for step in diff(now, wanted).steps
    ]
    assert len(keys) == len(set(keys))


@given(states, states)
def test_nothing_is_removed_before_everything_is_made(now: State, wanted: State) -> None:
    kinds = [isinstance(step, Remove) for step in diff(now, wanted).steps]
    assert kinds == sorted(kinds)


@given(states, states)
def test_keeping_never_lets_data_or_images_go(now: State, wanted: State) -> None:
    removed = [s.resource for s in diff(now, keep(wanted, now)).steps if isinstance(s, Remove)]
    assert not [r for r in removed if isinstance(r, Image)]
    assert not [r for r in removed if isinstance(r, Directory) and r.holds is Holds.DATA]


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
