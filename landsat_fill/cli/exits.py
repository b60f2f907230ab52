"""Turns errors into a line, a hint and an exit code."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from landsat_fill.errors import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    EXIT_USAGE,
    TerminatedError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


_PARSER_WORDS = (
    (r"No such option: (\S+?)\.?(?: \(?(.*?)\)?)?$", r"expected an option of `{command}`, but got \1", r"\2"),
    (r"No such command (.+?)\.(?: (.*))?$", r"expected a command, but got \1", r"\2"),
    (r"There is no file and no command (.+?)\. (.*)$", r"expected a file or a command, but got \1", r"\2"),
    (r"Missing \w+ '?(.+?)'?\.$", r"expected \1, but got nothing", ""),
    (r"Option '(.+?)' requires an argument\.$", r"expected a value after \1, but got none", ""),
    (r"Invalid value for '(.+?)'.*?: (.+)$", r"expected a value that \1 can have, but got another", r"\2"),
    (r"Got unexpected extra argument\S* \((.+)\)$", r"expected no further argument, but got \1", ""),
)
"""The parser's message, ours, and the hint. Other messages stay as they are."""

RENAMED = {"--draw": "--realizations"}
"""The new names of options, by their old names."""


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


@contextmanager
def errors_reported(*, debug: bool) -> Iterator[None]:
    """Print an error as users need it and exit with its code; with `debug`, raise it."""
    from landsat_fill.cli.console import print_error

    try:
        yield
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except KeyboardInterrupt as error:
        terminated = isinstance(error, TerminatedError)
        print_error("terminated" if terminated else "interrupted", None)
        raise typer.Exit(EXIT_TERMINATED if terminated else EXIT_INTERRUPTED) from None
    except Exception as error:
        if debug:
            raise
        from landsat_fill.pipeline.outcome import explained

        print_error(*explained(error))
        raise typer.Exit(EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED) from None
