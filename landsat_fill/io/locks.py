"""Who is making an output: a claim beside it, which a process holds and which ends with that process."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

from landsat_fill.errors import LandsatFillError, cannot_write

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


CLAIM_SUFFIX = ".claim"

NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}
"""What a file system answers that can't lock, a Lustre mounted without `flock` for one."""

BEAT_S = 30.0
"""How often the owner of a claim touches it."""

LOOK_AGAIN_S = 0.05
"""How often one who waits for a claim tries to take it."""

LEASE_S = 300.0
"""How long an owner on another machine may be silent before it counts as dead: ten beats. Of one on this
machine the system tells at once, as it gives a lock back with its process."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a claim: a machine, a process on it, and the batch job of that, or an empty text."""

    host: str
    pid: int
    job: str

    def __str__(self) -> str:
        job = f", job {self.job}" if self.job else ""
        return f"process {self.pid} on {self.host}{job}"


class TakenError(LandsatFillError):
    """Another living process is making the output."""


class Claim:
    """A claim on an output. A context manager: entering takes it, leaving gives it back."""

    def __init__(
        self,
        target: Path,
        hint: str = "wait for it; the output is skipped once done",
        *,
        patience_s: float = 0.0,
    ) -> None:
        """Prepare; nothing is touched yet.

        Args:
            target: The file or folder to be made; the claim is a hidden file beside it.
            hint: What to do where it is taken.
            patience_s: How long to wait until it is free.
        """
        self.target = target
        self.hint = hint
        self._patience_s = patience_s
        self.path = claim_path(target)
        self._descriptor: int | None = None
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        """Take the claim.

        Raises:
            TakenError: If a living process holds it.
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
                    time.sleep(LOOK_AGAIN_S)
        except OSError as error:
            raise cannot_write(self.target, error) from error
        threading.Thread(target=self._beat, name="claim", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the claim back. Never raises."""
        self._ended.set()
        if self._descriptor is None:
            return
        try:
            if self.is_held():
                self.path.unlink()
            os.close(self._descriptor)
        except OSError:
            pass  # who comes next finds it without a living owner
        self._descriptor = None

    def is_held(self) -> bool:
        """Return whether the claim is still ours: a process that was silent for a lease loses it."""
        return self._descriptor is not None and _is_at(self._descriptor, self.path)

    def _try(self) -> int | None:
        """Return the descriptor of the claim, now ours, or None to try again."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            locked = _lock(descriptor)
            owner = _read(self.path)
            if locked is False and not (owner and owner.host != _host() and _is_silent(self.path)):
                raise TakenError(_taken(self.target, owner), hint=self.hint)
            if not _is_at(descriptor, self.path):
                os.close(descriptor)  # given back between the opening and the locking
                return None
            if locked is False:  # a dead machine's, whose file server never learnt that it died
                self.path.unlink()
                os.close(descriptor)
                return None
            if owner is not None and is_alive(owner, self.path, locks=locked is not None):
                raise TakenError(_taken(self.target, owner), hint=self.hint)
            try:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps(asdict(_ourselves())).encode(), 0)
            except OSError:
                self.path.unlink()
                raise
            if locked is None:  # nothing keeps another process from doing the same at the same time
                time.sleep(LOOK_AGAIN_S)
                if _read(self.path) != _ourselves():
                    raise TakenError(_taken(self.target, _read(self.path)), hint=self.hint)
            return descriptor
        except BaseException:
            os.close(descriptor)
            raise

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            try:
                os.utime(self.path)
            except OSError:
                return


def claim_path(target: Path) -> Path:
    """Return the file that a claim on an output is."""
    return target.with_name(f".{target.name}{CLAIM_SUFFIX}")


def claim_owner(target: Path) -> Owner | None:
    """Return the living owner of the claim on an output, or None. Nothing is locked or changed."""
    path = claim_path(target)
    owner = _read(path)
    return owner if owner is not None and is_alive(owner, path, locks=False) else None


def is_alive(owner: Owner, path: Path, *, locks: bool) -> bool:
    """Return whether the owner of a claim lives.

    Args:
        owner: Who wrote it.
        path: The claim.
        locks: Whether its lock was free, which on the owner's own machine means that it is dead.
    """
    if owner.host != _host():
        return not _is_silent(path)
    return not locks and _has_process(owner.pid) and not _is_silent(path)


def _ourselves() -> Owner:
    names = ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID")
    array = [os.environ[name] for name in names if name in os.environ]
    return Owner(_host(), os.getpid(), "_".join(array) or os.environ.get("SLURM_JOB_ID", ""))


def _host() -> str:
    return socket.gethostname()


def _read(path: Path) -> Owner | None:
    """Return who wrote a claim, or None where there is none, or none that can be read."""
    try:
        return Owner(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _taken(target: Path, owner: Owner | None) -> str:
    return f"expected {target} to be free to make, but {owner or 'another process'} is making it"


def _lock(descriptor: int) -> bool | None:
    """Return whether the lock was free and is ours now, or None where the file system has no locks."""
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
    """Return whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _is_silent(path: Path) -> bool:
    """Return whether a claim hasn't been touched for a lease; clocks of a cluster agree better than that."""
    try:
        return time.time() - path.stat().st_mtime > LEASE_S
    except OSError:
        return True


def _has_process(pid: int) -> bool:
    if sys.platform == "win32":
        return True  # signal 0 is Ctrl-C there; that it is silent must do
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
