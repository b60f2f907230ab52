"""Kills fills at random moments, and checks that each input's outputs are the old ones or the new ones.

After each kill (SIGKILL) what the dead run left is settled, as the next command does. Every input must then
have all of its earlier outputs or all of the new ones. The same command, called again, must give the same
files, byte by byte, as a run that nobody killed, one row a scene in the report, and no leavings.

    python tests/benchmarks/check_kills.py [--kills 50] [--seed 0] [SITUATION…]

Every second kill is aimed at the commit, which takes milliseconds; the others come at any moment of the run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import rasterio
from rasterio.windows import Window
from tables import show

import landsat_fill.pipeline.fill_scene  # noqa: F401  (before the forks, which then begin at once)
from landsat_fill.cli.app import app
from landsat_fill.io.atomic import COMMIT_NAME, settle
from landsat_fill.methods import method_classes

SAMPLES = Path(__file__).parents[2] / "sample_data"
PRODUCT = "LE07_L1TP_299299_20050704_20200914_02_T1"
SIDE_PX = 96
AIM_S = 0.004
"""How long after the commit was decided an aimed kill comes at most."""
MOST_S = 120.0

NEAREST, HARMONIC = ("-m", "nearest"), ("-m", "harmonic")
KRIGING = ("-m", "kriging", "--neighbours", "4", "--preview")


@dataclass(frozen=True)
class Situation:
    """A command to kill, and the one before it, if any, whose outputs it replaces."""

    inputs: tuple[str, ...]
    options: tuple[str, ...]
    before: tuple[str, ...] | None = None
    new_options: tuple[str, ...] = ()

    def command(self, out: Path) -> list[str]:
        """Return the command that is killed."""
        return ["fill", *self.inputs, "-o", str(out), *self.options, *self.new_options]


SITUATIONS = {
    "file": Situation(("a.tif",), KRIGING),
    "file-overwrite": Situation(("a.tif",), KRIGING, (*NEAREST, "--preview"), ("--overwrite",)),
    "file-overwrite-fewer": Situation(("a.tif",), NEAREST, KRIGING, ("--overwrite",)),
    "product": Situation((PRODUCT,), (*HARMONIC, "--preview")),
    "product-overwrite": Situation((PRODUCT,), HARMONIC, (*NEAREST, "--preview"), ("--overwrite",)),
    "stack": Situation((PRODUCT,), (*HARMONIC, "--stack", "--preview")),
    "batch": Situation(("a.tif", "b.tif", "c.tif", "d.tif"), (*HARMONIC, "--jobs", "2")),
}


def make_inputs() -> None:
    """Write tiny scenes and the sample product into the working folder."""
    shutil.copytree(SAMPLES / PRODUCT, PRODUCT)
    with rasterio.open(SAMPLES / "slc_off.tif") as sample:
        for number, name in enumerate("abcd"):
            window = Window(64 + SIDE_PX * number, 300, SIDE_PX, SIDE_PX)
            profile = sample.profile | {"height": SIDE_PX, "width": SIDE_PX, "tiled": False}
            profile["transform"] = sample.window_transform(window)
            del profile["blockxsize"], profile["blockysize"]
            with rasterio.open(f"{name}.tif", "w", **profile) as crop:
                crop.write(sample.read(window=window))


def started(command: list[str]) -> int:
    """Return the process group of a fill: a fork of this process, which has imported all that it needs."""
    pid = os.fork()
    if pid:
        return pid
    os.setpgid(0, 0)
    with Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    code = 1
    try:
        app(command, standalone_mode=False)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    """Return the exit code of a fill, once all its processes are gone."""
    _, status = os.waitpid(pid, 0)
    until = time.monotonic() + MOST_S
    while time.monotonic() < until:
        try:
            os.killpg(pid, 0)
        except ProcessLookupError:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    raise SystemExit(f"a process of group {pid} doesn't end")


def done(command: list[str]) -> None:
    """Run a fill to its end."""
    code = ended(started(command))
    if code:
        raise SystemExit(f"{' '.join(command)} ended with {code}")


def contents(out: Path, name: str) -> dict[str, str]:
    """Return the digests of an input's outputs by their paths; of a mark without the report row."""
    found = {}
    for path in sorted(out.rglob("*")):
        local = path.relative_to(out).as_posix()
        if path.is_dir() or not local.lstrip(".").startswith(name):
            continue
        content = path.read_bytes()
        if path.name.endswith(".done"):
            mark = json.loads(content)
            del mark["facts"]["row"]
            content = json.dumps(mark).encode()
        found[local] = hashlib.sha256(content).hexdigest()
    return found


def kill_at_random(command: list[str], out: Path, whole_s: float, aimed: bool, dice: random.Random) -> None:
    """Start a fill, and kill it."""
    pid = started(command)
    until = time.monotonic() + (MOST_S if aimed else dice.uniform(0, whole_s))
    while time.monotonic() < until and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if aimed and any(out.glob(f".*.partial/{COMMIT_NAME}")):
            aimed = False
            until = time.monotonic() + dice.uniform(0, AIM_S)
        elif not aimed:
            time.sleep(0.0002)
    whole_group = dice.random() < 0.5  # else workers find out by themselves that their parent is dead
    (os.killpg if whole_group else os.kill)(pid, signal.SIGKILL)
    ended(pid)


def check(situation: Situation, kills: int, dice: random.Random) -> tuple[Counter[str], list[str]]:
    """Return how often which outputs were found after a kill, and what was wrong."""
    shutil.rmtree("before", ignore_errors=True)
    names = [Path(name).stem for name in situation.inputs]
    out, before, after = Path("out"), Path("before"), Path("after")
    before.mkdir()
    if situation.before is not None:
        done(["fill", *situation.inputs, "-o", str(before), *situation.before])
    shutil.rmtree(after, ignore_errors=True)
    shutil.copytree(before, after)
    began = time.monotonic()
    done(situation.command(after))
    whole_s = time.monotonic() - began
    old = {name: contents(before, name) for name in names}
    new = {name: contents(after, name) for name in names}
    found: Counter[str] = Counter()
    wrong: list[str] = []
    for number in range(kills):
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(before, out)
        kill_at_random(situation.command(out), out, whole_s, number % 2 == 1, dice)
        decided = any(out.glob(f".*.partial/{COMMIT_NAME}"))
        for name in names:
            for suffix in ("_filled.tif", "_filled"):
                settle(out / f"{name}{suffix}")
            there = contents(out, name)
            which = "old" if there == old[name] else "new" if there == new[name] else "mixed"
            found[which + (", commit finished" if decided and which == "new" else "")] += 1
            if which == "mixed":
                wrong.append(f"kill {number}: {name} has {sorted(there)}")
        complete = [name for name in names if contents(out, name) == new[name]]
        command = situation.command(out)
        done([word for word in command if word != "--overwrite" or len(complete) < len(names)])
        wrong += [f"kill {number}: {name} differs after a resume" for name in names if contents(out, name) != new[name]]
        leavings = [str(path) for path in out.rglob(".*") if not path.name.endswith(".done")]
        wrong += [f"kill {number}: left {', '.join(leavings)}"] if leavings else []
        rows = [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]
        reported = Counter(row["name"] for row in rows if row["status"] == "filled")
        expected = 1 if situation.before is None else 2
        if any(reported[name] not in (expected, expected + 1) for name in names):
            wrong.append(f"kill {number}: report has {dict(reported)}")
    return found, wrong


def main() -> int:
    """Check the situations asked for, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("situations", nargs="*", metavar="SITUATION", help=", ".join(SITUATIONS))
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    failed = False
    method_classes()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        make_inputs()
        for name in given.situations or SITUATIONS:
            began = time.monotonic()
            found, wrong = check(SITUATIONS[name], given.kills, random.Random(given.seed))
            counts = ", ".join(f"{count} {which}" for which, count in sorted(found.items()))
            verdict = f"FAIL ({len(wrong)})" if wrong else "PASS"
            seconds = time.monotonic() - began
            show(f"{verdict}  {name}: {given.kills} kills, found {counts}; {seconds:.0f} s", *wrong[:10])
            failed |= bool(wrong)
        os.chdir("/")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
