"""Claims: lock files beside outputs. A claim names the process that writes an output, and ends with it."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

from landsat_fill.errors import LandsatFillError, cannot_write

if TYPE_CHECKING:
    from pathlib import Path


CLAIM_SUFFIX = ".claim"

NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}
"""Errors of a file system without locks, such as Lustre mounted without `flock`."""

BEAT_S = 30.0
"""Interval at which the owner of a claim renews it, by touching the file."""

RETRY_S = 0.05
"""Interval at which a waiting process tries to take a claim."""

LEASE_S = 300.0
"""Time after the last renewal when an owner on another machine counts as ended: ten intervals. On the same
machine, the lock itself shows it."""

WAIT_HINT = "Wait for it to finish; the output is skipped once it exists."


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that holds a claim: host, process id, and batch job (empty outside a job)."""

    host: str
    pid: int
    job: str

    def __str__(self) -> str:
        job = f", job {self.job}" if self.job else ""
        return f"process {self.pid} on {self.host}{job}"


class TakenError(LandsatFillError):
    """Another running process is making the output."""


class Claim:
    """A claim on an output, as a context manager that takes and releases it."""

    def __init__(self, target: Path, hint: str = WAIT_HINT, *, patience_s: float = 0.0) -> None:
        """Prepare; nothing is written yet.

        Args:
            target: The output file or folder; the claim is a hidden file beside it.
            hint: The hint of the error if the claim is taken.
            patience_s: How long to wait for the claim, in seconds.
        """
        self.target, self.hint = target, hint
        self._patience_s = patience_s
        self.path = claim_path(target)
        self._descriptor: int | None = None
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        """Take the claim.

        Raises:
            TakenError: If a running process holds it.
            OutputError: If nothing can be written beside the target.
        """
        until_s = time.monotonic() + self._patience_s
        try:
            while self._descriptor is None:
                try:
                    self._descriptor = self._try()
                except TakenError:
                    if time.monotonic() >= until_s:
                        raise
                    time.sleep(RETRY_S)
        except OSError as error:
            raise cannot_write(self.target, error) from error
        threading.Thread(target=self._beat, name="claim", daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Release the claim. Never raises."""
        self._ended.set()
        if self._descriptor is not None:
            with suppress(OSError):  # the next process finds a claim whose owner has ended
                if self.is_held():
                    self.path.unlink()
                os.close(self._descriptor)
            self._descriptor = None

    def is_held(self) -> bool:
        """Return whether this process still holds the claim; without renewal, it is lost after a lease."""
        return self._descriptor is not None and _is_at(self._descriptor, self.path)

    def _try(self) -> int | None:
        """Return the descriptor of the claim once taken, or None to try again."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            locked = _lock(descriptor)
            owner = _read(self.path)
            if locked is False and not (owner and owner.host != socket.gethostname() and _is_silent(self.path)):
                raise self._taken(owner)
            if not _is_at(descriptor, self.path):
                os.close(descriptor)  # released between opening and locking
                return None
            if locked is False:  # the owner's machine died, but the file server still holds its lock
                self.path.unlink()
                os.close(descriptor)
                return None
            if owner is not None and is_alive(owner, self.path, locks=locked is not None):
                raise self._taken(owner)
            try:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps(asdict(_this_process())).encode(), 0)
            except OSError:
                self.path.unlink()
                raise
            if locked is None:  # without locks, another process may write its claim at the same time
                time.sleep(RETRY_S)
                if (owner := _read(self.path)) != _this_process():
                    raise self._taken(owner)
            return descriptor
        except BaseException:
            os.close(descriptor)
            raise

    def _taken(self, owner: Owner | None) -> TakenError:
        by = owner or "another process"
        return TakenError(f"expected {self.target} not to be in use, but {by} is making it", hint=self.hint)

    def _beat(self) -> None:
        with suppress(OSError):
            while not self._ended.wait(BEAT_S):
                os.utime(self.path)


def claim_path(target: Path) -> Path:
    """Return the path of the claim on an output."""
    return target.with_name(f".{target.name}{CLAIM_SUFFIX}")


def claim_owner(target: Path) -> Owner | None:
    """Return the running owner of the claim on an output, or None. Nothing is locked."""
    path = claim_path(target)
    owner = _read(path)
    return owner if owner is not None and is_alive(owner, path, locks=False) else None


def is_alive(owner: Owner, path: Path, *, locks: bool) -> bool:
    """Return whether the owner of the claim at `path` is still running.

    On the owner's machine, a lock that was free (`locks`) shows that the owner has ended.
    """
    if owner.host != socket.gethostname():
        return not _is_silent(path)
    return not locks and _has_process(owner.pid) and not _is_silent(path)


def _this_process() -> Owner:
    names = ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID")
    array = [os.environ[name] for name in names if name in os.environ]
    return Owner(socket.gethostname(), os.getpid(), "_".join(array) or os.environ.get("SLURM_JOB_ID", ""))


def _read(path: Path) -> Owner | None:
    """Return the owner of a claim, or None where there is no readable claim."""
    try:
        return Owner(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _lock(descriptor: int) -> bool | None:
    """Take the lock, and return whether that worked, or None where the file system has no locks."""
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in NO_LOCKS:
            return None
        raise
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Return whether an open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _is_silent(path: Path) -> bool:
    """Return whether a claim wasn't renewed within a lease; the clocks of a cluster differ by less."""
    try:
        return time.time() - path.stat().st_mtime > LEASE_S
    except OSError:
        return True


def _has_process(pid: int) -> bool:
    if sys.platform == "win32":
        return True  # signal 0 means Ctrl-C there, so only the lease decides
    try:
        os.kill(pid, 0)
    except OSError as error:  # with any other error the process exists
        return not isinstance(error, ProcessLookupError)
    return True
