"""One report, one summary and one collection of items for an archive, of what all tasks wrote."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from landsat_fill.cluster.items import item_collection
from landsat_fill.cluster.states import SceneState, State
from landsat_fill.io import write_text_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence

    from landsat_fill.cluster.archive import Archive

REPORT_NAME, SUMMARY_NAME, ITEMS_NAME = "report.jsonl", "summary.json", "items.json"


def merge(archive: Archive, states: Sequence[SceneState]) -> dict[str, object]:
    """Return the summary of an archive, after writing it, the report and the items beside the outputs.

    The report has a row a scene: what its task reported last, or how it stands where no task did. Merging
    again replaces all three.

    Args:
        archive: The archive.
        states: How its scenes stand.

    Raises:
        OutputError: If the disk refuses.
    """
    rows = [_row(one) for one in states]
    write_text_atomically(archive.folder / REPORT_NAME, "".join(f"{json.dumps(row)}\n" for row in rows))
    items, without_item = item_collection(archive.folder, states)
    write_text_atomically(archive.folder / ITEMS_NAME, json.dumps(items) + "\n")
    summary = summary_of(states, rows)
    summary["without item"] = without_item
    write_text_atomically(archive.folder / SUMMARY_NAME, json.dumps(summary, indent=1) + "\n")
    return summary


def summary_of(states: Sequence[SceneState], rows: Sequence[dict[str, object]]) -> dict[str, object]:
    """Return the counts of an archive, and what is wrong with which scene.

    Args:
        states: How the scenes stand.
        rows: Their rows of the report.
    """
    counts = {state.value: sum(one.state is state for one in states) for state in State}
    tallies = [tally for row in rows if isinstance(tally := row.get("tally"), dict)]
    seconds = [float(value) for row in rows if isinstance(value := row.get("seconds"), int | float)]
    return {
        "scenes": len(states),
        **{name: number for name, number in counts.items() if number},
        "pixels filled": sum(int(tally.get("filled", 0)) for tally in tallies),
        "pixels left": sum(int(tally.get("left", 0)) for tally in tallies),
        "scene seconds": round(sum(seconds), 1),
        "not done": [
            {"source": one.listed.line.source, "state": one.state.value, "reason": one.reason}
            for one in states
            if one.state is not State.DONE
        ],
    }


def _row(one: SceneState) -> dict[str, object]:
    """Return the row of a scene in the report of the archive."""
    line = one.listed.line
    if one.row is not None and (one.state is State.FAILED or one.row.get("status") in ("filled", "no gaps")):
        return one.row
    row: dict[str, object] = {"source": line.source, "target": str(line.target), "status": one.state.value}
    if one.reason:
        row["error"] = one.reason
    return row
