"""Services as supervisord's configuration.

supervisord expands `%(name)s` and ends a value at a line break or at " ;", so every value is
checked and its percent signs are doubled.
"""

from __future__ import annotations

import re
import shlex

from carrel.core.layout import LocalLayout
from carrel.core.resources import Service

UNSAFE = re.compile(r"[\x00-\x1f\x7f;]")


def plain(value: str) -> str:
    """`value` for the right side of an assignment; ValueError if it could be more than that."""
    if UNSAFE.search(value):
        raise ValueError(f"{value!r} cannot stand in a supervisor configuration")
    return value.replace("%", "%%")


def main(layout: LocalLayout) -> str:
    """The main file; the programs follow in files of their own."""
    return f"""\
; Made by Carrel; changes are overwritten.
[unix_http_server]
file = {plain(layout.supervisor_socket)}
chmod = 0600

[supervisord]
logfile = {plain(layout.log("supervisord"))}
logfile_maxbytes = 1MB
logfile_backups = 1
pidfile = {plain(layout.run)}/supervisord.pid
directory = /
umask = 077
minfds = 512
minprocs = 64
user = {plain(layout.owner)}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[include]
files = {plain(layout.supervisor_programs)}/*.conf
"""


def program(service: Service) -> str:
    """One program. The revision is part of its environment: a new one is a changed program."""
    variables = (*service.environment, ("CARREL_REVISION", service.revision))
    environment = ",".join(f"{name}={_value(value)}" for name, value in variables)
    command = shlex.join(plain(part) for part in service.command)
    return f"""\
[program:{plain(service.name)}]
command = {command}
user = {plain(service.account)}
environment = {environment}
directory = /
redirect_stderr = true
stdout_logfile = {plain(service.log)}
stdout_logfile_maxbytes = 5MB
stdout_logfile_backups = 2
autorestart = true
startsecs = 1
startretries = 3
stopsignal = TERM
stopwaitsecs = {service.stop_seconds}
"""


def _value(value: str) -> str:
    if '"' in value:
        raise ValueError(f"{value!r} cannot stand in a supervisor environment")
    return f'"{plain(value)}"'
