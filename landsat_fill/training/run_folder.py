"""The folder of a run: which files it holds, and whether a run may begin there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from landsat_fill.errors import InputError, OutputError
from landsat_fill.io.atomic import cannot_write
from landsat_fill.io.claims import Claim
from landsat_fill.io.text_files import write_text_atomically

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of a run.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def settings(self) -> Path:
        """What reproduces the run."""
        return self.path / "run.toml"

    @property
    def log(self) -> Path:
        """The course of the run, a row every so many steps."""
        return self.path / "log.csv"

    @property
    def curve(self) -> Path:
        """The same as a figure."""
        return self.path / "curve.png"

    @property
    def checkpoint(self) -> Path:
        """What the run goes on from."""
        return self.path / "last.pt"

    @property
    def best(self) -> Path:
        """The averaged weights that scored best."""
        return self.path / "best.safetensors"

    @property
    def last(self) -> Path:
        """The averaged weights of the last checkpoint."""
        return self.path / "last.safetensors"

    def begin(self, settings_text: str, *, resume: bool, overwrite: bool) -> None:
        """Make the folder, with the run's settings in it.

        Args:
            settings_text: The settings, as the file will have them.
            resume: Whether the run that is there goes on; else what it left is removed.
            overwrite: Whether that may be done where a run can go on; one that came to no checkpoint has
                nothing to lose.

        Raises:
            OutputError: If there is a run already and it may not be overwritten, or a file can't be written.
        """
        if self.checkpoint.exists() and not (resume or overwrite):
            raise OutputError(
                f"expected a folder without a run, but {self.path} has one",
                hint="go on with it by --resume, replace it by --overwrite, or choose another folder with -o",
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for file in () if resume else (self.log, self.curve, self.checkpoint, self.best, self.last):
                file.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self.settings, error) from error
        write_text_atomically(self.settings, settings_text)

    def claim(self) -> Claim:
        """Return the claim on the folder, to be entered by the process that writes there.

        Raises:
            OutputError: If the folder's own folder can't be made.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        return Claim(self.path, hint="wait for it, stop it, or choose another folder with -o")

    def require_run(self) -> None:
        """Raise InputError unless there is a run to go on with."""
        for file in (self.settings, self.checkpoint):
            if not file.is_file():
                raise InputError(
                    f"expected a run to go on with, but {self.path} has no {file.name}",
                    hint="leave out --resume to begin one there",
                )
