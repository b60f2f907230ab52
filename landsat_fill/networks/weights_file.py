"""What a file of weights says of itself, read without torch: a safetensors file begins with plain JSON.

Source: the format's description, https://huggingface.co/docs/safetensors: the header's length as a
little-endian number of 8 bytes, the header, the numbers.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from landsat_fill.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT = "landsat-fill/1"
"""Marks the files that `save_network` writes."""

SUFFIX = ".safetensors"

_LONGEST_HEADER = 100_000_000
"""Bytes; the format's own limit, so that a file of another kind isn't read whole."""

_OWN_KEYS = ("format", "network", "settings", "reach_px", "size_multiple_px")
"""Metadata that `save_network` writes itself; all others are facts its caller gave."""


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A file of weights, without the weights.

    Attributes:
        path: Where it is.
        network: Name of the network.
        settings: What the network is built with.
        reach_px: How far an observed pixel can influence a prediction.
        size_multiple_px: What the sides of a tile must be a multiple of.
        facts: What else its maker wrote down: `trained_on`, `scores`, `licence`, `std_factor` and so on.
        parameters: How many numbers it holds.
        size_bytes: How large it is.
        sha256: Of the whole file, in hexadecimal.
    """

    path: Path
    network: str
    settings: Mapping[str, object]
    reach_px: int
    size_multiple_px: int
    facts: Mapping[str, str]
    parameters: int
    size_bytes: int
    sha256: str

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    @property
    def std_factor(self) -> float:
        """What the network's standard deviation is multiplied by to be honest; 1 where nobody measured it."""
        text = self.facts.get("std_factor", "1")
        try:
            factor = float(text)
        except ValueError:
            factor = math.nan
        if not 0 < factor < math.inf:
            raise _not_ours(self.path, f"its std_factor is {text!r}")
        return factor


def read_weights_file(path: Path) -> WeightsFile:
    """Return what a file of weights says of itself.

    Raises:
        InputError: If it can't be read, or `save_network` didn't write it.
    """
    return described(path, weights_content(path))


def weights_content(path: Path) -> bytes:
    """Return what a file of weights holds.

    Raises:
        InputError: If it can't be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"expected a file of weights at {path}, but it can't be read: {error.strerror}",
            hint="give a .safetensors file that `landsat-fill train` wrote",
        ) from error


def described(path: Path, content: bytes) -> WeightsFile:
    """Return what the content of a file of weights says of itself.

    Args:
        path: Where it is.
        content: What was read there.

    Raises:
        InputError: If `save_network` didn't write it.
    """
    header = _header(path, content)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise _not_ours(path, "it isn't of that format")
    try:
        file = WeightsFile(
            path=path,
            network=metadata["network"],
            settings=json.loads(metadata["settings"]),
            reach_px=int(metadata["reach_px"]),
            size_multiple_px=int(metadata["size_multiple_px"]),
            facts={key: text for key, text in sorted(metadata.items()) if key not in _OWN_KEYS},
            parameters=sum(math.prod(tensor["shape"]) for tensor in header.values()),
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise _not_ours(path, f"its metadata lack or garble {error}") from error
    for name in ("reach_px", "size_multiple_px"):
        if getattr(file, name) < 1:
            raise _not_ours(path, f"its {name} is {getattr(file, name)}")
    return file


def _header(path: Path, content: bytes) -> dict[str, Any]:
    """Return the JSON at the beginning of a safetensors file."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or not 2 <= length <= min(_LONGEST_HEADER, len(content) - 8):
        raise _not_ours(path, "it is no safetensors file")
    try:
        header = json.loads(content[8 : 8 + length])
    except ValueError as error:
        raise _not_ours(path, "it is no safetensors file") from error
    if not isinstance(header, dict):
        raise _not_ours(path, "it is no safetensors file")
    return header


def _not_ours(path: Path, why: str) -> InputError:
    return InputError(
        f"expected weights that `landsat-fill train` wrote (format {FORMAT}) in {path}, but {why}",
        hint="give its best.safetensors or last.safetensors",
    )
