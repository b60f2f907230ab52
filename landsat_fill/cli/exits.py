"""Turns errors into a line, a hint and an exit code."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ParamSpec

import typer

from landsat_fill.errors import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    EXIT_USAGE,
    LandsatFillError,
    TerminatedError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable


P = ParamSpec("P")


def reports_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Return the command with its errors printed as they are meant for users.

    A traceback is shown only where the command has a parameter `debug` and it is true.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        from landsat_fill.cli.console import print_error
        from landsat_fill.pipeline.outcome import explained

        try:
            command(*args, **kwargs)
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except KeyboardInterrupt as error:
            terminated = isinstance(error, TerminatedError)
            print_error("terminated" if terminated else "interrupted", None)
            raise typer.Exit(EXIT_TERMINATED if terminated else EXIT_INTERRUPTED) from None
        except LandsatFillError as error:
            if kwargs.get("debug"):
                raise
            print_error(error.message, error.hint)
            raise typer.Exit(EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED) from None
        except Exception as error:
            if kwargs.get("debug"):
                raise
            print_error(*explained(error))
            raise typer.Exit(EXIT_FAILED) from None

    return run
