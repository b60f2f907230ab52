"""Scores methods on the same hidden pixels: every scene × pattern × seed × method, in one run."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import InputError, LandsatFillError, UsageError
from landsat_fill.evaluation.metrics import score_bands, score_together
from landsat_fill.evaluation.results import ALL_BANDS, Failure, Results, crop_example, record_table
from landsat_fill.evaluation.trials import Sampling, hide, read_images
from landsat_fill.methods import Context, fallback_of
from landsat_fill.methods.interpolation import InverseDistance
from landsat_fill.pipeline.arrays import fill_array
from landsat_fill.pipeline.compose import compose
from landsat_fill.pipeline.reference_choice import choose_references
from landsat_fill.pipeline.reference_scenes import find_references
from landsat_fill.pipeline.resources import AUTO, choose_device, usable_cores
from landsat_fill.scene import Filled, Gaps, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from landsat_fill.evaluation.metrics import Scores
    from landsat_fill.evaluation.results import Example
    from landsat_fill.evaluation.trials import ObservedImage, Pattern, Trial
    from landsat_fill.methods import FillMethod, MethodInfo
    from landsat_fill.pipeline.reference_scenes import OpenReference
    from landsat_fill.pipeline.request import ReferenceRequest
    from landsat_fill.scene import Reference, Scene

    OnProgress = Callable[[float, str], None]


ENDING = " · bands alone"
"""The end of the label of a `BandsAlone` method."""


@dataclass(frozen=True)
class BandsAlone:
    """A method that fills each band separately with another method."""

    method: FillMethod

    @property
    def info(self) -> MethodInfo:
        """The facts of the method itself, without its realizations."""
        return replace(self.method.info, gives_realizations=False)

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        filled = []
        for band in range(image.shape[1]):
            own = slice(band, band + 1)

            def progress(share: float, text: str, band: int = band) -> None:
                context.progress((band + share) / image.shape[1], text)

            alone = replace(context, bands=context.bands[own], realizations=0, progress=progress)
            filled.append(self.method.fill(image[:, own], Gaps(gaps.missing[:, own], gaps.usable[:, own]), alone))
        stds = [one.std for one in filled if one.std is not None]
        return Filled(
            np.concatenate([one.mean for one in filled], axis=1), np.concatenate(stds, axis=1) if stds else None
        )


REFERENCE: FillMethod = InverseDistance(smoothing=3)
"""The reference method, the same as `gdal_fillnodata -md 50 -si 3`."""


def evaluate(
    scenes: Sequence[Scene],
    methods: Sequence[FillMethod],
    patterns: Sequence[Pattern],
    *,
    groups: Sequence[str] = (),
    seeds: Sequence[int] = (0,),
    context: Context | None = None,
    device: str = "cpu",
    references: ReferenceRequest | None = None,
    sampling: Sampling | None = None,
    example_pattern: Pattern | None = None,
    on_progress: OnProgress | None = None,
) -> Results:
    """Return the scores of methods on pixels that are hidden from them.

    `REFERENCE` is always scored. Scores use the values that a fill stores: rounded, and within the band's
    valid range.

    Args:
        scenes: Opened scenes. Their own missing pixels are neither hidden nor filled.
        methods: The methods to compare.
        patterns: Patterns of hidden pixels.
        groups: The group of each scene, for example scenes used in training and others; or none.
        seeds: Each seed places every pattern once.
        context: Threads; all cores if not given.
        device: `auto`, `cpu`, `cuda` or `cuda:1`. Methods that can't run there use the CPU.
        references: Which other acquisitions the methods that need some are given. They are chosen for each trial, as
            for a fill, from what isn't hidden.
        sampling: How much of a large scene to read.
        example_pattern: The pattern of the crop in the figure; the middle one if not given.
        on_progress: Called with the share done, 0 to 1, and the current scene, pattern and method.

    Raises:
        UsageError: If there is no scene, pattern or seed, two patterns share a label, the number of groups is
            wrong, or the device doesn't exist.
    """
    _check_arguments(scenes, patterns, groups, seeds)
    sampling = sampling or Sampling()
    contenders = tuple(dict.fromkeys((REFERENCE, *methods)))
    labels = tuple(method_label(method) for method in contenders)
    devices = _devices_of(contenders, device)
    example_pattern = example_pattern or patterns[len(patterns) // 2]
    steps = sum(sampling.images_of(scene) for scene in scenes) * len(patterns) * len(seeds) * len(contenders)

    rows: list[dict[str, object]] = []
    failures: list[Failure] = []
    example: Example | None = None
    done = 0
    named = _with_unique_names(scenes)
    group_of = {scene.name: group for scene, group in zip(named, groups or [""] * len(named), strict=True)}
    for image in _read_all(named, sampling, failures):
        known = replace(
            context or Context(threads=usable_cores()),
            bands=tuple(band.band for band in image.scene.bands),
            pixel_size_m=image.scene.grid.pixel_size_m,
        )
        try:
            found = [] if references is None else find_references(image.scene, references)[0]
        except LandsatFillError as error:
            failures.append(Failure(image.name, "", None, "", error))
            continue
        for pattern, seed, trial in _trials(image, patterns, seeds, failures, known.notify):
            fills: dict[str, Filled] = {}
            dates = _Dates(image, trial, found, references, known.notify)
            for method, label, runs_on in zip(contenders, labels, devices, strict=True):
                if on_progress is not None:
                    on_progress(min(done / steps, 1.0), f"{image.name} · {pattern.label} · {label}")
                done += 1
                try:
                    filled, seconds = _fill(image, trial, method, replace(known, device=runs_on, seed=seed), dates)
                except Exception as error:  # a failing method must not stop the others
                    failures.append(Failure(image.name, pattern.label, seed, label, error))
                    continue
                fills[label] = filled
                bands = score_bands(trial, filled)
                together = score_together(trial, filled, bands, seconds=seconds)
                key = {"group": group_of[image.scene.name], "pattern": pattern.label, "seed": seed}
                rows += _rows(image, key | {"method": label}, (*bands, together))
            if pattern is example_pattern and fills:
                crop = crop_example(image, pattern.label, trial, fills)
                example = crop if example is None or crop.detail > example.detail else example
    if on_progress is not None:
        on_progress(1.0, "")
    records = record_table(rows, labels[0])
    return Results(labels, records, tuple(failures), example, tuple(dict.fromkeys(groups)), devices)


def method_label(method: FillMethod) -> str:
    """Return the method's name, with the options that aren't at their defaults."""
    if isinstance(method, BandsAlone):
        return method_label(method.method) + ENDING
    changed = [
        f"{f.name.replace('_', '-')}={getattr(method, f.name)}"
        for f in fields(method)  # type: ignore[arg-type]  # every method is a dataclass; the registry checks it
        if getattr(method, f.name) != f.default
    ]
    return " ".join([method.info.name, *changed])


def _check_arguments(
    scenes: Sequence[Scene], patterns: Sequence[Pattern], groups: Sequence[str], seeds: Sequence[int]
) -> None:
    for what, given in (("scene", scenes), ("pattern", patterns), ("seed", seeds)):
        if not given:
            raise UsageError(f"expected at least one {what}, but got none")
    names = [pattern.label for pattern in patterns]
    if len(set(names)) < len(names):
        raise UsageError(
            f"expected patterns of different names, but got {', '.join(names)}",
            hint="Give each width, share and SLC-off scene once. More seeds repeat a pattern elsewhere.",
        )
    if groups and len(groups) != len(scenes):
        raise UsageError(f"expected a group for each of {len(scenes)} scenes, but got {len(groups)}")


def _devices_of(methods: Sequence[FillMethod], device: str) -> tuple[str, ...]:
    """Return the device of each method: the requested one, or the CPU if the method can't run there."""
    kind = device.partition(":")[0]
    kinds = {known for method in methods for known in method.info.devices}
    if kind not in (AUTO, *kinds):
        raise UsageError(
            f"expected a device that a method runs on ({', '.join(sorted(kinds))}), but got {device!r}",
            hint="Run `landsat-fill methods` to see the devices of each method.",
        )
    return tuple(
        choose_device(device if kind in (AUTO, *method.info.devices) else "cpu", method.info) for method in methods
    )


def _with_unique_names(scenes: Sequence[Scene]) -> list[Scene]:
    """Return the scenes with unique names: the grids of one product share the product's name."""
    met: Counter[str] = Counter()
    renamed = []
    for scene in scenes:
        met[scene.name] += 1
        number = met[scene.name]
        renamed.append(scene if number == 1 else replace(scene, name=f"{scene.name} ({number})"))
    return renamed


def _read_all(scenes: Sequence[Scene], sampling: Sampling, failures: list[Failure]) -> Iterator[ObservedImage]:
    """Yield the images of all scenes, and record scenes that can't be read as failures."""
    for scene in scenes:
        try:
            yield from read_images(scene, sampling)
        except LandsatFillError as error:
            failures.append(Failure(scene.name, "", None, "", error))


def _trials(
    image: ObservedImage,
    patterns: Sequence[Pattern],
    seeds: Sequence[int],
    failures: list[Failure],
    note: Callable[[str], None],
) -> Iterator[tuple[Pattern, int, Trial]]:
    """Yield the trials of an image, and record patterns that don't fit it as failures."""
    for pattern in patterns:
        before = None
        for seed in seeds:
            try:
                lost = pattern.draw(image.values.shape, np.random.default_rng(seed))
                trial = hide(image.values, image.observed, lost)
            except LandsatFillError as error:
                failures.append(Failure(image.name, pattern.label, seed, "", error))
                continue
            if before is not None and np.array_equal(before, lost):
                note(f"{image.name}: the gaps of {pattern.label} fit in only one place, whatever the seed")
            before = lost
            yield pattern, seed, trial


@dataclass(slots=True)
class _Dates:
    """The references of a trial.

    Attributes:
        image: The image.
        trial: The trial.
        found: The candidates.
        request: The limits, or None without references.
        notify: Called with a sentence for the user.
    """

    image: ObservedImage
    trial: Trial
    found: Sequence[OpenReference]
    request: ReferenceRequest | None
    notify: Callable[[str], None]
    _chosen: dict[bool, tuple[Reference, ...]] = field(default_factory=dict)

    def read(self, info: MethodInfo) -> tuple[Reference, ...]:
        """Return the references that a fill of the trial would use, on the image's grid; none for other methods.

        Raises:
            InputError: If the method needs references, but none serves.
        """
        if not info.takes_references or self.request is None:
            return ()
        every = info.takes_every_reference
        if every not in self._chosen:
            self._chosen[every] = self._choose(self.request, every=every)
        if info.needs_references and not self._chosen[every]:
            raise InputError(
                f"expected a reference that serves {self.image.name}, but found none",
                hint="`landsat-fill references` shows what each is worth.",
            )
        return self._chosen[every]

    def _choose(self, request: ReferenceRequest, *, every: bool) -> tuple[Reference, ...]:
        def target(window: Window) -> tuple[NDArray[np.generic], Gaps]:
            part = (slice(None), *window.slices)
            return self.trial.image[part], Gaps(self.trial.gaps.missing[part], self.trial.gaps.usable[part])

        chosen, _ = choose_references(self.image.scene, target, self.found, request, every=every)
        if chosen:
            self.notify(f"{self.image.name}: references: {', '.join(one.facts.label for one in chosen)}")
        grid, references = self.image.scene.grid, []
        for one in chosen:
            with one:
                references.append(one.read(Window(0, 0, grid.height, grid.width)))
        return tuple(references)


def _fill(
    image: ObservedImage, trial: Trial, method: FillMethod, context: Context, dates: _Dates
) -> tuple[Filled, float]:
    """Return the values to store at the hidden pixels, NaN for none, and the seconds of the fill.

    The default method fills what a method that needs references leaves.
    """
    references = dates.read(method.info)
    fallback = fallback_of(method)
    start = time.perf_counter()
    filled = fill_array(trial.image, trial.gaps, method, context=context, references=references, fallback=fallback)
    seconds = time.perf_counter() - start
    stored, done = compose(image.values, trial.hidden, filled, image.scene.bands)
    mean = np.where(done, stored.astype(trial.truth.dtype), np.nan)
    return Filled(mean, filled.std), seconds


def _rows(image: ObservedImage, key: dict[str, object], scores: Sequence[Scores | None]) -> Iterator[dict[str, object]]:
    """Yield a row for each band with scores, and one for all bands, whose scores come last."""
    names = (*(band.name for band in image.scene.bands), ALL_BANDS)
    counts = np.count_nonzero(image.observed, axis=(1, 2))
    observed = (*counts.tolist(), int(counts.sum()))
    reflectance = image.reflectance
    common = image.scales[0] if len(set(image.scales)) == 1 else 1.0
    for name, of, scale, found in zip(names, observed, (*image.scales, common), scores, strict=True):
        if found is not None:
            facts = {"scene": image.name, "place": image.scene.name, "band": name, "scale": scale}
            yield key | found | facts | {"hidden_pct": 100 * found["hidden"] / of, "reflectance": reflectance}
