"""What the kernel says when a workspace used up its memory, in words for people.

The lines are those of `mem_cgroup_print_oom_context` and `oom_kill_process` (Linux mm/memcontrol.c,
mm/oom_kill.c), as journalctl prints them with --output=short-iso.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

PATTERN = r"oom-kill:.*carrel-workspace@"
"""What to look for in the kernel's log."""

_LINE = re.compile(
    r"(?P<when>\S+) .*oom-kill:.*task_memcg=\S*?carrel-workspace@(?P<user>[a-z0-9]+)\.service\S*?,"
    r"task=(?P<task>.*?),pid=\d+"
)


def last(lines: Iterable[str]) -> Mapping[str, str]:
    """The last such event of each user, in words."""
    found = (_LINE.search(line) for line in lines)
    return {match["user"]: _words(match) for match in found if match is not None}


def _words(match: re.Match[str]) -> str:
    day, _, time = match["when"].partition("T")
    return f"{match['task']} was ended on {day} at {time[:5]}: the workspace's memory was used up"
