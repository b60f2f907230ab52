from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from landsat_fill.errors import InputError, OutputError, UsageError
from landsat_fill.networks import weights
from landsat_fill.networks.catalogue import build_network, network_classes, settings_of
from landsat_fill.networks.weights import load_network, read_weights_file, shipped_file, shipped_names
from landsat_fill.schema import options_of
from landsat_fill.training.run_folder import save_network

if TYPE_CHECKING:
    from pathlib import Path

SMALL = {"channels": 8, "halvings": 2}


@pytest.fixture
def saved(tmp_path: Path) -> tuple[torch.nn.Module, Path]:
    torch.manual_seed(3)
    network = build_network("unet", SMALL).eval()
    path = tmp_path / "mine.safetensors"
    save_network(path, network, {"trained_on": "three places", "std_factor": "1.25"})
    return network, path


def with_header(text: str) -> bytes:
    return len(text).to_bytes(8, "little") + text.encode()


def metadata(**own: str) -> str:
    facts = {"format": "landsat-fill/1", "network": "unet", "settings": "{}", **own}
    return json.dumps({"__metadata__": facts})


@pytest.mark.parametrize("name", network_classes())
def test_a_network_is_built_again_from_its_name_and_settings(name: str) -> None:
    network = build_network(name)
    assert network.name == name
    again = build_network(name, settings_of(network))
    assert settings_of(again) == settings_of(network)
    assert again.settings == network.settings
    assert [p.shape for p in again.parameters()] == [p.shape for p in network.parameters()]


def test_settings_change_the_network() -> None:
    assert settings_of(build_network("unet", SMALL)) == {**settings_of(build_network("unet")), **SMALL}


@pytest.mark.parametrize(
    ("name", "settings", "said", "hint"),
    [
        ("u-net", {}, "the name of a network, but got 'u-net'", "Did you mean 'unet'"),
        ("unet", {"chanels": 3}, "a setting of the network unet, but got 'chanels'", "'channels'"),
        ("unet", {"channels": "8"}, "channels to be a whole number of at least 1, but got '8'", ""),
        ("convlnp", {"averaged": 1}, "averaged to be true or false, but got 1", ""),
        ("convcnp", {"kernel_px": 4}, "kernel_px to be an odd whole number of at least 1, but got 4", ""),
        ("convlnp", {"channels": 5}, "channels to be an even whole number of at least 2, but got 5", ""),
        ("unet", {"halvings": -1}, "halvings to be a whole number from 0 to 9, but got -1", ""),
        ("partialconv", {"halvings": 40}, "halvings to be a whole number from 1 to 9, but got 40", ""),
    ],
)
def test_what_the_catalogue_does_not_know_is_refused(name, settings, said, hint) -> None:
    with pytest.raises(UsageError, match=f"expected (the setting )?{said}") as caught:
        build_network(name, settings)
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("name", network_classes())
def test_a_network_of_the_least_settings_predicts(name: str) -> None:
    """What is allowed works: each whole number at its least."""
    known = options_of(network_classes()[name].settings_kind)
    network = build_network(name, {key: one.low for key, one in known.items() if one.low is not None}).eval()
    assert network.reach_px > 0
    signal, observed = torch.randn(1, 2, 8, 8), torch.ones(1, 2, 8, 8)
    assert network(signal, observed).mean.isfinite().all()


def test_what_is_saved_comes_back(saved) -> None:
    network, path = saved
    loaded, file = load_network(path)
    signal, observed = torch.randn(1, 3, 16, 16), torch.ones(1, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(loaded(signal, observed).mean, network(signal, observed).mean, rtol=0, atol=0)
    assert file.network == "unet"
    assert file.facts == {"trained_on": "three places", "std_factor": "1.25"}
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not loaded.training


def test_the_metadata_is_read_without_torch(saved) -> None:
    network, path = saved
    file = read_weights_file(path)
    assert (file.network, file.name) == ("unet", "mine")
    assert file.settings == settings_of(network)
    assert file.parameters == sum(p.numel() for p in network.parameters())
    assert (file.reach_px, file.size_multiple_px) == (network.reach_px, network.size_multiple_px)
    assert file.std_factor == 1.25
    assert file.size_bytes == path.stat().st_size


@pytest.mark.parametrize("factor", ["", "one", "0", "-1.2", "nan", "inf"])
def test_an_invalid_standard_deviation_factor_is_refused(saved, factor) -> None:
    network, path = saved
    save_network(path, network, {"std_factor": factor})
    with pytest.raises(InputError, match=f"its std_factor is {factor!r}"):
        _ = read_weights_file(path).std_factor


def test_the_same_weights_are_the_same_bytes(saved, tmp_path) -> None:
    network, path = saved
    other = tmp_path / "other.safetensors"
    save_network(other, network, {"std_factor": "1.25", "trained_on": "three places"})
    assert other.read_bytes() == path.read_bytes()


def test_other_programs_read_the_file(saved) -> None:
    from safetensors import safe_open

    _, path = saved
    with safe_open(path, "numpy") as file:
        assert file.metadata()["network"] == "unet"
        assert all(np.isfinite(file.get_tensor(key)).all() for key in file.keys())  # noqa: SIM118


def test_weights_of_half_precision_are_converted(saved, tmp_path) -> None:
    network, _ = saved
    path = tmp_path / "half.safetensors"
    save_network(path, build_network("unet", SMALL).half())
    assert path.stat().st_size < 0.6 * sum(4 * p.numel() for p in network.parameters())
    assert all(p.dtype == torch.float32 for p in load_network(path)[0].parameters())


def test_nothing_is_left_of_a_file_that_could_not_be_written(saved, tmp_path) -> None:
    network, _ = saved
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(OutputError, match="expected to write"):
        save_network(tmp_path / "folder.safetensors", network)
    assert not list(tmp_path.glob(".*"))


def test_a_changed_file_is_refused(saved) -> None:
    _, path = saved
    content = bytearray(path.read_bytes())
    sha256 = hashlib.sha256(content).hexdigest()
    assert load_network(path, expected_sha256=sha256)[1].sha256 == sha256
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"to have the sha256 {sha256}, but it has"):
        load_network(path, expected_sha256=sha256)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it isn't a safetensors file"),
        (b"II*\0 a TIFF, say, that somebody named wrongly", "it isn't a safetensors file"),
        (with_header("[1] "), "it isn't a safetensors file"),
        (with_header("{}"), "it has another format"),
        (with_header('{"__metadata__":{"format":"landsat-fill/1"}}'), "its metadata is wrong: 'network'"),
        (with_header(metadata(reach_px="-1", size_multiple_px="4")), "its reach_px is -1"),
        (with_header(metadata(reach_px="9", size_multiple_px="0")), "its size_multiple_px is 0"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, content, said) -> None:
    path = tmp_path / "odd.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_weights_file(path)
    with pytest.raises(InputError, match=said):
        load_network(path)


def test_a_file_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(InputError, match=r"expected a file of weights at .*none\.safetensors"):
        read_weights_file(tmp_path / "none.safetensors")


def test_a_truncated_file_is_refused(saved) -> None:
    _, path = saved
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"expected weights of the network unet in .*, but they don't fit it"):
        load_network(path)


@pytest.mark.parametrize("number", [np.nan, np.inf, 1e300])
def test_weights_that_are_no_numbers_are_refused(saved, number) -> None:
    network, path = saved
    network.double().exit.bias.data[1] = number  # 1e300 is infinite in single precision
    save_network(path, network)
    with pytest.raises(InputError, match=r"expected finite numbers in .*mine.*, but exit\.bias has others"):
        load_network(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tensors: tensors.pop("exit.bias"), "exit.bias is missing"),
        (lambda tensors: tensors.update(more=torch.zeros(1)), "the network has no more"),
        (
            lambda tensors: tensors.update({"exit.bias": torch.zeros(9)}),
            r"exit.bias should have the shape \(6,\), and has \(9,\)",
        ),
    ],
)
def test_the_first_tensor_that_does_not_fit_is_named(saved, change, said) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    _, path = saved
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata)
    with pytest.raises(InputError, match=f"but they don't fit it: {said}$"):
        load_network(path)


def test_what_is_loaded_is_what_was_verified(saved, monkeypatch) -> None:
    """The file is read once: nobody can put another in its place between."""
    _, path = saved
    reads = []
    read_bytes = type(path).read_bytes
    monkeypatch.setattr(type(path), "read_bytes", lambda own: reads.append(own) or read_bytes(own))
    assert load_network(path)[1].sha256 == hashlib.sha256(read_bytes(path)).hexdigest()
    assert reads == [path]


def test_shipped_weights_are_found_and_verified(tiny_models) -> None:
    names = "band-unet convcnp convlnp-64 convlnp-128 partialconv unet"
    assert set(shipped_names()) == set(names.split())
    assert shipped_file("convlnp-64").network == "convlnp"


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: (folder / "unet.safetensors").unlink(), "expected the weights unet.safetensors in"),
        (lambda folder: (folder / "unet.safetensors").write_bytes(b"x"), "to have the sha256"),
        (lambda folder: (folder / "SHA256SUMS").unlink(), "expected a line for unet.safetensors"),
    ],
)
def test_damaged_shipped_weights_are_refused(tiny_folder, tmp_path, monkeypatch, harm, said) -> None:
    for path in tiny_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(weights, "shipped_folder", lambda: tmp_path)
    harm(tmp_path)
    with pytest.raises(InputError, match=said):
        shipped_file("unet")
    assert "unet" in shipped_names()


def test_without_torch_the_error_has_a_hint(saved, monkeypatch) -> None:
    import sys

    from landsat_fill.errors import MissingPackageError

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingPackageError, match="expected the package torch") as caught:
        build_network("unet")
    assert "pip install torch" in str(caught.value.hint)
    with pytest.raises(MissingPackageError):
        load_network(saved[1])
    assert read_weights_file(saved[1]).network == "unet"
