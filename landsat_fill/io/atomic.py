"""Files that appear whole or not at all: written under another name beside the target, then moved."""

from __future__ import annotations

import errno
import os
import re
import secrets
import sys
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from landsat_fill.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


PARTIAL_SUFFIX = ".partial.tif"

ROOM_BYTES = 1 << 16
"""What a disk must still have room for to be believed that it took all before."""


NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}
"""What a file system answers that can't lock, a Lustre mounted without `flock` for one."""

UNLOCKED_LIFE_S = 3600.0
"""How long a partial file without a lock is left alone after the last write, where there are no locks."""


LOOKS_APART = 50
"""A folder is listed again only after so many times the time it took, so that this costs 2 % at most."""


class PartialFile:
    """A file in the making: beside its target, hidden, and locked for as long as its writer lives.

    The lock is how a later run tells the leavings of a killed run from the work of another one that goes on.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f".{target.name}.{secrets.token_hex(4)}{PARTIAL_SUFFIX}")
        self._lock: int | None = None

    def create(self) -> None:
        """Create the target's folder and the empty file, after removing what killed runs left of the target.

        Raises:
            OutputError: If the folder can't be written to.
        """
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            remove_stale_partials(self.target)
            self.path.touch()
        except OSError as error:
            raise cannot_write(self.target, error) from error

    def lock(self) -> None:
        """Lock the file. To be called once GDAL has created it, which deletes what was there before."""
        if sys.platform == "win32":
            return  # an open file can't be deleted there
        import fcntl

        self._lock = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_SH)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise

    def move_into_place(self) -> None:
        """Make sure of the bytes, then let the file be the target.

        Raises:
            OutputError: If the disk refuses.
        """
        try:
            _flush_to_disk(self.path)
            self.path.replace(self.target)
            _flush_to_disk(self.target.parent)
        except OSError as error:
            raise cannot_write(self.target, error) from error
        finally:
            self._unlock()

    def prove_room(self) -> None:
        """Let the file grow by a little and shrink again.

        Raises:
            OutputError: If the disk refuses.
        """
        try:
            with self.path.open("r+b") as file:
                size = file.seek(0, os.SEEK_END)
                file.write(bytes(ROOM_BYTES))
                file.flush()
                os.fsync(file.fileno())
                file.truncate(size)
        except OSError as error:
            raise cannot_write(self.target, error) from error

    def discard(self) -> None:
        """Remove the file, and whatever GDAL put beside it under its name. Never raises."""
        self._unlock()
        for leaving in [self.path, *self.path.parent.glob(f"{_literal(self.path.name)}.*")]:
            try:
                leaving.unlink(missing_ok=True)
            except OSError:
                continue

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def remove_stale_partials(target: Path) -> list[Path]:
    """Return the partial files of `target` that killed runs left behind, after removing them."""
    removed = []
    for path in _partials(target.parent).of(target):
        if path.exists() and not _is_locked(path):
            path.unlink(missing_ok=True)
            removed.append(path)
    return removed


def refuse_target(target: Path, *, overwrite: bool, protected: Iterable[Path]) -> None:
    """Raise OutputError if `target` must not be written.

    Args:
        target: The file to be written.
        overwrite: Whether an existing file may be replaced.
        protected: Files that must not be, whatever name or link leads to them.
    """
    if target.is_dir():
        raise OutputError(
            f"expected a file to write, but {target} is a folder", hint="Name a file inside it."
        )
    for path in protected:
        if (
            target == path
            or target.resolve() == path.resolve()
            or (target.exists() and path.exists() and target.samefile(path))
        ):
            raise OutputError(
                f"expected an output apart from the input, but {target} is the input itself",
                hint="Choose another name with --output.",
            )
    if target.exists() and not overwrite:
        raise OutputError(
            f"expected a new file to write, but {target} is there already",
            hint="Add --overwrite to replace it.",
        )


def cannot_write(target: Path, error: object) -> OutputError:
    """Return the error for a write that failed, with the likeliest reason as its hint."""
    import shutil

    number = getattr(error, "errno", None)
    reason = os.strerror(number) if number else str(error) or "the write failed"
    folder = next(parent for parent in target.absolute().parents if parent.exists())
    hint = "Check that the folder can be written to, and that the disk and your quota have room."
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = "Choose a folder that you may write to, with --output."
    elif shutil.disk_usage(folder).free < 64 << 20:
        hint = f"The disk of {folder} is full: make room, or choose another folder with --output."
    return OutputError(f"expected to write {target}, but got an error: {reason}", hint=hint)


class _Partials:
    """The partial files of a folder, looked for now and then: a folder of an archive takes long to list.

    What appears between two looks belongs to a run that lives, or died only just now; the next run finds it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: list[str] = []
        self._look_at_s = 0.0

    def of(self, target: Path) -> list[Path]:
        """Return those of a target, as they were when the folder was last looked at."""
        began_s = time.monotonic()
        if began_s >= self._look_at_s:
            with os.scandir(self._folder) as entries:
                self._names = sorted(entry.name for entry in entries if PARTIAL_SUFFIX in entry.name)
            ended_s = time.monotonic()
            self._look_at_s = ended_s + LOOKS_APART * (ended_s - began_s)
        of_target = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}{re.escape(PARTIAL_SUFFIX)}.*")
        return [self._folder / name for name in self._names if of_target.fullmatch(name)]


@lru_cache(maxsize=64)
def _partials(folder: Path) -> _Partials:
    return _Partials(folder)


def _literal(name: str) -> str:
    """Return a glob pattern that matches `name` only."""
    import glob

    return glob.escape(name)


def _is_locked(path: Path) -> bool:
    """Return whether a living process holds the file."""
    if sys.platform == "win32":
        return False  # unlinking an open file fails there instead
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Nobody can tell there whose it is: what was written to lately may be in the making.
        return error.errno not in NO_LOCKS or time.time() - os.fstat(descriptor).st_mtime < UNLOCKED_LIFE_S
    finally:
        os.close(descriptor)
    return False


def _flush_to_disk(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    if sys.platform == "win32" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text_atomically(path: Path, text: str) -> None:
    """Write a file, as UTF-8, so that it is there whole or not at all.

    Raises:
        OutputError: If it can't be written.
    """
    write_bytes_atomically(path, text.encode())


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all.

    Raises:
        OutputError: If it can't be written.
    """
    partial = PartialFile(path)
    try:
        partial.create()
        partial.lock()
        partial.path.write_bytes(content)
        partial.move_into_place()
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        partial.discard()


def append_line(path: Path, line: str) -> None:
    """Append a line to a file that several processes may append to: each line goes out in one write.

    Raises:
        OutputError: If it can't be written.
    """
    content = line.rstrip("\n").encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            written = os.write(descriptor, content)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise cannot_write(path, error) from error
    if written != len(content):
        raise cannot_write(path, "the disk took part of a line only")
