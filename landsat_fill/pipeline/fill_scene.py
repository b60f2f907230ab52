"""A scene's way from its file to its outputs.

The steps in order, each by the name to look for below:

1. `Transaction` takes the lock, and `with_action` looks whether the outputs are there by now.
2. `open_input` opens each file once, and `admit` waits until there is memory.
3. `JobOutputs` prepares the outputs. Steps 4 to 11 follow for each scene of the input.
4. `survey_scene` reads all pixels for the footprint, the stripes and the bands without a valid pixel.
5. `suited_method` chooses the method.
6. `prepared_for_scene` lets the method learn from the scene.
7. `read_blocks` reads strips with a halo, ahead of the work on them.
8. `EvidenceFinder` decides for each strip which pixels are missing, and which are usable.
9. `fill_tiles` lets the method fill the tiles with gaps. `Backdrop` gives what wide holes are blended with.
10. `compose` puts filled and observed pixels together.
11. `SceneOutputs` writes the strip to all files, while the next one is filled.
12. `JobOutputs.finish` takes the row of the report, and `Transaction` moves all files into place.

Reading, filling and writing overlap. Memory depends on the strip, never on the height of the scene.
"""

from __future__ import annotations

import time
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.io import Rasters, SceneReader, TakenError, Transaction, open_input
from landsat_fill.methods import Context, suited_method
from landsat_fill.pipeline.compose import Backdrop, compose, fill_codes, make_backdrop, rounded_std
from landsat_fill.pipeline.evidence import EvidenceFinder, prepared_for_scene, without_unavailable_flags
from landsat_fill.pipeline.outcome import Outcome, Status, Tally, explained, fill_notes, survey_notes
from landsat_fill.pipeline.outputs import FilledStrip, FolderShelf, JobOutputs, SceneOutputs
from landsat_fill.pipeline.plan import Action, with_action
from landsat_fill.pipeline.provenance import report_row
from landsat_fill.pipeline.request import Flag
from landsat_fill.pipeline.resources import keep_large_blocks_apart, return_freed_memory
from landsat_fill.pipeline.strips import Block, read_blocks, strip_rows
from landsat_fill.pipeline.survey import STRIP_PX, survey_scene
from landsat_fill.pipeline.tiles import fill_tiles
from landsat_fill.scene import Filled, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from landsat_fill.methods import FillMethod
    from landsat_fill.pipeline.plan import Job
    from landsat_fill.pipeline.request import FillRequest, OutputRequest
    from landsat_fill.scene import Scene


SURVEY_SHARE = 0.2
"""Share of a scene's time that the survey takes, for the progress bar."""

STD_SAMPLES_A_STRIP = 4096


def run_job(
    job: Job,
    request: FillRequest,
    outputs: OutputRequest,
    on_progress: Callable[[float, str], None],
    admit: Callable[[Sequence[Scene]], None] = lambda _scenes: None,
) -> Outcome:
    """Fill one input, write its outputs, and return what became of it.

    Args:
        job: What is read and where it goes.
        request: How it is filled.
        outputs: The form of the outputs.
        on_progress: Told the share done, 0 to 1, and how it goes, of a method that tells.
        admit: Given the scenes, opened but not read; returns when there is memory to fill them.

    Raises:
        TakenError: If another living process is filling it.
        LandsatFillError: If it can't be read, filled or written. Then nothing is left behind.
    """
    began = time.perf_counter()
    keep_large_blocks_apart()
    with Transaction(job.target) as transaction, Rasters() as rasters:
        job = with_action(job, outputs, request)  # it may have been done since the plan was made
        if job.action is Action.REFUSE:
            raise job.refusal()
        if job.action is Action.SKIP:
            return job.outcome(Status.SKIPPED)
        scenes = open_input(job.input, nodata=request.nodata, bands=request.bands, rasters=rasters)
        admit(scenes)
        tallies: list[_SceneTally] = []
        shelf = FolderShelf(job.target)
        written = JobOutputs(job, request, outputs, scenes, rasters, transaction)
        for number, scene in enumerate(scenes):

            def report(share: float, text: str, number: int = number) -> None:
                on_progress((number + share) / len(scenes), text)

            answerable, unanswered = without_unavailable_flags(request, scene, scenes)
            with SceneReader(scene, rasters) as reader, written.open(number) as files:
                tallies.append(_fill_scene(scene, reader, files, answerable, report, shelf))
            tallies[-1].notes += unanswered
        tally = sum((t.tally for t in tallies), Tally())
        samples = np.concatenate([s for t in tallies for s in t.std_samples] or [np.empty(0)])
        outcome = job.outcome(
            Status.FILLED if tally.filled or tally.left else Status.NO_GAPS,
            tally=tally,
            seconds=time.perf_counter() - began,
            method=request.method.info.name,
            median_std=float(np.median(samples)) if samples.size else None,
            notes=_once(note for t in tallies for note in t.notes) + written.notes,
            files=written.files,
        )
        row = report_row(outcome, request)
        written.finish(row)
    shelf.clear()  # after an error it stays: the next run goes on from there
    return replace(outcome, row=row)


@dataclass(slots=True)
class _SceneTally:
    """What is counted while a scene is filled."""

    tally: Tally = field(default_factory=Tally)
    std_samples: list[np.ndarray[tuple[int], np.dtype[np.floating]]] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    wide: int = 0
    kept: int = 0


def _fill_scene(
    scene: Scene,
    reader: SceneReader,
    files: SceneOutputs,
    request: FillRequest,
    on_progress: Callable[[float, str], None],
    shelf: FolderShelf,
) -> _SceneTally:
    """Fill a scene into its open outputs."""
    survey = survey_scene(
        reader, scene, threads=request.threads, on_progress=lambda share: on_progress(SURVEY_SHARE * share, "")
    )
    method, chosen = suited_method(request.method, scene.bands, is_choice=request.is_choice, empty=survey.empty_bands)
    counted = _SceneTally()
    told: list[str] = []
    finder = EvidenceFinder(scene, reader, survey, request)
    height, width = scene.grid.height, scene.grid.width
    strip = Window(0, 0, 0, width)  # the strip being filled

    def report(share: float, text: str) -> None:
        on_progress(SURVEY_SHARE + (1 - SURVEY_SHARE) * (strip.row + share * strip.height) / height, text)

    context = Context(
        bands=tuple(band.band for band in scene.bands),
        pixel_size_m=scene.grid.pixel_size_m,
        threads=request.threads,
        device=request.device,
        seed=request.seed,
        realizations=files.realizations,
        notify=told.append,
        shelf=shelf,
        progress=report,
    )
    method = prepared_for_scene(method, scene, reader, finder, context)
    backdrop = _backdrop(scene, reader, finder, survey.period_px) if finder.fills_wide_holes else None
    info = method.info
    halo_px = max(info.halo_px, finder.halo_px)
    fill_strip = partial(_fill_strip, scene, finder, method, backdrop, counted, context, with_std=files.wants_std)
    with (
        ThreadPoolExecutor(1, thread_name_prefix="write") as pool,
        read_blocks(reader, height, width, strip_rows(scene, info.tile_px, info.align_px), halo_px) as blocks,
    ):
        writing: Future[None] | None = None
        for block in blocks:
            strip = block.strip
            filled = fill_strip(block)
            return_freed_memory()
            if writing is not None:
                writing.result()
            if block.strip.row + block.strip.height == height:  # there is nothing to do beside writing it
                files.write(filled)
            else:
                writing = pool.submit(files.write, filled)
            del filled  # it ends with its writing, and not with the next one
            report(1.0, "")
    counted.notes = survey_notes(
        scene, survey, tells_missing=reader.tells_missing, refills_faint=Flag.FAINT in request.refilled
    )
    counted.notes += fill_notes(survey, request, counted.tally, wide_px=counted.wide, kept_px=counted.kept)
    counted.notes += (*chosen, *told)
    return counted


def _backdrop(scene: Scene, reader: SceneReader, finder: EvidenceFinder, period_px: int) -> Backdrop:
    """Return the backdrop of a scene, which is read once for it."""
    height, width = scene.grid.height, scene.grid.width
    with read_blocks(reader, height, width, strip_rows(scene, STRIP_PX), finder.halo_px) as blocks:
        return make_backdrop(
            ((block, finder.find(block)) for block in blocks), (len(scene.bands), height, width), period_px
        )


def _fill_strip(
    scene: Scene,
    finder: EvidenceFinder,
    method: FillMethod,
    backdrop: Backdrop | None,
    counted: _SceneTally,
    context: Context,
    block: Block,
    *,
    with_std: bool,
) -> FilledStrip:
    """Return a strip filled and composed, with its deviation if wanted, and add it to what is counted."""
    evidence = finder.find(block)
    filled = fill_tiles(
        block.values, evidence.gaps, block.inner, method, context, origin=(block.window.row, block.window.col)
    )
    if backdrop is not None:
        filled = backdrop.blended(filled, block, evidence)
    inner = block.inner.slices
    stored, observed = block.values[:, *inner], block.observed[:, *inner]
    inside, missing = evidence.inside[:, *inner], evidence.gaps.missing[:, *inner]
    values, done = compose(stored, missing, filled, scene.bands)
    drawn = () if filled.realizations is None else filled.realizations
    left = inside & ~observed & ~done
    counted.tally += Tally(
        observed=int(np.count_nonzero(observed & ~done)),
        filled=int(np.count_nonzero(done)),
        left=int(np.count_nonzero(left)),
        outside=int(np.count_nonzero(~inside & ~observed)),
    )
    if evidence.wide is not None:
        counted.wide += int(np.count_nonzero(evidence.wide[:, *inner] & done))
    if evidence.kept is not None:
        counted.kept += int(np.count_nonzero(evidence.kept[:, *inner]))
    if filled.std is not None and done.any():
        samples = filled.std[done & np.isfinite(filled.std)]
        counted.std_samples.append(samples[:: max(1, samples.size // STD_SAMPLES_A_STRIP)])
    return FilledStrip(
        window=block.strip,
        stored=stored,
        observed=observed,
        values=values,
        codes=fill_codes(observed, inside, done),
        # Not kept in vain while the strip is written: it is the largest of all.
        std=rounded_std(filled.std, done, observed) if with_std and filled.std is not None else None,
        known=observed | done,
        done=done,
        drawn=tuple(compose(stored, missing, Filled(draw), scene.bands)[0] for draw in drawn),
    )


def _once(notes: Iterable[str]) -> tuple[str, ...]:
    """Return each note once, in order."""
    return tuple(dict.fromkeys(notes))


def attempt(
    job: Job,
    request: FillRequest,
    outputs: OutputRequest,
    on_progress: Callable[[float, str], None],
    admit: Callable[[Sequence[Scene]], None] = lambda _scenes: None,
) -> Outcome | None:
    """Return what became of a job, also of one that went wrong; None where another run has it."""
    began = time.perf_counter()
    try:
        return run_job(job, request, outputs, on_progress, admit)
    except TakenError:
        return None
    except Exception as error:
        message, hint = explained(error)
        trace = traceback.format_exc()
    return job.outcome(
        Status.FAILED,
        seconds=time.perf_counter() - began,
        method=request.method.info.name,
        error=message,
        hint=hint,
        trace=trace,
    )
