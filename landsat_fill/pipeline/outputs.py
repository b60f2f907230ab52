"""Writes the output files of a job: a GeoTIFF, or the folder of a product, with the preview of a scene."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from landsat_fill.errors import cannot_write
from landsat_fill.io import Opacity, RasterProfile, Rasters, RasterWriter, write_bytes_atomically
from landsat_fill.io.archives import copy_members
from landsat_fill.io.atomic import MARK_NAME, read_mark, refuse_target
from landsat_fill.io.gdal import is_local
from landsat_fill.io.output_names import COLOURS, FILL, MEANINGS, PREVIEW, STD, FillCode, is_ours, realization_ending
from landsat_fill.io.usgs_names import RASTER_SUFFIXES, without_gzip
from landsat_fill.pipeline.plan import Action, missing_layers
from landsat_fill.pipeline.provenance import (
    OTHER_FILES,
    REALIZATION_TAG,
    provenance_tags,
    quantity_tags,
    reference_tags,
    request_facts,
)
from landsat_fill.pipeline.request import FillLayer, OutputRequest
from landsat_fill.pipeline.tiles import MOST_SOURCES
from landsat_fill.scene import Window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from numpy.typing import NDArray

    from landsat_fill.io.atomic import Transaction
    from landsat_fill.pipeline.plan import Job
    from landsat_fill.pipeline.reference_scenes import Suitability
    from landsat_fill.pipeline.request import FillRequest
    from landsat_fill.scene import Scene, SceneBand


class FolderShelf:
    """Stores intermediate results as files in a hidden folder beside an output."""

    def __init__(self, target: Path) -> None:
        """Choose the folder, which an earlier run may have left; `target` is the output."""
        self.folder = target.with_name(f".{target.name}.tiles")

    def get(self, name: str) -> bytes | None:
        """Return the content of a file, or None without such a file."""
        try:
            return (self.folder / name).read_bytes()
        except OSError:
            return None

    def put(self, name: str, content: bytes) -> None:
        """Write a file, completely or not at all.

        Raises:
            OutputError: If the write fails.
        """
        write_bytes_atomically(self.folder / name, content)

    def drop(self, name: str) -> None:
        """Remove a file."""
        (self.folder / name).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the folder. Never raises."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class FilledStrip:
    """A filled strip of a scene. All cubes are `(band, row, col)`.

    Attributes:
        window: The strip in the scene.
        stored: Stored numbers before the fill.
        observed: Observed pixels.
        values: Stored numbers after the fill.
        codes: Codes of the fill layer.
        std: Standard deviation in stored numbers, NaN where unknown, or None.
        done: Filled pixels.
        realizations: Stored numbers of each realization.
    """

    window: Window
    stored: NDArray[np.generic]
    observed: NDArray[np.bool_]
    values: NDArray[np.generic]
    codes: NDArray[np.uint8]
    std: NDArray[np.floating] | None
    done: NDArray[np.bool_]
    realizations: tuple[NDArray[np.generic], ...] = ()


@dataclass(frozen=True, slots=True)
class DataFile:
    """An output file with bands of a scene.

    Attributes:
        name: Its name.
        bands: The numbers of its bands in the scene, from 0.
        profile: Its profile.
        realization: The number of the realization in it, from 1; 0 for the fill itself.
    """

    name: str
    bands: tuple[int, ...]
    profile: RasterProfile
    realization: int = 0


class SceneOutputs:
    """The open output files of one scene."""

    def __init__(
        self,
        scene: Scene,
        rasters: Rasters,
        files: Sequence[DataFile],
        stem: str,
        outputs: OutputRequest,
        tags: Mapping[str, str],
        places: Mapping[str, Path],
        references: Sequence[str] = (),
    ) -> None:
        """Prepare, without opening a file.

        `files` are those of the bands and the realizations; the names of the layers and the preview begin with
        `stem`. `places` says where to write each file, by name: files without a place exist and stay as they are.
        """
        self._scene, self._rasters, self._outputs = scene, rasters, outputs
        self._tags, self._stem, self._places = tags, stem, places
        self._profile, self._references = files[0].profile, references
        self._files = [file for file in files if file.name in places]
        self._stack = ExitStack()
        self._writers: list[RasterWriter] = []
        self._layers: dict[str, RasterWriter] = {}
        self._part = scene.part or Window(0, 0, scene.grid.height, scene.grid.width)
        self._preview = Preview(scene) if stem + PREVIEW in places else None

    @property
    def wants_std(self) -> bool:
        """Whether the standard deviation is written."""
        return self._stem + STD in self._places

    @property
    def names_references(self) -> bool:
        """Whether the fill layer has a code for each reference."""
        return self._outputs.fill_layer is FillLayer.SOURCE

    @property
    def realizations(self) -> int:
        """How many realizations are needed: up to the last one that is written."""
        return max((file.realization for file in self._files), default=0)

    def __enter__(self) -> Self:
        """Open the files."""
        with ExitStack() as self._stack:
            for file in self._files:
                tags = {REALIZATION_TAG: f"{file.realization} of {self._outputs.realizations}"}
                self._writers.append(
                    self._open(file.name, file.profile.without_statistics(), tags if file.realization else {})
                )
            names = [band.name for band in self._scene.bands]
            if self._stem + FILL in self._places:
                self._layers[FILL] = self._open(self._stem + FILL, self._fill_profile(names))
            if self.wants_std:
                described = [f"{name} std" for name in names]
                std = self._profile.layer("float32", nodata=float("nan"), descriptions=described)
                self._layers[STD] = self._open(self._stem + STD, std)
            self._stack = self._stack.pop_all()  # after an error above, all files are closed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the files, unless there was an error."""
        self._stack.__exit__(kind, error, trace)
        if kind is None and self._preview is not None:
            self._preview.write(self._places[self._stem + PREVIEW])

    def write(self, strip: FilledStrip) -> None:
        """Write a strip to all files."""
        values = (strip.values, *strip.realizations)
        window = strip.window.within(self._part)
        for file, writer in zip(self._files, self._writers, strict=True):
            bands = list(file.bands)
            stored = self._rasters[self._scene.bands[bands[0]].dataset]
            opacity = opaque_where(stored.read_opacity(strip.window), np.asarray(strip.done[bands].any(axis=0)))
            writer.write(values[file.realization][bands], window, valid=opacity.valid, alpha=opacity.alpha)
        if FILL in self._layers:
            codes = strip.codes
            if self._outputs.fill_layer is not FillLayer.BANDS:
                codes = codes.max(axis=0, keepdims=True)
            self._layers[FILL].write(codes, window)
        if STD in self._layers and strip.std is not None:
            self._layers[STD].write(strip.std, window)
        if self._preview is not None:
            self._preview.add(window, strip.stored, strip.observed, strip.values, strip.observed | strip.done)

    def _open(self, name: str, profile: RasterProfile, tags: Mapping[str, str] | None = None) -> RasterWriter:
        writer = RasterWriter(
            self._places[name],
            profile,
            creation_options=self._outputs.creation_options,
            cog=self._outputs.cog or None,
            tags={**self._tags, **(tags or {})},
        )
        return self._stack.enter_context(writer)

    def _fill_profile(self, names: Sequence[str]) -> RasterProfile:
        meanings = {f"CODE_{code.value}": text for code, text in MEANINGS.items()}
        if not self._references:
            del meanings[f"CODE_{FillCode.FROM_REFERENCE.value}"]
        elif self._outputs.fill_layer is FillLayer.SOURCE:
            for number, name in enumerate(self._references[:MOST_SOURCES], FillCode.FROM_REFERENCE.value):
                meanings[f"CODE_{number}"] = f"missing, filled mainly from {name}"
        if self._outputs.fill_layer is FillLayer.BANDS:
            described = [f"{name} fill" for name in names]
            return self._profile.layer("uint8", nodata=0, descriptions=described, tags=meanings)
        colours = {code.value: colour for code, colour in COLOURS.items()}
        if not self._references:
            del colours[FillCode.FROM_REFERENCE.value]
        return self._profile.layer("uint8", nodata=0, descriptions=["fill"], colour_table=colours, tags=meanings)


def input_files(scene: Scene) -> list[Path]:
    """Return the local files of a scene, which no output may replace."""
    names = {
        str(scene.source),
        *(band.dataset for band in scene.bands),
        *(band.gap_mask for band in scene.bands if band.gap_mask is not None),
        *(quality.dataset for quality in scene.quality),
        *(mask.dataset for mask in scene.masks),
    }
    return sorted(Path(name) for name in names if is_local(name))


def opaque_where(opacity: Opacity, done: NDArray[np.bool_]) -> Opacity:
    """Return the opacity of an input with the filled pixels `(row, col)` opaque."""
    alpha, valid = opacity.alpha, opacity.valid
    if alpha is not None:
        most = 1 if alpha.dtype.kind == "f" else np.iinfo(alpha.dtype.name).max
        alpha = np.where(done, alpha.dtype.type(most), alpha)
    return Opacity(alpha, None if valid is None else valid | done)


class JobOutputs:
    """All output files of a job. They are written into the staging folder of a transaction on its target."""

    def __init__(
        self,
        job: Job,
        request: FillRequest,
        outputs: OutputRequest,
        scenes: Sequence[Scene],
        rasters: Rasters,
        transaction: Transaction,
    ) -> None:
        """Prepare the staging folder of the entered transaction.

        The action of the job decides whether to write all files or to add missing layers.

        Raises:
            OutputError: If a file of another program is in the way, or the folder can't be written to.
        """
        self._job, self._request, self._outputs, self._scenes = job, request, outputs, scenes
        self._rasters, self._transaction = rasters, transaction
        self._tags = provenance_tags(request, job.input)
        self._before = read_mark(job.target)
        self._suffixes = scene_suffixes(scenes)
        self._files = [self._files_of(*pair) for pair in zip(scenes, self._suffixes, strict=True)]
        self._protected = [file for scene in scenes for file in input_files(scene)]
        self._place = transaction.folder / job.target.name if job.is_folder else transaction.folder
        try:
            self._place.mkdir(exist_ok=True)
        except OSError as error:
            raise cannot_write(job.target, error) from error
        self._names = [name for number in range(len(scenes)) for name in self._names_of(number)]
        wanted = set(self._names)
        if job.action is Action.ADD and self._before is not None:
            wanted = {Path(name).name for name in missing_layers(job, outputs, self._before)}
        self._places = {name: self._place / name for name in self._names if name in wanted}
        self._refuse_foreign()

    @property
    def files(self) -> tuple[Path, ...]:
        """The final paths of all files of the job."""
        return tuple(self._job.folder / name for name in self._names)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on properties of the inputs that the outputs can't have, and on added files."""
        notes = dict.fromkeys(
            note for files in self._files for file in files if not file.realization for note in file.profile.notes
        )
        if self._job.action is Action.ADD:
            notes[f"added {', '.join(sorted(self._places))}; the rest was there already"] = None
        return tuple(notes)

    def realizations(self, number: int) -> int:
        """Return how many realizations of a scene are needed."""
        return self.open(number).realizations

    def open(self, number: int, references: Sequence[Suitability] = ()) -> SceneOutputs:
        """Return the outputs of a scene of the job, counted from 0, for a `with` statement.

        The tags and the fill layer name the references.
        """
        return SceneOutputs(
            self._scenes[number],
            self._rasters,
            self._files[number],
            self._job.stem + self._suffixes[number],
            self._outputs,
            {**self._tags, **reference_tags(references), **quantity_tags(self._scenes[number])},
            self._places,
            tuple(one.label for one in references),
        )

    def finish(self, row: Mapping[str, object], candidates: Sequence[str] = ()) -> None:
        """Copy a product's other files, and hand the transaction the facts of the mark.

        Args:
            row: The row of the report.
            candidates: Names of the acquisitions in the folders of references.

        Raises:
            InputError: If one of the other files can't be read.
            OutputError: If a file of another program has appeared in the way, or a write fails.
        """
        job, transaction = self._job, self._transaction
        others = self._copy_companions() if job.is_folder and job.action is Action.FILL else set()
        self._refuse_foreign()
        transaction.adds = job.action is Action.ADD
        if job.action is Action.FILL:
            self._replace({*self._names, *others})
        facts = request_facts(job.input, self._request, self._outputs)
        layers = set(job.layer_names(self._outputs, self._suffixes))
        if self._before is not None and transaction.adds:
            layers.update(self._before.facts["layers"])
            kept = (OTHER_FILES, *(["fill layer"] if self._outputs.fill_layer is FillLayer.NONE else []))
            made = self._before.facts["request"]
            facts = {name: made.get(name) if name in kept else value for name, value in facts.items()}
            if OTHER_FILES not in made:  # by an earlier version
                del facts[OTHER_FILES]
        transaction.facts = {
            "request": facts,
            "scenes": self._suffixes,
            "layers": sorted(layers),
            "row": row,
            "candidates": list(candidates),
        }

    def _copy_companions(self) -> set[str]:
        """Copy the product's other files beside the bands, and return the first parts of their paths.

        Other images don't come along with a part of a scene, whose grid they don't have.
        """
        targets = {
            stored: self._place / name
            for scene in self._scenes
            for name, stored in scene.companions.items()
            if name not in self._names and not self._outputs.bands_only
            if scene.part is None or not without_gzip(name).lower().endswith(RASTER_SUFFIXES)
        }
        try:
            copy_members(Path(self._job.input.source), targets)
        except OSError as error:
            raise cannot_write(Path(error.filename or self._place), error) from error
        return {path.relative_to(self._place).parts[0] for path in targets.values()}

    def _replace(self, new: set[str]) -> None:
        """Let the transaction remove an earlier run's files, and keep other files in the folder of a product."""
        job, old = self._job, set[str]()
        if self._before is not None:
            same = self._before.sizes.keys() - self._before.differing().keys()
            old = {Path(name).parts[1 if job.is_folder else 0] for name in same}
        elif job.target.exists():
            beside = (job.folder / (job.stem + end) for end in (FILL, STD, *map(realization_ending, range(1, 100))))
            there = job.folder.iterdir() if job.is_folder else beside
            old = {path.name for path in there if path.is_file() and is_ours(path)}
        if not job.is_folder:
            self._transaction.removed = sorted(old - new)
        elif job.target.is_dir():
            names = {path.name for path in job.target.iterdir()}
            self._transaction.kept = sorted(names - old - new - {MARK_NAME})

    def _refuse_foreign(self) -> None:
        """Raise OutputError if a file that isn't an output of an earlier run is in the way."""
        if self._job.is_folder and self._job.action is Action.FILL:
            return  # the folder is replaced as a whole
        ours = set() if self._before is None else {Path(name).name for name in self._before.sizes}
        for name in self._places:
            path = self._job.folder / name
            overwrite = self._outputs.overwrite or name in ours or (path.exists() and is_ours(path))
            refuse_target(path, overwrite=overwrite, protected=self._protected)

    def _names_of(self, number: int) -> list[str]:
        """Return the names of the files of a scene, the bands first."""
        stem = self._job.stem + self._suffixes[number]
        data = [file.name for file in self._files[number] if not file.realization]
        return [*data, *(stem + ending for ending in self._outputs.layer_endings)]

    def _files_of(self, scene: Scene, suffix: str) -> list[DataFile]:
        """Return the files of the bands of a scene, and one file with all bands for each realization."""
        target, bands = self._job.target, tuple(range(len(scene.bands)))
        stacked = self._with_request(stacked_profile(scene, self._rasters), scene, scene.bands[0])
        if self._job.is_folder:
            files = [
                DataFile(
                    band.file_name or Path(band.dataset).name,
                    (number,),
                    self._with_request(self._rasters[band.dataset].profile, scene, band),
                )
                for number, band in enumerate(scene.bands)
            ]
        else:
            files = [DataFile(f"{target.stem}{suffix}{target.suffix}", bands, stacked)]
        stem = self._job.stem + suffix
        numbers = range(1, self._outputs.realizations + 1)
        return [*files, *(DataFile(stem + realization_ending(number), bands, stacked, number) for number in numbers)]

    def _with_request(self, profile: RasterProfile, scene: Scene, band: SceneBand) -> RasterProfile:
        """Return the profile of the part to write, with the request's nodata tag if the file has none that counts."""
        given = self._request.nodata
        if given is not None and band.nodata is not None and (given.alone or profile.nodata is None):
            profile = replace(profile, nodata=band.nodata)
        return profile if scene.part is None else profile.for_part(scene.part)


def scene_suffixes(scenes: Sequence[Scene]) -> list[str]:
    """Return the suffixes of a product's scenes in file names: empty for the first, then `_thermal` and so on.

    If several scenes have bands of one kind, the suffix also contains the name of the first band.
    """
    roles = [one.bands[0].band.role.value if one.bands[0].band else one.bands[0].name for one in scenes]
    suffixes = [""]
    for scene, role in zip(scenes[1:], roles[1:], strict=True):
        suffixes.append(f"_{role}" if roles.count(role) == 1 else f"_{role}_{scene.bands[0].name}")
    return [suffix if suffixes.count(suffix) == 1 else f"{suffix}_{n}" for n, suffix in enumerate(suffixes)]


def stacked_profile(scene: Scene, rasters: Rasters) -> RasterProfile:
    """Return the profile for one file with all bands of a scene."""
    first = scene.bands[0]
    profile = rasters[first.dataset].profile
    if all(band.dataset == first.dataset for band in scene.bands):
        return profile.for_bands([band.index for band in scene.bands])
    bands = tuple(
        replace(rasters[band.dataset].profile.bands[band.index - 1], description=band.name, colour=colour)
        for band, colour in zip(scene.bands, ["gray", *["undefined"] * (len(scene.bands) - 1)], strict=True)
    )
    return replace(profile, bands=bands)


LONGEST_PREVIEW_PX = 1200
STRETCH_PERCENT = (1.0, 99.0)
GAMMA = 1.25  # brightens the dark half of a linear stretch, where most land lies
GAP_COLOUR = (0, 0, 0)
SEAM_PX = 8


class Preview:
    """Collects every n-th pixel of a scene while it is filled, and writes both images side by side."""

    def __init__(self, scene: Scene) -> None:
        self._bands = natural_colour(scene)
        grid = scene.grid if scene.part is None else scene.grid.cropped(scene.part)
        self._step = max(1, -(-max(grid.height, grid.width) // LONGEST_PREVIEW_PX))
        shape = (len(self._bands), -(-grid.height // self._step), -(-grid.width // self._step))
        self._before = np.full(shape, np.nan, np.float32)
        self._after = np.full(shape, np.nan, np.float32)

    def add(
        self,
        strip: Window,
        stored: NDArray[np.generic],
        observed: NDArray[np.bool_],
        values: NDArray[np.generic],
        known: NDArray[np.bool_],
    ) -> None:
        """Add a strip: stored numbers and valid pixels before the fill and after it, all `(band, row, col)`."""
        first = -strip.row % self._step
        rows = slice((strip.row + first) // self._step, None)
        for target, source, valid in ((self._before, stored, observed), (self._after, values, known)):
            picked = source[self._bands, first :: self._step, :: self._step].astype(np.float32)
            picked[~valid[self._bands, first :: self._step, :: self._step]] = np.nan
            target[:, rows][:, : picked.shape[1]] = picked

    def write(self, path: Path) -> None:
        """Write the preview as PNG.

        Raises:
            OutputError: If the file can't be written.
        """
        import cv2

        limits = [_limits(band) for band in self._before]
        panels = [_stretched(cube, limits) for cube in (self._before, self._after)]
        rows = panels[0].shape[0]
        seam = np.full((rows, SEAM_PX, 3), 255, np.uint8)
        picture = np.concatenate([panels[0], seam, panels[1]], axis=1)
        _, encoded = cv2.imencode(".png", picture[..., ::-1])  # OpenCV stores blue first
        try:
            path.write_bytes(encoded.tobytes())
        except OSError as error:
            raise cannot_write(path, error) from error


def natural_colour(scene: Scene) -> list[int]:
    """Return the indexes of the red, green and blue bands, or of one band for grey."""
    colours = {band.band.colour: n for n, band in enumerate(scene.bands) if band.band is not None}
    if {"red", "green", "blue"} <= set(colours):
        return [colours["red"], colours["green"], colours["blue"]]
    count = len(scene.bands)
    if count >= 4:
        return [2, 1, 0]  # stacks of Landsat bands begin with blue
    return [0, 1, 2] if count == 3 else [0]


def _limits(band: NDArray[np.float32]) -> tuple[float, float]:
    seen = band[np.isfinite(band)]
    if not seen.size:
        return 0.0, 1.0
    low, high = np.percentile(seen, STRETCH_PERCENT)
    return float(low), float(max(high, low + 1e-9))


def _stretched(cube: NDArray[np.float32], limits: Sequence[tuple[float, float]]) -> NDArray[np.uint8]:
    """Return `(row, col, 3)` bytes; pixels with NaN in any band get the colour of gaps."""
    planes = []
    for band, (low, high) in zip(cube, limits, strict=True):
        unit = np.clip((np.nan_to_num(band, nan=low) - low) / (high - low), 0, 1)
        planes.append((255 * unit ** (1 / GAMMA)).astype(np.uint8))
    picture = np.stack(planes * (3 // len(planes)), axis=-1)
    picture[np.isnan(cube).any(axis=0)] = GAP_COLOUR
    return picture
