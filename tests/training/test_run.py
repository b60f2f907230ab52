"""A run of a few steps: it learns, writes its files, stops and goes on exactly."""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file

from landsat_fill.errors import InputError, LandsatFillError, OutputError, UsageError
from landsat_fill.io import find_inputs, open_input
from landsat_fill.io.locks import TakenError
from landsat_fill.networks.catalogue import build_network
from landsat_fill.networks.weights import load_network, read_weights_file
from landsat_fill.training import USUAL_STEPS
from landsat_fill.training.dataset_writing import Cutting, write_dataset
from landsat_fill.training.loop import Ending
from landsat_fill.training.run import train
from landsat_fill.training.run_folder import RunFolder, save_network
from landsat_fill.training.settings import TrainingSettings, changed, read_run_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    SettingsFor = Callable[..., TrainingSettings]


def rows_of(folder: RunFolder) -> list[dict[str, str]]:
    with folder.log.open(newline="") as file:
        return list(csv.DictReader(file))


def same_weights(first: Path, second: Path) -> bool:
    one, other = load_file(first), load_file(second)
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(
    ("network", "objective"),
    [
        *[(name, {}) for name in ("band-unet", "unet", "partialconv")],
        ("convcnp", {"variance_power": 1.0}),
        ("convlnp", {"kind": "draws"}),
    ],
)
def test_the_loss_falls_and_the_files_are_there(
    network: str, objective: dict[str, Any], tmp_path: Path, settings_for: SettingsFor, recorder: Any
) -> None:
    folder = RunFolder(tmp_path / "run")
    settings = settings_for(
        network,
        objective=objective,
        budget={"steps": 50},
        validation={"every_steps": 25},
        data={"band_counts": [3]},
        optimiser={"learning_rate": 5e-3},
    )
    recorded = recorder()
    result = train(settings, folder, recorded)
    assert result.ending is Ending.BUDGET and result.progress.step == 50
    first, last = rows_of(folder)
    assert float(last["loss"]) < float(first["loss"])
    assert min(recorded.scores) == result.progress.best
    assert float(last["validation"]) == pytest.approx(recorded.scores[-1], rel=1e-4)
    for path in (folder.best, folder.last):
        _, weights = load_network(path)
        assert weights.network == network
        assert weights.facts["patch_px"] == "40"
        assert ("std_factor" in weights.facts) == (network in ("band-unet", "convcnp", "convlnp"))


@pytest.mark.parametrize("network", ["band-unet", "convlnp"])
def test_resuming_is_exact(network: str, tmp_path: Path, settings_for: SettingsFor, recorder: Any) -> None:
    settings = settings_for(network, validation={"every_steps": 2})
    whole, halves = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "halves")
    train(settings, whole, recorder())
    stopped = train(settings, halves, recorder(stop_after=3))
    assert stopped.ending is Ending.INTERRUPTED and stopped.progress.step == 3
    train(settings, halves, recorder(), resume=True)
    for name in ("best", "last"):
        assert same_weights(getattr(whole, name), getattr(halves, name))
    assert [row["step"] for row in rows_of(halves)] == ["2", "3", "4", "6"]


def test_a_run_begins_from_given_weights(tmp_path: Path, settings_for: SettingsFor, recorder: Any) -> None:
    first, second = RunFolder(tmp_path / "first"), RunFolder(tmp_path / "second")
    train(settings_for("unet"), first, recorder())
    given = read_weights_file(first.last)
    # Too slow to move: what is validated is what it began from.
    still = settings_for("unet", budget={"steps": 1}, optimiser={"learning_rate": 1e-12})
    recorded = recorder()
    train(replace(still, weights=str(first.last)), second, recorded)
    assert recorded.scores[0] == pytest.approx(float(given.facts["validation_error"]), abs=1e-4)
    came_from = read_weights_file(second.last).facts["began_from"]
    assert f"sha256:{given.sha256}, 6 steps in" in came_from
    # The network is the file's, and run.toml, which has both, can be resumed and run again.
    tables = read_run_file(second.settings)
    assert tables["weights"] == str(first.last) and tables["network"]["channels"] == 8


def test_a_larger_network_begins_as_the_smaller_one(tmp_path: Path, settings_for: SettingsFor, recorder: Any) -> None:
    """Blocks that are added say nothing until they have learned something."""
    first, second = RunFolder(tmp_path / "first"), RunFolder(tmp_path / "second")
    train(settings_for("band-unet"), first, recorder())
    given = read_weights_file(first.last)
    still = settings_for(
        "band-unet", network={"trunk_blocks": 3}, budget={"steps": 1}, optimiser={"learning_rate": 1e-12}
    )
    recorded = recorder()
    train(replace(still, weights=str(first.last)), second, recorded)
    assert recorded.scores[0] == pytest.approx(float(given.facts["validation_error"]), abs=1e-4)
    grown = read_weights_file(second.last)
    assert grown.settings["trunk_blocks"] == 3
    assert grown.facts["began_from"].endswith("with 4 layers added")


def test_a_smaller_network_begins_as_the_larger_one_without_its_last_blocks(
    tmp_path: Path, settings_for: SettingsFor, recorder: Any
) -> None:
    first, second = RunFolder(tmp_path / "first"), RunFolder(tmp_path / "second")
    deep = settings_for("band-unet", network={"trunk_blocks": 3, "exit_blocks": 2}, budget={"steps": 5})
    train(deep, first, recorder())
    still = settings_for(
        "band-unet",
        network={"trunk_blocks": 2, "exit_blocks": 1},
        budget={"steps": 1},
        optimiser={"learning_rate": 1e-12},
    )
    train(replace(still, weights=str(first.last)), second, recorder())
    small = read_weights_file(second.last)
    assert (small.settings["trunk_blocks"], small.settings["exit_blocks"]) == (2, 1)
    assert small.facts["began_from"].endswith("with 4 layers left out")
    before, after = load_file(first.last), load_file(second.last)
    for name, values in after.items():
        torch.testing.assert_close(values, before[name], atol=1e-6, rtol=0)
    assert not any(name.startswith(("trunk.2", "after.1")) for name in after)
    narrow = settings_for("band-unet", network={"channels": 4})
    with pytest.raises(UsageError, match=r"with channels 4, but .* has 8"):
        train(replace(narrow, weights=str(first.last)), RunFolder(tmp_path / "third"), recorder())


def test_a_standard_deviation_for_each_pixel_begins_from_one_for_all_pixels(
    tmp_path: Path, settings_for: SettingsFor, recorder: Any
) -> None:
    first, second = RunFolder(tmp_path / "first"), RunFolder(tmp_path / "second")
    train(settings_for("convlnp"), first, recorder())
    given = read_weights_file(first.last)
    switched = settings_for(
        "convlnp", network={"pixel_std": True}, budget={"steps": 1}, optimiser={"learning_rate": 1e-12}
    )
    recorded = recorder()
    train(replace(switched, weights=str(first.last)), second, recorded)
    assert recorded.scores[0] == pytest.approx(float(given.facts["validation_error"]), abs=1e-4)
    back = replace(settings_for("convlnp", network={"pixel_std": False}), weights=str(second.last))
    with pytest.raises(UsageError, match=r"with pixel_std False, but .* has True"):
        train(back, RunFolder(tmp_path / "third"), recorder())


def test_weights_of_another_network_are_refused(tmp_path: Path, settings_for: SettingsFor, recorder: Any) -> None:
    folder = RunFolder(tmp_path / "run")
    save_network(tmp_path / "given.safetensors", build_network("unet", {"channels": 8, "halvings": 2}))

    def refusal(settings: TrainingSettings) -> str:
        with pytest.raises(UsageError) as caught:
            train(replace(settings, weights=str(tmp_path / "given.safetensors")), folder, recorder())
        return caught.value.message

    assert "network partialconv" in refusal(settings_for("partialconv"))
    assert "channels 16" in refusal(settings_for("unet", network={"channels": 16}))
    assert "halvings 3" in refusal(settings_for("unet", network={"halvings": 3}))
    with pytest.raises(InputError, match="can't be read"):
        train(replace(settings_for("unet"), weights=str(tmp_path / "none.safetensors")), folder, recorder())
    assert not folder.path.exists()


def test_a_log_is_cut_to_the_checkpoint_it_goes_on_from(
    tmp_path: Path, settings_for: SettingsFor, recorder: Any
) -> None:
    folder = RunFolder(tmp_path / "run")
    train(settings_for(), folder, recorder(stop_after=3))
    checkpoint = folder.checkpoint.read_bytes()
    train(settings_for(), folder, recorder(), resume=True)
    folder.checkpoint.write_bytes(checkpoint)  # as if it had been killed before the last one
    train(settings_for(), folder, recorder(), resume=True)
    assert [row["step"] for row in rows_of(folder)] == ["3", "6"]


def test_a_row_that_a_kill_cut_off_is_dropped(tmp_path: Path, settings_for: SettingsFor, recorder: Any) -> None:
    folder = RunFolder(tmp_path / "run")
    train(settings_for(), folder, recorder(stop_after=3))
    with folder.log.open("a") as file:
        file.write("3,0.0")
    train(settings_for(), folder, recorder(), resume=True)
    assert [row["step"] for row in rows_of(folder)] == ["3", "6"]


def test_the_run_file_reproduces_the_run(tmp_path: Path, settings_for: SettingsFor, recorder: Any) -> None:
    first, again = RunFolder(tmp_path / "first"), RunFolder(tmp_path / "again")
    train(settings_for(seed=5), first, recorder())
    train(changed(TrainingSettings(), read_run_file(first.settings), "run.toml"), again, recorder())
    assert same_weights(first.last, again.last)
    other = RunFolder(tmp_path / "other")
    train(settings_for(seed=6), other, recorder())
    assert not same_weights(first.last, other.last)


def test_minutes_end_a_run_with_the_rate_gone(tmp_path: Path, settings_for: SettingsFor, recorder: Any) -> None:
    settings = settings_for(budget={"steps": 0, "minutes": 0.05}, validation={"every_steps": 1000})
    folder = RunFolder(tmp_path / "run")
    result = train(settings, folder, recorder())
    assert result.ending is Ending.BUDGET
    assert 0.05 <= result.progress.minutes < 0.2
    assert float(rows_of(folder)[-1]["learning_rate"]) < 0.05 * settings.optimiser.learning_rate


def test_patience_ends_a_run_that_gets_no_better(tmp_path: Path, settings_for: SettingsFor, recorder: Any) -> None:
    settings = settings_for(
        optimiser={"learning_rate": 0.0}, budget={"steps": 100}, validation={"every_steps": 1, "patience": 2}
    )
    result = train(settings, RunFolder(tmp_path / "run"), recorder())
    assert result.ending is Ending.PATIENCE and result.progress.step == 3


def test_a_loss_that_diverges_is_an_error(tmp_path: Path, settings_for: SettingsFor, recorder: Any) -> None:
    settings = settings_for(
        optimiser={"learning_rate": 1e30, "gradient_norm": 0.0, "warm_up_steps": 0},
        budget={"steps": 200},
        validation={"every_steps": 1000},
    )
    with pytest.raises(LandsatFillError, match="gradients"):
        train(settings, RunFolder(tmp_path / "run"), recorder())


def test_a_run_is_not_replaced_unasked(tmp_path: Path, settings_for: SettingsFor, recorder: Any) -> None:
    folder = RunFolder(tmp_path / "run")
    settings = settings_for(budget={"steps": 1})
    train(settings, folder, recorder())
    with pytest.raises(OutputError, match="has one"):
        train(settings, folder, recorder())
    train(settings, folder, recorder(), overwrite=True)


@pytest.mark.parametrize("left", [500])
def test_a_damaged_checkpoint_is_an_error(left: int, tmp_path: Path, settings_for: SettingsFor, recorder: Any) -> None:
    folder = RunFolder(tmp_path / "run")
    train(settings_for(), folder, recorder(stop_after=1))
    folder.checkpoint.write_bytes(folder.checkpoint.read_bytes()[:left])
    with pytest.raises(InputError, match="checkpoint"):
        train(settings_for(), folder, recorder(), resume=True)


def test_a_run_that_cannot_go_on_as_asked_stays_as_it_is(
    tmp_path: Path, settings_for: SettingsFor, recorder: Any
) -> None:
    folder = RunFolder(tmp_path / "run")
    train(settings_for(), folder, recorder(stop_after=1))
    before = folder.settings.read_bytes()
    with pytest.raises(UsageError, match=r"network\.name to stay 'unet'.*'convcnp'"):
        train(settings_for("convcnp"), folder, recorder(), resume=True)
    with pytest.raises(UsageError, match=r"network\.channels to stay 8.* 16"):
        train(settings_for(network={"channels": 16}), folder, recorder(), resume=True)
    with pytest.raises(UsageError, match="setting of the network unet, but got 'chanels'"):
        train(settings_for(network={"chanels": 16}), folder, recorder(), resume=True)
    with pytest.raises(UsageError, match="seed to stay 0"):
        train(settings_for(seed=7), folder, recorder(), resume=True)
    checkpoint = folder.checkpoint.read_bytes()
    folder.checkpoint.write_bytes(b"")
    with pytest.raises(InputError, match="checkpoint"):
        train(settings_for(budget={"steps": 7}), folder, recorder(), resume=True)
    folder.checkpoint.write_bytes(checkpoint)
    assert folder.settings.read_bytes() == before
    train(settings_for(), folder, recorder(), resume=True)


def test_a_run_goes_on_without_the_weights_it_began_from(
    tmp_path: Path, settings_for: SettingsFor, recorder: Any
) -> None:
    given = tmp_path / "given.safetensors"
    save_network(given, build_network("unet", {"channels": 8, "halvings": 2}))
    folder = RunFolder(tmp_path / "run")
    settings = replace(settings_for(), weights=str(given))
    train(settings, folder, recorder(stop_after=1))
    origin = read_weights_file(folder.last).facts["began_from"]
    given.unlink()
    train(settings, folder, recorder(), resume=True)
    assert read_weights_file(folder.last).facts["began_from"] == origin


def test_a_score_is_kept_over_a_break(tmp_path: Path, settings_for: SettingsFor, recorder: Any) -> None:
    folder = RunFolder(tmp_path / "run")
    settings = settings_for("convcnp", validation={"every_steps": 2})
    train(settings, folder, recorder(stop_after=2))
    before = read_weights_file(folder.last).facts
    train(settings, folder, recorder(stop_after=3), resume=True)
    after = read_weights_file(folder.last).facts
    assert (before["steps"], after["steps"]) == ("2", "3")
    for name in ("validated_step", "validation_error", "std_factor"):
        assert before[name] == after[name]
    assert after["validated_step"] == "2"


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path, settings_for: SettingsFor, recorder: Any) -> None:
    folder = RunFolder(tmp_path / "runs" / "one")
    with folder.claim(), pytest.raises(TakenError, match="is making it"):
        train(settings_for(), folder, recorder())
    train(settings_for(budget={"steps": 1}), folder, recorder())
    assert [path.name for path in folder.path.parent.iterdir()] == ["one"]


def test_a_run_killed_before_its_first_checkpoint_can_begin_again(
    tmp_path: Path, settings_for: SettingsFor, recorder: Any
) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.begin("seed = 3", resume=False, overwrite=False)
    train(settings_for(budget={"steps": 1}), folder, recorder())
    assert folder.checkpoint.exists()


def test_a_validation_error_that_is_not_finite_ends_a_run(
    tmp_path: Path, settings_for: SettingsFor, recorder: Any
) -> None:
    settings = settings_for(
        "convcnp", optimiser={"learning_rate": 1e6, "gradient_norm": 0.0, "warm_up_steps": 0}, budget={"steps": 40}
    )
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(LandsatFillError, match="falls"):
        train(settings, folder, recorder())
    assert not folder.best.exists()


def test_a_date_can_be_a_seed(tmp_path: Path, settings_for: SettingsFor, recorder: Any) -> None:
    first, second = (RunFolder(tmp_path / name) for name in ("first", "second"))
    for seed, folder in ((20240101, first), (20240102, second)):
        train(settings_for("convlnp", seed=seed, budget={"steps": 1}), folder, recorder())
    assert not same_weights(first.last, second.last)


def test_open_settings_are_chosen_and_written_to_the_run_file(
    tmp_path: Path, clean_scenes: list[str], settings_for: SettingsFor, recorder: Any
) -> None:
    """A run without a limit ends some time, and a sample is no larger than a dataset's patches."""
    scenes = [scene for one in find_inputs(clean_scenes)[0] for scene in open_input(one)]
    patches = tmp_path / "patches"
    write_dataset(scenes, [], patches, Cutting(size_px=56, stride_px=8), folds=2, command="a test")
    folder = RunFolder(tmp_path / "run")
    data = {"paths": [str(patches)], "size_px": 0}
    train(settings_for(data=data, budget={"steps": 0}), folder, recorder(stop_after=1))
    written = read_run_file(folder.settings)
    assert written["budget"]["steps"] == USUAL_STEPS
    assert written["data"]["size_px"] == 56
    halving = {"halvings": 4}
    train(settings_for(network=halving, data=data), folder, recorder(stop_after=1), overwrite=True)
    assert read_run_file(folder.settings)["data"]["size_px"] == 48


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"data": {"paths": []}}, "data"),
        ({"data": {"size_px": 36}}, "multiple"),
        ({"data": {"size_px": 32}, "objective": {"ms_ssim": 1.0}}, "MS-SSIM"),
        ({"objective": {"kind": "likelihood"}}, "standard deviation"),
        ({"objective": {"kind": "residual"}}, "corrects a fill"),
        ({"machine": {"device": "tpu"}}, "device"),
        ({"network": {"widht": 3}}, "widht"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    tables: dict[str, Any], said: str, tmp_path: Path, settings_for: SettingsFor, recorder: Any
) -> None:
    with pytest.raises(UsageError, match=said):
        train(settings_for(**tables), RunFolder(tmp_path / "run"), recorder())


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_gpu_that_is_not_there_is_never_replaced(tmp_path: Path, settings_for: SettingsFor, recorder: Any) -> None:
    with pytest.raises(UsageError, match="cuda"):
        train(settings_for(machine={"device": "cuda"}), RunFolder(tmp_path / "run"), recorder())
