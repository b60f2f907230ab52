"""Atomic outputs: a transaction writes all files of a target beside it, then moves them into place.

Files are first written to the staging folder `.NAME.partial` beside the target, so that moving them only
renames them. Once all files are complete and on disk, `commit.json` in that folder lists the moves, and the
commit is decided. If the process dies, the next process that locks the target completes a decided commit, and
removes any other staging folder. A kill at any moment therefore leaves the old outputs or the new ones.

The mark is moved last. It says that the outputs are complete, lists their sizes, and records how they were
made.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from landsat_fill.errors import LandsatFillError, OutputError, cannot_write
from landsat_fill.io.locks import WAIT_HINT, Claim, TakenError, claim_path

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path
    from types import TracebackType


STAGING_SUFFIX = ".partial"
MARK_NAME = ".done"
"""Name of the mark inside a folder; the mark of a file is the hidden file `.NAME.done` beside it."""

MARK_FACTS = {"request": dict, "scenes": list, "layers": list, "row": dict}
"""What a mark records: the request, the scenes' suffixes in names, the layers' paths and the report row."""

COMMIT_NAME = "commit.json"
"""File in a staging folder that lists the moves of a decided commit. No output has this name."""

TEXT_PATIENCE_S = 10.0
"""How long a process waits for another one that writes the same small file."""


def staging_path(target: Path) -> Path:
    """Return the folder in which the outputs of a target are written."""
    return target.with_name(f".{target.name}{STAGING_SUFFIX}")


def mark_path(target: Path, *, is_folder: bool) -> Path:
    """Return the file that marks the outputs of a target as complete."""
    return target / MARK_NAME if is_folder else target.with_name(f".{target.name}{MARK_NAME}")


@dataclass(frozen=True, slots=True)
class Mark:
    """Content of a mark.

    Attributes:
        facts: How the outputs were made, as JSON values by the names of `MARK_FACTS`.
        sizes: Size in bytes of each output, by its path relative to `folder`.
        folder: The folder of the target.
        time_ns: When the mark was written, by the clock of the file system.
    """

    facts: Mapping[str, Any]
    sizes: Mapping[str, int]
    folder: Path
    time_ns: int

    def differing(self) -> dict[str, int | None]:
        """Return the outputs whose size has changed, with their size now; None for a missing one."""
        stats = {name: _stat(self.folder / name) for name in self.sizes}
        sizes = {name: None if stat is None else stat.st_size for name, stat in stats.items()}
        return {name: size for name, size in sizes.items() if size != self.sizes[name]}


def read_mark(target: Path) -> Mark | None:
    """Return the mark of a target, or None if there is none or its content isn't that of a mark."""
    target = _without_link(target)
    path = mark_path(target, is_folder=target.is_dir())
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        facts, sizes = content["facts"], content["outputs"]
        is_mark = all(isinstance(facts[name], kind) for name, kind in MARK_FACTS.items())
        is_mark &= all(isinstance(name, str) for name in (*facts["scenes"], *facts["layers"]))
        is_mark &= all(isinstance(size, int) for size in sizes.values())
        return Mark(facts, sizes, target.parent, path.stat().st_mtime_ns) if is_mark else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def unreadable_mark(target: Path) -> Path | None:
    """Return the file of a mark that `read_mark` can't read, or None."""
    target = _without_link(target)
    path = mark_path(target, is_folder=target.is_dir())
    return path if path.exists() and read_mark(target) is None else None


def settle(target: Path) -> None:
    """Complete the commit of a process that ended, or remove its staging folder. Never raises."""
    target = _without_link(target)
    if staging_path(target).exists() or claim_path(target).exists():
        with suppress(LandsatFillError, OSError), Transaction(target):
            pass


class Transaction:
    """All outputs of a target, as a context manager: it holds the lock, and commits unless an error occurs.

    Files written to `folder` are moved beside the target. If the target is a folder, its files are written to
    a folder of the same name inside `folder`, which then replaces the target as a whole. After an error, the
    earlier outputs stay and nothing new is left.

    Attributes:
        facts: Content of the mark; None writes no mark.
        removed: Outputs of an earlier run to remove, by their paths relative to the target's folder.
        kept: Files to keep when a folder is replaced, by their names in it.
        adds: Whether new files join those in an existing target folder, instead of replacing it.
    """

    def __init__(self, target: Path, hint: str = WAIT_HINT, *, patience_s: float = 0.0) -> None:
        """Prepare; nothing is written yet.

        Args:
            target: The output file or folder; a link is followed.
            hint: The hint of the error if another process is writing it.
            patience_s: How long to wait for that process, in seconds.
        """
        self.target = _without_link(target)
        self.facts: Mapping[str, object] | None = None
        self.removed: Collection[str] = ()
        self.kept: Collection[str] = ()
        self.adds = False
        self._claim = Claim(self.target, hint, patience_s=patience_s)
        self._staging = staging_path(self.target)

    @property
    def folder(self) -> Path:
        """The staging folder, created at the first access; raises OutputError if that fails."""
        try:
            self._staging.mkdir(exist_ok=True)
        except OSError as error:
            raise cannot_write(self.target, error) from error
        return self._staging

    def __enter__(self) -> Self:
        """Take the lock, and complete or remove the work of a process that ended.

        Raises:
            TakenError: If a running process holds the lock.
            OutputError: If nothing can be written beside the target.
        """
        with ExitStack() as undo:
            try:
                self.target.parent.mkdir(parents=True, exist_ok=True)
                undo.enter_context(self._claim)
                self._settle()
            except OSError as error:
                raise cannot_write(self.target, error) from error
            undo.pop_all()  # the lock is kept until the transaction ends
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit, or remove the new files after an error; then release the lock.

        Raises:
            TakenError: If another process took the lock because this one didn't renew it in time.
            OutputError: If a write fails.
        """
        try:
            if kind is None and self._staging.exists():
                self._commit()
        except OSError as failure:
            raise cannot_write(self.target, failure) from failure
        finally:
            if self._claim.is_held():
                # This completes a decided commit after an interrupt.
                with suppress(OSError):
                    self._settle()
            self._claim.__exit__()

    def _commit(self) -> None:
        """Flush all files to disk, record the moves, and carry them out."""
        files = sorted(path for path in self._staging.rglob("*") if path.is_file())
        for path in files:
            _flush(path)
        replaces_folder = (self._staging / self.target.name).is_dir() and not self.adds
        moves = sorted(path.name for path in self._staging.iterdir())
        if self.adds:
            moves = [path.relative_to(self._staging).as_posix() for path in files]
        moves.sort(key=lambda name: name == self.target.name)  # the target comes last
        if self.facts is not None:
            mark = self._write_mark(files)
            if not replaces_folder:
                moves.append(mark)
        if not self._claim.is_held():
            raise TakenError(f"expected to hold the lock on {self.target}, but another process took it")
        commit: dict[str, list[Any]] = {
            "moves": [[name, (self._staging / name).stat().st_ino] for name in moves],
            "removed": list(self.removed),
            "kept": list(self.kept) if replaces_folder else [],
        }
        if self.facts is not None and not self.adds and not replaces_folder:
            # The old mark must not vouch for a mixture of old and new files.
            commit["removed"].append(mark_path(self.target, is_folder=False).name)
        if len(moves) > 1 or commit["removed"] or commit["kept"] or replaces_folder:
            for folder in {path.parent for path in files}:
                _flush(folder)
            draft = self._staging / f"{COMMIT_NAME}.draft"
            draft.write_text(json.dumps(commit), encoding="utf-8")
            _flush(draft)
            draft.replace(self._staging / COMMIT_NAME)
            _flush(self._staging)
        _carry_out(commit, self._staging, self.target.parent)

    def _write_mark(self, files: Iterable[Path]) -> str:
        """Write the mark, and return its path relative to the staging folder."""
        outputs = {path.relative_to(self._staging).as_posix(): path.stat().st_size for path in files}
        before = read_mark(self.target) if self.adds else None
        if before is not None:
            outputs = {**before.sizes, **outputs}
        is_folder = (self._staging / self.target.name).is_dir() or self.target.is_dir()
        inside = mark_path(self._staging / self.target.name, is_folder=is_folder)
        inside.parent.mkdir(exist_ok=True)
        inside.write_text(json.dumps({"outputs": outputs, "facts": self.facts}) + "\n", encoding="utf-8")
        _flush(inside)
        return inside.relative_to(self._staging).as_posix()

    def _settle(self) -> None:
        """Complete a decided commit, and remove the staging folder."""
        if not self._staging.exists():
            return
        with suppress(FileNotFoundError, ValueError):
            commit = json.loads((self._staging / COMMIT_NAME).read_text(encoding="utf-8"))
            _carry_out(commit, self._staging, self.target.parent)
        shutil.rmtree(self._staging, ignore_errors=True)


def _carry_out(commit: Mapping[str, Any], staging: Path, folder: Path) -> None:
    """Move the files of a commit into place, except those already moved by a process that was killed."""
    stats = {name: _stat(staging / name) for name, _ in commit["moves"]}
    moves = [
        (staging / name, folder / name)
        for name, inode in commit["moves"]
        if (stat := stats[name]) is not None and stat.st_ino == inode
    ]
    if len(moves) == len(commit["moves"]):  # no file has been moved yet
        for name in commit["removed"]:
            (folder / name).unlink(missing_ok=True)
    for source, target in moves:
        _move(source, _without_link(target))
    for name, _ in commit["moves"]:
        for old in (staging / name, _aside(staging / name)):
            for kept in commit["kept"]:
                if (old / kept).exists() and not (folder / name / kept).exists():
                    (old / kept).rename(folder / name / kept)
    _flush(folder)


def _move(source: Path, target: Path) -> None:
    """Move a file or folder into place; a folder it replaces is moved to `source`, or beside it."""
    if not (source.is_dir() and target.is_dir()):
        source.replace(target)
    elif not _exchange(source, target):
        target.rename(_aside(source))
        source.rename(target)


def _aside(source: Path) -> Path:
    """Return where a replaced folder is kept until it is removed."""
    return source.with_name(source.name + ".replaced")


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one step, and return whether that worked. Source: Linux, renameat2(2)."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    cwd, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename is not None and rename(cwd, os.fsencode(one), cwd, os.fsencode(other), exchange) == 0


def _without_link(target: Path) -> Path:
    """Return the target of a link, or the path itself."""
    return target.resolve() if target.is_symlink() else target


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _flush(path: Path) -> None:
    """Wait until a file's bytes, or a folder's entries, are on disk."""
    if sys.platform == "win32" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # the file system has no fsync
            raise
    finally:
        os.close(descriptor)


def refuse_target(target: Path, *, overwrite: bool, protected: Iterable[Path]) -> None:
    """Raise OutputError if `target` must not be written.

    Args:
        target: The file to write.
        overwrite: Whether an existing file may be replaced.
        protected: Files that must not be replaced, under any name or link.
    """
    if target.is_dir():
        raise OutputError(f"expected a file to write, but {target} is a folder", hint="Name a file inside it.")
    for path in protected:
        if target.resolve() == path.resolve() or (target.exists() and path.exists() and target.samefile(path)):
            raise OutputError(
                f"expected an output other than the input, but {target} is the input itself",
                hint="Choose another name with --output.",
            )
    if target.exists() and not overwrite:
        raise OutputError(
            f"expected a new file to write, but {target} already exists", hint="Add --overwrite to replace it."
        )


def write_text_atomically(path: Path, text: str) -> None:
    """Write a UTF-8 text file completely or not at all; errors as of `write_bytes_atomically`."""
    write_bytes_atomically(path, text.encode())


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Write a file completely or not at all.

    Raises:
        TakenError: If another process is still writing it after the wait.
        OutputError: If it can't be written.
    """
    with Transaction(path, "Wait for it to finish, then try again.", patience_s=TEXT_PATIENCE_S) as new:
        try:
            (new.folder / new.target.name).write_bytes(content)
        except OSError as error:
            raise cannot_write(path, error) from error


def append_line(path: Path, line: str) -> None:
    """Append a line in one write, so that several processes can append to the same file.

    Raises:
        OutputError: If it can't be written.
    """
    content = line.rstrip("\n").encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            written = file.write(content)
    except OSError as error:
        raise cannot_write(path, error) from error
    if written != len(content):
        raise cannot_write(path, "only part of the line was written")
