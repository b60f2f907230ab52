"""Finds the inputs a user names (files, folders, archives, globs, lists, URLs), and opens their scenes."""

from __future__ import annotations

import errno
import glob
import json
import os
import re
import stat
import zlib
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from landsat_fill.errors import InputError, UsageError
from landsat_fill.io.archives import ARCHIVE_SUFFIXES, COMPRESSED_SUFFIXES, archive_stem, is_archive, list_members
from landsat_fill.io.gdal import is_local, not_permitted
from landsat_fill.io.geotiff import open_geotiff
from landsat_fill.io.output_names import is_ours, is_output_name
from landsat_fill.io.products import open_band_file, open_products, product_names, slc_was_off
from landsat_fill.io.usgs_names import (
    RASTER_SUFFIXES,
    FileKind,
    Quantity,
    is_landsat_name,
    is_quality_name,
    read_name,
    stated_quantity,
    without_gzip,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from landsat_fill.io.reader import Rasters
    from landsat_fill.scene import Nodata, Scene


_NEVER_FILLED = (FileKind.QUALITY, FileKind.GAP_MASK, FileKind.METADATA)

_GDAL_NAME = re.compile(r"/vsi|[A-Za-z][A-Za-z0-9+.-]+://|[A-Za-z][A-Za-z0-9_]+:")
"""Names that only GDAL resolves: `/vsicurl/…`, `https://…`, `s3://…`, `NETCDF:"file.nc":band`; not `C:`."""

_NOT_IN_NAMES = re.compile(r'[<>:"/\\|?*\x00-\x1f]+')
"""Characters that Windows allows in no file name."""


class InputKind(Enum):
    """How an input is opened."""

    PRODUCT = "product"
    RASTER = "raster"


@dataclass(frozen=True, slots=True)
class Input:
    """One thing to fill.

    Attributes:
        source: The path, URL or `/vsi…` path that was given or found.
        name: Its name in reports and output names: a product's identifier, or a file's stem followed by the
            variable if one was given.
        kind: How it is opened.
        root: The folder that was searched, so that outputs can mirror its sub-folders; or None.
        product: The identifier of one product in a folder; None for an archive, whose products are all used.
        container: The local file that holds the variable or page `source`, or None.
        member: The path of one image in the archive `source`, if that is no product; otherwise None.
    """

    source: str
    name: str
    kind: InputKind
    root: Path | None = None
    product: str | None = None
    container: Path | None = None
    member: str | None = None

    @property
    def entry(self) -> str | None:
        """The product in a folder or the image in an archive, or None for the whole source."""
        return self.member or self.product

    @property
    def label(self) -> str:
        """The name of the source in messages and reports."""
        return self.source if self.member is None else f"{self.source}/{self.member}"


Bad = list[tuple[str, InputError]]
"""Arguments or paths that give no input, with the reason."""


def find_inputs(arguments: Sequence[str], lists: Sequence[Path] = ()) -> tuple[list[Input], Bad]:
    """Return the inputs, each once, in the order given; and the arguments without inputs, with the reason.

    Args:
        arguments: Files, folders, globs that the shell did not expand, URLs and `/vsi…` paths. Folders are
            searched with all their sub-folders for names of rasters, archives and products; hidden files and
            names of outputs are skipped. A file given by itself may have any name. Among several inputs,
            outputs of landsat-fill are skipped, because a shell's glob matches earlier outputs.
        lists: Text files with one argument a line, which may be in quotes. Empty lines and lines that begin
            with # are skipped. Paths are relative to the working directory, as in xargs.
    """
    found: dict[tuple[str, str | None], Input] = {}
    bad: Bad = []
    bad_lists: Bad = []
    listed = [argument for path in lists for argument in _read_list(path, bad_lists)]
    for argument in (*arguments, *listed):
        for name in _expanded(argument):
            try:
                for given in _resolve(name, bad):
                    found.setdefault((_identity(given.source), given.entry), given)
            except InputError as error:
                bad.append((name, error))
    inputs = list(found.values())
    if len(inputs) > 1:
        inputs = [
            one
            for one in inputs
            if one.kind is InputKind.PRODUCT or one.member or not is_local(one.source) or not is_ours(Path(one.source))
        ]
    return inputs, bad + bad_lists


def one_input(source: str | Path) -> Input:
    """Return the only input of an argument.

    Raises:
        InputError: If there is none.
        UsageError: If there are several.
    """
    found, bad = find_inputs([str(source)])
    if bad:
        raise bad[0][1]
    if len(found) != 1:
        raise UsageError(
            f"expected one scene, but got {len(found)} in {source}",
            hint=f"Give one of them: {', '.join(one.source for one in found[:3])}.",
        )
    return found[0]


def _read_list(path: Path, bad: Bad) -> Iterator[str]:
    """Yield the arguments in a list; an unreadable list is added to `bad`."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        message = f"expected a list of inputs in {path}, but got none: {reason}"
        bad.append((str(path), InputError(message, hint="Give a text file with one path a line.")))
        return
    for line in map(str.strip, lines):
        # "Copy as path" of Windows adds quotes.
        is_quoted = len(line) > 2 and line[0] == line[-1] and line[0] in "\"'"
        if line and not line.startswith("#"):
            yield line[1:-1] if is_quoted and not os.path.lexists(line) else line


def _expanded(argument: str) -> list[str]:
    """Return the paths that a glob matches, or the argument itself if it is no glob or matches nothing."""
    if not glob.has_magic(argument) or os.path.lexists(argument) or _GDAL_NAME.match(argument):
        return [argument]
    matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 (Path.glob refuses absolute ones)
    return [match for match in matches if not _is_skipped(Path(match).name)] or [argument]


def _resolve(argument: str, bad: Bad) -> Iterator[Input]:
    """Yield the inputs of one argument, or raise InputError; unreadable parts of a folder are added to `bad`."""
    path = Path(argument)
    problem = _problem(path)
    if problem is None:
        if path.is_dir():
            yield from _in_folder(path, bad)
        else:
            yield from _in_archive(path, None, bad) if is_archive(path) else (_named_file(path),)
    elif _GDAL_NAME.match(argument):
        yield _named_for_gdal(argument)
    elif glob.has_magic(argument) and not os.path.lexists(path):
        raise InputError(
            f"expected files that match {argument!r}, but got none",
            hint="Check the pattern; in quotes, ** matches any folders.",
        )
    else:
        raise problem


def _problem(path: Path) -> InputError | None:
    """Return the error for a path that is no folder or readable file, or None."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError, RuntimeError) as error:
        number = getattr(error, "errno", None)
        if number in (errno.EACCES, errno.EPERM):
            return not_permitted(path)
        if number == errno.ELOOP or os.path.islink(path):  # noqa: PTH114 (never raises)
            goal = "itself" if number == errno.ELOOP else f"{path.readlink()}, which does not exist"
            return InputError(
                f"expected a file or folder at {path}, but it is a link to {goal}",
                hint="Remove the link, or create it again.",
            )
        why = "a name that is too long" if number == errno.ENAMETOOLONG else "nothing there"
        return InputError(f"expected a file or folder at {path}, but got {why}", hint="Check the path.")
    if stat.S_ISDIR(mode):
        return None
    if not stat.S_ISREG(mode):
        return InputError(
            f"expected a file or folder at {path}, but got a pipe, a socket or a device",
            hint="Write the image to a file first.",
        )
    return None if os.access(path, os.R_OK) else not_permitted(path)


def _named_for_gdal(argument: str) -> Input:
    if not re.match(r"/vsi|[A-Za-z][A-Za-z0-9+.-]+://", argument):
        return _part_of_file(argument)
    name = re.split(r"[?#]", argument)[0].rstrip("/\"'")
    if "://" in argument and is_archive(Path(name)):
        raise InputError(
            f"expected an archive on this machine, but got {argument}",
            hint="Download it first, or give one GeoTIFF in it: /vsitar//vsicurl/https://…/product.tar/band.TIF",
        )
    stem = PurePosixPath(without_gzip(name)).stem or argument
    return Input(argument, _NOT_IN_NAMES.sub("_", stem), InputKind.RASTER)


def _part_of_file(argument: str) -> Input:
    """Return the input for a variable, grid or page of a file, as GDAL names it: `netcdf:x.nc:Band1`.

    It is named `x_Band1`, with a checksum if characters were replaced, so that the name stays unique.
    """
    _, *parts = re.findall(r'"[^"]*"|[A-Za-z]:[/\\][^":]*|[^":]+', argument)
    path = next((part.strip('"') for part in parts if part.startswith('"')), None)
    if path is None:
        spans = [":".join(parts[i:j]) for i in range(len(parts)) for j in range(len(parts), i, -1)]
        path = next((span for span in spans if os.path.isfile(span)), None)  # noqa: PTH113 (never raises)
        path = path or next((part for part in parts if "." in part), parts[0] if parts else argument)
    rest = argument.partition(":")[2].replace(f'"{path}"', "").replace(path, "", 1).strip(":/")
    variable = re.sub(r"[:/]+", "_", rest)
    plain = re.sub(r"[^\w.+-]+", "_", variable)
    if plain != re.sub(":+", "_", rest):
        plain = f"{plain}_{zlib.crc32(rest.encode()):08x}"
    name = _NOT_IN_NAMES.sub("_", f"{PurePosixPath(path).stem}_{plain}".strip("_"))
    container = Path(path) if os.path.isfile(path) else None  # noqa: PTH113
    return Input(argument, name, InputKind.RASTER, container=container)


def _in_folder(folder: Path, bad: Bad) -> list[Input]:
    """Return the inputs in a folder and its sub-folders, linked ones included, or raise InputError if none.

    An archive is skipped if its unpacked folder lies beside it. Unreadable files are added to `bad`.
    """
    found: list[Input] = []
    problems: Bad = []
    seen: set[str] = set()

    def note(error: OSError) -> None:
        problems.append((str(error.filename), not_permitted(Path(error.filename))))

    for place, folders, names in os.walk(folder, followlinks=True, onerror=note):
        real = os.path.realpath(place)
        if real in seen:  # a link to a folder that was already searched
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _is_skipped(name))
        try:
            found.extend(_in_one_folder(Path(place), sorted(names), folder, problems))
        except InputError as error:
            problems.append((place, error))
    if problems and not found and str(folder) == problems[0][0]:
        raise problems[0][1]
    bad.extend(problems)
    if not found and not problems:
        endings = ", ".join((*RASTER_SUFFIXES, *ARCHIVE_SUFFIXES))
        raise InputError(
            f"expected GeoTIFFs, archives or product folders in {folder}, but got none",
            hint=f"If a file's name has none of the endings {endings}, give the file itself.",
        )
    products = {Path(given.source) for given in found if given.product is not None}
    images = {Path(given.source).parent for given in found if given.kind is InputKind.RASTER and not given.member}
    return [given for given in found if _unpacked_folder(given) not in (images if given.member else products)]


def _unpacked_folder(archive: Input) -> Path | None:
    """Return the folder that unpacking an archive makes, or None for any other input."""
    path = Path(archive.source)
    return path.with_name(archive_stem(path)) if archive.product is None and is_archive(path) else None


def _in_one_folder(here: Path, names: Sequence[str], root: Path, bad: Bad) -> Iterator[Input]:
    products = product_names(here) if any(read_name(name) is not None for name in names) else []
    for product in products:
        yield Input(str(here), product, InputKind.PRODUCT, root, product)
    for name in names:
        facts = read_name(name)
        if _is_skipped(name) or (facts is not None and facts.scene_id in products):
            continue
        path = here / name
        if not name.lower().endswith((*RASTER_SUFFIXES, *ARCHIVE_SUFFIXES)):
            continue
        problem = _problem(path)
        if problem is not None:
            bad.append((str(path), problem))
        elif not is_archive(path):
            yield _file(path, root)
        # Analysis-ready data comes with an archive of quality layers only.
        elif not is_quality_name(archive_stem(path) + ".tif"):
            try:
                yield from _in_archive(path, root, bad)
            except InputError as error:
                bad.append((str(path), error))


def _in_archive(path: Path, root: Path | None, bad: Bad) -> Iterator[Input]:
    """Yield an archive with products, or each image of any other archive; members that can't be used go to `bad`.

    A compressed archive with the name of a product isn't read, because that takes seconds. A broken archive counts as
    a product, so that it is reported when it is opened. If an archive found in the folder `root` holds neither
    products nor images, it yields nothing.

    Raises:
        InputError: If an archive that was named holds neither, or one holds archives.
    """
    product = Input(str(path), archive_stem(path), InputKind.PRODUCT, root)
    if is_landsat_name(path.name) and path.name.lower().endswith(COMPRESSED_SUFFIXES):
        yield product
        return
    try:
        members = list_members(path, unpack=False)
    except InputError:
        yield product
        return
    names = [member.name for member in members]
    if any((facts := read_name(name)) is not None and facts.kind is FileKind.BAND for name in names):
        yield product
        return
    images = [name for name in names if _is_image(PurePosixPath(name))]
    inner = [name for name in names if is_archive(Path(name))]
    if not images and inner and (root is None or any(map(is_landsat_name, inner))):
        more = f" and {len(inner) - 1} more" if len(inner) > 1 else ""
        raise InputError(
            f"expected bands or GeoTIFFs in {path}, but got an archive in it: {inner[0]}{more}",
            hint="Unpack the outer archive; the inner ones can be read.",
        )
    if not images and (root is None or is_landsat_name(path.name)):
        yield product
    for name in images:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            error = InputError(
                f"expected paths inside the archive {path}, but got {name}", hint="Unpack it and fill its files."
            )
            bad.append((f"{path}/{name}", error))
        else:
            yield Input(str(path), PurePosixPath(without_gzip(name)).stem, InputKind.RASTER, root, member=name)


def _is_image(path: PurePosixPath) -> bool:
    """Return whether a member of an archive is an image to fill, by its name."""
    is_hidden = any(part.startswith((".", "__MACOSX")) and part != ".." for part in path.parts)
    return not is_hidden and path.suffix.lower() in RASTER_SUFFIXES and not _is_skipped(path.name)


def _named_file(path: Path) -> Input:
    """Return the input for a file given by itself, or raise InputError if such files are never filled.

    An MTL file stands for its product.
    """
    facts = read_name(path.name)
    if facts is None or facts.kind not in _NEVER_FILLED:
        return _file(path, None)
    if facts.kind is FileKind.METADATA:
        return Input(str(path.parent), facts.scene_id, InputKind.PRODUCT, None, facts.scene_id)
    raise InputError(
        f"expected a band to fill, but got the {facts.kind.value} file {path}",
        hint="Give the product's folder: its bands are filled together, and this file is read.",
    )


def _file(path: Path, root: Path | None) -> Input:
    return Input(str(path), Path(without_gzip(path.name)).stem, InputKind.RASTER, root)


def _is_skipped(name: str) -> bool:
    """Return whether a file found in a folder is hidden, an output or never filled."""
    if name.startswith(".") or is_output_name(name):
        return True
    facts = read_name(name)
    if name.lower().startswith("gap_mask") or (facts is not None and facts.kind in _NEVER_FILLED):
        return True
    return name.lower().endswith(RASTER_SUFFIXES) and is_quality_name(name)


def _identity(source: str) -> str:
    is_remote = _GDAL_NAME.match(source) and not os.path.lexists(source)
    return source if is_remote else os.path.realpath(source)


def open_input(
    given: Input, *, nodata: Nodata = None, bands: Sequence[str] | None = None, rasters: Rasters | None = None
) -> tuple[Scene, ...]:
    """Return the scenes of an input, without reading pixels.

    Args:
        given: The input.
        nodata: Numbers of missing pixels besides the file's own; see `missing_numbers`.
        bands: Numbers or names of the bands, such as `4`, `nir` or `SR_B4`; None means all.
        rasters: The open rasters, kept for later readers; None closes them.

    Raises:
        InputError: If it can't be opened.
        UsageError: If it lacks one of the bands.
    """
    if given.kind is InputKind.PRODUCT:
        return tuple(open_products(given.source, bands=bands, nodata=nodata, only=given.product, rasters=rasters))
    scene = _open_raster(given.source if given.member is None else _member_dataset(given), nodata, rasters)
    if bands is not None:
        scene = _with_bands(scene, bands)
    return (replace(scene, name=given.name, source=given.source),)


def _member_dataset(given: Input) -> str:
    """Return the path by which GDAL opens an image in an archive, or raise InputError if there is none."""
    for member in list_members(Path(given.source)):
        if member.name == given.member:
            return member.dataset
    raise InputError(
        f"expected {given.member} in {given.source}, but got nothing there",
        hint="The archive has changed: run the command again.",
    )


def _open_raster(source: str, nodata: Nodata, rasters: Rasters | None) -> Scene:
    path = Path(source)
    on_disk = is_local(source)
    scene = open_band_file(path, nodata=nodata, rasters=rasters) if on_disk else None
    if scene is not None:
        return scene
    is_gzipped = on_disk and without_gzip(source) != source
    scene = open_geotiff(
        f"/vsigzip/{path.absolute()}" if is_gzipped else source,
        nodata=nodata,
        landsat=is_landsat_name(source) or None,
        rasters=rasters,
    )
    return _with_facts(scene, source)


def _with_bands(scene: Scene, wanted: Sequence[str]) -> Scene:
    """Return the scene with the bands of these numbers or names, in stored order, or raise UsageError."""
    chosen = []
    for name in wanted:
        matching = [
            band
            for band in scene.bands
            if name.lower() in {str(band.index), band.name.lower(), band.band.colour if band.band else ""}
        ]
        if not matching:
            raise UsageError(
                f"expected bands of {scene.name}, but got {name!r}",
                hint="It has " + ", ".join(f"{band.index} ({band.name})" for band in scene.bands) + ".",
            )
        chosen.extend(matching)
    return replace(scene, bands=tuple(band for band in scene.bands if band in chosen))


LARGEST_ITEM_BYTES = 1 << 20


def _stated_beside(path: Path) -> Quantity | None:
    """Return the quantity that a STAC item beside a raster states, or None without one."""
    for item in (path.with_suffix(".json"), path.with_name(f"{path.stem}_stac.json")):
        try:
            with item.open(encoding="utf-8") as file:
                content = json.loads(file.read(LARGEST_ITEM_BYTES))
        except (OSError, ValueError, RecursionError):
            continue
        if not isinstance(content, dict) or "stac_version" not in content:
            continue
        properties = content.get("properties")
        facts = {**content, **(properties if isinstance(properties, dict) else {})}
        for name in ("landsat:correction", "processing:level", "collection", "id"):
            if (stated := stated_quantity(str(facts.get(name, "")))) is not None:
                return stated
    return None


def _with_facts(scene: Scene, source: str) -> Scene:
    """Return the scene with facts from its name and the STAC item beside it, where the file itself has none."""
    if is_local(source) and any(band.quantity is None for band in scene.bands):
        stated = _stated_beside(Path(source))
        bands = tuple(replace(one, quantity=one.quantity or (stated and stated.of(one.band))) for one in scene.bands)
        scene = replace(scene, bands=bands)
    facts = read_name(source)
    if facts is None:
        return scene
    sensor, acquired = scene.sensor or facts.sensor, scene.acquired or facts.acquired
    slc_off = slc_was_off(None, sensor, acquired) if scene.slc_off is None else scene.slc_off
    return replace(scene, sensor=sensor, acquired=acquired, slc_off=slc_off)
