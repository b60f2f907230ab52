"""The files of a job: one a scene, or a product's folder that appears complete or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from landsat_fill.errors import OutputError
from landsat_fill.io import (
    PARTIAL_MARK,
    Claim,
    Opacity,
    RasterProfile,
    RasterWriter,
    StoredReader,
    read_profile,
    write_text_atomically,
)
from landsat_fill.io.atomic import cannot_write, refuse_target
from landsat_fill.io.gdal import is_local
from landsat_fill.pipeline.compose import COLOURS, MEANINGS
from landsat_fill.pipeline.plan import Action, action_for
from landsat_fill.pipeline.preview import Preview
from landsat_fill.pipeline.provenance import DRAW_TAG, is_ours, provenance_tags
from landsat_fill.pipeline.request import (
    FILL_ENDING,
    PREVIEW_ENDING,
    STD_ENDING,
    FillLayer,
    OutputRequest,
    draw_ending,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from numpy.typing import NDArray

    from landsat_fill.pipeline.plan import Job
    from landsat_fill.pipeline.request import FillRequest
    from landsat_fill.scene import Scene, Window


@contextmanager
def claimed(job: Job, outputs: OutputRequest) -> Iterator[bool]:
    """Yield whether the job is still to be done, holding the claim on its output all the while.

    Raises:
        TakenError: If a living process fills it.
        OutputError: If its folder can't be made, or a file that isn't ours has come in the way.
    """
    try:
        job.target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_make(job.folder, error) from error
    with Claim(job.target):
        action = action_for(job.target, outputs)  # it may have been done since the plan was made
        if action is Action.REFUSE:
            raise job.refusal()
        yield action is Action.FILL


def cannot_make(folder: Path, error: OSError) -> OutputError:
    """Return the error of a folder that can't be made or moved into place."""
    return OutputError(
        f"expected to write into {folder}, but got: {error.strerror}", hint="choose another folder with -o"
    )


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
    """A file that bands of a scene are written to: where, which (from 0), and how it is laid out."""

    path: Path
    bands: tuple[int, ...]
    profile: RasterProfile


class _OpenData(NamedTuple):
    """A file of bands that is being written, what it holds (0 the fill, 1 the first draw), and its input."""

    file: DataFile
    draw: int
    writer: RasterWriter
    stored: StoredReader


class SceneOutputs:
    """The open files of one scene."""

    def __init__(
        self,
        scene: Scene,
        data: Sequence[DataFile],
        beside: Path,
        outputs: OutputRequest,
        tags: Mapping[str, str],
        drawn: Sequence[DataFile] = (),
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            scene: The scene.
            data: The files its bands go to.
            beside: What the names of the layers and the picture begin with.
            outputs: What is wanted.
            tags: Provenance.
            drawn: A file for each plausible fill.
        """
        self._scene, self._data, self._outputs, self._tags = scene, data, outputs, tags
        self._drawn = drawn
        self._protected = input_files(scene)
        self._stack = ExitStack()
        self._writers: list[_OpenData] = []
        self._fill_writer: RasterWriter | None = None
        self._std_writer: RasterWriter | None = None
        self._preview = Preview(scene) if outputs.preview else None
        self._preview_path = beside.with_name(beside.name + PREVIEW_ENDING)
        self._fill_path = beside.with_name(beside.name + FILL_ENDING)
        self._std_path = beside.with_name(beside.name + STD_ENDING)

    @property
    def wants_std(self) -> bool:
        """Whether the standard deviation is written."""
        return self._outputs.uncertainty

    @property
    def draws(self) -> int:
        """How many plausible fills are wanted."""
        return len(self._drawn)

    @property
    def paths(self) -> list[Path]:
        """The files that will be written."""
        paths = [file.path for file in self._data]
        if self._outputs.fill_layer is not FillLayer.NONE:
            paths.append(self._fill_path)
        if self._outputs.uncertainty:
            paths.append(self._std_path)
        paths += [file.path for file in self._drawn]
        return [*paths, self._preview_path] if self._preview else paths

    @property
    def notes(self) -> list[str]:
        """What the files can't have as their inputs had it."""
        return [note for file in self._data for note in file.profile.notes]

    def __enter__(self) -> Self:
        """Open the writers: the bands first, so that they are moved into place last."""
        self._stack.__enter__()
        try:
            for file in self._data:
                self._writers.append(self._open(file))
            for number, file in enumerate(self._drawn, start=1):
                self._writers.append(self._open(file, number))
            profile = self._data[0].profile
            names = [band.name for band in self._scene.bands]
            if self._outputs.fill_layer is not FillLayer.NONE:
                self._fill_writer = self._writer(self._fill_path, self._fill_profile(profile, names))
            if self._outputs.uncertainty:
                std = profile.layer("float32", nodata=float("nan"), descriptions=[f"{n} std" for n in names])
                self._std_writer = self._writer(self._std_path, std)
            if self._preview is not None:
                refuse_target(
                    self._preview_path, overwrite=self._outputs.overwrite, protected=self._protected
                )
                self._stack.push(self._draw)
        except BaseException:
            self._stack.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the files, the bands last; after an error leave nothing."""
        self._stack.__exit__(kind, error, trace)

    def write(self, strip: FilledStrip) -> None:
        """Write a strip to all files."""
        values = (strip.values, *strip.drawn)
        for file, draw, writer, stored in self._writers:
            bands = list(file.bands)
            opacity = opaque_where(
                stored.read_opacity(strip.window), np.asarray(strip.done[bands].any(axis=0))
            )
            writer.write(values[draw][bands], strip.window, valid=opacity.valid, alpha=opacity.alpha)
        if self._fill_writer is not None:
            codes = strip.codes
            if self._outputs.fill_layer is FillLayer.SCENE:
                codes = codes.max(axis=0, keepdims=True)
            self._fill_writer.write(codes, strip.window)
        if self._std_writer is not None and strip.std is not None:
            self._std_writer.write(strip.std, strip.window)
        if self._preview is not None:
            self._preview.add(strip.window, strip.stored, strip.observed, strip.values, strip.known)

    def _draw(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write the picture, unless there was an error."""
        if kind is None and self._preview is not None:
            self._preview.write(self._preview_path)

    def _open(self, file: DataFile, draw: int = 0) -> _OpenData:
        """Return an open file of bands: of the fill, or from 1 on of a plausible one."""
        stored = self._stack.enter_context(StoredReader(self._scene.bands[file.bands[0]].dataset))
        told = {DRAW_TAG: f"{draw} of {self.draws}"} if draw else {}
        writer = self._writer(file.path, file.profile.without_statistics(), told)
        return _OpenData(file, draw, writer, stored)

    def _writer(
        self, path: Path, profile: RasterProfile, told: Mapping[str, str] = MappingProxyType({})
    ) -> RasterWriter:
        writer = RasterWriter(
            path,
            profile,
            overwrite=self._outputs.overwrite or (path.exists() and is_ours(path)),
            creation_options=self._outputs.creation_options,
            protected=self._protected,
            cog=self._outputs.cog or None,
            tags={**self._tags, **told},
        )
        return self._stack.enter_context(writer)

    def _fill_profile(self, profile: RasterProfile, names: Sequence[str]) -> RasterProfile:
        meanings = {f"CODE_{code.value}": text for code, text in MEANINGS.items()}
        if self._outputs.fill_layer is FillLayer.BANDS:
            return profile.layer("uint8", nodata=0, descriptions=[f"{n} fill" for n in names], tags=meanings)
        colours = {code.value: colour for code, colour in COLOURS.items()}
        return profile.layer("uint8", nodata=0, descriptions=["fill"], colour_table=colours, tags=meanings)


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
    """All files of a job. A product's new folder appears complete, or not at all.

    Whoever enters holds the claim on the job's target: folders in the making that are found are of the dead.
    """

    def __init__(
        self,
        job: Job,
        request: FillRequest,
        outputs: OutputRequest,
        scenes: Sequence[Scene],
    ) -> None:
        self._job, self._outputs, self._scenes = job, outputs, scenes
        self._tags = provenance_tags(request, job.input.source)
        self._nodata = request.nodata
        self._folder = job.folder
        self._files: list[Path] = []
        self._notes: list[str] = []

    def __enter__(self) -> Self:
        """Make the folder the files are written to.

        Raises:
            OutputError: If it can't be made.
        """
        final = self._job.folder
        try:
            (final.parent if self._job.is_folder else final).mkdir(parents=True, exist_ok=True)
            if self._job.is_folder and not final.exists():
                for stale in final.parent.glob(f".{final.name}.*{PARTIAL_MARK}"):
                    shutil.rmtree(stale, ignore_errors=True)
                self._folder = Path(
                    tempfile.mkdtemp(prefix=f".{final.name}.", suffix=PARTIAL_MARK, dir=final.parent)
                )
                self._folder.chmod(0o777 & ~_umask())
        except OSError as error:
            raise cannot_make(final, error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Move a new folder into place, or take it away after an error.

        Raises:
            OutputError: If it can't be moved.
        """
        if self._folder == self._job.folder:
            return
        if kind is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            return
        try:
            for scene in self._scenes:
                for name, text in scene.documents.items():
                    write_text_atomically(self._folder / Path(name).name, text)
            self._folder.rename(self._job.folder)
        except BaseException as failure:
            shutil.rmtree(self._folder, ignore_errors=True)
            if isinstance(failure, OSError):
                raise cannot_make(self._job.folder, failure) from failure
            raise

    @property
    def files(self) -> tuple[Path, ...]:
        """The files written, where they ended up."""
        return tuple(self._job.folder / file.relative_to(self._folder) for file in self._files)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the files can't have as their inputs had it."""
        return tuple(dict.fromkeys(self._notes))

    def open(self, scene: Scene) -> SceneOutputs:
        """Return the outputs of one scene of the job, to be used in a `with` statement."""
        data, drawn = self._data_files(scene), self._drawn_files(scene)
        files = SceneOutputs(scene, data, self._beside(scene), self._outputs, self._tags, drawn)
        self._files += files.paths
        self._notes += files.notes
        return files

    def _data_files(self, scene: Scene) -> list[DataFile]:
        """Return the files the bands of a scene are written to."""
        if self._job.is_folder:
            return [
                DataFile(
                    self._folder / (band.file_name or Path(band.dataset).name),
                    (number,),
                    self._told(read_profile(band.dataset)),
                )
                for number, band in enumerate(scene.bands)
            ]
        target = self._job.target
        target = target.with_name(f"{target.stem}{self._suffix(scene)}{target.suffix}")
        return [DataFile(target, tuple(range(len(scene.bands))), self._told(stacked_profile(scene)))]

    def _drawn_files(self, scene: Scene) -> list[DataFile]:
        """Return the files the plausible fills of a scene are written to: one each, with all bands."""
        if not self._outputs.draws:
            return []
        beside, bands = self._beside(scene), tuple(range(len(scene.bands)))
        profile = self._told(stacked_profile(scene))
        paths = [
            beside.with_name(beside.name + draw_ending(number + 1)) for number in range(self._outputs.draws)
        ]
        return [DataFile(path, bands, profile) for path in paths]

    def _told(self, profile: RasterProfile) -> RasterProfile:
        """Return the profile with the nodata number that the user gave, who knows better than the file."""
        return profile if self._nodata is None else replace(profile, nodata=self._nodata)

    def _beside(self, scene: Scene) -> Path:
        """Return what the names of the layers and the picture begin with."""
        return self._folder / (self._job.stem + self._suffix(scene))

    def _suffix(self, scene: Scene) -> str:
        """Return what tells the files of a scene from those of the job's first."""
        number = next(n for n, one in enumerate(self._scenes) if one is scene)
        return scene_suffixes(self._scenes)[number]


def scene_suffixes(scenes: Sequence[Scene]) -> list[str]:
    """Return what tells the scenes of a product apart in names: nothing for the first, `_thermal` and so on.

    Where two are of one kind, on different grids or in different units, their first band is named too.
    """
    roles = [one.bands[0].band.role.value if one.bands[0].band else one.bands[0].name for one in scenes]
    suffixes = [""]
    for scene, role in zip(scenes[1:], roles[1:], strict=True):
        suffixes.append(f"_{role}" if roles.count(role) == 1 else f"_{role}_{scene.bands[0].name}")
    return [suffix if suffixes.count(suffix) == 1 else f"{suffix}_{n}" for n, suffix in enumerate(suffixes)]


def stacked_profile(scene: Scene) -> RasterProfile:
    """Return the profile of one file with all bands of a scene."""
    first = scene.bands[0]
    profile = read_profile(first.dataset)
    if all(band.dataset == first.dataset for band in scene.bands):
        return profile.for_bands([band.index for band in scene.bands])
    bands = tuple(
        replace(read_profile(band.dataset).bands[band.index - 1], description=band.name, colour=colour)
        for band, colour in zip(scene.bands, ["gray", *["undefined"] * (len(scene.bands) - 1)], strict=True)
    )
    return replace(profile, bands=bands)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
