"""The weights that come with landsat-fill: in `models/`, verified against the sums listed there."""

from __future__ import annotations

import hashlib
from pathlib import Path

from landsat_fill.errors import InputError
from landsat_fill.networks.weights_file import SUFFIX, WeightsFile, described, weights_content

SUMS_NAME = "SHA256SUMS"
"""The list, in the form of the command sha256sum."""

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped_folder() -> Path:
    """Return the folder of the shipped weights: in the installed package, else in the checkout around it."""
    installed = _PACKAGE / "_data" / "models"
    return installed if installed.is_dir() else _PACKAGE.parent / "models"


def shipped_names() -> tuple[str, ...]:
    """Return the names of what should be there: listed in the sums, or lying in the folder."""
    folder = shipped_folder()
    lying = {path.name for path in folder.glob(f"*{SUFFIX}")}
    names = lying | {name for name in _sums(folder) if name.endswith(SUFFIX)}
    return tuple(sorted(name.removesuffix(SUFFIX) for name in names))


def shipped_file(name: str) -> WeightsFile:
    """Return the shipped weights called `name`.

    Raises:
        InputError: If they are missing, damaged or not listed.
    """
    folder = shipped_folder()
    path = folder / f"{name}{SUFFIX}"
    listed = _sums(folder).get(path.name)
    if not path.is_file():
        raise InputError(
            f"expected the weights {path.name} in {folder}, but they are not there",
            hint="install landsat-fill again, or train your own and give them with --weights; "
            "`landsat-fill models` lists what is shipped",
        )
    if listed is None:
        raise InputError(
            f"expected a line for {path.name} in {folder / SUMS_NAME}, but there is none",
            hint="only listed weights count as shipped; give others with --weights",
        )
    content = weights_content(path)
    found = hashlib.sha256(content).hexdigest()
    if found != listed:
        raise InputError(
            f"expected {path} to have the sha256 {listed}, but it has {found}",
            hint="the file was changed or damaged: install landsat-fill again, or give it with --weights",
        )
    return described(path, content)


def shipped_card(name: str) -> str | None:
    """Return the card of shipped weights, Markdown, or None where there is none."""
    path = shipped_folder() / f"{name}.md"
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _sums(folder: Path) -> dict[str, str]:
    """Return the listed sha256 by file name."""
    path = folder / SUMS_NAME
    if not path.is_file():
        return {}
    lines = [line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {parts[1].strip().lstrip("*"): parts[0].lower() for parts in lines if len(parts) == 2}
