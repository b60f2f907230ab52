"""Where the files of a job go: one a scene, or a product's folder that appears complete or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from landsat_fill.io import PARTIAL_MARK, Layout, write_text_atomically
from landsat_fill.pipeline.claimed import cannot_make
from landsat_fill.pipeline.provenance import provenance_tags
from landsat_fill.pipeline.request import draw_ending
from landsat_fill.pipeline.scene_outputs import DataFile, SceneOutputs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from landsat_fill.pipeline.plan import Job
    from landsat_fill.pipeline.request import FillRequest, OutputRequest
    from landsat_fill.scene import Scene


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
                    self._told(Layout.of(band.dataset)),
                )
                for number, band in enumerate(scene.bands)
            ]
        target = self._job.target
        target = target.with_name(f"{target.stem}{self._suffix(scene)}{target.suffix}")
        return [DataFile(target, tuple(range(len(scene.bands))), self._told(stacked_layout(scene)))]

    def _drawn_files(self, scene: Scene) -> list[DataFile]:
        """Return the files the plausible fills of a scene are written to: one each, with all bands."""
        if not self._outputs.draws:
            return []
        beside, bands = self._beside(scene), tuple(range(len(scene.bands)))
        layout = self._told(stacked_layout(scene))
        paths = [
            beside.with_name(beside.name + draw_ending(number + 1)) for number in range(self._outputs.draws)
        ]
        return [DataFile(path, bands, layout) for path in paths]

    def _told(self, layout: Layout) -> Layout:
        """Return the layout with the nodata number that the user gave, who knows better than the file."""
        return layout if self._nodata is None else replace(layout, nodata=self._nodata)

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


def stacked_layout(scene: Scene) -> Layout:
    """Return the layout of one file with all bands of a scene."""
    first = scene.bands[0]
    layout = Layout.of(first.dataset)
    if all(band.dataset == first.dataset for band in scene.bands):
        return layout.for_bands([band.index for band in scene.bands])
    bands = tuple(
        replace(Layout.of(band.dataset).bands[band.index - 1], description=band.name, colour=colour)
        for band, colour in zip(scene.bands, ["gray", *["undefined"] * (len(scene.bands) - 1)], strict=True)
    )
    return replace(layout, bands=bands)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
