"""The errors a user can meet: one root, with a message that says what was expected and a hint.

Nothing below the command line prints or exits; it raises one of these, and the command line turns it into
a line for the user and an exit code.
"""

from __future__ import annotations

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


class MethodError(LandsatFillError):
    """A method that can't fill this scene."""


class LackOfMemoryError(MethodError):
    """A method for which the memory is too small at what it was given; less may do."""


class TerminatedError(KeyboardInterrupt):
    """The process was told to end (SIGTERM): it ends as after Ctrl-C, cleanly."""


class MissingPackageError(LandsatFillError):
    """An optional package that the request needs and that isn't installed."""
