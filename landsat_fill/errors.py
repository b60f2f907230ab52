"""The errors a user can meet: one root, with a message that says what was expected and a hint.

Nothing below the command line prints or exits; it raises one of these, and the command line turns it into
a line for the user and an exit code.
"""

from __future__ import annotations

import difflib
import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_STOPPED = 75
"""Stopped on request with scenes left: EX_TEMPFAIL of sysexits.h, which invites to try again."""
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143
"""128 and the number of the signal, as shells have it."""


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
        """Return what pickle needs, so that an error survives the way back from a worker process."""
        return (_rebuild, (type(self), self.message, self.hint))


def _rebuild(kind: type[LandsatFillError], message: str, hint: str | None) -> LandsatFillError:
    return kind(message, hint=hint)


class InputError(LandsatFillError):
    """A file that can't be used as it is: unreadable, empty, of the wrong kind."""


class OutputError(LandsatFillError):
    """A target that can't be written, or must not be."""


class UsageError(LandsatFillError):
    """A request that can't be meant: an unknown method, an option value out of its range."""


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """Return `Did you mean 'x'?` with the known word that is nearest to a misspelt one, or an empty text."""
    near = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=cutoff)
    return f"Did you mean {near[0]!r}?" if near else ""


def not_one_of(expected: str, found: str, known: Iterable[str], listed: str = "There are: {}.") -> UsageError:
    """Return the error for a word that is none of the known ones.

    Args:
        expected: What was expected.
        found: What was given.
        known: The words that exist.
        listed: The sentence that lists them in the hint; `{}` stands for the list.
    """
    known = tuple(known)
    hint = f"{did_you_mean(found, known)} {listed.format(', '.join(known) or 'none')}"
    return UsageError(f"expected {expected}, but got {found!r}", hint=hint.strip() or None)


class MethodError(LandsatFillError):
    """A method that can't fill this scene."""


class LackOfMemoryError(MethodError):
    """A method for which the memory is too small at what it was given; less may do."""


class TerminatedError(KeyboardInterrupt):
    """The process was told to end (SIGTERM): it ends as after Ctrl-C, cleanly."""


class MissingPackageError(LandsatFillError):
    """An optional package that the request needs and that isn't installed."""


def cannot_write(target: Path, error: object) -> OutputError:
    """Return the error for a write that failed, with the likeliest reason as its hint.

    Args:
        target: The file or folder that was to be written, or its place in a staging folder.
        error: What was raised, or a reason in words.
    """
    import shutil

    target = Path(*(part for part in target.parts if not (part[0] == "." and part.endswith(".partial"))))
    number = getattr(error, "errno", None)
    reason = os.strerror(number) if number else str(error) or "the write failed"
    folder = next(parent for parent in target.absolute().parents if parent.exists())
    hint = "Check that the folder can be written to, and that the disk and your quota have room."
    if number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR):
        hint = "Choose another folder, where you may write, with --output."
    elif shutil.disk_usage(folder).free < 64 << 20:
        hint = f"The disk of {folder} is full: make room, or choose another folder with --output."
    return OutputError(f"expected to write {target}, but got an error: {reason}", hint=hint)
