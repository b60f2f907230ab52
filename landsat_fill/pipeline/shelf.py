"""A hidden folder beside an output, where a slow method keeps what is done until the output is complete."""

from __future__ import annotations

import secrets
import shutil
from typing import TYPE_CHECKING

from landsat_fill.io.atomic import cannot_write

if TYPE_CHECKING:
    from pathlib import Path


class FolderShelf:
    """Files of a folder that is made when the first comes; each is there whole or not at all."""

    def __init__(self, target: Path) -> None:
        """Choose the folder, which may be there from a run before.

        Args:
            target: The output that the folder belongs to.
        """
        self.folder = target.with_name(f".{target.name}.tiles")

    def get(self, name: str) -> bytes | None:
        """Return what is kept under a name, or None."""
        try:
            return (self.folder / name).read_bytes()
        except OSError:
            return None

    def put(self, name: str, content: bytes) -> None:
        """Keep something under a name.

        Raises:
            OutputError: If the disk refuses.
        """
        target = self.folder / name
        partial = target.with_name(f"{name}.{secrets.token_hex(4)}.partial")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            partial.replace(target)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise cannot_write(target, error) from error

    def drop(self, name: str) -> None:
        """Remove what is kept under a name."""
        (self.folder / name).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the folder. Never raises."""
        shutil.rmtree(self.folder, ignore_errors=True)
