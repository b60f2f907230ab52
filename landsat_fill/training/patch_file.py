"""Writes an `.npy` file item by item, without knowing how many there will be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray


class PatchFile:
    """An `.npy` file that grows along its first axis. A context manager: complete once it is left."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> None:
        """Create the file.

        Args:
            path: Where.
            shape: Of one item.
            dtype: Of its numbers.
        """
        self.count = 0
        self._shape, self._dtype = shape, dtype
        self._file = path.open("wb")
        self._write_header()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write how many items there are, and close."""
        with self._file:
            # numpy's header has room for the first axis to grow: the items needn't move.
            self._file.seek(0)
            self._write_header()

    def append(self, item: NDArray[np.generic]) -> None:
        """Write one more item."""
        self._file.write(np.ascontiguousarray(item, self._dtype).tobytes())
        self.count += 1

    def _write_header(self) -> None:
        np.lib.format.write_array_header_1_0(
            self._file,
            {
                "descr": np.lib.format.dtype_to_descr(self._dtype),
                "fortran_order": False,
                "shape": (self.count, *self._shape),
            },
        )
