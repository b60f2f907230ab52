"""Weights files: their metadata, the shipped weights, and saving and loading a network.

A file has the header's length as a little-endian number of 8 bytes, the header, and the numbers.
Source: https://huggingface.co/docs/safetensors.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landsat_fill.errors import InputError, LandsatFillError
from landsat_fill.networks.catalogue import build_network, import_torch, settings_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from landsat_fill.networks.network import Network


FORMAT = "landsat-fill/1"
"""Marks the files that `network_content` writes."""

SUFFIX = ".safetensors"

_LONGEST_HEADER = 100_000_000
"""Limit of the format, in bytes."""

_OWN_KEYS = ("format", "network", "settings", "reach_px", "size_multiple_px")
"""Metadata that `network_content` adds; all other keys are facts that its caller gives."""


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """The metadata of a weights file."""

    path: Path
    network: str  # name of the network
    settings: Mapping[str, object]
    reach_px: int  # largest distance at which an observed pixel influences a prediction
    size_multiple_px: int  # divisor of the sides of a tile
    facts: Mapping[str, str]  # other metadata: `trained_on`, `scores`, `licence`, `std_factor` and so on
    parameters: int  # number of parameters
    size_bytes: int
    sha256: str  # of the whole file, in hexadecimal

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    @property
    def std_factor(self) -> float:
        """Measured correction factor of the network's standard deviation; 1 if it wasn't measured."""
        text = self.facts.get("std_factor", "1")
        try:
            factor = float(text)
        except ValueError:
            factor = math.nan
        if not 0 < factor < math.inf:
            raise _wrong_format(self.path, f"its std_factor is {text!r}")
        return factor


def read_weights_file(path: Path) -> WeightsFile:
    """Return the metadata of a file that `network_content` wrote, or raise InputError."""
    return described(path, weights_content(path))


def weights_content(path: Path) -> bytes:
    """Return the content of a weights file, or raise InputError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"expected a file of weights at {path}, but it can't be read: {error.strerror}",
            hint="Give a .safetensors file that `landsat-fill train` wrote.",
        ) from error


def described(path: Path, content: bytes, expected_sha256: str | None = None) -> WeightsFile:
    """Return the metadata in the content of a weights file.

    Raises:
        InputError: If `network_content` didn't write it, or it has another hash than expected.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    if expected_sha256 not in (None, sha256):
        raise InputError(
            f"expected {path} to have the sha256 {expected_sha256}, but it has {sha256}",
            hint="The file was changed or damaged. Install landsat-fill or get the file again, or give it with "
            "--weights to use it anyway.",
        )
    header = _header(path, content)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise _wrong_format(path, "it has another format")
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
            sha256=sha256,
        )
    except (KeyError, ValueError, TypeError) as error:
        raise _wrong_format(path, f"its metadata is wrong: {error}") from error
    for name in ("reach_px", "size_multiple_px"):
        if getattr(file, name) < 1:
            raise _wrong_format(path, f"its {name} is {getattr(file, name)}")
    return file


def _header(path: Path, content: bytes) -> dict[str, Any]:
    """Return the JSON at the beginning of a safetensors file."""
    length = int.from_bytes(content[:8], "little")
    try:
        if length > _LONGEST_HEADER:
            raise ValueError
        header = json.loads(content[8 : 8 + length])
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise _wrong_format(path, "it isn't a safetensors file")
    return header


def _wrong_format(path: Path, why: str) -> InputError:
    return InputError(
        f"expected weights that `landsat-fill train` wrote (format {FORMAT}) in {path}, but {why}",
        hint="Give its best.safetensors or last.safetensors.",
    )


SUMS_NAME = "SHA256SUMS"
"""The list of hashes, in the format of the command sha256sum."""

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped_folder() -> Path:
    """Return the folder of the shipped weights: in the installed package, otherwise in the checkout."""
    installed = _PACKAGE / "_data" / "models"
    return installed if installed.is_dir() else _PACKAGE.parent / "models"


def shipped_names() -> tuple[str, ...]:
    """Return the names of the shipped weights: those in the list of hashes, and those in the folder."""
    folder = shipped_folder()
    present = {path.name for path in folder.glob(f"*{SUFFIX}")}
    names = present | {name for name in _sums(folder) if name.endswith(SUFFIX)}
    return tuple(sorted(name.removesuffix(SUFFIX) for name in names))


def shipped_file(name: str) -> WeightsFile:
    """Return the shipped weights called `name`, or raise InputError if they are missing, damaged or not listed."""
    folder = shipped_folder()
    path = folder / f"{name}{SUFFIX}"
    listed = _sums(folder).get(path.name)
    if not path.is_file():
        raise InputError(
            f"expected the weights {path.name} in {folder}, but they are not there",
            hint="Install landsat-fill again, or train your own and give them with --weights; "
            "`landsat-fill models` lists the shipped ones.",
        )
    if listed is None:
        raise InputError(
            f"expected a line for {path.name} in {folder / SUMS_NAME}, but there is none",
            hint="Only listed weights count as shipped; give others with --weights.",
        )
    return described(path, weights_content(path), listed)


def shipped_card(name: str) -> str | None:
    """Return the card of shipped weights (Markdown), or None."""
    path = shipped_folder() / f"{name}.md"
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _sums(folder: Path) -> dict[str, str]:
    """Return the listed sha256 by file name."""
    path = folder / SUMS_NAME
    if not path.is_file():
        return {}
    lines = [line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {parts[1].strip().lstrip("*"): parts[0].lower() for parts in lines if len(parts) == 2}


def network_content(network: Network, facts: Mapping[str, str] | None = None) -> bytes:
    """Return a network's weights, name, settings and `WeightsFile.facts` as the content of a safetensors file."""
    from safetensors.torch import save

    metadata = {
        **(facts or {}),
        "format": FORMAT,
        "network": network.name,
        "settings": json.dumps(settings_of(network), sort_keys=True),
        "reach_px": str(network.reach_px),
        "size_multiple_px": str(network.size_multiple_px),
    }
    content = save({key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()})
    # The package safetensors writes metadata in random order. Sorted, the same weights are the same bytes.
    end = 8 + int.from_bytes(content[:8], "little")
    header = {"__metadata__": dict(sorted(metadata.items())), **json.loads(content[8:end])}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the numbers begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text + content[end:]


def load_network(path: Path, expected_sha256: str | None = None) -> tuple[Network, WeightsFile]:
    """Return the network of a weights file, on the CPU in evaluation mode, and the file's metadata.

    The numbers are converted to the network's precision.

    Args:
        path: A file that `network_content` wrote.
        expected_sha256: Expected hash, or None for any.

    Raises:
        InputError: If the file can't be read, has another hash, doesn't fit its network, or has numbers that
            aren't finite.
        MissingPackageError: If torch isn't installed.
    """
    import_torch()
    from safetensors import SafetensorError
    from safetensors.torch import load

    content = weights_content(path)
    file = described(path, content, expected_sha256)
    try:
        network = build_network(file.network, file.settings)
        tensors = load(content)
        _require_fit(network, tensors)
        network.load_state_dict(tensors)
    except (SafetensorError, RuntimeError, ValueError, LandsatFillError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"expected weights of the network {file.network} in {path}, but they don't fit it: {reason}",
            hint="They may be damaged, or of another version of landsat-fill.",
        ) from error
    for name, values in network.state_dict().items():
        if not values.isfinite().all():
            raise InputError(
                f"expected finite numbers in the weights {path}, but {name} has others",
                hint="Choose other weights: the training diverged, or the file is damaged.",
            )
    network.eval().requires_grad_(False)
    return network, file


def _require_fit(network: Network, tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError for the first tensor that is missing, unknown or of another shape."""
    own = network.state_dict()
    for name in (*own, *tensors):
        if name not in tensors:
            raise ValueError(f"{name} is missing")
        if name not in own:
            raise ValueError(f"the network has no {name}")
        shape, found = tuple(own[name].shape), tuple(tensors[name].shape)
        if found != shape:
            raise ValueError(f"{name} should have the shape {shape}, and has {found}")
