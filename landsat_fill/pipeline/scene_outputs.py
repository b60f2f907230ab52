"""The open files of a scene: its bands, the fill layer, the standard deviation and the picture."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from landsat_fill.io import Layout, Opacity, RasterWriter, StoredReader
from landsat_fill.io.atomic import refuse_target
from landsat_fill.io.gdal_session import is_local
from landsat_fill.pipeline.fill_layer import COLOURS, MEANINGS
from landsat_fill.pipeline.preview import Preview
from landsat_fill.pipeline.provenance import DRAW_TAG, is_ours
from landsat_fill.pipeline.request import (
    FILL_ENDING,
    PREVIEW_ENDING,
    STD_ENDING,
    FillLayer,
    OutputRequest,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from numpy.typing import NDArray

    from landsat_fill.scene import Scene, Window


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
    layout: Layout


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
        return [note for file in self._data for note in file.layout.notes]

    def __enter__(self) -> Self:
        """Open the writers: the bands first, so that they are moved into place last."""
        self._stack.__enter__()
        try:
            for file in self._data:
                self._writers.append(self._open(file))
            for number, file in enumerate(self._drawn, start=1):
                self._writers.append(self._open(file, number))
            layout = self._data[0].layout
            names = [band.name for band in self._scene.bands]
            if self._outputs.fill_layer is not FillLayer.NONE:
                self._fill_writer = self._writer(self._fill_path, self._fill_layout(layout, names))
            if self._outputs.uncertainty:
                std = layout.layer("float32", nodata=float("nan"), descriptions=[f"{n} std" for n in names])
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
        writer = self._writer(file.path, file.layout.without_statistics(), told)
        return _OpenData(file, draw, writer, stored)

    def _writer(
        self, path: Path, layout: Layout, told: Mapping[str, str] = MappingProxyType({})
    ) -> RasterWriter:
        writer = RasterWriter(
            path,
            layout,
            overwrite=self._outputs.overwrite or (path.exists() and is_ours(path)),
            creation_options=self._outputs.creation_options,
            protected=self._protected,
            cog=self._outputs.cog or None,
            tags={**self._tags, **told},
        )
        return self._stack.enter_context(writer)

    def _fill_layout(self, layout: Layout, names: Sequence[str]) -> Layout:
        meanings = {f"CODE_{code.value}": text for code, text in MEANINGS.items()}
        if self._outputs.fill_layer is FillLayer.BANDS:
            return layout.layer("uint8", nodata=0, descriptions=[f"{n} fill" for n in names], tags=meanings)
        colours = {code.value: colour for code, colour in COLOURS.items()}
        return layout.layer("uint8", nodata=0, descriptions=["fill"], colour_table=colours, tags=meanings)


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
