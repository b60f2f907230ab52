"""Runs commands on damaged GeoTIFFs, archives and JSON files, each made from a seed.

    python tests/benchmarks/check_fuzz.py [--share 1.0] [--seed 0] [KIND…]

Fails if a command ends in a traceback or an unexpected error, takes 20 s, needs over 1 GiB, or kills its process.
Each such input is printed, and kept in the folder of `--keep` if that is given.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import random
import re
import shutil
import struct
import sys
import tarfile
import tempfile
import traceback
import warnings
import zipfile
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LONGEST_S = 20.0
MOST_BYTES = 1 << 30
WRONG = re.compile(r"unexpected \w*(?:Error|Exception|Warning)\b|Traceback")
PRODUCT = "LE07_L1TP_299299_20050704_20200914_02_T1"
ODD = (
    None, True, 0, -1, 1, 0.5, 2**31, 2**63, 2**70, -(2**70), 1e308, float("nan"), "", "x", "a\0b", "../x",
    "/etc/passwd", "\ud800", [], {}, [[]], {"x": 1}, "9" * 5000,
)  # fmt: skip


# --------------------------------------------------------------------------------------------- valid files


def _striped(count: int, dtype: str) -> Any:
    import numpy as np

    rows, cols = np.mgrid[:48, :56]
    cube = np.array([120 + 50 * np.sin(rows / 9 + band) + 30 * np.cos(cols / 7) for band in range(count)])
    cube[:, (rows + 0.17 * cols) % 33 < 6] = 0
    return cube.astype(dtype)


def _write(path: Path, count: int = 2, dtype: str = "uint8", **options: Any) -> Path:
    import rasterio
    from rasterio.transform import Affine

    pixels = _striped(count, dtype)
    valid, factors = options.pop("valid", False), options.pop("factors", ())
    tags, colours = options.pop("tags", {}), options.pop("colours", None)
    where = {"crs": "EPSG:32637", "transform": Affine(30, 0, 5e5, 0, -30, 1.2e6), "nodata": 0}
    profile = {"driver": "GTiff", "height": 48, "width": 56, "count": count, "dtype": dtype, **where, **options}
    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"):
        warnings.simplefilter("ignore")
        with rasterio.open(path, "w", **profile) as dataset:
            dataset.update_tags(**tags)
            if colours:
                dataset.write_colormap(1, colours)
            dataset.write(pixels)
            if valid:
                dataset.write_mask(pixels[0] > 0)
        if factors:
            with rasterio.open(path, "r+") as dataset:
                dataset.build_overviews(factors)
    return path


def geotiffs(folder: Path) -> list[Path]:
    """Write GeoTIFFs of many kinds."""
    from rasterio.control import GroundControlPoint

    points = [GroundControlPoint(row, col, 5e5 + col, 1e6 - row, 0) for row in (0, 47) for col in (0, 55)]
    kinds: list[dict[str, Any]] = [
        {},
        {"compress": "deflate", "predictor": 2},
        {"compress": "lzw", "tiled": True, "blockxsize": 16, "blockysize": 16},
        {"compress": "packbits", "interleave": "pixel"},
        {"compress": "jpeg", "photometric": "ycbcr", "interleave": "pixel", "count": 3},
        {"compress": "zstd", "dtype": "float32", "predictor": 3},
        {"valid": True, "nodata": None},
        {"count": 4, "photometric": "rgb", "nodata": None},
        {"factors": (2, 4)},
        {"bigtiff": "yes", "dtype": "int16"},
        {"gcps": points, "transform": None},
        {"tags": {"SPACECRAFT_ID": "LANDSAT_7", "NOTE": "a" * 300}, "dtype": "uint16"},
        {"count": 1, "photometric": "palette", "colours": {value: (value, 0, 0, 255) for value in range(256)}},
        {"compress": "lerc", "dtype": "float64"},
        {"compress": "webp", "count": 3, "interleave": "pixel"},
        {"sparse_ok": True, "tiled": True, "blockxsize": 16, "blockysize": 16, "nbits": 7},
    ]
    return [_write(folder / f"{number:02}.tif", **kind) for number, kind in enumerate(kinds)]


MTL = """GROUP = L1_METADATA_FILE
  GROUP = PRODUCT_METADATA
    SPACECRAFT_ID = "LANDSAT_7"
    SENSOR_ID = "ETM"
    DATE_ACQUIRED = 2005-07-04
  END_GROUP = PRODUCT_METADATA
  GROUP = MIN_MAX_PIXEL_VALUE
    QUANTIZE_CAL_MAX_BAND_1 = 255
    QUANTIZE_CAL_MIN_BAND_1 = 1
  END_GROUP = MIN_MAX_PIXEL_VALUE
END_GROUP = L1_METADATA_FILE
END
"""


def archives(folder: Path) -> list[Path]:
    """Write products as archives."""
    product = folder / "product"
    product.mkdir()
    for band in (1, 2):
        _write(product / f"{PRODUCT}_B{band}.TIF", count=1, compress="deflate")
    _write(product / f"{PRODUCT}_QA_PIXEL.TIF", count=1, dtype="uint16")
    (product / f"{PRODUCT}_MTL.txt").write_text(MTL, encoding="utf-8")
    found = []
    for mode, ending in (("w", ".tar"), ("w:gz", ".tar.gz")):
        found.append(folder / f"{PRODUCT}{ending}")
        with tarfile.open(found[-1], mode) as tar:
            for file in sorted(product.iterdir()):
                tar.add(file, file.name)
    found.append(folder / f"{PRODUCT}.zip")
    with zipfile.ZipFile(found[-1], "w", zipfile.ZIP_DEFLATED) as zipped:
        for file in sorted(product.iterdir()):
            zipped.write(file, file.name)
    return found


def _command(*arguments: object) -> None:
    from landsat_fill.cli.app import app

    app([str(argument) for argument in arguments])


def _quietly(*arguments: object) -> None:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        try:
            _command(*arguments)
        except SystemExit as ended:
            if ended.code:
                raise RuntimeError(f"the valid input failed: {arguments}") from ended


def patches(folder: Path) -> list[Path]:
    """Cut a scene into patches."""
    _quietly("tile", _write(folder / "s.tif", factors=(2,)), "-o", folder / "p", "--size", "32")
    return [folder / "p/patches.json"]


def rounds(folder: Path) -> list[Path]:
    """Write the folder of a submission."""
    from landsat_fill.cluster.archive import Archive, Array, RoundFacts, lines_of, manifest_text
    from landsat_fill.io import find_inputs
    from landsat_fill.pipeline.plan import Job

    scene = find_inputs([str(_write(folder / "s.tif"))])[0][0]
    one = Archive(folder / "out").next_round()
    lines = lines_of([Job(scene, folder / "out/s_filled.tif", is_folder=False)])
    one.create(RoundFacts("landsat-fill cluster submit", 2, False, "0.1.0"), manifest_text(lines), "#!/bin/sh\n", "")
    one.note_jobs([Array("12", 0), Array("13", 1)], "14")
    row = {"target": str(folder / "out/s_filled.tif"), "status": "failed", "error": "x", "time": "2026", "source": "s"}
    (one.folder / "reports/1.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    return [one.folder / name for name in ("round.json", "jobs.json", "reports/1.jsonl")]


def marks(folder: Path) -> list[Path]:
    """Fill a scene, for its mark."""
    _quietly("fill", _write(folder / "s.tif"), "-m", "nearest", "-o", folder / "out/s_filled.tif")
    return [folder / "out/.s_filled.tif.done"]


def datasets(folder: Path) -> list[Path]:
    """Make a dataset."""
    source = _write(folder / "s.tif", nodata=None)
    _quietly("dataset", source, "-o", folder / "d", "--size", "16", "--stride", "16", "--folds", "1")
    return [folder / "d/manifest.json"]


def checkpoint_parts() -> Any:
    """Return the state of a run of a tiny network."""
    import torch

    from landsat_fill.networks.catalogue import build_network
    from landsat_fill.training.run_folder import Parts, Progress

    network, average = (build_network("unet", {"channels": 8, "halvings": 1}) for _ in range(2))
    return Parts(network, average, torch.optim.AdamW(network.parameters()), Progress())


def checkpoints(folder: Path) -> list[Path]:
    """Write the checkpoint of a run."""
    from landsat_fill.training.run_folder import save_checkpoint

    parts = checkpoint_parts()
    for parameter in parts.network.parameters():
        parameter.grad = parameter.detach() * 0.1
    parts.optimiser.step()
    save_checkpoint(folder / "last.pt", parts)
    return [folder / "last.pt"]


# ------------------------------------------------------------------------------------------- damaged files


def damaged_bytes(content: bytes, chance: random.Random) -> bytes:
    """Return a damaged copy: flipped, extreme, zeroed, cut off, longer or repeated bytes, mostly near the ends."""
    data = bytearray(content)

    def place() -> int:
        near = min(len(data), 700)
        anywhere = chance.randrange(len(data))
        return chance.choice((anywhere, chance.randrange(near), len(data) - 1 - chance.randrange(near)))

    for _ in range(chance.choice((1, 1, 2, 4, 12))):
        at, how = place(), chance.randrange(7)
        if how <= 1:
            data[at] = chance.randrange(256)
        elif how == 2:
            size = chance.choice("HIQ")
            most = 2 ** (8 * struct.calcsize(size)) - 1
            number = chance.choice((0, 1, most, most >> 1, chance.randrange(most), len(data), 65_535))
            data[at : at + struct.calcsize(size)] = struct.pack(f"<{size}", min(number, most))
        elif how == 3:
            data[at : at + chance.randrange(1, 64)] = bytes(chance.randrange(1, 64))
        elif how == 4:
            data[at:at] = chance.randbytes(chance.randrange(1, 9))
        elif how == 5:
            other = chance.randrange(len(data))
            data[at : at + 12] = data[other : other + 12]
        elif len(data) > 64 and chance.random() < 0.3:
            del data[at:]
        if len(data) < 8:
            data.extend(bytes(8))
    return bytes(data)


def damaged_json(content: bytes, chance: random.Random) -> bytes:
    """Return a copy in which a value has another type, is absent or has another name; now and then damaged bytes."""
    if chance.random() < 0.15:
        return damaged_bytes(content, chance)
    document = json.loads(content)
    for _ in range(chance.choice((1, 1, 2))):
        slots = list(_slots(document))
        if not slots:
            break
        owner, key = chance.choice(slots)
        how = chance.randrange(5)
        if how == 0:
            del owner[key]
        elif how == 1 and isinstance(owner, dict):
            owner[f"{key}_"] = owner.pop(key)
        else:
            owner[key] = chance.choice(ODD)
    if chance.random() < 0.03:
        document = chance.choice(ODD)
    return json.dumps(document).encode()


def _slots(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _slots(value[key])


# ------------------------------------------------------------------------------------------------ commands


def _fill(file: Path) -> None:
    method = ("nearest", "inverse-distance")[len(file.read_bytes()) % 2]
    _command("fill", file, "-o", file.parent / "out", "-m", method, "--overwrite", "--preview")


def _again(file: Path) -> None:
    _command("fill", file.parent.parent / "s.tif", "-o", file.parent / "s_filled.tif", "-m", "nearest")


def _stitch(file: Path) -> None:
    _command("stitch", file.parent, "-o", file.parent.parent / "joined.tif", "--overwrite")


def _cluster(file: Path) -> None:
    folder = next(parent for parent in file.parents if parent.name == "out")
    for name in ("status", "merge"):
        try:
            _command("cluster", name, folder)
        except SystemExit:
            continue


def _samples(file: Path) -> None:
    from landsat_fill.cli.options import errors_reported
    from landsat_fill.training.dataset import open_samples

    with errors_reported(debug=False):
        open_samples(file.parent, size_px=16)


def _resume(file: Path) -> None:
    from landsat_fill.cli.options import errors_reported
    from landsat_fill.training.run_folder import load_checkpoint

    parts = checkpoint_parts()
    with errors_reported(debug=False):
        load_checkpoint(file, parts)
        for parameter in parts.network.parameters():
            parameter.grad = parameter.detach() * 0.1
        parts.optimiser.step()


@dataclass(frozen=True)
class Kind:
    """A kind of file: how many are tried, valid ones, how one is damaged, and what reads it."""

    count: int
    make: Callable[[Path], list[Path]]
    damage: Callable[[bytes, random.Random], bytes]
    read: Callable[[Path], None]


KINDS = {
    "geotiff": Kind(2000, geotiffs, damaged_bytes, _fill),
    "archive": Kind(300, archives, damaged_bytes, _fill),
    "patches": Kind(200, patches, damaged_json, _stitch),
    "round": Kind(600, rounds, damaged_json, _cluster),
    "mark": Kind(200, marks, damaged_json, _again),
    "dataset": Kind(200, datasets, damaged_json, _samples),
    "checkpoint": Kind(200, checkpoints, damaged_bytes, _resume),
}

# ------------------------------------------------------------------------------------------------- running


def work(connection: Any, folder: Path) -> None:
    """Make, damage and read files as the parent asks; answer with what went wrong, or an empty text."""
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda seen: sys.stderr.write(f"Traceback, unraisable: {seen.exc_value}\n")
    made: dict[str, list[tuple[Path, bytes]]] = {}
    while (order := connection.recv()) is not None:
        name, seed = order
        kind = KINDS[name]
        if name not in made:
            (folder / name).mkdir()
            made[name] = [(path, path.read_bytes()) for path in kind.make(folder / name)]
        chance = random.Random(f"{name} {seed}")
        path, content = chance.choice(made[name])
        path.write_bytes(kind.damage(content, chance))
        connection.send(str(path))
        connection.send(_problem(kind, path))
        path.write_bytes(content)


def _problem(kind: Kind, path: Path) -> str:
    """Return what goes wrong when a damaged file is read, or an empty text."""
    _forget_peak()
    said = io.StringIO()
    trouble = ""
    with redirect_stdout(said), redirect_stderr(said):
        try:
            kind.read(path)
        except SystemExit:
            pass
        except BaseException as error:
            if type(error).__name__ != "Exit":  # of Typer
                trouble = traceback.format_exc(limit=-3)
    lines = [line for line in said.getvalue().splitlines() if WRONG.search(line)]
    peak = _peak_bytes()
    if peak > MOST_BYTES:
        lines.append(f"{peak >> 20} MiB")
    return trouble or "\n".join(lines)


def _forget_peak() -> None:
    place = Path("/proc/self/clear_refs")
    if place.exists():
        place.write_text("5", encoding="ascii")  # Source: Linux, proc(5)


def _peak_bytes() -> int:
    place = Path("/proc/self/status")
    lines = place.read_text(encoding="ascii").splitlines() if place.exists() else []
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")), 0)


def fuzz(orders: Sequence[tuple[str, int]], keep: Path | None = None) -> list[str]:
    """Return what went wrong, a text for each file; the process that reads them is started again where it dies."""
    context = multiprocessing.get_context("spawn")
    found: list[str] = []
    waiting = list(orders)
    while waiting:
        ours, theirs = context.Pipe()
        with tempfile.TemporaryDirectory(prefix="landsat-fill-fuzz-") as folder:
            process = context.Process(target=work, args=(theirs, Path(folder)), daemon=True)
            process.start()
            theirs.close()
            while waiting:
                order = waiting.pop(0)
                path, problem = "", "it died"
                try:
                    ours.send(order)
                    path = ours.recv()
                    problem = ours.recv() if ours.poll(LONGEST_S) else f"it hung for {LONGEST_S:g} s"
                except (EOFError, OSError):
                    process.join()
                    problem = f"the process died ({process.exitcode})"
                if problem:
                    found.append(f"{order[0]} {order[1]} {Path(path).name}: {problem}")
                    if keep is not None and path:
                        keep.mkdir(parents=True, exist_ok=True)
                        shutil.copy(path, keep / f"{order[0]}_{order[1]}_{Path(path).name}")
                if problem.startswith(("it ", "the process")):
                    break
            process.kill()
            process.join()
    return found


def main() -> None:
    """Run as many of each kind as asked for, and print what goes wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=list(KINDS), metavar="KIND")
    parser.add_argument("--share", type=float, default=1.0, help="the share of the files that are tried")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--keep", type=Path, help="a folder for the files that go wrong")
    given = parser.parse_args()
    wrong = 0
    for name in given.kinds:
        count = round(given.share * KINDS[name].count)
        found = fuzz([(name, given.seed + number) for number in range(count)], given.keep)
        sys.stdout.write("\n".join([*found, f"{name}: {count} files, {len(found)} go wrong\n"]))
        sys.stdout.flush()
        wrong += len(found)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
