"""The files of a job: one a scene, or a product's folder; all are written into one transaction."""

from __future__ import annotations

import shutil
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from landsat_fill.errors import cannot_write
from landsat_fill.io import Opacity, RasterProfile, Rasters, RasterWriter, StoredReader, write_bytes_atomically
from landsat_fill.io.atomic import MARK_NAME, read_mark, refuse_target
from landsat_fill.io.gdal import is_local
from landsat_fill.io.output_names import FILL, PREVIEW, STD, is_ours, realization_ending
from landsat_fill.pipeline.compose import COLOURS, MEANINGS
from landsat_fill.pipeline.plan import Action, missing_layers
from landsat_fill.pipeline.preview import Preview
from landsat_fill.pipeline.provenance import DRAW_TAG, provenance_tags, request_facts
from landsat_fill.pipeline.request import FillLayer, OutputRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from numpy.typing import NDArray

    from landsat_fill.io.atomic import Transaction
    from landsat_fill.pipeline.plan import Job
    from landsat_fill.pipeline.request import FillRequest
    from landsat_fill.scene import Scene, Window


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
        write_bytes_atomically(self.folder / name, content)

    def drop(self, name: str) -> None:
        """Remove what is kept under a name."""
        (self.folder / name).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the folder. Never raises."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class FilledStrip:
    """A strip of a scene, ready to be written. All cubes are `(band, row, col)`.

    Attributes:
        window: Where it lies in the scene.
        stored: Stored numbers before.
        observed: Where these are observations.
        values: Stored numbers after.
        codes: What the fill layer says.
        std: Standard deviation in stored numbers, NaN where not known, or None.
        known: Where the values are observed or filled.
        done: Where they were filled.
        drawn: Stored numbers of each plausible fill.
    """

    window: Window
    stored: NDArray[np.generic]
    observed: NDArray[np.bool_]
    values: NDArray[np.generic]
    codes: NDArray[np.uint8]
    std: NDArray[np.floating] | None
    known: NDArray[np.bool_]
    done: NDArray[np.bool_]
    drawn: tuple[NDArray[np.generic], ...] = ()


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file that bands of a scene are written to: its name, which bands (from 0), and how it is laid out."""

    name: str
    bands: tuple[int, ...]
    profile: RasterProfile


class _OpenData(NamedTuple):
    """A file of bands that is being written, what it holds (0 the fill, 1 the first draw), and its input."""

    file: DataFile
    draw: int
    writer: RasterWriter
    stored: StoredReader


class SceneOutputs:
    """The open files of one scene. Those that are there already are left as they are."""

    def __init__(
        self,
        scene: Scene,
        rasters: Rasters,
        data: Sequence[DataFile],
        drawn: Sequence[DataFile],
        stem: str,
        outputs: OutputRequest,
        tags: Mapping[str, str],
        places: Mapping[str, Path],
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            scene: The scene.
            rasters: Its open rasters.
            data: The files its bands go to.
            drawn: A file for each plausible fill.
            stem: What the names of the layers and the picture begin with.
            outputs: What is wanted.
            tags: Provenance.
            places: Where each file is written, by its name; without those that are there already.
        """
        self._scene, self._outputs, self._tags, self._stem = scene, outputs, tags, stem
        self._rasters = rasters
        self._profile = data[0].profile
        self._data = [file for file in data if file.name in places]
        self._drawn = [(number, file) for number, file in enumerate(drawn, 1) if file.name in places]
        self._places = places
        self._stack = ExitStack()
        self._writers: list[_OpenData] = []
        self._layers: dict[str, RasterWriter] = {}
        self._preview = Preview(scene) if stem + PREVIEW in places else None

    @property
    def wants_std(self) -> bool:
        """Whether the standard deviation is written."""
        return self._stem + STD in self._places

    @property
    def realizations(self) -> int:
        """How many plausible fills are wanted: the last that is written decides."""
        return max((number for number, _ in self._drawn), default=0)

    def __enter__(self) -> Self:
        """Open the writers."""
        self._stack.__enter__()
        try:
            for number, file in [*((0, file) for file in self._data), *self._drawn]:
                self._writers.append(self._open(file, number))
            names = [band.name for band in self._scene.bands]
            if self._stem + FILL in self._places:
                self._layers[FILL] = self._writer(self._stem + FILL, self._fill_profile(names))
            if self.wants_std:
                described = [f"{name} std" for name in names]
                std = self._profile.layer("float32", nodata=float("nan"), descriptions=described)
                self._layers[STD] = self._writer(self._stem + STD, std)
        except BaseException:
            self._stack.__exit__(*sys.exc_info())
            raise
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
        values = (strip.values, *strip.drawn)
        for file, draw, writer, stored in self._writers:
            bands = list(file.bands)
            opacity = opaque_where(stored.read_opacity(strip.window), np.asarray(strip.done[bands].any(axis=0)))
            writer.write(values[draw][bands], strip.window, valid=opacity.valid, alpha=opacity.alpha)
        if FILL in self._layers:
            codes = strip.codes
            if self._outputs.fill_layer is FillLayer.SCENE:
                codes = codes.max(axis=0, keepdims=True)
            self._layers[FILL].write(codes, strip.window)
        if STD in self._layers and strip.std is not None:
            self._layers[STD].write(strip.std, strip.window)
        if self._preview is not None:
            self._preview.add(strip.window, strip.stored, strip.observed, strip.values, strip.known)

    def _open(self, file: DataFile, draw: int) -> _OpenData:
        """Return an open file of bands: of the fill, or from 1 on of a plausible one."""
        stored = self._rasters[self._scene.bands[file.bands[0]].dataset]
        told = {DRAW_TAG: f"{draw} of {self._outputs.realizations}"} if draw else {}
        writer = self._writer(file.name, file.profile.without_statistics(), told)
        return _OpenData(file, draw, writer, stored)

    def _writer(
        self, name: str, profile: RasterProfile, told: Mapping[str, str] = MappingProxyType({})
    ) -> RasterWriter:
        writer = RasterWriter(
            self._places[name],
            profile,
            creation_options=self._outputs.creation_options,
            cog=self._outputs.cog or None,
            tags={**self._tags, **told},
        )
        return self._stack.enter_context(writer)

    def _fill_profile(self, names: Sequence[str]) -> RasterProfile:
        meanings = {f"CODE_{code.value}": text for code, text in MEANINGS.items()}
        if self._outputs.fill_layer is FillLayer.BANDS:
            described = [f"{name} fill" for name in names]
            return self._profile.layer("uint8", nodata=0, descriptions=described, tags=meanings)
        colours = {code.value: colour for code, colour in COLOURS.items()}
        return self._profile.layer("uint8", nodata=0, descriptions=["fill"], colour_table=colours, tags=meanings)


def input_files(scene: Scene) -> list[Path]:
    """Return the files on this machine that a scene is read from, which no output may replace."""
    names = {
        str(scene.source),
        *(band.dataset for band in scene.bands),
        *(band.gap_mask for band in scene.bands if band.gap_mask is not None),
        *(quality.dataset for quality in scene.quality),
    }
    return sorted(Path(name) for name in names if is_local(name))


def opaque_where(opacity: Opacity, done: NDArray[np.bool_]) -> Opacity:
    """Return the opacity of a file with the pixels opaque that were filled.

    Args:
        opacity: What the input says.
        done: Pixels filled in any band, `(row, col)`.
    """
    alpha, valid = opacity.alpha, opacity.valid
    if alpha is not None:
        most = 1 if alpha.dtype.kind == "f" else np.iinfo(alpha.dtype.name).max
        alpha = np.where(done, alpha.dtype.type(most), alpha)
    return Opacity(alpha, None if valid is None else valid | done)


class JobOutputs:
    """All files of a job, in the transaction on its target."""

    def __init__(
        self,
        job: Job,
        request: FillRequest,
        outputs: OutputRequest,
        scenes: Sequence[Scene],
        rasters: Rasters,
        transaction: Transaction,
    ) -> None:
        """Prepare the staging folder.

        Args:
            job: What is read and where it goes; its action says whether to write all files or to add layers.
            request: How it is filled.
            outputs: The form of the outputs.
            scenes: The scenes of the input.
            rasters: Their open rasters.
            transaction: The entered transaction on the job's target.

        Raises:
            OutputError: If a file is in the way that isn't ours, or nothing can be written there.
        """
        self._job, self._request, self._outputs, self._scenes = job, request, outputs, scenes
        self._rasters = rasters
        self._transaction = transaction
        self._tags = provenance_tags(request, job.input.source)
        self._before = read_mark(job.target)
        self._suffixes = scene_suffixes(scenes)
        self._data = [self._data_files(*pair) for pair in zip(scenes, self._suffixes, strict=True)]
        self._drawn = [self._drawn_files(*pair) for pair in zip(scenes, self._suffixes, strict=True)]
        self._protected = [file for scene in scenes for file in input_files(scene)]
        self._place = transaction.folder / job.target.name if job.is_folder else transaction.folder
        try:
            self._place.mkdir(exist_ok=True)
        except OSError as error:
            raise cannot_write(job.target, error) from error
        self._names = [name for number in range(len(scenes)) for name in self._names_of(number)]
        wanted = {Path(name).name for name in self._missing()}
        self._places = {name: self._place / name for name in self._names if name in wanted}
        self._refuse_foreign()

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the job, where they end up."""
        return tuple(self._job.folder / name for name in self._names)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the files can't have as their inputs had it, and which files were added."""
        notes = dict.fromkeys(note for data in self._data for file in data for note in file.profile.notes)
        if self._job.action is Action.ADD:
            notes[f"added {', '.join(sorted(self._places))}; the rest was there already"] = None
        return tuple(notes)

    def open(self, number: int) -> SceneOutputs:
        """Return the outputs of a scene of the job, counted from 0, to be used in a `with` statement."""
        return SceneOutputs(
            self._scenes[number],
            self._rasters,
            self._data[number],
            self._drawn[number],
            self._job.stem + self._suffixes[number],
            self._outputs,
            self._tags,
            self._places,
        )

    def finish(self, row: Mapping[str, object]) -> None:
        """Write what belongs beside the bands, and let the transaction mark the outputs as complete.

        Args:
            row: The row of the report.

        Raises:
            OutputError: If a file has come in the way, or the disk refuses.
        """
        job, transaction = self._job, self._transaction
        documents = {
            Path(name).name: text
            for scene in self._scenes
            for name, text in scene.documents.items()
            if job.is_folder and job.action is Action.FILL
        }
        try:
            for name, text in documents.items():
                (self._place / name).write_text(text, encoding="utf-8", newline="")
        except OSError as error:
            raise cannot_write(self._place / name, error) from error
        self._refuse_foreign()
        transaction.adds = job.action is Action.ADD
        if job.action is Action.FILL:
            self._replace({*self._names, *documents})
        asked = request_facts(job.input, self._request, self._outputs)
        layers = set(job.layer_names(self._outputs, self._suffixes))
        if self._before is not None and transaction.adds:
            layers.update(self._before.facts["layers"])
            if self._outputs.fill_layer is FillLayer.NONE:
                asked["fill layer"] = self._before.facts["request"].get("fill layer")
        transaction.facts = {"request": asked, "scenes": self._suffixes, "layers": sorted(layers), "row": row}

    def _replace(self, new: set[str]) -> None:
        """Say what becomes of an earlier run's files, and of other files in the folder of a product."""
        job, old = self._job, set[str]()
        if self._before is not None:
            old = {Path(name).name for name in self._before.sizes.keys() - self._before.differing().keys()}
        elif job.target.exists():
            beside = (job.folder / (job.stem + end) for end in (FILL, STD, *map(realization_ending, range(1, 100))))
            there = job.folder.iterdir() if job.is_folder else beside
            old = {path.name for path in there if path.is_file() and is_ours(path)}
        if not job.is_folder:
            self._transaction.removed = sorted(old - new)
        elif job.target.is_dir():
            names = {path.name for path in job.target.iterdir()}
            self._transaction.kept = sorted(names - old - new - {MARK_NAME})

    def _missing(self) -> set[str]:
        """Return the files to be written, by their paths from the target's folder."""
        if self._job.action is Action.ADD and self._before is not None:
            return missing_layers(self._job, self._outputs, self._before)
        return set(self._names)

    def _refuse_foreign(self) -> None:
        """Raise OutputError if a file is in the way that isn't an output of an earlier run."""
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
        data = [file.name for file in self._data[number]]
        return [*data, *(stem + ending for ending in self._outputs.layer_endings)]

    def _data_files(self, scene: Scene, suffix: str) -> list[DataFile]:
        """Return the files the bands of a scene are written to."""
        if self._job.is_folder:
            return [
                DataFile(
                    band.file_name or Path(band.dataset).name,
                    (number,),
                    self._told(self._rasters[band.dataset].profile),
                )
                for number, band in enumerate(scene.bands)
            ]
        target = self._job.target
        name = f"{target.stem}{suffix}{target.suffix}"
        return [DataFile(name, tuple(range(len(scene.bands))), self._told(stacked_profile(scene, self._rasters)))]

    def _drawn_files(self, scene: Scene, suffix: str) -> list[DataFile]:
        """Return the files the plausible fills of a scene are written to: one each, with all bands."""
        if not self._outputs.realizations:
            return []
        stem, bands = self._job.stem + suffix, tuple(range(len(scene.bands)))
        profile = self._told(stacked_profile(scene, self._rasters))
        names = [stem + realization_ending(number + 1) for number in range(self._outputs.realizations)]
        return [DataFile(name, bands, profile) for name in names]

    def _told(self, profile: RasterProfile) -> RasterProfile:
        """Return the profile with the nodata number that the user gave, who knows better than the file."""
        nodata = self._request.nodata
        return profile if nodata is None else replace(profile, nodata=nodata)


def scene_suffixes(scenes: Sequence[Scene]) -> list[str]:
    """Return what tells the scenes of a product apart in names: nothing for the first, `_thermal` and so on.

    Where two are of one kind, on different grids or in different units, their first band is named too.
    """
    roles = [one.bands[0].band.role.value if one.bands[0].band else one.bands[0].name for one in scenes]
    suffixes = [""]
    for scene, role in zip(scenes[1:], roles[1:], strict=True):
        suffixes.append(f"_{role}" if roles.count(role) == 1 else f"_{role}_{scene.bands[0].name}")
    return [suffix if suffixes.count(suffix) == 1 else f"{suffix}_{n}" for n, suffix in enumerate(suffixes)]


def stacked_profile(scene: Scene, rasters: Rasters) -> RasterProfile:
    """Return the profile of one file with all bands of a scene."""
    first = scene.bands[0]
    profile = rasters[first.dataset].profile
    if all(band.dataset == first.dataset for band in scene.bands):
        return profile.for_bands([band.index for band in scene.bands])
    bands = tuple(
        replace(rasters[band.dataset].profile.bands[band.index - 1], description=band.name, colour=colour)
        for band, colour in zip(scene.bands, ["gray", *["undefined"] * (len(scene.bands) - 1)], strict=True)
    )
    return replace(profile, bands=bands)
