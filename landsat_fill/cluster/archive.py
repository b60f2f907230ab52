"""The folder of the outputs of an archive, with the rounds that were submitted to fill it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from landsat_fill.cluster.manifest import ManifestLine, read_manifest
from landsat_fill.cluster.round import Round
from landsat_fill.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS_NAME = "cluster"


class Listed(NamedTuple):
    """A scene: its line, the last round that had it, and its number in the manifest there."""

    line: ManifestLine
    round: Round
    number: int


class Archive:
    """The folder of the outputs, and in it the rounds, numbered from 1."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    @property
    def rounds(self) -> list[Round]:
        """The rounds, in their order.

        Raises:
            InputError: If there is none.
        """
        begun = self._begun()
        if not begun:
            raise InputError(
                f"expected a folder that `landsat-fill cluster submit` fills, but got {self.folder}",
                hint="give the folder that was given to it with -o",
            )
        return begun

    @property
    def has_rounds(self) -> bool:
        """Whether anything was submitted to fill it."""
        return bool(self._begun())

    def next_round(self) -> Round:
        """Return a round to be created."""
        return Round(self.folder / ROUNDS_NAME / str(max(self._numbers(), default=0) + 1))

    def scenes(self) -> list[Listed]:
        """Return the scenes of all rounds, each once.

        Raises:
            InputError: If there is no round, or a manifest can't be read.
        """
        listed: dict[Path, Listed] = {}  # a later round's line replaces an earlier one's
        for one in self.rounds:
            for number, line in enumerate(read_manifest(one.manifest)):
                listed[line.target] = Listed(line, one, number)
        return list(listed.values())

    def _begun(self) -> list[Round]:
        rounds = [Round(self.folder / ROUNDS_NAME / str(number)) for number in self._numbers()]
        return [one for one in rounds if one.began_ns is not None]

    def _numbers(self) -> list[int]:
        folder = self.folder / ROUNDS_NAME
        if not folder.is_dir():
            return []
        return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())
