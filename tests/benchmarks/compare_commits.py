"""Shows whether two commits compute the same: fills scenes and products by both and compares what they write.

    python tests/benchmarks/compare_commits.py OLD NEW --data FOLDER [--data FOLDER …]

OLD and NEW are checkouts or commits of this repository. Each is run as a process of its own, so the names of
its modules don't matter. The script itself imports nothing of the project. Prints a Markdown table with a row
a scene and method, and exits with 1 if anything differs.

- A large scene is cropped to a window with gaps. A scene without gaps is filled twice: as it is, and with
  simulated stripes, which the old code lays once for both. A product is never cropped.
- Both codes must write the same files, the same rows of the report, and end with the same exit code. Seconds,
  times and versions may differ.
- Each raster must have the same pixels, bit by bit, and the same metadata, layout, masks and colour tables.
  Compressed bytes may differ. Any other file must have the same bytes.
- A learned method may differ a little in filled pixels, because sums in another order round differently. At
  most 0.1 % of the filled pixels of a scene may differ, and by no more than one stored unit. Real numbers may
  differ by a relative 1e-3. A standard deviation is stored with 8 significant bits, so at most 0.1 % of them
  may also differ by one step of these. Classical methods must not differ at all.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

REPOSITORY = Path(__file__).resolve().parents[2]
METHODS = "tension-spline,kriging,band-unet,unet"
LEARNED = ("band-unet", "convcnp", "convlnp", "deep-image-prior", "partialconv", "unet")

IGNORED_FIELDS = ("seconds", "time", "version")
"""Of a row of the report."""
IGNORED_TAG = "LANDSAT_FILL_VERSION"
IGNORED_NAMESPACE = "DERIVED_SUBDATASETS"
"""GDAL makes these tags from the name of the file."""

FILL_ENDING, STD_ENDING = "_fill.tif", "_std.tif"
RASTER_SUFFIXES = (".tif", ".tiff", ".img", ".vrt", ".jp2")
REPLACED = 3
"""From this code on the fill layer says that a pixel was filled."""

SHARE = 1e-3
RELATIVE = 1e-3
STD_STEP = 2.0**-7
"""The largest relative step between two numbers of 8 significant bits."""

STRIP_ROWS = 256
NO_GAPS_PERCENT = 0.1
SHARE_OF_GAPS = (0.05, 0.6)
"""A crop should lose at least and at most such a share of its pixels."""
PATHS_A_CALL = 200
SHOWN, SHOWN_LETTERS = 3, 160
"""Differences in a cell of the table, and letters of each; the JSON file has all."""


@dataclass(frozen=True, slots=True)
class Code:
    """One of the two codes.

    Attributes:
        side: `old` or `new`.
        checkout: The folder that holds the package.
        commit: The commit, with `-dirty` where files were changed since.
        folder: Where it writes.
    """

    side: str
    checkout: Path
    commit: str
    folder: Path

    def call(self, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run `landsat-fill` with some arguments, whatever comes of it."""
        return self._python("-m", "landsat_fill", *map(str, arguments), cwd=cwd or self.folder)

    def package(self) -> Path:
        """Return the folder that Python imports the package from."""
        ended = self._python("-c", "import landsat_fill; print(landsat_fill.__file__)", cwd=self.folder)
        if ended.returncode:
            raise SystemExit(f"expected {self.checkout} to hold the package, but got:\n{ended.stderr}")
        return Path(ended.stdout.strip()).resolve().parent

    def _python(self, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        environment = dict(os.environ)
        environment["PYTHONPATH"] = str(self.checkout)
        # Numba does not notice that a loop it inlined has changed in another file. So no cache is shared.
        environment["NUMBA_CACHE_DIR"] = str(self.folder / "loops")
        environment["PYTHONPYCACHEPREFIX"] = str(self.folder / "bytecode")
        environment["COLUMNS"] = "200"
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@dataclass(frozen=True, slots=True)
class Filled:
    """What one code made of all scenes with one method.

    Attributes:
        folder: The outputs.
        rows: The rows of the report by source and name.
        exit_code: How the process ended.
        seconds: How long it took.
    """

    folder: Path
    rows: Mapping[tuple[str, str], Mapping[str, Any]]
    exit_code: int
    seconds: float


@dataclass(slots=True)
class Pixels:
    """How the pixels of two rasters, or of all rasters of a kind, compare. A pixel counts in each band.

    Attributes:
        filled: Pixels that were filled.
        differing: Of these, pixels that differ.
        beyond: Of these, pixels that differ by more than the relative tolerance.
        elsewhere: Pixels that were not filled, and differ.
        largest: The largest difference: in stored units, of real numbers a relative one.
    """

    filled: int = 0
    differing: int = 0
    beyond: int = 0
    elsewhere: int = 0
    largest: float = 0.0

    def add(self, other: Pixels) -> None:
        """Count those of another raster, too."""
        self.filled += other.filled
        self.differing += other.differing
        self.beyond += other.beyond
        self.elsewhere += other.elsewhere
        self.largest = max(self.largest, other.largest)

    def tolerated(self, kind: str) -> bool:
        """Return whether a learned method may differ so in `whole`, `real` or `std` rasters."""
        if self.elsewhere or kind == "layer":
            return False
        if kind == "whole":
            return self.largest <= 1 and self.differing <= SHARE * self.filled
        few = kind == "std" and self.largest <= STD_STEP and self.beyond <= SHARE * self.filled
        return self.largest <= RELATIVE or few


@dataclass(slots=True)
class Verdict:
    """What was found of one scene and one method: a row of the table.

    Attributes:
        scene: Its name.
        method: The name of the method.
        status: What the report of the old code says.
        verdict: `identical`, `within tolerance`, `DIFFERS` or `skipped`.
        files: How many files were compared.
        other_bytes: Of these, rasters that are the same but for their bytes, compressed otherwise say.
        filled: Pixels filled, by the report of the old code.
        differing: Filled pixels that differ, those of the standard deviation left out.
        largest: The largest difference of these.
        differences: What differs.
    """

    scene: str
    method: str
    status: str = ""
    verdict: str = "identical"
    files: int = 0
    other_bytes: int = 0
    filled: int = 0
    differing: int = 0
    largest: float = 0.0
    differences: list[str] = field(default_factory=list)


def main() -> None:
    """Fill by both codes, compare, print the table, and exit with 1 if anything differs."""
    options = _options()
    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
    with ExitStack() as stack:
        if options.work is None:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="landsat-fill-")))
        else:
            work = options.work.resolve()
        codes = [
            stack.enter_context(_code(side, given, work))
            for side, given in (("old", options.old), ("new", options.new))
        ]
        verdicts, sources = _prepare(codes[0], options, work)
        runs: dict[str, dict[str, Any]] = {}
        for method in options.methods.split(","):
            old, new = (_fill(code, method, sources, keep=_may_keep(code, options)) for code in codes)
            verdicts += _compare(method, sources, old, new)
            runs[method] = {
                "exit_codes": [old.exit_code, new.exit_code],
                "seconds": [round(old.seconds, 1), round(new.seconds, 1)],
            }
            if options.work is None:
                for code in codes:
                    shutil.rmtree(code.folder / method)
        commits = {code.side: f"{code.commit} ({code.checkout})" for code in codes}
    say("\n".join(_table(verdicts)))
    failed = any(verdict.verdict == "DIFFERS" for verdict in verdicts) or not sources
    counts = Counter(verdict.verdict for verdict in verdicts)
    counted = ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing to compare"
    say()
    for method, run in runs.items():
        seconds, ends = (" and ".join(map(str, run[what])) for what in ("seconds", "exit_codes"))
        say(f"{method}: {seconds} s, exit codes {ends} (old and new)")
    say(f"old {commits['old']}, new {commits['new']}")
    say(f"{'DIFFERENT' if failed else 'THE SAME'}: {counted}")
    if options.json is not None:
        rows = [asdict(verdict) for verdict in verdicts]
        found = {**commits, "same": not failed, "counts": counts, "runs": runs, "rows": rows}
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    sys.exit(1 if failed else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Show whether two commits compute the same.")
    parser.add_argument("old", help="a checkout, or a commit of this repository")
    parser.add_argument("new", help="a checkout, or a commit of this repository")
    parser.add_argument("--data", type=Path, action="append", required=True, help="a folder; may be repeated")
    parser.add_argument("--methods", default=METHODS, help=f"default {METHODS}")
    parser.add_argument("--limit-px", type=int, default=600, help="crop scenes to squares of such a side (default 600)")
    parser.add_argument(
        "--largest-product", type=int, default=4_000_000, help="skip products with more pixels a band (default 4000000)"
    )
    parser.add_argument("--no-stripes", action="store_true", help="lay no stripes on scenes without gaps")
    parser.add_argument(
        "--exclude", action="append", default=[], help="leave out paths that match a pattern; may be repeated"
    )
    parser.add_argument("--work", type=Path, help="where inputs and outputs are kept (default: nowhere)")
    parser.add_argument(
        "--keep-old",
        action="store_true",
        help="take what the old commit wrote into --work before, if the inputs are the same",
    )
    parser.add_argument("--json", type=Path, help="write all that was found to a file")
    options = parser.parse_args()
    if options.keep_old and options.work is None:
        parser.error("expected --work with --keep-old")
    return options


def say(text: str = "") -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def progress(text: str) -> None:
    """Print a line that isn't part of the result."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


@contextmanager
def _code(side: str, given: str, work: Path) -> Iterator[Code]:
    """Yield one of the two codes; a commit is checked out for as long."""
    folder = work / side
    # Compiled loops and bytecode of another run may be those of another code.
    for cache in ("loops", "bytecode"):
        shutil.rmtree(folder / cache, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        checkout = Path(given).resolve()
        if not (checkout / "landsat_fill").is_dir():
            checkout = stack.enter_context(_worktree(given))
        described = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=7"]
        ended = subprocess.run(described, capture_output=True, text=True, check=False)
        code = Code(side, checkout, ended.stdout.strip() or "unknown-dirty", folder)
        package = code.package()
        if package.parent != checkout:
            raise SystemExit(f"expected the package of {checkout}, but Python imports {package}")
        yield code


@contextmanager
def _worktree(commit: str) -> Iterator[Path]:
    """Yield a folder with a commit of this repository; it is removed afterwards."""
    git = ["git", "-C", str(REPOSITORY)]
    with tempfile.TemporaryDirectory(prefix="landsat-fill-") as name:
        folder = Path(name).resolve() / "checkout"
        add = [*git, "worktree", "add", "--detach", str(folder), commit]
        ended = subprocess.run(add, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise SystemExit(f"expected a checkout or a commit, but got {commit!r}\n{ended.stderr.strip()}")
        try:
            yield folder
        finally:
            subprocess.run([*git, "worktree", "remove", "--force", str(folder)], check=True)


def _may_keep(code: Code, options: argparse.Namespace) -> bool:
    """Return whether what a code wrote before may stand for what it would write now."""
    return options.keep_old and code.side == "old" and not code.commit.endswith("-dirty")


# What is filled


def _prepare(old: Code, options: argparse.Namespace, work: Path) -> tuple[list[Verdict], list[str]]:
    """Return rows of what is left out, and the inputs: scenes, striped scenes, and products."""
    skipped: list[Verdict] = []
    targets: dict[str, list[str]] = defaultdict(list)
    for folder in options.data:
        for source, target in _inputs(old, folder.resolve()):
            targets[source].append(target)
    kept = [path for path in targets if not any(fnmatch.fnmatch(path, one) for one in options.exclude)]
    if len(kept) < len(targets):
        skipped.append(_skip(f"{len(targets) - len(kept)} inputs", "left out by --exclude"))
    files = [path for path in kept if _is_scene(Path(path))]
    named = [path for path in kept if not _is_scene(Path(path))]
    sizes = {path: max(row["rows"] * row["columns"] for row in rows) for path, rows in _info(old, named)}
    products: list[str] = []
    taken: set[str] = set()
    for path in named:
        reason = ""
        if sizes.get(path, 0) > options.largest_product:
            reason = f"{sizes[path]:,} pixels a band are more than --largest-product"
        elif taken & set(targets[path]):
            reason = "another product has its name"
        if reason:
            skipped.append(_skip(path, reason))
            continue
        taken.update(targets[path])
        products.append(path)
    inputs = work / f"inputs_{options.limit_px}px"
    inputs.mkdir(exist_ok=True)
    names = _unique_names(files)
    scenes = [_scene(Path(path), inputs / name, options.limit_px) for path, name in names.items()]
    striped = [] if options.no_stripes else _striped(old, scenes, inputs, skipped, keep=options.keep_old)
    progress(f"{len(scenes)} scenes, {len(striped)} of them also with stripes, {len(products)} products")
    return skipped, [*map(str, scenes), *map(str, striped), *products]


def _skip(scene: str, reason: str) -> Verdict:
    return Verdict(scene, "all", "", "skipped", differences=[reason])


def _inputs(code: Code, folder: Path) -> list[tuple[str, str]]:
    """Return the inputs that the tool finds in a folder, and the names of their outputs."""
    planned = code.call("fill", folder, "-o", "planned", "--dry-run", "--json")
    if planned.returncode:
        raise SystemExit(f"expected scenes in {folder}, but got:\n{planned.stderr}")
    jobs = [json.loads(line) for line in planned.stdout.splitlines()]
    return [(job["source"], Path(job["target"]).name) for job in jobs]


def _is_scene(path: Path) -> bool:
    """Return whether an input is one raster file. If not, it is a product, as folder or archive."""
    return path.is_file() and path.suffix.lower() in RASTER_SUFFIXES


def _info(code: Code, paths: Sequence[str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the inputs that can be read, and what the tool reports about each of their grids."""
    told: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for start in range(0, len(paths), PATHS_A_CALL):
        printed = code.call("info", "--json", *paths[start : start + PATHS_A_CALL]).stdout
        for line in printed.splitlines():
            row = json.loads(line)
            told[row["source"]].append(row)
    yield from told.items()


def _unique_names(paths: Iterable[str]) -> dict[str, str]:
    """Return a file name for each scene that no other has, by path."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for path in map(Path, paths):
        stem, number = path.stem, 1
        while stem in taken:
            stem = f"{path.parent.name}_{path.stem}" if number == 1 else f"{path.stem}_{number}"
            number += 1
        taken.add(stem)
        names[str(path)] = stem + path.suffix
    return names


def _scene(source: Path, target: Path, limit_px: int) -> Path:
    """Return a scene's copy, or a crop of it where it is large; where neither can be, the scene itself."""
    try:
        with rasterio.open(source) as dataset:
            if max(dataset.shape) > limit_px and not dataset.gcps[0] and not dataset.rpcs:
                target = target.with_suffix(".tif")
                _write_crop(dataset, target, _window(dataset, limit_px))
                return target
            files = [Path(name) for name in dataset.files]
    except RasterioError:
        return source
    if source.suffix.lower() == ".vrt":
        return source
    for file in files:
        name = file.name
        if name.startswith(source.stem):
            name = target.stem + name.removeprefix(source.stem)
        shutil.copyfile(file, target.with_name(name))
    return target


def _window(dataset: rasterio.DatasetReader, limit_px: int) -> Window:
    """Return the window nearest to the centre in which neither too few nor too many pixels are missing."""
    masks = dataset.read_masks()
    missing = (masks == 0).any(axis=0)
    if not missing.any():
        stored = dataset.read()
        missing = ((stored == 0) | np.isnan(stored)).all(axis=0)
    height, width = (min(limit_px, side) for side in missing.shape)
    step = max(1, limit_px // 4)
    middle = [(missing.shape[0] - height) // 2, (missing.shape[1] - width) // 2]
    places = sorted(
        {(row, col)
         for row in (*range(0, missing.shape[0] - height + 1, step), middle[0])
         for col in (*range(0, missing.shape[1] - width + 1, step), middle[1])},
        key=lambda place: (abs(place[0] - middle[0]) + abs(place[1] - middle[1]), place),
    )  # fmt: skip
    shares = [float(missing[row : row + height, col : col + width].mean()) for row, col in places]
    least, most = SHARE_OF_GAPS
    good = [place for place, share in zip(places, shares, strict=True) if least <= share <= most]
    best = max((share for share in shares if share <= most), default=shares[0])
    row, col = good[0] if good else places[shares.index(best)]
    return Window(col, row, width, height)


def _write_crop(dataset: rasterio.DatasetReader, target: Path, window: Window) -> None:
    """Write a window of a scene with the scene's metadata."""
    structure = dataset.tags(ns="IMAGE_STRUCTURE")
    profile = {
        **dataset.profile,
        "driver": "GTiff",
        "height": window.height,
        "width": window.width,
        "transform": dataset.window_transform(window),
    }
    if not profile.get("tiled"):
        profile = {key: value for key, value in profile.items() if key not in ("blockxsize", "blockysize")}
    if "PREDICTOR" in structure:
        profile["predictor"] = structure["PREDICTOR"]
    if dataset.colorinterp[:3] == (ColorInterp.red, ColorInterp.green, ColorInterp.blue):
        profile["photometric"] = "RGB"
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(target, "w", **profile) as crop:
        crop.colorinterp = dataset.colorinterp
        for namespace in (None, *dataset.tag_namespaces()):
            if namespace not in ("IMAGE_STRUCTURE", IGNORED_NAMESPACE):
                crop.update_tags(ns=namespace, **dataset.tags(ns=namespace))
        crop.scales, crop.offsets, crop.units = dataset.scales, dataset.offsets, dataset.units
        crop.descriptions = dataset.descriptions
        for band in dataset.indexes:
            crop.update_tags(band, **dataset.tags(band))
            if (colours := _colours(dataset, band)) is not None:
                crop.write_colormap(band, colours)
        crop.write(dataset.read(window=window))
        if MaskFlags.per_dataset in dataset.mask_flag_enums[0]:
            crop.write_mask(dataset.read_masks(1, window=window))


def _striped(old: Code, scenes: Sequence[Path], inputs: Path, skipped: list[Verdict], *, keep: bool) -> list[Path]:
    """Return the scenes without gaps, with stripes laid on them by the old code."""
    written = []
    for path, rows in _info(old, [str(scene) for scene in scenes]):
        if any(band["missing_percent"] >= NO_GAPS_PERCENT for row in rows for band in row["bands"]):
            continue
        target = inputs / f"{Path(path).stem}_striped.tif"
        if not (keep and target.exists()):
            lost = _number_for_lost(path)
            ended = old.call("simulate", path, "-o", target, "--overwrite", "--quiet", *lost)
            if ended.returncode:
                reason = ended.stderr.strip().partition("\n")[0]
                skipped.append(_skip(target.name, f"simulate: {reason}"))
                continue
        written.append(target)
    return written


def _number_for_lost(path: str) -> list[str]:
    """Return the option that says which number stands for lost pixels, where the scene doesn't say."""
    with rasterio.open(path) as dataset:
        dtype = np.dtype(dataset.dtypes[0])
        if dtype.kind not in "iu" or dataset.nodata is not None:
            return []
        taken = set(np.unique(dataset.read()).tolist())
    limits = np.iinfo(dtype)
    # 0, as in Landsat files; or the lowest number that no pixel has.
    numbers = (0, *range(int(limits.min), min(int(limits.max), int(limits.min) + len(taken)) + 1))
    return ["--nodata", str(next((number for number in numbers if number not in taken), 0))]


# Filling


def _fill(code: Code, method: str, sources: Sequence[str], *, keep: bool) -> Filled:
    """Return what a code makes of all inputs with a method, from one process."""
    folder = code.folder / method
    record = {"commit": code.commit, "sources": list(sources)}
    ran = folder / "ran.json"
    known = json.loads(ran.read_text(encoding="utf-8")) if keep and ran.exists() else {}
    if {name: known.get(name) for name in record} != record:
        progress(f"{method}: {code.side}, {code.commit}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "inputs.txt").write_text("\n".join(sources) + "\n", encoding="utf-8")
        began = time.perf_counter()
        # Paths are relative to a folder of each code's own, so that both reports name the same ones.
        ended = code.call(
            "fill", "--from-file", "inputs.txt", "-o", "filled", "--method", method, "--seed", "0",
            "--report", "report.jsonl", cwd=folder,
        )  # fmt: skip
        known = {**record, "exit_code": ended.returncode, "seconds": time.perf_counter() - began}
        (folder / "log.txt").write_text(ended.stdout + ended.stderr, encoding="utf-8")
        ran.write_text(json.dumps(known), encoding="utf-8")
    report = folder / "report.jsonl"
    lines = report.read_text(encoding="utf-8").splitlines() if report.exists() else []
    rows = {(row["source"], row["name"]): row for row in map(json.loads, lines)}
    return Filled(folder, rows, known["exit_code"], known["seconds"])


# Comparing


def _compare(method: str, sources: Sequence[str], old: Filled, new: Filled) -> list[Verdict]:
    """Return a row a scene, and one more where something belongs to none."""
    progress(f"{method}: comparing")
    left = _files(old.folder / "filled") | _files(new.folder / "filled")
    verdicts = []
    scenes = dict.fromkeys([*old.rows, *new.rows])
    scenes |= dict.fromkeys((path, "") for path in sources if path not in {source for source, _ in scenes})
    for source, name in scenes:
        rows = [filled.rows.get((source, name)) for filled in (old, new)]
        own = {file for file in left if any(_owns(row, file) for row in rows if row)}
        left -= own
        verdict = Verdict(name or Path(source).name, method)
        _compare_rows(rows, verdict)
        _compare_files(own, old.folder / "filled", new.folder / "filled", verdict)
        verdicts.append(verdict)
    rest = Verdict("(the whole run)", method)
    if old.exit_code != new.exit_code:
        rest.differences.append(f"exit code {old.exit_code} became {new.exit_code}")
    _compare_files(left, old.folder / "filled", new.folder / "filled", rest)
    if rest.differences or left:
        _judge(rest, {}, [])
        verdicts.append(rest)
    return verdicts


def _files(folder: Path) -> set[str]:
    """Return all files below a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _owns(row: Mapping[str, Any], file: str) -> bool:
    """Return whether a file is an output of a row's scene."""
    path, target = f"filled/{file}", str(row["target"])
    return path in (row["files"] or ()) or path == target or path.startswith(f"{target}/")


def _compare_rows(rows: Sequence[Mapping[str, Any] | None], verdict: Verdict) -> None:
    """Compare the two rows of a scene."""
    old, new = rows
    if old is None or new is None:
        missing = [side for side, row in (("old", old), ("new", new)) if row is None]
        verdict.differences.append(f"no row in the report of: {', '.join(missing)}")
    told = old or new
    if told is not None:
        verdict.status, verdict.filled = told["status"], (told["tally"] or {}).get("filled", 0)
    if old is None or new is None:
        return
    for name in sorted((old.keys() | new.keys()) - set(IGNORED_FIELDS)):
        before, after = old.get(name, "nothing"), new.get(name, "nothing")
        if before == after or (name == "median_std" and _near(before, after, verdict.method)):
            continue
        verdict.differences.append(f"report, {name}: {before!r} became {after!r}")


def _near(before: object, after: object, method: str) -> bool:
    """Return whether two deviations of a learned method agree."""
    if method not in LEARNED or not isinstance(before, float) or not isinstance(after, float):
        return False
    return abs(before - after) <= STD_STEP * max(abs(before), abs(after))


def _compare_files(files: Iterable[str], old: Path, new: Path, verdict: Verdict) -> None:
    """Compare the files of a scene, and judge; early versions wrote no marks (`….done`)."""
    names = sorted(name for name in files if not name.endswith(".done"))
    totals: dict[str, Pixels] = defaultdict(Pixels)
    changed: list[tuple[str, str]] = []
    same: list[str] = []
    layers = [old / name for name in names if name.endswith(FILL_ENDING) and (old / name).exists()]
    for name in names:
        verdict.files += 1
        short = Path(name).name
        missing = [side for side, folder in (("old", old), ("new", new)) if not (folder / name).exists()]
        if missing:
            verdict.differences.append(f"{short}: only in {'new' if missing == ['old'] else 'old'}")
        elif _same_bytes(old / name, new / name):
            same.append(name)
        elif not name.lower().endswith(RASTER_SUFFIXES):
            verdict.differences.append(f"{short}: other bytes")
        else:
            try:
                found = _compare_rasters(old / name, new / name, layers)
            except RasterioError as error:
                verdict.differences.append(f"{short}: not readable, {error}")
                continue
            facts, kind, pixels = found
            verdict.differences += [f"{short}: {fact}" for fact in facts]
            totals[kind].add(pixels)
            if pixels.differing or pixels.elsewhere:
                changed.append((kind, f"{short}: {_told(pixels, kind)}"))
            elif not facts:
                verdict.other_bytes += 1
    for name in same if changed else ():
        # The share that differs is one of all filled pixels of the scene.
        _count_filled(old / name, layers, totals)
    _judge(verdict, totals, changed)


def _judge(verdict: Verdict, totals: Mapping[str, Pixels], changed: Sequence[tuple[str, str]]) -> None:
    """Put the verdict of a scene into its row."""
    for kind, pixels in totals.items():
        if kind in ("whole", "real"):
            verdict.differing += pixels.differing + pixels.elsewhere
            verdict.largest = max(verdict.largest, pixels.largest)
        # A fill layer describes a pixel, not its bands. So the report is preferred where it has the number.
        pixels.filled = min(pixels.filled, verdict.filled)
    learned = verdict.method in LEARNED
    refused = [told for kind, told in changed if not (learned and totals[kind].tolerated(kind))]
    if verdict.differences or refused:
        verdict.verdict = "DIFFERS"
    elif changed:
        verdict.verdict = "within tolerance"
    verdict.differences += [told for _, told in changed]


def _told(pixels: Pixels, kind: str) -> str:
    """Return in words how pixels differ."""
    unit = "stored units" if kind in ("whole", "layer") else "relative"
    told = f"{pixels.differing:,} filled pixels"
    if pixels.elsewhere:
        told += f" and {pixels.elsewhere:,} others"
    return f"{told} differ by up to {pixels.largest:.3g} ({unit})"


def _same_bytes(one: Path, other: Path) -> bool:
    return one.stat().st_size == other.stat().st_size and one.read_bytes() == other.read_bytes()


def _kind(name: str, dtypes: Iterable[str]) -> str:
    """Return `layer` for a fill layer, `std`, or whether a raster has `whole` or `real` numbers."""
    if name.endswith(FILL_ENDING):
        return "layer"
    if name.endswith(STD_ENDING):
        return "std"
    return "real" if any(np.dtype(dtype).kind == "f" for dtype in dtypes) else "whole"


def _count_filled(path: Path, layers: Sequence[Path], totals: dict[str, Pixels]) -> None:
    """Count the filled pixels of a raster that is the same in both."""
    if not path.name.lower().endswith(RASTER_SUFFIXES):
        return
    with ExitStack() as stack:
        dataset = stack.enter_context(rasterio.open(path))
        kind = _kind(path.name, dataset.dtypes)
        opened = _layers_of(dataset, layers, stack)
        for window in _strips(dataset):
            totals[kind].filled += int(np.count_nonzero(_filled(opened, window))) * dataset.count


def _compare_rasters(old: Path, new: Path, layers: Sequence[Path]) -> tuple[list[str], str, Pixels]:
    """Return what else differs between two rasters, their kind, and how their pixels compare."""
    with ExitStack() as stack:
        one, other = (stack.enter_context(rasterio.open(path)) for path in (old, new))
        kind = _kind(old.name, one.dtypes)
        before, after = _facts(one), _facts(other)
        facts = [
            f"{name} {before.get(name, 'nothing')} became {after.get(name, 'nothing')}"
            for name in dict.fromkeys([*before, *after])
            if before.get(name) != after.get(name)
        ]
        pixels = Pixels()
        if (one.shape, one.dtypes) != (other.shape, other.dtypes):
            return facts, kind, pixels
        opened = _layers_of(one, layers, stack)
        for window in _strips(one):
            filled = _filled(opened, window)
            for band in one.indexes:
                stored = [dataset.read(band, window=window) for dataset in (one, other)]
                pixels.add(_compare_pixels(*stored, filled))
        if any(_other_mask(one, other, window) for window in _strips(one)):
            facts.append("another mask")
        if one.overviews(1) == other.overviews(1) and _other_overviews(old, new, len(one.overviews(1))):
            facts.append("other overviews")
    return facts, kind, pixels


def _layers_of(
    dataset: rasterio.DatasetReader, layers: Sequence[Path], stack: ExitStack
) -> list[rasterio.DatasetReader]:
    """Return the fill layers that lie on a raster's grid."""
    opened = [stack.enter_context(rasterio.open(layer)) for layer in layers]
    grid = dataset.shape, dataset.transform
    return [layer for layer in opened if (layer.shape, layer.transform) == grid]


def _strips(dataset: rasterio.DatasetReader) -> Iterator[Window]:
    """Yield the windows a raster is read by."""
    for row in range(0, dataset.height, STRIP_ROWS):
        yield Window(0, row, dataset.width, min(STRIP_ROWS, dataset.height - row))


def _filled(layers: Sequence[rasterio.DatasetReader], window: Window) -> NDArray[np.bool_]:
    """Return where any layer says that a pixel was filled."""
    filled = np.zeros((int(window.height), int(window.width)), bool)
    for layer in layers:
        filled |= (layer.read(window=window) >= REPLACED).any(axis=0)
    return filled


def _compare_pixels(old: NDArray[np.generic], new: NDArray[np.generic], filled: NDArray[np.bool_]) -> Pixels:
    """Return how the stored numbers of a band compare, bit by bit."""
    bits = np.dtype(f"u{old.dtype.itemsize}") if old.dtype.kind in "iuf" else old.dtype
    differ = old.view(bits) != new.view(bits)
    pixels = Pixels(filled=int(np.count_nonzero(filled)))
    if not differ.any():
        return pixels
    pixels.differing = int(np.count_nonzero(differ & filled))
    pixels.elsewhere = int(np.count_nonzero(differ & ~filled))
    before, after = (stored[differ].astype(np.float64) for stored in (old, new))
    size = np.abs(before - after)
    if old.dtype.kind == "f":
        with np.errstate(invalid="ignore", divide="ignore"):
            size = size / np.maximum(np.abs(before), np.abs(after))
        size[(before == 0) & (after == 0)] = 0
    # A number on one side and NaN or infinity on the other.
    size[~np.isfinite(size)] = np.inf
    size[np.isnan(before) & np.isnan(after)] = 0
    pixels.largest = float(size.max())
    pixels.beyond = int(np.count_nonzero((size > RELATIVE) & filled[differ]))
    return pixels


def _other_mask(one: rasterio.DatasetReader, other: rasterio.DatasetReader, window: Window) -> bool:
    """Return whether the masks differ that rasters have of their own, not by their nodata."""
    if MaskFlags.per_dataset not in one.mask_flag_enums[0]:
        return False
    masks = [dataset.read_masks(window=window) for dataset in (one, other)]
    return not np.array_equal(*masks)


def _other_overviews(old: Path, new: Path, count: int) -> bool:
    """Return whether the pixels of any overview differ."""
    for level in range(count):
        with rasterio.open(old, overview_level=level) as one, rasterio.open(new, overview_level=level) as other:
            if one.shape != other.shape or one.read().tobytes() != other.read().tobytes():
                return True
    return False


def _facts(dataset: rasterio.DatasetReader) -> dict[str, str]:
    """Return the metadata of a raster as text by name; text, so that NaN is equal to NaN."""
    points, points_crs = dataset.gcps
    facts: dict[str, Any] = {
        "driver": dataset.driver,
        "size": (dataset.count, *dataset.shape),
        "data types": dataset.dtypes,
        "nodata": dataset.nodatavals,
        "CRS": dataset.crs and dataset.crs.to_wkt(),
        "transform": tuple(dataset.transform),
        "GCPs": [(point.row, point.col, point.x, point.y, point.z) for point in points],
        "CRS of the GCPs": points_crs and points_crs.to_wkt(),
        "RPCs": dataset.rpcs and dataset.rpcs.to_dict(),
        "descriptions": dataset.descriptions,
        "units": dataset.units,
        "scales": dataset.scales,
        "offsets": dataset.offsets,
        "colours": [colour.name for colour in dataset.colorinterp],
        "kinds of mask": [[flag.name for flag in flags] for flags in dataset.mask_flag_enums],
        "blocks": dataset.block_shapes,
        "overviews": [dataset.overviews(band) for band in dataset.indexes],
    }
    for band in (0, *dataset.indexes):
        for namespace in ("", *dataset.tag_namespaces(band)):
            if namespace != IGNORED_NAMESPACE:
                for tag, value in dataset.tags(band, ns=namespace or None).items():
                    facts[" ".join(filter(None, (f"band {band}" if band else "", namespace, tag)))] = value
        if band:
            facts[f"colour table of band {band}"] = _colours(dataset, band)
    facts.pop(IGNORED_TAG, None)
    return {name: str(value) for name, value in facts.items()}


def _colours(dataset: rasterio.DatasetReader, band: int) -> dict[int, tuple[int, ...]] | None:
    """Return the colour table of a band, or None where it has none."""
    try:
        return dataset.colormap(band)
    except ValueError:
        return None


def _table(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the lines of the Markdown table."""
    heads = "scene", "method", "status", "files", "filled px", "differing", "largest", "verdict", "what"
    lines = [f"| {' | '.join(heads)} |", "|---|---|---|---:|---:|---:|---:|---|---|"]
    for row in verdicts:
        what = [one if len(one) <= SHOWN_LETTERS else f"{one[:SHOWN_LETTERS]}…" for one in row.differences[:SHOWN]]
        if len(row.differences) > SHOWN:
            what.append(f"and {len(row.differences) - SHOWN} more")
        if row.other_bytes:
            what.append(f"{row.other_bytes} files differ in nothing but their bytes")
        share = f"{row.differing:,}"
        if row.differing and row.filled:
            share += f" ({100 * row.differing / row.filled:.3g} %)"
        verdict = f"**{row.verdict}**" if row.verdict == "DIFFERS" else row.verdict
        numbers = ("",) * 4 if row.verdict == "skipped" else (
            str(row.files), f"{row.filled:,}", share, f"{row.largest:.3g}",
        )  # fmt: skip
        told = "; ".join(what).replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {' | '.join((row.scene, row.method, row.status, *numbers, verdict, told))} |")
    return lines


if __name__ == "__main__":
    main()
