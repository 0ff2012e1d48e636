"""Measures in the test machine what one more workspace costs a server; `make bench-vm`.

The figures are the kernel's (cgroup v2, statvfs): an emulated processor makes things slow, not large.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bench import table
from bench.results import AtMost, Fact, Facts
from vm.applied import applied
from vm.guest import Guest
from vm.machine import Kind

RESULTS = Path(__file__).parent / "results-vm.json"
MB = 1_000_000
MEMORY, DISK = AtMost(110, "MB"), AtMost(5, "MB")
DAEMON_EXPOSURE = AtMost(2.0, "")

# Everything is written back and counted once; then the second person's workspace starts.
_MEASURE = """
settle() {
    for try in $(seq 60); do
        curl --silent --max-time 5 --unix-socket "/run/carrel/$1/editor.sock" http://x/healthz |
            grep -q status && break
        sleep 1
    done
    sleep 20
}
used() { sync; df --block-size=1 --output=used / | tail -n 1; }
free() { awk '/^MemAvailable:/ { print $2 * 1024 }' /proc/meminfo; }
systemctl stop carrel-workspace@dan carrel-workspace@bob
systemctl start carrel-workspace@dan
settle dan
disk=$(used) memory=$(free)
systemctl start carrel-workspace@bob
settle bob
cgroup=/sys/fs/cgroup$(systemctl show --property=ControlGroup --value carrel-workspace@bob)
kind() { awk -v "name=$1" '$1 == name { print $2 }' "$cgroup/memory.stat"; }
exposure() {
    systemd-analyze security --no-pager "$1" 2>/dev/null |
        sed -n 's/.*Overall exposure level for .*: \\([0-9.]*\\) .*/\\1/p'
}
cat <<END
{
  "cgroup": $(cat "$cgroup/memory.current"),
  "anonymous": $(kind anon),
  "page_cache": $(kind file),
  "kernel": $(kind kernel),
  "available": $((memory - $(free))),
  "disk": $(($(used) - disk)),
  "gateway_exposure": $(exposure carrel-gateway.service),
  "network_exposure": $(exposure carrel-network.service),
  "workspace_exposure": $(exposure carrel-workspace@bob.service)
}
END
"""


def main() -> int:
    """Exit status 0 also for goals that are missed: the table says so."""
    with Guest(applied(Kind.EMULATED), kind=Kind.EMULATED) as guest:
        table.progress("measuring in the test machine, about two minutes")
        found = json.loads(guest.run(_MEASURE, seconds=600).output)
    facts = Facts(
        "One more idle workspace on a server (the second of two)",
        (
            Fact("memory of its cgroup", found["cgroup"] / MB, "MB", MEMORY),
            Fact("· anonymous", found["anonymous"] / MB, "MB"),
            Fact("· page cache", found["page_cache"] / MB, "MB"),
            Fact("· kernel", found["kernel"] / MB, "MB"),
            Fact("memory the machine has less", found["available"] / MB, "MB", MEMORY),
            Fact("disk", found["disk"] / MB, "MB", DISK),
            *(
                Fact(
                    f"exposure, carrel-{name}.service",
                    found[f"{name}_exposure"],
                    "",
                    DAEMON_EXPOSURE,
                )
                for name in ("gateway", "network")
            ),
            Fact("exposure, a workspace's unit", found["workspace_exposure"], ""),
        ),
    )
    table.show_facts(facts)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
