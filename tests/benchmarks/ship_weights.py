"""Ships the weights of a training run: writes them into models/, with a card and their line of SHA256SUMS.

    python tests/benchmarks/ship_weights.py ../runs/unet --half --hardware "2 CPU cores"
    landsat-fill evaluate ../shared/data/validation/*.tif -m tension-spline,unet --json-file scores.json
    python tests/benchmarks/ship_weights.py ../runs/unet --half --hardware "2 CPU cores" --scores scores.json

The scores are those of the weights as shipped, so there are two passes; the second changes no weight, only what
the file says of itself.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from method_scores import read_scores
from model_card import LICENCE, card_text
from run_record import CHECKOUT, facts_of, read_run

from landsat_fill.errors import LandsatFillError

if TYPE_CHECKING:
    from landsat_fill.networks.network import Network


def main() -> None:
    """Read the command line, and write weights, sums and card."""
    options = _arguments()
    try:
        lines = ship(options)
    except LandsatFillError as error:
        sys.exit(f"{error.message}\n  hint: {error.hint}" if error.hint else error.message)
    sys.stdout.write("\n".join(lines) + "\n")


def ship(options: argparse.Namespace) -> list[str]:
    """Return what was written.

    Raises:
        LandsatFillError: If the run or its weights can't be read, or a file can't be written.
        SystemExit: If the numbers don't fit half precision, or the scores are those of other weights.
    """
    from landsat_fill.io.atomic import write_text_atomically
    from landsat_fill.networks.weights import SUFFIX, load_network, read_weights_file
    from landsat_fill.training.run_folder import RunFolder, save_network

    record = read_run(options.run)
    network, best = load_network(RunFolder(options.run).best)
    name = options.name or best.network
    scores = None if options.scores is None else read_scores(options.scores, best.network, options.label)
    if options.half:
        network = _halved(network)
    facts = {
        **best.facts,
        **facts_of(record),
        "bands": "any" if network.slots is None else f"any, {network.slots} at once",
        "dtype": "float16" if options.half else "float32",
        "licence": LICENCE,
        **({} if scores is None else {"scores": scores.in_a_line}),
    }
    weights = options.folder / f"{name}{SUFFIX}"
    save_network(weights, network, facts)
    file = read_weights_file(weights)
    card = weights.with_suffix(".md")
    text = card_text(
        file, record, earlier=options.earlier, hardware=options.hardware, scores=scores, index=options.index
    )
    write_text_atomically(card, text)
    sums = _list_sum(weights, file.sha256)
    return [f"{path}" for path in (weights, card, sums)]


def _halved(network: Network) -> Network:
    """Return the network in half precision.

    Raises:
        SystemExit: If a number is too large for it.
    """
    import torch

    halved = network.half()
    for key, values in halved.state_dict().items():
        if not torch.isfinite(values).all():
            sys.exit(f"expected weights below 65,504, which half precision ends at, but {key} has larger ones")
    return halved


def _list_sum(weights: Path, sha256: str) -> Path:
    """Put the sum of a file into the list beside it, and return the list.

    The other lines stay: a file that was damaged since must not become a good one.
    """
    from landsat_fill.io.atomic import write_text_atomically
    from landsat_fill.networks.weights import SUMS_NAME

    path = weights.with_name(SUMS_NAME)
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    sums = {name: digest for digest, name in (line.split(maxsplit=1) for line in lines if line.strip())}
    sums[weights.name] = sha256
    kept = sorted(name for name in sums if weights.with_name(name).is_file())
    write_text_atomically(path, "".join(f"{sums[name]}  {name}\n" for name in kept))
    return path


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Ship the best weights of a training run, with their card.")
    parser.add_argument("run", type=Path, help="folder that `landsat-fill train` wrote")
    parser.add_argument("--name", help="name to ship them under, convlnp-64 for one (default: the network's)")
    parser.add_argument("--half", action="store_true", help="store them in float16: half the size")
    parser.add_argument("--hardware", required=True, help="what the run ran on, for the card")
    parser.add_argument(
        "--earlier",
        action="append",
        default=[],
        metavar="COMMAND",
        help="command of a run whose weights this one began from, for the card; again for more",
    )
    parser.add_argument("--scores", type=Path, metavar="JSON", help="what `landsat-fill evaluate` measured")
    parser.add_argument("--label", help="row of the scores to take (default: the only one of the network)")
    parser.add_argument(
        "--index", type=Path, metavar="CSV", help="where the scenes are from (columns file, source, licence)"
    )
    parser.add_argument("--folder", type=Path, default=CHECKOUT / "models", help="where to (default models/)")
    options = parser.parse_args()
    if not options.folder.is_dir():
        parser.error(f"expected a folder to write to, but {options.folder} is none")
    return options


if __name__ == "__main__":
    main()
