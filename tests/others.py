"""What another account can do to us: only root can find out, by becoming it for a moment."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from carrel.adapters.process import Identity

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def nobody(action: Callable[[], object]) -> str:
    """What happens when `nobody` does something: the name of an exception, or nothing."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        account = Identity.of("nobody")
        os.setgroups([])
        os.setgid(account.gid)
        os.setuid(account.uid)
        try:
            action()
        except BaseException as error:
            os.write(writer, type(error).__name__.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as said:
        text = said.read()
    os.waitpid(child, 0)
    return text
