"""Score methods that fill from other dates: stripes hidden in all bands alike, relative to inverse distance.

    python tests/benchmarks/bench_references.py PAIRS.json --methods multi-date,clear,gnspi,nspi,wlr,llhm,band-unet

PAIRS.json names, for each pair, the target and its references: `{"a day": ["target.tif", "reference.tif"], …}`, with
paths relative to the file. All images of a pair have the same grid and bands. The error of a method is the RMSE on
hidden pixels divided by that of `inverse-distance` on the same pixels: the mean over bands and over stripes of 4, 8 and
14 pixels. What a method leaves is filled by `band-unet`. With `--bad`, `multi-date` gets useless references instead,
and its error is relative to that of `band-unet`.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rasterio
from tables import table_row

from landsat_fill.gaps.simulation import StripeModel, simulate_gaps
from landsat_fill.methods import Context, create_method, fallback_of
from landsat_fill.pipeline.arrays import fill_array
from landsat_fill.scene import Gaps, Reference

WIDTHS_PX = (4, 8, 14)
BASE, SINGLE = "inverse-distance", "band-unet"
LARGEST_PX = 400
"""Larger images are cropped to their middle."""


@dataclass(frozen=True)
class Case:
    """A target with hidden stripes.

    Attributes:
        truth: `(band, row, col)`.
        gaps: The hidden pixels, and those that stay.
        references: On the same grid.
    """

    truth: np.ndarray
    gaps: Gaps
    references: tuple[Reference, ...]


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the values and the valid pixels of a file, cropped to its middle."""
    with rasterio.open(path) as dataset:
        values, valid = dataset.read(), dataset.read_masks() > 0
    valid &= np.isfinite(values)
    top, left = (max(0, (size - LARGEST_PX) // 2) for size in values.shape[1:])
    part = np.s_[:, top : top + LARGEST_PX, left : left + LARGEST_PX]
    return np.where(valid, values, 0)[part].astype(np.float32), valid[part]


def cases(files: list[Path]) -> list[Case]:
    """Return the target with stripes of each width."""
    truth, valid = read(files[0])
    references = []
    for path in files[1:]:
        values, usable = read(path)
        references.append(Reference(values[None], usable[None], tuple(range(len(truth))), name=path.stem))
    found = []
    for width_px in WIDTHS_PX:
        model = StripeModel(width_px=width_px, band_shift_px=0)
        hidden = simulate_gaps((1, *truth.shape[1:]), model, np.random.default_rng([1, width_px]))
        gaps = Gaps(missing=valid & hidden, usable=valid & ~hidden)
        found.append(Case(truth, gaps, tuple(references)))
    return found


def fill(case: Case, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the fill of a case and its standard deviation."""
    method = create_method(name)
    image = np.where(case.gaps.usable, case.truth, 0).astype(np.float32)
    references = case.references if method.info.takes_references else ()
    filled = fill_array(
        image,
        case.gaps,
        method,
        context=Context(threads=2, pixel_size_m=30.0),
        references=references,
        fallback=fallback_of(method),
    )
    return filled.mean, filled.std


def errors(case: Case, filled: np.ndarray) -> np.ndarray:
    """Return the RMSE of each band on the hidden pixels."""
    squares = np.where(case.gaps.missing, (filled - case.truth) ** 2, 0).sum(axis=(1, 2), dtype=np.float64)
    return np.sqrt(squares / case.gaps.missing.sum(axis=(1, 2)))


def coverage(case: Case, filled: np.ndarray, std: np.ndarray) -> float:
    """Return the share of hidden pixels within 1.645 standard deviations, 0.9 if these are right."""
    inside = np.abs(filled - case.truth) <= 1.645 * std
    return float(inside[case.gaps.missing].mean())


def bad_references(case: Case) -> dict[str, tuple[Reference, ...]]:
    """Return useless variants of a case's first reference."""
    good = case.references[0]
    generator = np.random.default_rng(3)
    spread = good.values.std()
    cloud = good.values.copy()
    half = cloud[..., : cloud.shape[-1] // 2]
    half[...] = good.values.max() * (0.7 + 0.1 * generator.normal(size=half.shape))
    noise = generator.normal(good.values.mean(), spread, good.values.shape).astype(np.float32)
    elsewhere = np.ascontiguousarray(good.values[..., ::-1, ::-1])
    return {
        "noise": (replace(good, values=noise),),
        "another place": (replace(good, values=elsewhere),),
        "a cloud over one half": (replace(good, values=cloud),),
        "1 px off": (replace(good, values=np.roll(good.values, (1, 1), (2, 3))),),
        "3 px off": (replace(good, values=np.roll(good.values, (3, 3), (2, 3))),),
        "good and noise": (good, replace(good, values=noise)),
    }


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--methods", default="multi-date,clear,gnspi,nspi,wlr,llhm,band-unet")
    parser.add_argument("--bad", action="store_true")
    options = parser.parse_args()
    pairs = json.loads(options.pairs.read_text())
    methods = options.methods.split(",")
    if not options.bad:
        sys.stdout.write(table_row(["pair", *methods, "90 % of multi-date"]))
        sys.stdout.write(table_row(["-"] * (len(methods) + 2)))
    for name, files in pairs.items():
        found = cases([options.pairs.parent / file for file in files])
        if options.bad:
            print_bad(name, found)
            continue
        cells, held = [], []
        for method in methods:
            relative = []
            for case in found:
                filled, std = fill(case, method)
                relative.append((errors(case, filled) / errors(case, fill(case, BASE)[0])).mean())
                if method == "multi-date" and std is not None:
                    held.append(coverage(case, filled, std))
            cells.append(f"{np.mean(relative):.3f}")
        sys.stdout.write(table_row([name, *cells, f"{np.mean(held):.3f}" if held else ""]))
        sys.stdout.flush()


def print_bad(name: str, found: list[Case]) -> None:
    """Print the errors of `multi-date` with useless references, relative to `band-unet`, and its coverage."""
    rows: dict[str, list[tuple[float, float]]] = {}
    for case in found:
        alone = errors(case, fill(case, SINGLE)[0])
        for kind, references in {"good": case.references, **bad_references(case)}.items():
            filled, std = fill(replace(case, references=references), "multi-date")
            held = np.nan if std is None else coverage(case, filled, std)
            rows.setdefault(kind, []).append(((errors(case, filled) / alone).mean(), held))
    for kind, scores in rows.items():
        error, held = np.mean(scores, axis=0)
        sys.stdout.write(table_row([name, kind, f"{error:.4f}", f"{held:.3f}"]))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
