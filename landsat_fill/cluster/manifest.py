"""The list of the scenes of an archive and where each goes: plain text that may be read and edited.

One scene a line: its source, its target and, where the source is a folder of several products, which of them;
separated by tabs. Lines that begin with # are passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from landsat_fill.errors import InputError, UsageError
from landsat_fill.io import InputKind, find_inputs
from landsat_fill.pipeline import Job

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HEADER = """\
# The scenes of this run, one a line: source, target and, in a folder of several products, which of them;
# tabs between them. Lines may be removed or added; a scene whose target is there is done.
"""


@dataclass(frozen=True, slots=True)
class ManifestLine:
    """A scene of an archive: what is read, what is written, and the product meant in a folder of several."""

    source: str
    target: Path
    product: str | None = None


def lines_of(jobs: Iterable[Job]) -> list[ManifestLine]:
    """Return the lines of jobs, with absolute paths: tasks run anywhere.

    Raises:
        UsageError: If a path has a tab or a line break in it.
    """
    lines = []
    for job in jobs:
        source = job.input.source
        if "://" not in source and not source.startswith("/vsi") and Path(source).exists():
            source = str(Path(source).absolute())
        line = ManifestLine(source, job.target.absolute(), job.input.product)
        if any(mark in text for mark in "\t\n\r" for text in (line.source, str(line.target))):
            raise UsageError(f"expected paths without tabs and line breaks, but got {line.source!r}")
        lines.append(line)
    return lines


def manifest_text(lines: Iterable[ManifestLine]) -> str:
    """Return the text of a manifest."""
    rows = ("\t".join(filter(None, (line.source, str(line.target), line.product))) for line in lines)
    return HEADER + "".join(f"{row}\n" for row in rows)


def read_manifest(path: Path) -> list[ManifestLine]:
    """Return the lines of a manifest.

    Raises:
        InputError: If it can't be read, or a line isn't of that form.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(
            f"expected a manifest in {path}, but got none: {reason}",
            hint="`landsat-fill cluster submit` writes one",
        ) from error
    lines = []
    for number, row in enumerate(text.split("\n"), start=1):
        if not row.strip() or row.startswith("#"):
            continue
        fields = [field.strip() for field in row.split("\t")]
        if len(fields) not in (2, 3) or not all(fields[:2]):
            raise InputError(
                f"expected source and target with a tab between them in line {number} of {path}, "
                f"but got {row!r}"
            )
        lines.append(ManifestLine(fields[0], Path(fields[1]), fields[2] if len(fields) == 3 else None))
    return lines


def jobs_of(
    lines: Sequence[ManifestLine], *, stack: bool
) -> tuple[list[Job], list[tuple[ManifestLine, InputError]]]:
    """Return the jobs of lines, without their actions; and the lines whose source is gone, with why."""
    jobs, bad = [], []
    for line in lines:
        found, errors = find_inputs([line.source])
        meant = [one for one in found if line.product in (None, one.product)]
        if len(meant) != 1:
            what = f"product {line.product}" if line.product else "one scene"
            error = InputError(f"expected {what} in {line.source}, but it holds {len(meant)}")
            bad.append((line, errors[0][1] if errors else error))
            continue
        is_folder = meant[0].kind is InputKind.PRODUCT and not stack
        jobs.append(Job(meant[0], line.target, is_folder))
    return jobs, bad
