"""Fills the scenes of one input and writes the outputs.

The steps, with the names to look for below:

1. `Transaction` locks the target, and `with_action` checks again whether the outputs exist.
2. `opened_scenes` opens each file once, and `wait_for_memory` returns when there is enough memory.
3. `JobOutputs` prepares the outputs. Steps 4 to 11 follow for each scene of the input.
4. `survey_scene` reads all pixels to find the footprint, the stripes and the bands without a valid pixel.
5. `suited_method` chooses the method.
6. `prepared` prepares the method for the scene.
7. `read_blocks` reads strips with a halo, one strip ahead.
8. `GapFinder` finds the missing and the valid pixels of each strip.
9. `fill_tiles` fills the tiles with gaps. `Backdrop` fills the inside of wide holes.
10. `compose` combines filled and observed pixels.
11. `SceneOutputs` writes the strip to all files, while the next strip is filled.
12. `JobOutputs.finish` adds the row of the report, and `Transaction` moves all files into place.

Reading, filling and writing overlap. Memory depends on the size of a strip, not on the height of the scene.
"""

from __future__ import annotations

import time
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.io import Rasters, SceneReader, TakenError, Transaction, open_input
from landsat_fill.io.archives import forget_unpacked
from landsat_fill.io.areas import with_areas
from landsat_fill.methods import Context, suited_method
from landsat_fill.pipeline.compose import Backdrop, compose, fill_codes, make_backdrop, rounded_std
from landsat_fill.pipeline.gap_finder import GapFinder, without_unavailable_flags
from landsat_fill.pipeline.lattice import prepared
from landsat_fill.pipeline.outcome import (
    Outcome,
    Status,
    Tally,
    cut_notes,
    explained,
    fill_notes,
    level_notes,
    mask_notes,
    quantities_of,
    survey_notes,
)
from landsat_fill.pipeline.outputs import FilledStrip, FolderShelf, JobOutputs, SceneOutputs
from landsat_fill.pipeline.plan import Action, with_action
from landsat_fill.pipeline.provenance import report_row
from landsat_fill.pipeline.reference_choice import choose_references
from landsat_fill.pipeline.reference_scenes import OpenReference, Suitability, candidate_names, find_references
from landsat_fill.pipeline.request import Flag
from landsat_fill.pipeline.resources import keep_large_blocks_apart, return_freed_memory
from landsat_fill.pipeline.survey import STRIP_PX, survey_scene
from landsat_fill.pipeline.tiles import Block, fill_tiles, fill_with_references, read_blocks, strip_rows
from landsat_fill.scene import Filled, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from landsat_fill.io import Input
    from landsat_fill.methods import FillMethod
    from landsat_fill.pipeline.plan import Job
    from landsat_fill.pipeline.request import FillRequest, OutputRequest
    from landsat_fill.scene import Gaps, Scene


SURVEY_SHARE = 0.2
"""Share of a scene's time that the survey takes, for the progress bar."""

STD_SAMPLES_PER_STRIP = 4096

DAYS_A_YEAR = 366


def attempt(
    job: Job,
    request: FillRequest,
    outputs: OutputRequest,
    on_progress: Callable[[float, str], None],
    wait_for_memory: Callable[[Sequence[Scene]], None] = lambda _scenes: None,
) -> Outcome | None:
    """Return the outcome of a job, including failures, or None if another run is filling it."""
    began = time.perf_counter()
    try:
        return run_job(job, request, outputs, on_progress, wait_for_memory)
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


def run_job(
    job: Job,
    request: FillRequest,
    outputs: OutputRequest,
    on_progress: Callable[[float, str], None],
    wait_for_memory: Callable[[Sequence[Scene]], None] = lambda _scenes: None,
) -> Outcome:
    """Fill one input, write its outputs, and return the outcome.

    `on_progress` is called with the share done, 0 to 1, and the method's current step or an empty text.
    `wait_for_memory` is called with the opened scenes before their pixels are read.

    Raises:
        TakenError: If another living process is filling it.
        LandsatFillError: If it can't be read, filled or written. Then no output remains.
    """
    began = time.perf_counter()
    keep_large_blocks_apart()
    with Transaction(job.target) as transaction, Rasters() as rasters:
        seen = [] if request.references is None else candidate_names(request.references)
        job = with_action(job, outputs, request, lambda: seen)  # another run may have filled it since the plan was made
        if job.action is Action.REFUSE:
            raise job.refusal()
        if job.action is Action.SKIP:
            return job.outcome(Status.SKIPPED)
        forget_unpacked(but=Path(job.input.source))
        scenes = opened_scenes(job.input, request, rasters)
        wait_for_memory(scenes)
        results: list[_SceneResult] = []
        shelf = FolderShelf(job.target)
        written = JobOutputs(job, request, outputs, scenes, rasters, transaction)
        for number, scene in enumerate(scenes):

            def show(share: float, text: str, number: int = number) -> None:
                on_progress((number + share) / len(scenes), text)

            available, unavailable = without_unavailable_flags(request, scene, scenes)
            with SceneReader(scene, rasters) as reader:
                results.append(_fill_scene(scene, reader, written, number, available, show, shelf))
            results[-1].notes += unavailable
        tally = sum((one.tally for one in results), Tally())
        samples = np.concatenate([part for one in results for part in one.std_samples] or [np.empty(0)])
        notes = dict.fromkeys(note for one in results for note in one.notes)
        outcome = job.outcome(
            Status.FILLED if tally.filled or tally.left else Status.NO_GAPS,
            tally=tally,
            seconds=time.perf_counter() - began,
            method=request.method.info.name,
            median_std=float(np.median(samples)) if samples.size else None,
            notes=(
                *notes,
                *(() if job.is_folder else level_notes(quantities_of(scenes))),
                *mask_notes(request.areas, sum(one.masked_px for one in results)),
                *written.notes,
            ),
            quantity=quantities_of(scenes),
            files=written.files,
            references=tuple(row for one in results for row in one.candidates),
        )
        row = report_row(outcome, request)
        written.finish(row, seen)
    shelf.clear()  # only after success: after an error the next run continues with its content
    return replace(outcome, row=row)


def opened_scenes(given: Input, request: FillRequest, rasters: Rasters) -> tuple[Scene, ...]:
    """Return the scenes of an input, with what the request says about their pixels.

    Raises:
        InputError: If it can't be opened, or an area of the request doesn't fit.
        UsageError: If it lacks a band.
    """
    scenes = open_input(given, nodata=request.nodata, bands=request.bands, rasters=rasters)
    return with_areas(scenes, request.areas, given.name, rasters)


@dataclass(slots=True)
class _SceneResult:
    """Counts and notes collected while a scene is filled.

    Attributes:
        tally: Pixel counts.
        std_samples: Samples of the standard deviation of filled pixels.
        notes: Notes for the user.
        wide_px: Number of pixels filled in holes wider than any SLC-off gap.
        kept_px: Number of observed pixels named by --refill that were kept.
        masked_px: Number of pixels that held an observation and were filled because a mask says they are missing.
        cut_px: Number of gap pixels of one band at a cut edge of the footprint, at least.
        references: The references used.
        candidates: All references that were looked at.
    """

    tally: Tally = field(default_factory=Tally)
    std_samples: list[np.ndarray[tuple[int], np.dtype[np.floating]]] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    wide_px: int = 0
    kept_px: int = 0
    masked_px: int = 0
    cut_px: int = 0
    references: tuple[Suitability, ...] = ()
    candidates: tuple[Suitability, ...] = ()


def _fill_scene(
    scene: Scene,
    reader: SceneReader,
    outputs: JobOutputs,
    number: int,
    request: FillRequest,
    on_progress: Callable[[float, str], None],
    shelf: FolderShelf,
) -> _SceneResult:
    """Fill a scene strip by strip, and write the outputs with its number in the job."""
    survey = survey_scene(
        reader, scene, threads=request.threads, on_progress=lambda share: on_progress(SURVEY_SHARE * share, "")
    )
    single, choice_notes = suited_method(
        request.fallback or request.method, scene.bands, is_choice=request.is_choice, empty=survey.empty_bands
    )
    result = _SceneResult()
    method_notes: list[str] = []
    finder = GapFinder(scene, reader, survey, request)
    references = _references(scene, finder, request, result)
    method = request.method if references and request.fallback is not None else single
    height, width = scene.grid.height, scene.grid.width
    part = scene.part or Window(0, 0, height, width)
    strip = Window(part.row, 0, 0, width)  # the strip that is being filled

    def show(share: float, text: str) -> None:
        done = max(strip.row - part.row + share * strip.height, 0) / part.height
        on_progress(SURVEY_SHARE + (1 - SURVEY_SHARE) * min(done, 1.0), text)

    context = Context(
        bands=tuple(band.band for band in scene.bands),
        pixel_size_m=scene.grid.pixel_size_m,
        threads=request.threads,
        device=request.device,
        seed=request.seed,
        realizations=outputs.realizations(number),
        notify=method_notes.append,
        shelf=shelf,
        progress=show,
    )
    stack = ExitStack()
    for reference in references:
        stack.enter_context(reference)
    view = partial(finder.view, references=references)
    fitted = prepared(method, (height, width), view, context)
    single = fitted if single is method else prepared(single, (height, width), view, context)
    method = fitted
    backdrop = _backdrop(scene, reader, finder, survey.period_px) if finder.fills_wide_holes else None
    info = method.info
    halo_px = max(info.halo_px, finder.halo_px)
    strip_px = strip_rows(scene, info.tile_px, info.align_px)
    with (
        stack,
        outputs.open(number, result.references) as files,
        ThreadPoolExecutor(1, thread_name_prefix="write") as pool,
        read_blocks(reader, height, width, strip_px, halo_px, references, part) as blocks,
    ):
        writing: Future[None] | None = None
        for block in blocks:
            strip = block.strip
            filled = _fill_strip(scene, block, finder, (method, single), context, backdrop, result, files)
            return_freed_memory()
            if writing is not None:
                writing.result()
            if strip.row + strip.height >= part.row + part.height:  # no other work could run at the same time
                files.write(filled)
            else:
                writing = pool.submit(files.write, filled)
            del filled  # so that its memory is free as soon as it is written
            show(1.0, "")
    result.notes = (
        *result.notes,
        *survey_notes(
            scene, survey, can_mark_missing=reader.can_mark_missing, refills_faint=Flag.FAINT in request.refilled
        ),
        *fill_notes(survey, request, result.tally, wide_px=result.wide_px, kept_px=result.kept_px),
        *cut_notes(result.cut_px),
        *choice_notes,
        *method_notes,
    )
    return result


def _references(scene: Scene, finder: GapFinder, request: FillRequest, result: _SceneResult) -> list[OpenReference]:
    """Return the references to use, best first, and add what is known of all to the result.

    Codes are never interpolated, and the panchromatic band has a grid of its own; they are filled without references.
    """
    if request.references is None or any(band.holds_codes for band in scene.bands):
        return []

    def read(window: Window) -> tuple[NDArray[np.generic], Gaps]:
        view = finder.view(window)
        return view.values, view.gaps

    found, refused = find_references(scene, request.references, request.areas)
    every = request.method.info.takes_every_reference
    chosen, facts = choose_references(scene, read, found, request.references, every=every)
    result.candidates = (*facts, *refused)
    result.references = tuple(one.facts for one in chosen)
    if not chosen:
        reasons = "; ".join(dict.fromkeys(one.reason for one in result.candidates)) or "none was found"
        result.notes += (f"no reference serves this scene ({reasons}): filled from the scene alone",)
    else:
        used = ", ".join(one.label for one in result.references)
        result.notes += (f"filled with the help of {len(chosen)} of {len(result.candidates)} references: {used}",)
        if any(abs(one.days or 0) > DAYS_A_YEAR for one in result.references):
            result.notes += ("warning: a reference of another year may bring in land cover that the scene didn't have",)
    result.notes += tuple(f"reference {one.label}: {note}" for one in result.references for note in one.notes)
    return chosen


def reference_facts(given: Input, request: FillRequest) -> tuple[Suitability, ...]:
    """Return what is known of each reference of an input's first scene, those to use first.

    Raises:
        InputError: If the scene, or a reference that the user named, can't be used.
    """
    with Rasters() as rasters:
        scene, *_ = opened_scenes(given, request, rasters)
        result = _SceneResult()
        with SceneReader(scene, rasters) as reader:
            survey = survey_scene(reader, scene, threads=request.threads, on_progress=lambda _share: None)
            _references(scene, GapFinder(scene, reader, survey, request), request, result)
    return result.candidates


def _backdrop(scene: Scene, reader: SceneReader, finder: GapFinder, period_px: int) -> Backdrop:
    """Return the backdrop of a scene, after reading all its pixels."""
    height, width = scene.grid.height, scene.grid.width
    with read_blocks(reader, height, width, strip_rows(scene, STRIP_PX), finder.halo_px) as blocks:
        return make_backdrop(
            ((block, finder.find(block)) for block in blocks), (len(scene.bands), height, width), period_px
        )


def _fill_strip(
    scene: Scene,
    block: Block,
    finder: GapFinder,
    methods: tuple[FillMethod, FillMethod],
    context: Context,
    backdrop: Backdrop | None,
    result: _SceneResult,
    files: SceneOutputs,
) -> FilledStrip:
    """Return a filled strip, and add its pixels to the result of the scene.

    If there are two methods, the second one fills what the first one leaves.
    """
    found = finder.find(block)
    wanted = block.strip if scene.part is None else block.strip.shared(scene.part)
    part = wanted.within(block.window)
    origin = (block.window.row, block.window.col)
    image = block.values, found.gaps, block.inner
    method, single = methods
    if method is single:
        filled = fill_tiles(*image, method, context, origin=origin, references=block.references, part=part)
    else:
        filled = fill_with_references(*image, method, single, context, block.references, origin=origin, part=part)
    if backdrop is not None:
        filled = backdrop.blended(filled, block, found)
    filled, inner = filled.cropped(wanted.within(block.strip)), part.slices
    stored, observed = block.values[:, *inner], block.observed[:, *inner]
    inside, missing = found.inside[:, *inner], found.gaps.missing[:, *inner]
    values, done = compose(stored, missing, filled, scene.bands)
    masked = finder.masked_numbers(stored, wanted)
    result.tally += Tally(
        observed=int(np.count_nonzero(observed & ~done)),
        filled=int(np.count_nonzero(done)),
        left=int(np.count_nonzero(inside & ~observed & ~done)),
        outside=int(np.count_nonzero(~inside & ~observed)),
    )
    if found.wide is not None:
        result.wide_px += int(np.count_nonzero(found.wide[:, *inner] & done))
    if found.kept is not None:
        result.kept_px += int(np.count_nonzero(found.kept[:, *inner]))
    if masked is not None:
        result.masked_px += int(np.count_nonzero(masked & done))
    result.cut_px += finder.cut_px(block, found, part)
    if filled.std is not None and done.any():
        samples = filled.std[done & np.isfinite(filled.std)]
        result.std_samples.append(samples[:: max(1, samples.size // STD_SAMPLES_PER_STRIP)])
    realizations = () if filled.realizations is None else filled.realizations
    return FilledStrip(
        window=wanted,
        stored=stored,
        observed=observed,
        values=values,
        codes=fill_codes(observed, inside, done, filled.sources, by_reference=files.names_references, masked=masked),
        std=rounded_std(filled.std, done, observed) if files.wants_std and filled.std is not None else None,
        done=done,
        realizations=tuple(compose(stored, missing, Filled(one), scene.bands)[0] for one in realizations),
    )
