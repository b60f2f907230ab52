"""Writes a dataset: patches of clean scenes and gaps of real ones, in a folder."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import InputError, LandsatFillError, OutputError, UsageError
from landsat_fill.io import SceneReader, Transaction
from landsat_fill.scene import Window
from landsat_fill.training.dataset import DEFAULT_FOLDS, balanced_folds, place_of, require_size
from landsat_fill.training.dataset_manifest import MANIFEST_NAME, BandFacts, GapFacts, Manifest, SceneFacts
from landsat_fill.training.pixels_and_gaps import cut_gaps, grid_starts, packed, require_room, squared_steps, unpacked
from landsat_fill.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from landsat_fill.scene import Scene


@contextmanager
def growing_array(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[np.generic]
) -> Iterator[Callable[[NDArray[np.generic]], None]]:
    """Yield a function that appends an item to a new `.npy` file, which is complete when the context ends.

    Args:
        path: The file.
        shape: Shape of an item; the items lie along a further first axis.
        dtype: Data type of the items.
    """
    count = 0
    with path.open("wb") as file:

        def write_header() -> None:
            form = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (count, *shape)}
            np.lib.format.write_array_header_1_0(file, form)

        def append(item: NDArray[np.generic]) -> None:
            nonlocal count
            file.write(np.ascontiguousarray(item, dtype).tobytes())
            count += 1

        write_header()
        yield append
        # numpy's header has spare room for a larger first axis.
        file.seek(0)
        write_header()


class BandStatistics:
    """Mean, standard deviation, range and error scale of the observed pixels of each band."""

    def __init__(self, bands: int) -> None:
        self._pixels = np.zeros(bands)
        self._mean = np.zeros(bands)
        self._squares = np.zeros(bands)  # of differences from the mean
        self._low = np.full(bands, np.inf)
        self._high = np.full(bands, -np.inf)
        self._steps = np.zeros(bands)
        self._pairs = np.zeros(bands)

    def add(self, values: NDArray[np.generic], observed: NDArray[np.bool_]) -> None:
        """Add a patch, `(band, row, col)`.

        Source: Chan, Golub & LeVeque 1983, doi:10.2307/2683386, for the numerically stable update.
        """
        exact = np.where(observed, values, 0).astype(np.float64)
        pixels = np.count_nonzero(observed, axis=(1, 2))
        mean = exact.sum((1, 2)) / np.maximum(pixels, 1)
        spread = (((exact - mean[:, None, None]) ** 2) * observed).sum((1, 2))
        together = np.maximum(self._pixels + pixels, 1)
        apart = mean - self._mean
        self._squares += spread + apart**2 * self._pixels * pixels / together
        self._mean += apart * pixels / together
        self._pixels += pixels
        self._low = np.minimum(self._low, np.where(observed, exact, np.inf).min((1, 2)))
        self._high = np.maximum(self._high, np.where(observed, exact, -np.inf).max((1, 2)))
        steps, pairs = squared_steps(values, observed)
        self._steps += steps
        self._pairs += pairs

    def facts(self, names: Sequence[str]) -> tuple[BandFacts, ...]:
        """Return the statistics of each band."""
        std = np.sqrt(self._squares / np.maximum(self._pixels, 1))
        steps = self._steps / np.maximum(self._pairs, 1)
        columns = (self._mean, std, self._low, self._high, steps)
        return tuple(
            BandFacts(name, *numbers)
            for name, *numbers in zip(names, *(column.tolist() for column in columns), strict=True)
        )


@dataclass(frozen=True, slots=True)
class Cutting:
    """How scenes are cut into patches."""

    size_px: int = 128  # side of a patch, a multiple of 8
    stride_px: int = 128  # distance from one patch to the next; less than the side for patches that overlap
    max_missing: float = 0.1  # largest unobserved share of a patch in any band, 0 to 1


def cut_patches(
    scene: Scene, cutting: Cutting, folder: Path, label: str, *, on_progress: Callable[[float], None]
) -> SceneFacts:
    """Write the patches of a scene below `folder`, and return their description, with fold 0.

    Patches contain the exact stored numbers, also at unobserved pixels. One strip of the scene is in memory
    at a time.

    Args:
        scene: The scene.
        cutting: How the scene is cut.
        folder: The dataset's folder.
        label: Unique name of the scene's files, without suffix.
        on_progress: Called with the share of rows done, 0 to 1.

    Raises:
        InputError: If the scene can't be read, is smaller than a patch, or no patch has enough observed
            pixels.
    """
    require_room(scene, cutting.size_px)
    values_name = f"scenes/{label}.npy"
    observed_name = f"scenes/{label}.observed.npy"
    (folder / "scenes").mkdir(parents=True, exist_ok=True)
    statistics = BandStatistics(len(scene.bands))
    patches, all_observed = 0, True
    shape = (len(scene.bands), cutting.size_px, cutting.size_px)
    bits_shape = (*shape[:2], cutting.size_px // 8)
    try:
        with (
            SceneReader(scene) as reader,
            growing_array(folder / values_name, shape, reader.dtype) as append_values,
            growing_array(folder / observed_name, bits_shape, np.dtype(np.uint8)) as append_bits,
        ):
            for values, observed in _patches(reader, scene, cutting, on_progress):
                append_values(values)
                append_bits(packed(observed))
                statistics.add(values, observed)
                patches += 1
                all_observed &= bool(observed.all())
        if not patches:
            raise InputError(
                f"expected a patch of {cutting.size_px} px in {scene.name} with at most "
                f"{cutting.max_missing:.0%} missing, but found none",
                hint="Raise --max-missing, choose a smaller --size, or leave the scene out.",
            )
    except BaseException:
        (folder / values_name).unlink(missing_ok=True)
        (folder / observed_name).unlink(missing_ok=True)
        raise
    if all_observed:
        (folder / observed_name).unlink()
    place = place_of(scene)
    return SceneFacts(
        name=scene.name,
        source=str(scene.source),
        sensor=scene.sensor,
        acquired=None if scene.acquired is None else scene.acquired.isoformat(),
        dtype=str(reader.dtype),
        pixel_m=scene.grid.pixel_size_m,
        lon=place.lon,
        lat=place.lat,
        fold=0,
        patches=patches,
        values=values_name,
        observed=None if all_observed else observed_name,
        bands=statistics.facts([band.name for band in scene.bands]),
    )


def file_label(number: int, name: str) -> str:
    """Return the name of a scene's files without suffix; the number makes it unique."""
    return f"{number:03d}_{re.sub(r'[^A-Za-z0-9_.-]+', '_', name)[:80]}"


def _patches(
    reader: SceneReader, scene: Scene, cutting: Cutting, on_progress: Callable[[float], None]
) -> Iterator[tuple[NDArray[np.generic], NDArray[np.bool_]]]:
    """Yield the patches with enough observed pixels, row by row."""
    height, width = scene.grid.height, scene.grid.width
    size_px = cutting.size_px
    for row in grid_starts(height, size_px, cutting.stride_px):
        values, observed = reader.read(Window(row, 0, size_px, width))
        for col in grid_starts(width, size_px, cutting.stride_px):
            here = observed[:, :, col : col + size_px]
            if 1 - here.mean(axis=(1, 2)).min() <= cutting.max_missing:
                yield values[:, :, col : col + size_px], here
        on_progress((row + size_px) / height)


def write_dataset(
    scenes: Sequence[Scene],
    gaps_from: Sequence[Scene],
    target: Path,
    cutting: Cutting,
    *,
    folds: int = DEFAULT_FOLDS,
    command: str = "",
    overwrite: bool = False,
    on_progress: Callable[[float, str], None] | None = None,
) -> tuple[Manifest, list[tuple[str, LandsatFillError]]]:
    """Write a dataset, and return its manifest, and the name and the error of each scene that couldn't be used.

    Args:
        scenes: Clean scenes.
        gaps_from: SLC-off scenes whose gaps are stored.
        target: The folder to write.
        cutting: How scenes are cut; gaps are cut to the same size.
        folds: Number of folds. Each fold holds whole places, so there are at most as many folds as places.
        command: The command line, for the manifest.
        overwrite: Whether to replace an existing dataset; anything else is never replaced.
        on_progress: Called with the share done, 0 to 1, and the name of the current scene.

    Raises:
        InputError: If no scene could be used.
        UsageError: If a size, share or number isn't valid.
        OutputError: If the folder exists, or can't be written.
    """
    _require_valid(cutting, folds)
    target = target.absolute()
    _refuse_target(target, overwrite=overwrite)
    failures: list[tuple[str, LandsatFillError]] = []
    steps = len(scenes) + len(gaps_from)

    def progress(done: int, name: str) -> Callable[[float], None]:
        return lambda share: None if on_progress is None else on_progress((done + share) / steps, name)

    with Transaction(target, "Wait for it, or choose another folder with --output.") as new:
        folder = new.folder / new.target.name
        folder.mkdir()
        cut: list[tuple[Scene, SceneFacts]] = []
        for number, scene in enumerate(scenes):
            shown = progress(number, scene.name)
            try:
                label = file_label(number, scene.name)
                cut.append((scene, cut_patches(scene, cutting, folder, label, on_progress=shown)))
            except InputError as error:
                failures.append((scene.name, error))
        gaps: list[GapFacts] = []
        for number, scene in enumerate(gaps_from):
            shown = progress(len(scenes) + number, scene.name)
            try:
                gaps.append(_write_gaps(scene, cutting.size_px, folder, number, shown))
            except LandsatFillError as error:
                failures.append((scene.name, error))
        if not cut:
            raise _nothing_usable(failures)
        fold_of = balanced_folds([place_of(scene) for scene, _ in cut], [facts.patches for _, facts in cut], folds)
        manifest = Manifest(
            version=__version__,
            command=command,
            size_px=cutting.size_px,
            stride_px=cutting.stride_px,
            max_missing=cutting.max_missing,
            folds=max(fold_of) + 1,  # with fewer places than folds, the last folds are empty
            scenes=tuple(replace(facts, fold=fold) for (_, facts), fold in zip(cut, fold_of, strict=True)),
            gaps=tuple(gaps),
        )
        (folder / MANIFEST_NAME).write_text(manifest.as_json(), encoding="utf-8")
    return manifest, failures


def _write_gaps(
    scene: Scene, size_px: int, folder: Path, number: int, on_progress: Callable[[float], None]
) -> GapFacts:
    crops = cut_gaps(scene, size_px, on_progress=on_progress)
    name = f"gaps/{file_label(number, scene.name)}.npy"
    (folder / "gaps").mkdir(exist_ok=True)
    np.save(folder / name, crops)
    share = float(np.mean([unpacked(crop, size_px).mean() for crop in crops]))
    return GapFacts(scene.name, str(scene.source), crops.shape[1], len(crops), share, name)


def _refuse_target(target: Path, *, overwrite: bool) -> None:
    """Raise OutputError if the target exists and must not be replaced."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not (target / MANIFEST_NAME).is_file():
        raise OutputError(
            f"expected a new folder or a dataset to replace, but {target} is something else",
            hint="Choose another folder with --output.",
        )
    if not overwrite:
        raise OutputError(
            f"expected a new folder, but there is a dataset in {target}",
            hint="Replace it with --overwrite, or choose another folder with --output.",
        )


def _require_valid(cutting: Cutting, folds: int) -> None:
    require_size(cutting.size_px)
    if not 1 <= cutting.stride_px <= cutting.size_px:
        raise UsageError(
            f"expected a stride from 1 to {cutting.size_px} px, but got {cutting.stride_px}",
            hint="Use the side of a patch as the stride to cut patches without overlap.",
        )
    if not 0 <= cutting.max_missing < 1:
        raise UsageError(f"expected a missing share of at least 0 and less than 1, but got {cutting.max_missing:g}")
    if folds < 1:
        raise UsageError(f"expected at least one fold, but got {folds}")


def _nothing_usable(failures: Sequence[tuple[str, LandsatFillError]]) -> InputError:
    if not failures:
        return InputError("expected clean scenes to cut, but got none", hint="Name GeoTIFFs or products.")
    name, error = failures[0]
    return InputError(
        f"expected a scene that can be used, but got none of {len(failures)}; {name}: {error.message}", hint=error.hint
    )
