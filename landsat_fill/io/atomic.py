"""Outputs that appear together or not at all: a transaction writes them beside their target, then moves them.

The staging folder `.NAME.partial` lies beside the target, so that a move is a rename and copies nothing. Once
all files in it are complete and on the disk, `commit.json` there lists the moves: with that file the commit
is decided. Whoever takes the lock on a target after its owner died carries out a decided commit, and removes
any other staging folder. So a kill at any moment leaves the old outputs or the new ones.

The mark, moved last, says that outputs are complete: it names each with its size, and how they were made.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from landsat_fill.errors import LandsatFillError, OutputError, cannot_write
from landsat_fill.io.locks import Claim, TakenError, claim_path

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path
    from types import TracebackType


STAGING_SUFFIX = ".partial"
MARK_NAME = ".done"
"""The mark inside a folder; that of a file is a hidden file beside it whose name ends so."""

JOURNAL_NAME = "commit.json"
"""No output has this name; in a staging folder it says that the commit is decided, and what to do."""

TEXT_PATIENCE_S = 10.0
"""How long the writer of a small file waits for another writer of the same file."""


def staging_path(target: Path) -> Path:
    """Return the folder in which the outputs of a target are written."""
    return target.with_name(f".{target.name}{STAGING_SUFFIX}")


def mark_path(target: Path, *, is_folder: bool) -> Path:
    """Return the file that marks the outputs of a target as complete."""
    return target / MARK_NAME if is_folder else target.with_name(f".{target.name}{MARK_NAME}")


@dataclass(frozen=True, slots=True)
class Mark:
    """What the mark of a target says.

    Attributes:
        facts: What the writer wrote down, values for JSON.
        sizes: Size in bytes of each output by its path from the folder of the target.
        folder: The folder of the target.
        time_ns: When the mark was written, by the clock of the file system.
    """

    facts: Mapping[str, Any]
    sizes: Mapping[str, int]
    folder: Path
    time_ns: int

    def differing(self) -> dict[str, int | None]:
        """Return the outputs of another size than written, with their size now; None for a missing one."""
        sizes = {name: _size(self.folder / name) for name in self.sizes}
        return {name: size for name, size in sizes.items() if size != self.sizes[name]}


def read_mark(target: Path) -> Mark | None:
    """Return what the mark of a target says, or None where there is no mark that can be read."""
    target = _real(target)
    path = mark_path(target, is_folder=target.is_dir())
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Mark(content["facts"], dict(content["outputs"]), target.parent, path.stat().st_mtime_ns)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def settle(target: Path) -> None:
    """Finish the commit of a dead writer of the target, or remove what it left. Never raises."""
    target = _real(target)
    if staging_path(target).exists() or claim_path(target).exists():
        with suppress(LandsatFillError, OSError), Transaction(target):
            pass


class Transaction:
    """All outputs of a target. A context manager: it holds the lock, and leaving it without an error commits.

    Files that are written into `folder` end up beside the target. Where the target is a folder, its files are
    written into a folder of its name there, which then replaces the target as a whole. With an error nothing
    is left behind and what was there before stays.

    Attributes:
        facts: What the mark is to say; no mark is written where it stays None.
        removed: Outputs of an earlier run that go, by their paths from the target's folder.
        kept: Files that move along when a folder is replaced, by their names in it.
        adds: Whether the target stays, and the files in the folder of its name join those that are there.
    """

    def __init__(
        self,
        target: Path,
        hint: str = "wait for it; the output is skipped once done",
        *,
        patience_s: float = 0.0,
    ) -> None:
        """Prepare; nothing is touched yet.

        Args:
            target: The output, a file or a folder; where it is a link, what it leads to.
            hint: What to do where another process is making it.
            patience_s: How long to wait for that process.
        """
        self.target = _real(target)
        self.facts: Mapping[str, object] | None = None
        self.removed: Collection[str] = ()
        self.kept: Collection[str] = ()
        self.adds = False
        self._claim = Claim(self.target, hint, patience_s=patience_s)
        self._staging = staging_path(self.target)

    @property
    def folder(self) -> Path:
        """The staging folder, which is made when it is first asked for.

        Raises:
            OutputError: If it can't be made.
        """
        try:
            self._staging.mkdir(exist_ok=True)
        except OSError as error:
            raise cannot_write(self.target, error) from error
        return self._staging

    def __enter__(self) -> Self:
        """Take the lock, and settle what a dead owner left.

        Raises:
            TakenError: If a living process holds it.
            OutputError: If nothing can be written there.
        """
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.target, error) from error
        self._claim.__enter__()
        try:
            self._settle()
        except BaseException as error:
            self._claim.__exit__(None, None, None)
            if isinstance(error, OSError):
                raise cannot_write(self.target, error) from error
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit, or after an error leave nothing; then give the lock back.

        Raises:
            TakenError: If another process took the lock, because this one was silent for too long.
            OutputError: If the disk refuses.
        """
        try:
            if kind is None and self._staging.exists():
                self._commit()
        except OSError as failure:
            raise cannot_write(self.target, failure) from failure
        finally:
            if self._claim.is_held():
                # After an interrupt in the midst of a decided commit, this finishes it.
                with suppress(OSError):
                    self._settle()
            self._claim.__exit__(None, None, None)

    def _commit(self) -> None:
        """Bring all files to the disk, write down the moves, and carry them out."""
        files = sorted(path for path in self._staging.rglob("*") if path.is_file())
        for path in files:
            _flush(path)
        replaces_folder = (self._staging / self.target.name).is_dir() and not self.adds
        moves = sorted(path.name for path in self._staging.iterdir())
        if self.adds:
            moves = [path.relative_to(self._staging).as_posix() for path in files]
        moves.sort(key=lambda name: name == self.target.name)  # the target is the last
        if self.facts is not None:
            mark = self._write_mark(files)
            if not replaces_folder:
                moves.append(mark)
        if not self._claim.is_held():
            raise TakenError(f"expected to hold the lock on {self.target}, but another process took it")
        journal: dict[str, list[Any]] = {
            "moves": [[name, (self._staging / name).stat().st_ino] for name in moves],
            "removed": list(self.removed),
            "kept": list(self.kept) if replaces_folder else [],
        }
        if self.facts is not None and not self.adds and not replaces_folder:
            # While files are replaced, nothing may say that they belong together.
            journal["removed"].append(mark_path(self.target, is_folder=False).name)
        if len(moves) > 1 or journal["removed"] or journal["kept"] or replaces_folder:
            for folder in {path.parent for path in files}:
                _flush(folder)
            draft = self._staging / f"{JOURNAL_NAME}.draft"
            draft.write_text(json.dumps(journal), encoding="utf-8")
            _flush(draft)
            draft.replace(self._staging / JOURNAL_NAME)
            _flush(self._staging)
        _carry_out(journal, self._staging, self.target.parent)

    def _write_mark(self, files: Iterable[Path]) -> str:
        """Write the mark into the staging folder, and return its path there."""
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
        """Finish a commit that was decided, and remove the staging folder."""
        if not self._staging.exists():
            return
        with suppress(FileNotFoundError, ValueError):
            journal = json.loads((self._staging / JOURNAL_NAME).read_text(encoding="utf-8"))
            _carry_out(journal, self._staging, self.target.parent)
        shutil.rmtree(self._staging, ignore_errors=True)


def _carry_out(journal: Mapping[str, Any], staging: Path, folder: Path) -> None:
    """Move the files of a commit into place, but for those that a killed process has moved already."""
    moves = [
        (staging / name, folder / name) for name, inode in journal["moves"] if _inode(staging / name) == inode
    ]
    if len(moves) == len(journal["moves"]):  # nothing was moved yet
        for name in journal["removed"]:
            (folder / name).unlink(missing_ok=True)
    for source, target in moves:
        _move(source, _real(target))
    for name, _ in journal["moves"]:
        for old in (staging / name, _aside(staging / name)):
            for kept in journal["kept"]:
                if (old / kept).exists() and not (folder / name / kept).exists():
                    (old / kept).rename(folder / name / kept)
    _flush(folder)


def _move(source: Path, target: Path) -> None:
    """Move a file or folder into place; a folder that was there ends up at `source`, or beside it."""
    if not (source.is_dir() and target.is_dir()):
        source.replace(target)
    elif not _exchange(source, target):
        target.rename(_aside(source))
        source.rename(target)


def _aside(source: Path) -> Path:
    """Return where a folder waits to be removed while another takes its place."""
    return source.with_name(source.name + ".replaced")


def _exchange(one: Path, other: Path) -> bool:
    """Return whether two folders could change places in one step. Source: Linux, renameat2(2)."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename is not None and rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def _real(target: Path) -> Path:
    """Return what a link leads to, and anything else as it is."""
    return target.resolve() if target.is_symlink() else target


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _flush(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    if sys.platform == "win32" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system without it
            raise
    finally:
        os.close(descriptor)


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


def write_text_atomically(path: Path, text: str) -> None:
    """Write a file, as UTF-8, so that it is there whole or not at all.

    Raises:
        OutputError: If it can't be written.
    """
    write_bytes_atomically(path, text.encode())


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all.

    Raises:
        TakenError: If another process goes on writing it.
        OutputError: If it can't be written.
    """
    with Transaction(path, "wait for it, then try again", patience_s=TEXT_PATIENCE_S) as new:
        try:
            (new.folder / new.target.name).write_bytes(content)
        except OSError as error:
            raise cannot_write(path, error) from error


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
