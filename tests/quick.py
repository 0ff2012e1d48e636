"""Carrel's command line in a test machine, without its start: most of a command's time is imports.

A process that has imported everything forks for each command; what runs then is `carrel.cli.main`, with
the caller's arguments, streams, environment, directory and umask. Runs in the guest, without our
environment: `quick.py serve` as a service, `quick.py COMMAND...` instead of `carrel COMMAND...`. A
Carrel that was installed since is started as people start it.
"""

from __future__ import annotations

import array
import importlib
import json
import os
import socket
import sys
import traceback
from types import ModuleType

PROGRAM = "/opt/carrel/bin/carrel"
STREAMS = (0, 1, 2)
BACKLOG = 64


def place() -> str:
    """The socket of the server that has imported what PROGRAM is now."""
    found = os.stat(PROGRAM)
    return f"/run/carrel-quick-{found.st_ino}-{found.st_mtime_ns}.sock"


def serve() -> None:
    """Fork for whoever connects, for ever."""
    main = importlib.import_module("carrel.cli.main")
    for module in {*main.MODULES.values()}:
        importlib.import_module(f"carrel.cli.{module}")
    with socket.socket(socket.AF_UNIX) as listening:
        try:
            listening.bind(place())
        except OSError:
            return  # another one serves already
        os.chmod(place(), 0o600)
        listening.listen(BACKLOG)
        while True:
            connection = listening.accept()[0]
            if os.fork() == 0:
                listening.close()
                # Whoever forks twice leaves nobody to wait for.
                if os.fork() == 0:
                    answer(connection, main)
                os._exit(0)
            connection.close()
            os.wait()


def answer(connection: socket.socket, main: ModuleType) -> None:
    """Run one command in this process, which ends with it; tell its status."""
    said, ancillary, _, _ = connection.recvmsg(1 << 20, socket.CMSG_SPACE(12))
    wanted = json.loads(said)
    streams = array.array("i")
    streams.frombytes(ancillary[0][2])
    for here, stream in zip(STREAMS, streams, strict=True):
        os.dup2(stream, here)
        os.close(stream)
    os.chdir(wanted["directory"])
    os.umask(wanted["umask"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    sys.argv = ["carrel", *wanted["arguments"]]
    status = 1
    pid = os.fork()
    if pid == 0:
        try:
            main.main(wanted["arguments"])
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    # Apart from it: a command may become another program (`carrel shell`), and then ends by itself.
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    connection.sendall(str(ended if ended >= 0 else 128 - ended).encode())


def ask(arguments: list[str]) -> None:
    """Have a command run, and end as it ends."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(place())
        except OSError:
            os.execvp("carrel", ["carrel", *arguments])  # noqa: S606
        umask = os.umask(0o22)
        wanted = {
            "arguments": arguments,
            "directory": os.getcwd(),
            "umask": umask,
            "environment": dict(os.environ),
        }
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", STREAMS))
        connection.sendmsg([json.dumps(wanted).encode()], [rights])
        said = connection.recv(16)
    sys.exit(int(said) if said else 1)


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else ask(sys.argv[1:])
