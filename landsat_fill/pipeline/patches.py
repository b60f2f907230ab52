"""Cuts a scene into patches, each in its own GeoTIFF, and joins patches again."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING

from landsat_fill.errors import InputError
from landsat_fill.io import (
    Opacity,
    RasterProfile,
    Rasters,
    RasterWriter,
    SceneReader,
    StoredReader,
    Transaction,
    new_raster,
    read_profile,
)
from landsat_fill.io.atomic import refuse_target
from landsat_fill.pipeline.outputs import input_files, stacked_profile
from landsat_fill.pipeline.tiles import read_blocks
from landsat_fill.scene import Window, strip_windows, tile_windows
from landsat_fill.schema import from_json, require_inside
from landsat_fill.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from landsat_fill.scene import Scene


MANIFEST_NAME = "patches.json"
TEMPLATE_NAME = "scene.tif"
"""GeoTIFF with the scene's size and metadata but no pixels, in the folder of the patches."""


@dataclass(frozen=True, slots=True)
class _KeptAside:
    """Fields of a profile that a file without pixels can't store."""

    masked: bool
    overviews: tuple[int, ...]
    overview_resampling: str
    sparse: bool
    cloud_optimized: bool


@dataclass(frozen=True, slots=True)
class _Patch:
    """A patch: its file, and its first row and column."""

    file: str
    row: int
    col: int


@dataclass(frozen=True, slots=True)
class _Manifest:
    """The patches of a scene."""

    landsat_fill: str  # the version
    scene: str
    size_px: int
    profile: _KeptAside
    patches: tuple[_Patch, ...]


def cut_scene(
    scene: Scene, folder: Path, size_px: int, *, overwrite: bool, on_progress: Callable[[float], None]
) -> int:
    """Write the patches of a scene, and return their number.

    Patches are at most `size_px` × `size_px`, and smaller in the last row and column.

    Args:
        scene: The scene; each patch has all bands, even from several files.
        folder: Folder for the patches, with a manifest and a template for `join_patches`.
        size_px: Side of a patch in pixels.
        overwrite: Replace existing files.
        on_progress: Called with the share done, 0 to 1.

    Raises:
        InputError: If the scene can't be read.
        OutputError: If a patch can't be written.
    """
    protected = input_files(scene)
    height, width = scene.grid.height, scene.grid.width
    entries = []
    one_file = len({band.dataset for band in scene.bands}) == 1
    with Transaction(folder / MANIFEST_NAME) as new, ExitStack() as opened:
        rasters = opened.enter_context(Rasters())
        reader = opened.enter_context(SceneReader(scene, rasters))
        profile = stacked_profile(scene, rasters)
        stored = rasters[scene.bands[0].dataset] if one_file else None
        for block in opened.enter_context(read_blocks(reader, height, width, size_px, 0)):
            opacity = Opacity() if stored is None else stored.read_opacity(block.strip)
            for window in tile_windows(block.strip, size_px):
                name = f"{scene.name}_r{window.row:05d}_c{window.col:05d}.tif"
                inner = window.within(block.strip).slices
                patch = replace(
                    profile.for_window(window), tiled=False, block_height=window.height, block_width=window.width
                )
                refuse_target(folder / name, overwrite=overwrite, protected=protected)
                with RasterWriter(new.folder / name, patch, cog=False) as writer:
                    writer.write(
                        block.values[:, *inner],
                        replace(window, row=0, col=0),
                        valid=None if opacity.valid is None else opacity.valid[inner],
                        alpha=None if opacity.alpha is None else opacity.alpha[inner],
                    )
                entries.append(_Patch(name, window.row, window.col))
            on_progress((block.strip.row + block.strip.height) / height)
        bare = replace(profile, overviews=(), sparse=True, cloud_optimized=False)
        refuse_target(folder / TEMPLATE_NAME, overwrite=overwrite, protected=protected)
        with RasterWriter(new.folder / TEMPLATE_NAME, bare, cog=False):
            pass
        kept = _KeptAside(**{one.name: getattr(profile, one.name) for one in fields(_KeptAside)})
        manifest = _Manifest(__version__, scene.name, size_px, kept, tuple(entries))
        text = json.dumps(asdict(manifest), indent=1) + "\n"
        (new.folder / MANIFEST_NAME).write_text(text, encoding="utf-8")
    return len(entries)


def join_patches(folder: Path, target: Path, *, overwrite: bool, on_progress: Callable[[float], None]) -> int:
    """Join patches to a scene, and return their number.

    Pixels come from the patches, which may have changed; all other properties come from the original scene.

    Args:
        folder: The folder that `cut_scene` wrote.
        target: The GeoTIFF to write.
        overwrite: Replace an existing file.
        on_progress: Called with the share done, 0 to 1.

    Raises:
        InputError: If the manifest or a patch is missing, or a patch has another size or type.
        OutputError: If the scene can't be written.
    """
    manifest = _read_manifest(folder)
    profile = replace(read_profile(folder / TEMPLATE_NAME), **asdict(manifest.profile))
    files = {(patch.row, patch.col): folder / patch.file for patch in manifest.patches}
    size_px = manifest.size_px
    protected = [folder / TEMPLATE_NAME, *files.values()]
    with new_raster(target, profile, overwrite=overwrite, protected=protected) as writer:
        for strip in strip_windows(profile.height, profile.width, size_px):
            for window in tile_windows(strip, size_px):
                _join_one(writer, profile, files.get((window.row, window.col)), window)
            on_progress((strip.row + strip.height) / profile.height)
    return len(files)


def _join_one(writer: RasterWriter, profile: RasterProfile, file: Path | None, window: Window) -> None:
    """Write a patch to its window."""
    if file is None or not file.exists():
        raise InputError(
            f"expected a patch for row {window.row}, column {window.col}, but got none"
            + (f": there is no {file}" if file else ""),
            hint="Cut the scene again with `landsat-fill tile`.",
        )
    with StoredReader(str(file)) as patch:
        found = (patch.profile.count, patch.profile.height, patch.profile.width, patch.profile.dtype)
        wanted = (profile.count, window.height, window.width, profile.dtype)
        if found != wanted:
            raise InputError(
                f"expected bands, rows, columns and type {wanted} in {file}, but got {found}",
                hint="Change only the pixel values of a patch, not its size, bands or data type.",
            )
        full = Window(0, 0, window.height, window.width)
        opacity = patch.read_opacity(full)
        writer.write(patch.read(full), window, valid=opacity.valid, alpha=opacity.alpha)


def _read_manifest(folder: Path) -> _Manifest:
    from rasterio.enums import Resampling

    path = folder / MANIFEST_NAME
    try:
        manifest: _Manifest = from_json(_Manifest, json.loads(path.read_text(encoding="utf-8")))
        require_inside(patch.file for patch in manifest.patches)
        if manifest.size_px < 1:
            raise ValueError(f"size_px is {manifest.size_px}")
        kept = manifest.profile
        if kept.overview_resampling not in Resampling.__members__ or not all(1 < one < 2**31 for one in kept.overviews):
            raise ValueError("overviews of no such kind")
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"expected a folder of patches with {MANIFEST_NAME}, but {folder} has none that can be read: {error}",
            hint="Give the folder that `landsat-fill tile` wrote.",
        ) from error
    return manifest
