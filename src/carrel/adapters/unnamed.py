"""A file without a name, for bytes that pass through and are too many for memory.

Used by the gateway, from threads of its own. Whatever ends the process, nothing of it stays on the
disk, and nobody can open it.
"""

from __future__ import annotations

import errno
import os
import tempfile
import threading


class Unnamed:
    """What is appended to it, until it is closed. Its methods raise OSError, ValueError once closed."""

    def __init__(self, directory: str) -> None:
        # O_TMPFILE where the file system knows it; otherwise its name is gone at once.
        self._file = tempfile.TemporaryFile(buffering=0, dir=directory)  # noqa: SIM115
        # A descriptor that is closed while another thread reads may be another file's the next moment.
        self._lock = threading.Lock()

    def append(self, data: bytes, leave: int) -> None:
        """Add `data`, if so many bytes stay free on the disk after it."""
        with self._lock:
            disk = os.fstatvfs(self._file.fileno())
            if disk.f_bavail * disk.f_frsize < leave + len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]

    def read(self, start: int, size: int) -> bytes:
        """Up to `size` bytes from `start` on."""
        with self._lock:
            return os.pread(self._file.fileno(), size, start)

    def descriptor(self) -> int:
        """To hand the file to another process; good until it is closed."""
        return self._file.fileno()

    def close(self) -> None:
        """Give its bytes back to the disk. May be called twice."""
        with self._lock:
            self._file.close()
