"""The card of shipped weights, as Markdown: their training, scores and limits."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from method_scores import RIVAL
from run_record import portable, sources_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from method_scores import MethodScores
    from run_record import RunRecord

    from landsat_fill.networks.weights import WeightsFile

LICENCE = "MIT"

PIXELS = (
    "The weights are under the licence of the code. The pixels they were trained on are Landsat data of "
    "the U.S. Geological Survey, in the public domain; where Geoscience Australia is named, © "
    "Commonwealth of Australia, CC BY 3.0 AU."
)

SHARED_LIMITS = (
    "It uses one date only, so objects wholly inside a gap can't be recovered. It works in cells of 8 px "
    "from the scene's corner, so a crop that starts at another position gets a slightly different fill "
    "(`check_shift.py`). It was trained on stripes up to 15 px wide and holes up to 20 px, at pixels of "
    "25 to 30 m, on reflective bands of TM, ETM+ and OLI. It was not trained on wider gaps, such as those "
    "of the panchromatic band, or on other sensors."
)

SLOT_LIMITS = (
    "It processes six bands at once, each in its own slot, so another order of the bands gives another "
    "fill. The sensor's order, blue to short-wave infrared, is the safest: half of the training samples "
    "had it. More bands are processed in separate groups of six."
)

LIMITS = {
    "band-unet": (
        "It corrects a spline in tension, so its fill is the spline's where the correction is 0. Its "
        "standard deviation is that of single pixels, without correlations between their errors. It gives "
        "no realizations."
    ),
    "convcnp": (
        f"{SLOT_LIMITS} It predicts an independent normal distribution for each pixel: there are no "
        "realizations, and the mean is smooth where the network is uncertain. It has no batch "
        "normalisation, unlike the source's network for images. It was trained for far fewer passes over "
        "the data than the 400 epochs of Pondaven et al. 2022."
    ),
    "convlnp": (
        f"{SLOT_LIMITS} Half of the latent values are averaged over a tile with its halo, so a fill "
        "depends slightly on the position of the tiles. Realizations are means of samples; their "
        "differences are about as large as their errors (`check_draws.py`). The correlations between "
        "bands are measured in the scene, so a realization needs one sample for each band. The standard "
        "deviation within a sample differs between pixels; the source has one for a tile. Everything but "
        "the encoder runs once for each sample. It has half of the source's 128 channels, no batch "
        "normalisation, and was trained for far fewer passes over the data than the 200 epochs of "
        "Pondaven et al. 2022, with fewer samples."
    ),
    "partialconv": (
        f"{SLOT_LIMITS} It gives no standard deviation. It is shallower and narrower than the source's, "
        "has no batch normalisation, and was trained without the perceptual and style losses, which need "
        "a network trained on photographs."
    ),
    "unet": (
        f"{SLOT_LIMITS} It gives no standard deviation. It is shallower and narrower than the source's. It "
        "predicts levels instead of corrections of an interpolation, so its errors may be large in a "
        "scene unlike the training scenes."
    ),
}
"""Limits of each network, written by hand; the scores have the figures."""

_COLUMNS = {
    "RMSE ratio": "rmse_ratio",
    "worst place": "worst_rmse_ratio",
    "r²": "r2",
    "SSIM": "ssim",
    "stripe index": "stripe_index",
    "cover 90": "coverage_90",
}


def card_text(
    file: WeightsFile,
    record: RunRecord,
    *,
    hardware: str,
    earlier: Sequence[str] = (),
    scores: MethodScores | None = None,
    index: Path | None = None,
) -> str:
    """Return the card.

    Args:
        file: The weights as they are shipped.
        record: The run they come from.
        hardware: What it ran on.
        earlier: Commands of the runs whose weights it began from.
        scores: How they do; the card says so where they weren't scored yet.
        index: Says where each scene is from; a card without it names the scenes only.
    """
    sections = [
        f"# {file.name}",
        _summary(file.network),
        _table(("", ""), _facts(file), right=False),
        "## Training",
        *_training(file, record, earlier, hardware),
        "## Scores",
        *(["Not measured yet."] if scores is None else _scores(scores, record)),
        "## Limits",
        LIMITS[file.network],
        SHARED_LIMITS,
        "## Scenes and licence",
        PIXELS,
        _scenes(record, index),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _summary(network: str) -> str:
    from landsat_fill.methods.registry import method_class

    info = method_class(network).info
    return f"{info.summary[0].upper()}{info.summary[1:]}.\nSource: {info.source}."


def _facts(file: WeightsFile) -> Iterator[tuple[str, str]]:
    """Yield what is known of the file itself."""
    variant = file.name.removeprefix(f"{file.network}-")
    run = f"-m {file.network}" + (f" --variant {variant}" if variant != file.name else "")
    settings = ", ".join(f"{key} {value}" for key, value in file.settings.items())
    yield "run it", f"`landsat-fill SCENE {run}`"
    yield "file", f"`{file.path.name}`, {file.size_bytes / 1e6:.1f} MB, {file.facts['dtype']}"
    yield "sha256", f"`{file.sha256}`"
    yield "network", f"{file.network}: {file.parameters / 1e6:.2f} M parameters, reaches {file.reach_px} px"
    yield "settings", settings
    yield "bands", file.facts["bands"]
    if "std_factor" in file.facts:
        factor = f"multiplied by {file.std_factor:.3f}, so that 90 % intervals hold 90 % of the validation pixels"
        yield "standard deviation", factor
    yield "licence", file.facts["licence"]


def _training(file: WeightsFile, record: RunRecord, earlier: Sequence[str], hardware: str) -> Iterator[str]:
    commands = [command for command in (record.dataset_command, *earlier, record.command) if command]
    yield "```sh\n" + "\n".join(commands) + "\n```"
    facts = file.facts
    shipped = f"shipped are the weights of step {int(facts['steps']):,}"
    if "validation_error" in facts:
        shipped += f", the best in validation: {facts['validation_error']} of a classical fill's RMSE"
    began_from = []
    if "began_from" in facts:
        where = Path(portable(record.settings.weights)).parent
        kept = "; the history of the repository has it" if where == Path("models") else ""
        began_from = [("began from", facts["began_from"] + kept)]
    rows = [
        ("data", facts["trained_on"]),
        ("code", record.versions),
        ("hardware", hardware),
        ("length", f"{record.steps:,} steps in {record.minutes:.0f} minutes; {shipped}"),
        *_gain(record),
        ("objective", f"{facts['objective']}, seed {facts['seed']}"),
        *began_from,
    ]
    yield _table(("", ""), rows, right=False)


def _gain(record: RunRecord) -> Iterator[tuple[str, str]]:
    """Yield whether training still paid when it ended, where that was looked at often enough."""
    errors = record.validation_errors
    if len(errors) >= 3:
        earlier, last = min(errors[: -(len(errors) // 3)]), min(errors)
        yield (
            "gained at last",
            f"{100 * (1 - last / earlier):.1f} % of that error in the last third of the run: "
            f"{earlier:.4f} became {last:.4f}",
        )


def _scores(scores: MethodScores, record: RunRecord) -> Iterator[str]:
    shown = {h: n for h, n in _COLUMNS.items() if any(row[n] is not None for row in scores.rows.values())}
    rows = [[name, *(_number(row[score]) for score in shown.values())] for name, row in scores.rows.items()]
    yield (
        f"By `landsat-fill evaluate -m {scores.label.replace(' ', ':')}`; RMSE on hidden pixels relative to "
        "GDAL's fillnodata with three smoothing passes, mean over bands and places."
    )
    yield _table(("stripes", *shown), rows)
    known = [place for place in scores.by_place if place in record.scenes]
    if known:
        yield f"The means include places it was trained on: {', '.join(known)}."
    else:
        yield "None of the places was trained on."
    if record.settings.data.validation:
        chosen_by = " ".join(f"`{portable(path)}`" for path in record.settings.data.validation)
        chosen = "step that is shipped was"
        if "coverage_90" in shown.values():
            chosen = "step that is shipped and the factor of the standard deviation were"
        yield f"The {chosen} chosen by {chosen_by}."
    rivals = scores.rival_by_place
    headings = ("place", "RMSE ratio", *([f"`{RIVAL}`"] if rivals else []))
    places = [
        [place, _number(ratio), *([_number(rivals.get(place))] if rivals else [])]
        for place, ratio in scores.by_place.items()
    ]
    yield _table(headings, places)
    if scores.failures:
        yield f"{scores.failures} trials failed."


def _scenes(record: RunRecord, index: Path | None) -> str:
    """Return the scenes trained on, and the ones whose gaps were laid, with where they are from."""
    if not record.scenes:
        return ""
    if index is None:
        return f"Scenes: {', '.join(record.scenes)}. Gaps of: {', '.join(record.gaps) or 'none'}."
    rows = [
        (use, ", ".join(source.names), source.origin, source.licence)
        for use, names in (("pixels", record.scenes), ("gaps", record.gaps))
        for source in sources_of(names, index)
    ]
    return _table(("used", "scenes", "published in", "licence stated there"), rows, right=False)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: bool = True) -> str:
    """Return a table; columns after the first are numbers where `right`."""
    rule = ["---", *["---:" if right else "---"] * (len(headings) - 1)]
    lines = [headings, rule, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _number(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.3f}"
