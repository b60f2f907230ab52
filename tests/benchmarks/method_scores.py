"""Reads a method's scores from what `landsat-fill evaluate --json-file` wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    Row = Mapping[str, Any]

ALL = "all"
RIVAL = "tension-spline"
"""The classical method that a card compares with, where it was scored on the same pixels."""


@dataclass(frozen=True, slots=True)
class MethodScores:
    """How a method did.

    Attributes:
        label: The method, with its options.
        reference: The method that ratios refer to.
        rows: Its summary by pattern; `ALL` is the mean over all of them.
        by_place: Its mean RMSE ratio by place.
        rival_by_place: That of `RIVAL`; empty where it wasn't scored.
        failures: Trials that failed.
    """

    label: str
    reference: str
    rows: Mapping[str, Row]
    by_place: Mapping[str, float]
    rival_by_place: Mapping[str, float]
    failures: int

    @property
    def overall(self) -> Row:
        """The mean over all patterns."""
        return self.rows.get(ALL) or next(iter(self.rows.values()))

    @property
    def in_a_line(self) -> str:
        """The scores as `landsat-fill models` shows them."""
        widths = [f"{name} {row['rmse_ratio']:.3f}" for name, row in self.rows.items() if name != ALL]
        parts = [
            f"RMSE {self.overall['rmse_ratio']:.3f} of fillnodata's ({', '.join(widths)})",
            f"worst place {self.overall['worst_rmse_ratio']:.3f}",
            f"SSIM {self.overall['ssim']:.3f}",
        ]
        if self.overall["coverage_90"] is not None:
            parts.append(f"90 % intervals hold {100 * self.overall['coverage_90']:.0f} %")
        return ", ".join(parts)


def read_scores(path: Path, network: str, label: str | None = None) -> MethodScores:
    """Return the scores of a network.

    Args:
        path: The JSON file.
        network: The network, whose method is looked for.
        label: Which row to take, where the network has several.

    Raises:
        SystemExit: If there isn't exactly one such row.
    """
    found = json.loads(path.read_text(encoding="utf-8"))
    fitting = [one for one in found["methods"] if one == label or (not label and one.split()[0] == network)]
    if len(fitting) != 1:
        raise SystemExit(
            f"expected one row of {label or network} in {path}, but got {len(fitting)}\n"
            f"  hint: choose with --label from: {', '.join(found['methods'])}"
        )
    (own,) = fitting
    rows = {row["pattern"]: row for row in found["summary"] if row["method"] == own}
    return MethodScores(
        label=own,
        reference=found["reference"],
        rows=rows,
        by_place=_by_place(found, own),
        rival_by_place=_by_place(found, RIVAL),
        failures=sum(row["failures"] for name, row in rows.items() if name != ALL),
    )


def _by_place(found: Mapping[str, Any], label: str) -> dict[str, float]:
    """Return the mean RMSE ratio over bands, patterns and seeds of each place, the worst last."""
    ratios: dict[str, list[float]] = {}
    for record in found["records"]:
        if record["method"] == label and record["band"] != ALL and record["rmse_ratio"] is not None:
            ratios.setdefault(record["place"], []).append(record["rmse_ratio"])
    means = {place: sum(of) / len(of) for place, of in ratios.items()}
    return dict(sorted(means.items(), key=lambda item: item[1]))
