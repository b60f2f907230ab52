"""Provenance of an output: version, method and options, in its tags and its mark."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landsat_fill.io import InputKind
from landsat_fill.io.areas import NO_AREAS
from landsat_fill.io.output_names import VERSION_TAG
from landsat_fill.pipeline.outcome import quantities_of
from landsat_fill.pipeline.request import FillLayer, ReferenceRequest
from landsat_fill.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from landsat_fill.io import Input
    from landsat_fill.methods import FillMethod
    from landsat_fill.pipeline.outcome import Outcome
    from landsat_fill.pipeline.reference_scenes import Suitability
    from landsat_fill.pipeline.request import FillRequest, OutputRequest
    from landsat_fill.scene import MissingNumbers, Scene


REALIZATION_TAG = "LANDSAT_FILL_DRAW"

OTHER_FILES = "the product's other files"
COPIED, LEFT_OUT = "copied", "left out"
"""Whether they lie beside the filled bands; outputs of earlier versions don't say."""


def provenance_tags(request: FillRequest, given: Input) -> dict[str, str]:
    """Return the tags that all outputs of an input have; `method_tags` adds those of a scene."""
    options = {
        "holes": request.holes.value,
        "largest_gap_px": request.largest_gap_px,
        "distrusted": sorted(flag.value for flag in request.distrusted),
        "refilled": sorted(flag.value for flag in request.refilled),
        "nodata": _nodata_value(request.nodata),
        "seed": request.seed,
        **given_areas(request, given.name),
    }
    return {
        VERSION_TAG: __version__,
        "LANDSAT_FILL_OPTIONS": json.dumps(options, sort_keys=True),
        "LANDSAT_FILL_SOURCE": Path(given.source).name,
    }


def method_tags(methods: Sequence[FillMethod]) -> dict[str, str]:
    """Return the tags that name the methods that fill the bands of a file, their options and their weights."""
    by_name = {method.info.name: method for method in methods}
    options = {name: option_values(method) for name, method in by_name.items()}
    weights = dict.fromkeys(method.info.weights for method in methods if method.info.weights is not None)
    tags = {
        "LANDSAT_FILL_METHOD": ", ".join(by_name),
        "LANDSAT_FILL_METHOD_OPTIONS": json.dumps(
            options if len(options) > 1 else options[methods[0].info.name], sort_keys=True
        ),
    }
    return tags | ({"LANDSAT_FILL_WEIGHTS": ", ".join(weights)} if weights else {})


def given_areas(request: FillRequest, name: str) -> dict[str, object]:
    """Return the masks, the extent and the part that a request gives for a scene, as JSON values."""
    return {key: value for key, value in request.areas.facts(name).items() if value}


def _nodata_value(given: MissingNumbers | None) -> float | str | None:
    """Return missing numbers as a JSON value: a number, or a text for several."""
    is_one = given is not None and len(given.spans) == 1 and given.first is not None and not given.alone
    return given.first if is_one and given is not None else None if given is None else str(given)


def reference_tags(references: Sequence[Suitability]) -> dict[str, str]:
    """Return the tag that names the references of an output, if there are any."""
    rows = [one.as_dict() for one in references]
    return {"LANDSAT_FILL_REFERENCES": json.dumps(rows)} if rows else {}


def quantity_tags(scene: Scene) -> dict[str, str]:
    """Return the tag that says what the numbers of a scene are, if that is known."""
    words = quantities_of([scene])
    return {"LANDSAT_FILL_QUANTITY": "; ".join(words)} if words else {}


def option_values(method: FillMethod) -> dict[str, object]:
    """Return the options of a method by name."""
    return asdict(method)  # type: ignore[call-overload, no-any-return]


def report_row(outcome: Outcome, request: FillRequest) -> dict[str, object]:
    """Return the row of the report for a job that has just ended."""
    return outcome.as_dict() | {
        **given_areas(request, outcome.name),
        "options": option_values(request.method),
        "weights": request.method.info.weights,
        "device": request.device,
        "version": __version__,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def request_facts(given: Input, request: FillRequest, outputs: OutputRequest) -> dict[str, Any]:
    """Return all facts that determine the content of an output, as JSON values by readable names."""
    source = Path(given.source)
    return {
        "source": given.entry or source.name,
        "bytes of the source": source.stat().st_size if source.is_file() else None,
        "bands": None if request.bands is None else sorted(request.bands),
        "nodata": None if request.nodata is None else str(request.nodata),
        **request.areas.facts(given.name),
        "holes": request.holes.value,
        "largest gap": request.largest_gap_px,
        "distrusted": sorted(flag.value for flag in request.distrusted),
        "refilled": sorted(flag.value for flag in request.refilled),
        "method": request.method.info.name,
        "options": {name: value for name, value in option_values(request.method).items() if name != "weights"},
        "weights": request.method.info.weights,
        "seed": request.seed,
        **_reference_facts(request.references),
        "stack": outputs.stack,
        "fill layer": outputs.fill_layer.value,
        "cloud optimised": outputs.cog,
        "creation options": dict(outputs.creation_options),
        OTHER_FILES: None
        if given.kind is not InputKind.PRODUCT or outputs.stack
        else (LEFT_OUT if outputs.bands_only else COPIED),
    }


REFERENCE_LIMITS = frozenset(
    {
        "largest number of days to a reference",
        "references of the same season",
        "largest number of references",
        "references aligned",
    }
)


def _reference_facts(request: ReferenceRequest | None) -> dict[str, Any]:
    """Return the facts on references: folders by their names, because archives move."""
    given = request or ReferenceRequest()
    return {
        "references": [Path(source).name for source in given.named],
        "folders of references": [Path(source).name for source in given.archives],
        "largest number of days to a reference": given.within_days,
        "references of the same season": given.same_season,
        "largest number of references": given.most,
        "references aligned": given.align,
    }


def differences(made: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the differences between the request that made an output and a new request, in words."""
    made = {**NO_AREAS.facts(""), **made}  # earlier versions didn't know these
    ignored = {name for name in new if name not in made}
    if made.get("method") != new["method"]:
        ignored |= {"options", "weights"}
    sizes = made.get("bytes of the source"), new["bytes of the source"]
    if None in sizes or made.get("source") != new["source"]:  # a folder, a URL or another file
        ignored.add("bytes of the source")
    if FillLayer.NONE.value in (made.get("fill layer"), new["fill layer"]):
        ignored.add("fill layer")
    if made.get(OTHER_FILES) is None or new[OTHER_FILES] == LEFT_OUT:
        ignored.add(OTHER_FILES)
    if not all(facts.get("references") or facts.get("folders of references") for facts in (made, new)):
        ignored |= REFERENCE_LIMITS
    found = []
    for name, wanted in new.items():
        old = made.get(name)
        if name in ignored or old == wanted:
            continue
        if isinstance(wanted, dict) and isinstance(old, dict):
            names = sorted({*wanted, *old})
            found += [_difference(n, old.get(n), wanted.get(n)) for n in names if old.get(n) != wanted.get(n)]
        else:
            found.append(_difference(name, old, wanted))
    return found


def _difference(name: str, old: object, wanted: object) -> str:
    texts = [", ".join(map(str, v)) if isinstance(v, list) else str(v) for v in (old, wanted)]
    made, new = ("none" if text in ("", "None") else text for text in texts)
    return f"{name}: {made}, but {new} is requested"
