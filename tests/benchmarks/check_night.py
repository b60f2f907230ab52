"""A night of scenes of all kinds, some of them hostile, with two kills and a full disk; exits with 1 if it goes wrong.

2,000 small scenes (GeoTIFFs of several types, products in folders and archives, archives of GeoTIFFs), of which one in
twenty is damaged, hostile or unreadable, are filled by two processes. The first run's parent is killed, then a whole
second run (SIGKILL). The third run meets a full disk. The fourth one, on a larger disk, ends. Then every good scene
must have been filled exactly once, with its observed pixels as they were; every bad one must be named in a row of
report.jsonl; nothing else may be left; and the memory of the processes must not have grown.

    python tests/benchmarks/check_night.py [--scenes 2000] [--seed 0] [--folder FOLDER] [-m METHOD]

It needs root, because the outputs lie on a file system in memory whose size is limited.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from rasterio.transform import Affine
from tables import figure_table, show

from landsat_fill.errors import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIDE_PX = 72
BAD_SHARE = 0.05
IN_ARCHIVE = 5
"""GeoTIFFs in an archive of GeoTIFFs."""
KILLED_AT = (0.2, 0.45)
"""Shares of the outputs that are there when the first and the second run are killed."""
FULL_AT = 0.7
"""Share of the outputs that fit on the small disk."""
MOST_GROWTH = 1.15
"""Bar of the largest memory in the last third of the last run, relative to that in its first half without the start."""
SAMPLE_S = 0.25
MIB = 1 << 20
ARCHIVE_ENDINGS = (".tar", ".tar.gz", ".zip", ".tar.bz2", ".tar.xz")
KINDS = (
    ("uint8", {"nodata": 0}),
    ("uint16", {"nodata": 0, "compress": "deflate", "predictor": 2}),
    ("int16", {"nodata": -9999, "tiled": True, "blockxsize": 32, "blockysize": 32, "compress": "lzw"}),
    ("float32", {"nodata": float("nan"), "compress": "deflate"}),
    ("uint8", {"nodata": 255, "interleave": "pixel", "compress": "zstd"}),
    ("float64", {"nodata": -1e30, "bigtiff": "yes"}),
)


@dataclass
class Night:
    """The inputs of a night.

    Attributes:
        good: Output files by the sources' truth: the stored numbers and which are observed.
        bad: Texts of which each must be in the source of a failed row.
    """

    good: dict[Path, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Template:
    """A scene: the bytes of its file, its stored numbers, and which are observed."""

    content: bytes
    stored: np.ndarray
    observed: np.ndarray


def template(bands: int, dtype: str, seed: int, options: dict[str, object]) -> Template:
    """Return a scene of hills with SLC-off stripes."""
    rows, cols = np.mgrid[:SIDE_PX, :SIDE_PX]
    hills = np.sin(rows / 9 + seed) * np.cos(cols / (7 + seed % 5)) + np.random.default_rng(seed).normal(
        0, 0.05, (bands, SIDE_PX, SIDE_PX)
    )
    stored = (120 + 40 * hills).astype(dtype)
    observed = np.stack([(rows + 0.17 * cols - band % 3 + seed) % 33 >= 6 for band in range(bands)])
    stored[~observed] = options["nodata"]
    profile = {"driver": "GTiff", "count": bands, "height": SIDE_PX, "width": SIDE_PX, "dtype": dtype, **options}
    with rasterio.MemoryFile() as file:
        with file.open(crs="EPSG:32637", transform=Affine(30, 0, 500_000, 0, -30, 1_200_000), **profile) as dataset:
            dataset.write(stored)
        return Template(file.read(), stored, observed)


def packed(path: Path, files: dict[str, bytes]) -> None:
    """Write an archive, as its name ends."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return
    compression = path.suffix[1:] if path.suffix != ".tar" else ""
    with tarfile.open(path, f"w:{compression}") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def product_name(number: int) -> str:
    return f"LE07_L1TP_{number // 200 + 1:03}{number % 200 + 1:03}_20050704_20200914_02_T1"


def product(name: str, one: Template, quality: bytes) -> dict[str, bytes]:
    """Return the files of a product of two bands that look alike."""
    mtl = 'GROUP = L1_METADATA_FILE\n  SENSOR_MODE_SLC = "OFF"\nEND_GROUP = L1_METADATA_FILE\nEND\n'
    bands = {f"{name}_{band}.TIF": one.content for band in ("B1", "B4")}
    return {**bands, f"{name}_QA_PIXEL.TIF": quality, f"{name}_MTL.txt": mtl.encode(), f"{name}_ANG.txt": b"angles"}


def make_good(here: Path, out: Path, count: int, night: Night) -> None:
    """Write the good scenes: six in ten GeoTIFFs, two products in folders, one in an archive, one of an archive."""
    made = [template(1 + n % 4, dtype, n, options) for n, (dtype, options) in enumerate(KINDS * 3)]
    bands = [template(1, "uint8", 50 + n, {"nodata": 0, "compress": "deflate"}) for n in range(6)]
    quality = template(1, "uint16", 99, {"nodata": 0}).content
    archives = 0
    number = 0
    while number < count:
        one, kind = made[number % len(made)], number % 10
        if kind < 6:
            place = Path("geotiffs", f"{number // 100:03}")
            name = f"{number:05}_stack" if len(one.stored) > 1 else f"{number:05}"
            (here / place).mkdir(parents=True, exist_ok=True)
            (here / place / f"{name}.tif").write_bytes(one.content)
            night.good[out / place / f"{name}_filled.tif"] = one.stored, one.observed
            number += 1
        elif kind < 9 or count - number < IN_ARCHIVE:
            one, name = bands[number % len(bands)], product_name(number)
            files = product(name, one, quality)
            if kind < 8:
                (here / "products" / name).mkdir(parents=True)
                for file, content in files.items():
                    (here / "products" / name / file).write_bytes(content)
                folder = out / "products" / f"{name}_filled"
            else:
                (here / "archives").mkdir(parents=True, exist_ok=True)
                packed(here / "archives" / f"{name}{ARCHIVE_ENDINGS[number // 10 % len(ARCHIVE_ENDINGS)]}", files)
                folder = out / "archives" / f"{name}_filled"
            night.good[folder / f"{name}_B4.TIF"] = one.stored, one.observed
            number += 1
        else:
            names = [f"sub/{number + n:05}.tif" for n in range(IN_ARCHIVE)]
            (here / "shots").mkdir(parents=True, exist_ok=True)
            ending = ARCHIVE_ENDINGS[archives % len(ARCHIVE_ENDINGS)]
            packed(here / "shots" / f"shots{number:05}{ending}", dict.fromkeys(names, one.content))
            for name in names:
                target = out / "shots" / f"shots{number:05}" / name
                night.good[target.with_name(f"{target.stem}_filled.tif")] = one.stored, one.observed
            archives += 1
            number += IN_ARCHIVE


def bad_makers(one: Template) -> list[Callable[[Path, str], object]]:
    """Return functions that write a bad input below a folder, with a name that it holds; each is another fault."""
    whole = one.content
    vrt = b'<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>' + (
        b"<SourceFilename>/etc/passwd</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    huge = b"II" + struct.pack("<HHHQ", 43, 8, 0, 16) + struct.pack("<Q", 2**36) + bytes(64)

    def file(content: bytes, ending: str = ".tif") -> Callable[[Path, str], object]:
        return lambda folder, name: (folder / f"{name}{ending}").write_bytes(content)

    def strange(dtype: str) -> bytes:
        with rasterio.MemoryFile() as memory:
            with memory.open(driver="GTiff", count=1, height=8, width=8, dtype=dtype) as dataset:
                dataset.write(np.ones((1, 8, 8), dtype))
            return bytes(memory.read())

    def archive(files: dict[str, bytes], cut: int | None = None, ending: str = ".tar") -> Callable[[Path, str], object]:
        def write(folder: Path, name: str) -> None:
            path = folder / f"{name}{ending}"
            packed(path, files)
            path.write_bytes(path.read_bytes()[:cut])

        return write

    def damaged_product(folder: Path, name: str) -> None:
        inner = f"LE07_L1TP_299{int(name[-3:]):03}_20050704_20200914_02_T1"
        (folder / name).mkdir()
        for file_name, content in product(inner, one, whole).items():
            cut = len(content) // 2 if file_name.endswith("_B4.TIF") else None
            (folder / name / file_name).write_bytes(content[:cut])

    landsat = f"{product_name(39_999)}_B1.TIF"
    return [
        file(whole[: len(whole) // 2]),
        file(b"<html>404 Not Found</html>"),
        file(b""),
        file(vrt),
        file(huge),
        file(strange("complex64")),
        file(b"\x89PNG\r\n\x1a\n\x1b[2J"),
        lambda folder, name: os.mkfifo(folder / f"{name}.tif"),
        lambda folder, name: (folder / f"{name}.tif").symlink_to(f"{name}.tif"),
        lambda folder, name: (folder / f"{name}.tif").symlink_to("nowhere.tif"),
        lambda folder, name: (folder / f"{name}\x1b[31m\n.tif").write_bytes(b"no image"),
        lambda folder, name: (folder / f"{name}{'x' * (245 - len(name))}.tif").write_bytes(whole),
        damaged_product,
        archive({landsat: whole}, cut=1000),
        archive({landsat: vrt}),
        archive({landsat: whole}, cut=700, ending=".tar.bz2"),
        archive({f"{product_name(39_998)}.tar": whole}),
        archive({"../../outside.tif": whole}, ending=".zip"),
        archive({"inside.tif": whole[:300]}, ending=".tar.gz"),
    ]


def make_bad(here: Path, count: int, night: Night, rng: random.Random) -> None:
    """Write the bad inputs, all kinds in turn, spread over the folders."""
    makers = bad_makers(template(1, "uint8", 7, {"nodata": 0, "compress": "deflate"}))
    folders = sorted({path.parent for path in here.rglob("*.*") if "products" not in path.parts})
    for number in range(count):
        name = f"bad{number:03}"
        makers[number % len(makers)](rng.choice(folders), name)
        night.bad.append(name)


def tree_mib(parent: int) -> float:
    """Return the memory of a process and its children; pages that they share count once for each."""
    total = 0
    children = Path(f"/proc/{parent}/task/{parent}/children")
    try:
        for pid in (parent, *map(int, children.read_text().split())):
            status = Path(f"/proc/{pid}/status").read_text()
            total += next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    except (OSError, StopIteration):
        return 0.0
    return total / 1024


def marks(out: Path) -> int:
    """Return the number of finished scenes."""
    walked = os.walk(out)  # unlike rglob, it passes over folders that vanish while it runs
    return sum(name.endswith(".done") for _, _, names in walked for name in names)


def started(arguments: list[str], log: Path, folder: Path) -> subprocess.Popen[bytes]:
    """Start a run in a process group of its own, with temporary files in the night's folder."""
    (folder / "tmp").mkdir(exist_ok=True)
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "landsat_fill", "fill", *arguments],
            stdout=file,
            stderr=file,
            start_new_session=True,
            env={**os.environ, "TMPDIR": str(folder / "tmp")},
        )


def run_until(run: subprocess.Popen[bytes], out: Path, wanted: float) -> list[float]:
    """Wait until a run ends or so many scenes are finished, and return its memory over time."""
    memory: list[float] = []
    while run.poll() is None:
        memory.append(tree_mib(run.pid))
        if len(memory) % 8 == 0 and marks(out) >= wanted:
            break
        time.sleep(SAMPLE_S)
    return memory


def kill(run: subprocess.Popen[bytes], *, whole_group: bool) -> None:
    """Kill the parent, whose workers then end by themselves, or all processes of a run."""
    if whole_group:
        os.killpg(run.pid, signal.SIGKILL)
    else:
        run.kill()
    run.wait()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            os.killpg(run.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise SystemExit("expected the workers of a killed run to end within a minute, but they live")


def rows_of(report: Path) -> Iterator[dict[str, object]]:
    for line in report.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue  # cut off by a kill or the full disk


def faults(out: Path, night: Night) -> list[str]:
    """Return what is wrong after the night, a line each."""
    rows = list(rows_of(out / "report.jsonl"))
    ended = Counter(Path(str(row["target"])).name for row in rows if row["status"] in ("filled", "no gaps"))
    failed = [str(row["source"]) for row in rows if row["status"] == "failed"]
    found = []
    for target, (stored, observed) in night.good.items():
        name = target.name if target.name.endswith("_filled.tif") else target.parent.name
        if ended[name] != 1:
            found.append(f"{name} has {ended[name]} rows of a fill")
        try:
            with rasterio.open(target) as dataset:
                pixels = dataset.read()
        except rasterio.errors.RasterioError as error:
            found.append(f"{target}: {error}")
            continue
        if not np.array_equal(pixels[observed], stored[observed]):
            found.append(f"{target}: observed pixels have changed")
        lost = ~observed
        same = np.isnan(pixels[lost]) if np.isnan(stored[lost].astype(float)).any() else pixels[lost] == stored[lost]
        if same.mean() > 0.5:
            found.append(f"{target}: {100 * same.mean():.0f} % of the missing pixels are not filled")
    found += [f"{name} is in no failed row" for name in night.bad if not any(name in source for source in failed)]
    allowed = {name for target in night.good for name in (target.name, target.parent.name)}
    found += [f"{name} was filled, but is not a good scene" for name in ended if name not in allowed]
    found += [f"{path} is left" for path in out.rglob("*") if path.name.endswith((".partial", ".claim", ".tiles"))]
    return found


def mount(out: Path, mib: float, *, again: bool = False) -> None:
    """Mount a file system in memory of a size, or change the size of one."""
    options = f"{'remount,' if again else ''}size={int(mib * 1024)}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(out)], check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scenes", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where it works; a new temporary folder if not given")
    parser.add_argument("-m", "--method", default="tension-spline")
    given = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("expected root, because a file system of limited size is mounted")
    folder = given.folder or Path(tempfile.mkdtemp(prefix="landsat-fill-night-"))
    here, out, log = folder / "in", folder / "out", folder / "log.txt"
    for path in (here, out):
        path.mkdir(parents=True)
    night, bad = Night(), round(BAD_SHARE * given.scenes)
    make_good(here, out, given.scenes - bad, night)
    make_bad(here, bad, night, random.Random(given.seed))
    good = len(night.good)
    command = [str(here), "-o", str(out), "-m", given.method, "--jobs", "2"]
    table = figure_table("run", "exit code", "scenes done", "s", "peak MiB")
    began = time.monotonic()

    def note(name: str, run: subprocess.Popen[bytes], memory: list[float], since: float) -> None:
        figures = run.returncode, marks(out), time.monotonic() - since, max(memory, default=0.0)
        table.add_row(name, *(f"{figure:.0f}" for figure in figures))

    mount(out, 64 * 1024)
    try:
        for number, share in enumerate(KILLED_AT):
            since = time.monotonic()
            run = started(command, log, folder)
            memory = run_until(run, out, share * good)
            if run.poll() is not None:
                raise SystemExit(
                    f"expected a run to live until it is killed, but it ended with {run.returncode}: {log}"
                )
            kill(run, whole_group=number == 1)
            note(f"killed at {share:.0%}", run, memory, since)
        used = sum(path.stat().st_blocks * 512 for path in out.rglob("*") if path.is_file()) / MIB
        mount(out, used * FULL_AT / KILLED_AT[-1], again=True)
        since = time.monotonic()
        run = started(command, log, folder)
        note("full disk", run, run_until(run, out, 10 * good), since)
        if marks(out) >= good:
            raise SystemExit("expected the disk to be full before the end, but it wasn't")
        mount(out, 64 * 1024, again=True)
        since = time.monotonic()
        run = started(command, log, folder)
        memory = run_until(run, out, 10 * good)
        note("to the end", run, memory, since)
        found = faults(out, night)
        begun, end = memory[len(memory) // 5 : len(memory) // 2], memory[-len(memory) // 3 :]
        first, last = max(begun, default=0.0), max(end, default=0.0)
        if last > MOST_GROWTH * first:
            found.append(f"memory has grown from {first:.0f} to {last:.0f} MiB")
        if run.returncode != 1:
            found.append(f"the last run ended with {run.returncode}, expected 1")
        if "Traceback" in log.read_text(errors="replace") or "This is a bug" in log.read_text(errors="replace"):
            found.append(f"{log} holds a traceback or a bug")
    finally:
        subprocess.run(["umount", "--lazy", str(out)], check=True)
    show(table, f"{good} good and {bad} bad inputs in {time.monotonic() - began:.0f} s: {len(found)} faults")
    show(*map(printable, found[:40]))
    if not found and given.folder is None:
        shutil.rmtree(folder)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
