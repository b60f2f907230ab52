"""Turns errors into a line, a hint and an exit code."""

from __future__ import annotations

import functools
import re
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

_PARSER_WORDS = (
    (r"No such option: (\S+?)\.?(?: \(?(.*?)\)?)?$", r"expected an option of `{command}`, but got \1", r"\2"),
    (r"No such command (.+?)\.(?: (.*))?$", r"expected a command, but got \1", r"\2"),
    (r"There is no file and no command (.+?)\. (.*)$", r"expected a file or a command, but got \1", r"\2"),
    (r"Missing \w+ '?(.+?)'?\.$", r"expected \1, but got nothing", ""),
    (r"Option '(.+?)' requires an argument\.$", r"expected a value after \1, but got none", ""),
    (r"Invalid value for '(.+?)'.*?: (.+)$", r"expected a value that \1 can have, but got another", r"\2"),
    (r"Got unexpected extra argument\S* \((.+)\)$", r"expected no further argument, but got \1", ""),
)
"""What the parser says, what this program says, and the hint. Other messages stay as they are."""

RENAMED = {"--draw": "--realizations"}
"""Options by their old names."""


def print_usage_error(error: Exception) -> None:
    """Print an error of the parser like all others: what was expected, what was found, and a hint."""
    from landsat_fill.cli.console import print_error

    context = getattr(error, "ctx", None)
    command = context.command_path if context else "landsat-fill"
    message, hint = str(getattr(error, "format_message", error.__str__)()), ""
    for pattern, words, hint_words in _PARSER_WORDS:
        match = re.match(pattern, message, re.DOTALL)
        if match is not None:
            message = match.expand(words.replace("{command}", command)).replace("' / '", " / ")
            hint = match.expand(hint_words)
            break
    renamed = RENAMED.get(getattr(error, "option_name", ""))
    if renamed is not None:
        hint = f"It is called {renamed} now."
    print_error(message, hint or f"See `{command} --help`.")


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
