"""Counts the functions and files of the package that one small scene passes through, and opens of the input.

    python tests/benchmarks/count_steps.py CHECKOUT [CHECKOUT …] [--scene FILE] [--method NAME]

Each CHECKOUT is a folder that holds the package. Each fills the scene in its own process, with all threads
watched. Compiled loops and lambdas aren't counted. Prints a Markdown table with a row a checkout.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

SCENE = Path(__file__).parents[2] / "sample_data/slc_off.tif"
COLUMNS = ("functions", "files", "opens by GDAL", "opens by Python")


def main() -> None:
    """Count for each checkout, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("checkout", nargs="+", type=Path)
    parser.add_argument("--scene", type=Path, default=SCENE)
    parser.add_argument("--method", default="tension-spline")
    parser.add_argument("--list", action="store_true", help="also print the functions, by file")
    parser.add_argument("--count", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.count is not None:
        counted = count(options.checkout[0].resolve(), options.scene.resolve(), options.method)
        options.count.write_text(json.dumps(counted), encoding="utf-8")
        return
    lines = [f"| checkout | {' | '.join(COLUMNS)} |", f"|---|{'---:|' * len(COLUMNS)}"]
    listed = []
    for checkout in options.checkout:
        with tempfile.TemporaryDirectory() as folder:
            result = Path(folder) / "counted.json"
            environment = {**os.environ, "PYTHONPATH": str(checkout.resolve())}
            subprocess.run([sys.executable, *sys.argv[:1], checkout, "--scene", options.scene, "--method",
                            options.method, "--count", result], env=environment, check=True)  # fmt: skip
            counted = json.loads(result.read_text(encoding="utf-8"))
        entered, gdal, python = counted["entered"], counted["gdal"], counted["python"]
        files = {name for name, _ in entered}
        lines.append(f"| {checkout} | {len(entered)} | {len(files)} | {gdal} | {python} |")
        listed += [f"{checkout}: {name} {function}" for name, function in entered]
    sys.stdout.write("\n".join([*lines, *(listed if options.list else [])]) + "\n")


def count(checkout: Path, scene: Path, method: str) -> dict[str, object]:
    """Return the functions entered while the command fills a scene, as pairs of file and name, and the opens.

    Args:
        checkout: The folder that holds the package; the package must be imported from there.
        scene: A raster.
        method: A method's name.
    """
    import rasterio
    import rasterio.io

    package = f"{checkout / 'landsat_fill'}{os.sep}"
    codes = set()
    opened = {"gdal": 0, "python": 0}

    class CountedReader(rasterio.io.DatasetReader):  # type: ignore[misc]
        def __init__(self, path: object, *arguments: object, **named: object) -> None:
            opened["gdal"] += Path(str(getattr(path, "path", path))) == scene
            super().__init__(path, *arguments, **named)

    def heard(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            opened["python"] += str(arguments[0]) == str(scene)

    def entered(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            codes.add(frame.f_code)

    rasterio.io.DatasetReader = rasterio.DatasetReader = CountedReader
    from landsat_fill.__main__ import main as fill

    with tempfile.TemporaryDirectory() as folder:
        sys.argv = ["landsat-fill", str(scene), "-m", method, "-o", f"{folder}/filled.tif", "--quiet"]
        sys.addaudithook(heard)
        threading.setprofile(entered)
        sys.setprofile(entered)
        with suppress(SystemExit):
            fill()
        sys.setprofile(None)
        if not Path(folder, "filled.tif").exists():
            raise SystemExit(f"expected {checkout} to fill {scene}, but it wrote nothing")
    named = {
        (code.co_filename.removeprefix(package), code.co_qualname)
        for code in codes
        # The body of a class runs as code without local variables of its own.
        if code.co_filename.startswith(package)
        and code.co_flags & inspect.CO_OPTIMIZED
        and not code.co_name.startswith("<")
    }
    return {"entered": sorted(named), **opened}


if __name__ == "__main__":
    main()
