"""A server in the shape that NixOS gives it, for the test machine: units, accounts, nginx.conf.

`files` is what a generation consists of, and switch.sh makes it the machine's own, both written after
nixpkgs (README.md beside this file). Below is Debian: its programs, podman, nginx and systemd.
"""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit

from nix.desks import Desks, Made, traced
from vm.guest import Guest

SWITCH = Path(__file__).parent / "switch.sh"
GENERATION = "/root/generation"
PATH = ":".join(f"/nix/store/{name}/bin" for name in ("podman", "coreutils", "systemd"))
"""What a unit of oci-containers finds: podman's package, and what every unit has."""

PROGRAMS = {
    "/nix/store/nftables/bin/nft": "/usr/sbin/nft",
    "/nix/store/systemd/bin/systemctl": "/usr/bin/systemctl",
    "/nix/store/ca-certificates.crt": "/etc/ssl/certs/ca-certificates.crt",
    **{f"/nix/store/coreutils/bin/{name}": f"/usr/bin/{name}" for name in ("kill", "rm", "sync")},
}
WRAPPED = {
    "/nix/store/carrel/bin/carrel": "/opt/carrel/bin/carrel",
    "/nix/store/carrel/libexec/carrel-python": "/opt/carrel/bin/python",
    # What podman calls is not in the unit's own path.
    "/nix/store/podman/bin/podman": "/usr/bin/podman",
}

NGINX = {
    "AmbientCapabilities": "CAP_NET_BIND_SERVICE",
    "CapabilityBoundingSet": "CAP_NET_BIND_SERVICE",
    "CacheDirectory": "nginx",
    "CacheDirectoryMode": "0750",
    "ExecReload": [
        "/usr/sbin/nginx -c /etc/nginx/nixos.conf -t",
        "/nix/store/coreutils/bin/kill -HUP $MAINPID",
    ],
    "ExecStart": "/usr/sbin/nginx -c /etc/nginx/nixos.conf",
    "ExecStartPre": "/usr/sbin/nginx -c /etc/nginx/nixos.conf -t",
    "LogsDirectory": "nginx",
    "LogsDirectoryMode": "0750",
    "ProcSubset": "pid",
    "ProtectHome": "true",
    "ProtectProc": "invisible",
    "ProtectSystem": "strict",
    "Restart": "always",
    "RestartSec": "10s",
    "RuntimeDirectory": "nginx",
    "RuntimeDirectoryMode": "0750",
    "SystemCallArchitectures": "native",
    "SystemCallFilter": "~@cpu-emulation @debug @keyring @mount @obsolete @privileged @setuid",
    "UMask": "0027",
    **dict.fromkeys(
        (
            "LockPersonality", "MemoryDenyWriteExecute", "NoNewPrivileges", "PrivateDevices",
            "PrivateMounts", "PrivateTmp", "ProtectClock", "ProtectControlGroups", "ProtectHostname",
            "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "RemoveIPC",
            "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID",
        ),
        "true",
    ),
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6",
}  # fmt: skip
"""nginx's service; here it has a configuration of its own name, so that Debian's stays as it is."""


@dataclass(frozen=True)
class System:
    """What a configuration leads to, as files."""

    desks: Desks

    @staticmethod
    def of(configuration: Path) -> System:
        """Evaluate it; AssertionError when NixOS would refuse it."""
        desks = traced(configuration)
        assert desks.broken == []
        return System(desks)

    def files(self) -> dict[str, str]:
        """Everything that is written, by path."""
        found = self.desks.found
        return {
            **dict(self._store()),
            **dict(self._units()),
            "/etc/tmpfiles.d/00-nixos.conf": "\n".join(found["tmpfiles"]) + "\n",
            **{f"/etc/{path}": _text(one) for path, one in self._etc()},
            "/etc/nginx/nixos.conf": _nginx(self.desks.nginx),
        }

    def links(self) -> dict[str, str]:
        """What is a link, by path: programs, and what a target wants."""
        return {**PROGRAMS, **dict(self._wanted())}

    def copies(self) -> dict[str, str]:
        """What is copied out of something that a command makes, by path."""
        etc = self.desks.found["etc"].items()
        return {
            f"/etc/{path}": one["source"]
            for path, one in etc
            if one["mode"] != "symlink" and one["source"] not in self.desks.store
        }

    def builds(self) -> dict[str, str]:
        """The script that makes each path that is made by a command."""
        made = self.desks.store.items()
        return {path: one.content for path, one in made if one.kind == "command"}

    def accounts(self) -> Iterator[str]:
        """One line for each: name, uid, gid, home, the first subordinate id or "-"."""
        users, groups = (self.desks.found["users"][kind] for kind in ("users", "groups"))
        for user in users.values():
            gid = groups[user["group"]]["gid"]
            first = next((str(one["startUid"]) for one in user["subUidRanges"]), "-")
            uid = gid if user["uid"] is None else user["uid"]
            yield f"{user['name']} {uid} {gid} {user['home']} {first}"

    def switch(self, guest: Guest) -> str:
        """Make it the machine's own, as `nixos-rebuild switch` does; what the script says."""
        guest.put("/root/switch.sh", SWITCH)
        guest.put("/root/generation.tar", self._packed())
        return guest.run(
            f"sh /root/switch.sh /root/generation.tar {GENERATION}", seconds=600
        ).output

    def verify(self, guest: Guest) -> str:
        """What systemd says against its units, with those of the machine's own boot around them."""
        guest.put("/root/verify.tar", self._packed())
        return guest.run(
            """
            rm -rf /root/verify && mkdir /root/verify
            tar --extract --no-same-owner --file=/root/verify.tar --directory=/root/verify
            cp --recursive /root/verify/files/nix /
            cd /root/verify/files/etc/systemd/system
            find . -maxdepth 1 '(' -name '*carrel*.service' -o -name '*carrel*.mount' ')' -print0 |
                SYSTEMD_UNIT_PATH=$PWD: xargs --null systemd-analyze verify --man=no default.target 2>&1
            """
        ).output

    def _packed(self) -> bytes:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            entries = {
                **{f"files{path}": text for path, text in self.files().items()},
                **{f"build{path}": text for path, text in self.builds().items()},
                "accounts": "".join(f"{line}\n" for line in self.accounts()),
                "links": "".join(f"{path} {to}\n" for path, to in self.links().items()),
                "copies": "".join(f"{path} {of}\n" for path, of in self.copies().items()),
            }
            for name, text in entries.items():
                entry, content = tarfile.TarInfo(name), text.encode()
                entry.size = len(content)
                script = text.startswith("#!") or name.startswith("build")
                entry.mode = 0o755 if script else 0o644
                archive.addfile(entry, io.BytesIO(content))
        return packed.getvalue()

    def _etc(self) -> Iterator[tuple[str, Made]]:
        for path, one in self.desks.found["etc"].items():
            if one["source"] in self.desks.store:
                yield path, self.desks.store[one["source"]]

    def _store(self) -> Iterator[tuple[str, str]]:
        for path, program in WRAPPED.items():
            yield path, f'#!/bin/sh\nPATH=/usr/sbin:/usr/bin exec {program} "$@"\n'
        for path, one in self.desks.store.items():
            if one.kind == "directory":
                yield from ((f"{path}/{name}", text) for name, text in one.content.items())
            elif one.kind != "command":
                yield path, _text(one)
        for name in self.desks.found["containers"]:
            yield from _scripts(name, self.desks.found["podman"][name])

    def _units(self) -> Iterator[tuple[str, str]]:
        found, ours = self.desks.found, "/etc/systemd/system"
        for name, service in found["services"].items():
            yield f"{ours}/{name}.service", self._service(name, service)
        for mount in found["mounts"]:
            settings = {
                "What": mount["what"],
                "Where": mount["where"],
                "Type": mount["type"],
                "Options": mount["options"],
                **mount["mountConfig"],
            }
            yield f"{ours}/{_unit(mount['where'])}", _common(mount) + _section("Mount", settings)
        for name, one in found["slices"].items():
            yield f"{ours}/{name}.slice", _common(one) + _section("Slice", one["sliceConfig"])
        yield (
            f"{ours}/nginx.service",
            _section("Unit", {"After": "network.target"})
            + _section(
                "Service", {"User": "nginx", "Group": "nginx", "X-StopIfChanged": False, **NGINX}
            ),
        )
        yield (
            f"{ours}/nginx-config-reload.service",
            _section(
                "Unit",
                {
                    "Wants": "nginx.service",
                    # The path of nginx.conf in the store, there.
                    "X-Restart-Triggers": hashlib.sha256(self.desks.nginx.encode()).hexdigest(),
                },
            )
            + _section(
                "Service",
                {
                    "Type": "oneshot",
                    "ExecCondition": "/usr/bin/systemctl -q is-active nginx.service",
                    "ExecStart": "/usr/bin/systemctl reload nginx.service",
                },
            ),
        )

    def _service(self, name: str, service: Mapping[str, Any]) -> str:
        containers = {unit: name for name, unit in self.desks.found["containers"].items()}
        environment, settings = dict(service["environment"]), dict(service["serviceConfig"])
        environment.setdefault("PATH", PATH)
        if name in containers:
            settings |= {
                verb: _script(containers[name], verb)
                for verb in ("ExecStartPre", "ExecStart", "ExecStop")
            }
            ours = settings.get("ExecStopPost", [])
            kept = [line for line in ours if not line.startswith("/nix/store/post-stop")]
            settings["ExecStopPost"] = [_script(containers[name], "ExecStopPost"), *kept]
        flags = {
            "X-ReloadIfChanged": service["reloadIfChanged"],
            "X-RestartIfChanged": service["restartIfChanged"],
            "X-StopIfChanged": service["stopIfChanged"],
        }
        variables = [json.dumps(f"{key}={value}") for key, value in environment.items() if value]
        triggers = {"X-Restart-Triggers": json.dumps(service["restartTriggers"])}
        return _common(service, triggers) + _section(
            "Service",
            {**flags, **settings, "Environment": [*variables, *_list(settings.get("Environment"))]},
        )

    def _wanted(self) -> Iterator[tuple[str, str]]:
        found = self.desks.found
        named = [
            *((f"{name}.service", one) for name, one in found["services"].items()),
            *((_unit(one["where"]), one) for one in found["mounts"]),
            ("nginx.service", {"wantedBy": ["multi-user.target"]}),
            ("nginx-config-reload.service", {"wantedBy": ["multi-user.target"]}),
        ]
        for unit, one in named:
            for target in one["wantedBy"]:
                yield f"/etc/systemd/system/{target}.wants/{unit}", f"../{unit}"


def _script(container: str, verb: str) -> str:
    return f"/nix/store/unit-script-{container}/{verb}"


def _possible(arguments: Iterable[str]) -> Iterator[str]:
    """Without the limits that a machine in namespaces of a kernel with cgroup v1 cannot have."""
    for argument in arguments:
        if argument.startswith("--ulimit=nofile="):
            yield "--ulimit=nofile=4096:4096"
        elif not argument.startswith(("--memory", "--cpus", "--pids-limit")):
            yield argument


def _scripts(name: str, arguments: list[str]) -> Iterator[tuple[str, str]]:
    """What oci-containers has a container's unit run."""
    place = f"/run/{name}/ctr-id"
    lines = {
        "ExecStartPre": f"podman rm -f {name} || true\nrm -f {place}",
        "ExecStart": f"exec {shlex.join(_possible(arguments))}",
        "ExecStop": f"podman stop --ignore --cidfile={place}",
        "ExecStopPost": f"podman rm -f --ignore --cidfile={place}",
    }
    for verb, text in lines.items():
        yield _script(name, verb), f"#!/bin/sh\nset -e\n{text}\n"


def _text(one: Made) -> str:
    match one.kind:
        case "toml":
            return tomlkit.dumps(one.content)
        case "json":
            return json.dumps(one.content)
        case "script":
            return f"#!/bin/sh\n{one.content}"
        case _:
            return str(one.content)


_WORDS = {
    "Requires": "requires",
    "Wants": "wants",
    "After": "after",
    "Before": "before",
    "BindsTo": "bindsTo",
    "PartOf": "partOf",
    "Conflicts": "conflicts",
    "Documentation": "documentation",
}


def _common(one: Mapping[str, Any], more: Mapping[str, str] | None = None) -> str:
    words = {name: " ".join(one[key]) for name, key in _WORDS.items() if one[key]}
    description = {"Description": one["description"]} if one["description"] else {}
    return _section("Unit", {**words, **description, **one["unitConfig"], **(more or {})})


def _section(name: str, settings: Mapping[str, Any]) -> str:
    lines = (f"{key}={_value(v)}\n" for key, value in settings.items() for v in _list(value))
    return f"[{name}]\n{''.join(lines)}\n"


def _list(value: object) -> Iterable[object]:
    if value is None:
        return ()
    return value if isinstance(value, list) else (value,)


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unit(where: str) -> str:
    escaped = where.strip("/").replace("-", "\\x2d").replace("/", "-")
    return f"{escaped}.mount"


def _nginx(inside: str) -> str:
    places = "".join(
        f"  {kind}_temp_path /var/cache/nginx/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        "pid /run/nginx/nginx.pid;\nerror_log stderr;\ndaemon off;\nevents { }\nhttp {\n"
        f"{places}  include /etc/nginx/mime.types;\n  default_type application/octet-stream;\n"
        f"  client_max_body_size 10m;\n  server_tokens off;\n{inside}\n}}\n"
    )
