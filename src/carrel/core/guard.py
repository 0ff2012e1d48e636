"""Refuses a plan that would take away a user's data, or more workspaces than was asked for.

The last look before effects; a plan made by correct code never meets it.
"""

from __future__ import annotations

from carrel.core.names import workspace_user
from carrel.core.plan import Plan, Remove, title
from carrel.core.resources import Directory, Holds, Resource, Service, Unit
from carrel.errors import Refused


def check(
    plan: Plan, *, may_stop: frozenset[str], may_delete: frozenset[str] = frozenset()
) -> None:
    """Raise `Refused` if `plan` does more than it may.

    `may_stop`: users whose workspace may end. `may_delete`: directories with data that may go.
    """
    removed = [step.resource for step in plan.steps if isinstance(step, Remove)]
    data = [resource for resource in removed if _is_data(resource, may_delete)]
    if data:
        raise Refused(
            f"This plan would remove a user's data: {', '.join(map(title, data))}. "
            "Nothing was changed.",
            why="data is only removed by name, with `carrel user remove NAME --delete-data`",
            fix="run `carrel plan` and report it: no configuration should lead here",
        )
    stopped = {workspace_user(r.name) for r in removed if isinstance(r, Service | Unit)} - {None}
    surplus = sorted(name for name in stopped if name is not None and name not in may_stop)
    if surplus:
        raise Refused(
            f"This plan would stop the workspace of {', '.join(surplus)}, which was not asked for. "
            "Nothing was changed.",
            fix="check with `carrel plan` whether a user is missing from the configuration",
        )


def _is_data(resource: Resource, may_delete: frozenset[str]) -> bool:
    if not isinstance(resource, Directory) or resource.holds is not Holds.DATA:
        return False
    return resource.path not in may_delete
