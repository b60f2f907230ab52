"""The errors of this package, with one root class. Each has a message and a hint.

Only the command line prints and exits: it turns each error into a line and an exit code.
"""

from __future__ import annotations

import difflib
import errno
import os
import unicodedata
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_STOPPED = 75
"""Stopped on request before all scenes were filled. Source: EX_TEMPFAIL of sysexits.h, "try again"."""
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143
"""128 plus the number of the signal, as in shells."""


def printable(text: str) -> str:
    """Return a text in one line, with control characters, line breaks and bytes that aren't UTF-8 escaped.

    File names and what a message quotes from files can hold any of them, and so forge a line of a log.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or unicodedata.category(one) == "Zs" else ascii(one)[1:-1].replace(r"\udc", r"\x")
        for one in text
    )


class LandsatFillError(Exception):
    """The root of every error this package raises on purpose.

    Attributes:
        message: What was expected and what was found.
        hint: What to do about it, or None.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        """Return the parts from which pickle rebuilds the error of a worker process."""
        return partial(type(self), hint=self.hint), (self.message,)


class InputError(LandsatFillError):
    """An input file is unreadable, empty or of the wrong kind."""


class OutputError(LandsatFillError):
    """An output can't be written, or must not be."""


class UsageError(LandsatFillError):
    """A request is invalid: an unknown method, an option value out of its range."""


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """Return `Did you mean 'x'?` with the known word most like `word`, or an empty text."""
    near = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=cutoff)
    return f"Did you mean {near[0]!r}?" if near else ""


def not_one_of(expected: str, found: str, known: Iterable[str], listed: str = "Available: {}.") -> UsageError:
    """Return the error for an unknown word.

    Args:
        expected: What was expected.
        found: The word given.
        known: The known words.
        listed: The sentence of the hint that lists the known words; `{}` stands for the list.
    """
    known = tuple(known)
    hint = f"{did_you_mean(found, known)} {listed.format(', '.join(known) or 'none')}"
    return UsageError(f"expected {expected}, but got {found!r}", hint=hint.strip() or None)


class MethodError(LandsatFillError):
    """A method can't fill this scene."""


class LackOfMemoryError(MethodError):
    """A method needs more memory than there is; smaller tiles or batches may fit."""


LACK_OF_MEMORY = (
    "failed to map segment", "cannot allocate memory", "can't start new thread", "out of memory",
    "could not find/load shared object",
)  # fmt: skip
"""What the system, Python, GDAL and numba say where memory is short, as under `ulimit -v`, in lower case."""


def is_lack_of_memory(error: Exception) -> bool:
    """Return whether an error says that memory is short."""
    words = str(error).lower()
    return isinstance(error, MemoryError) or any(one in words for one in LACK_OF_MEMORY)


class TerminatedError(KeyboardInterrupt):
    """The process received SIGTERM; it ends as cleanly as after Ctrl-C."""


class MissingPackageError(LandsatFillError):
    """The request needs an optional package that isn't installed."""


FULL_DISK_BYTES = 64 << 20
"""Free space below which a failed write is put down to a full disk."""


def cannot_write(target: Path, error: object) -> OutputError:
    """Return the error for a failed write, with a hint for the most likely cause.

    Args:
        target: The output file or folder, or its path in a staging folder.
        error: The exception, or the cause in words.
    """
    import shutil

    target = Path(*(part for part in target.parts if not (part[0] == "." and part.endswith(".partial"))))
    number = error.errno if isinstance(error, OSError) else None  # GDAL's errors have a number of another kind
    folder = next(parent for parent in target.absolute().parents if parent.exists())
    is_full = shutil.disk_usage(folder).free < FULL_DISK_BYTES
    if number is None and is_full:
        number = errno.ENOSPC
    reason = os.strerror(number) if number else str(error) or "the write failed"
    hint = "Check that the folder can be written to, and that the disk and your quota have room."
    if number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR):
        hint = "Choose a folder where you have write permission with --output."
    elif is_full:
        hint = f"The disk of {folder} is full: free some space, or choose another folder with --output."
    return OutputError(f"expected to write {target}, but got an error: {reason}", hint=hint)
