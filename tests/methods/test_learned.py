"""What learned methods promise beside the contract of all methods."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
import torch

from landsat_fill.errors import InputError, MethodError, UsageError
from landsat_fill.methods import Context, MethodInfo, TilePlace, create_method, learned, method_classes
from landsat_fill.methods.learned import LearnedMethod
from landsat_fill.networks.catalogue import build_network
from landsat_fill.networks.normalisation import standardise
from landsat_fill.networks.unet import UNet
from landsat_fill.pipeline.arrays import fill_array
from landsat_fill.pipeline.tiles import fill_tiles
from landsat_fill.scene import Gaps, Window
from landsat_fill.training.run_folder import save_network

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("tiny_models")

NAMES = [name for name, cls in method_classes().items() if issubclass(cls, LearnedMethod)]


def scene(bands: int = 2, height: int = 64, width: int = 96, seed: int = 0) -> tuple[np.ndarray, Gaps]:
    generator = np.random.default_rng(seed)
    rows, cols = np.mgrid[:height, :width]
    planes = [90 + 40 * np.sin(rows / (6 + band)) + 30 * np.cos(cols / 9 + band) for band in range(bands)]
    image = (np.stack(planes) + generator.normal(0, 3, (bands, height, width))).astype(np.float32)
    missing = np.stack([(rows + cols // 6 - band) % 33 < 9 for band in range(bands)])
    return image, Gaps(missing, ~missing)


def exact(name: str, **options: object) -> LearnedMethod:
    method = create_method(name, {"precision": "float32", **options})
    assert isinstance(method, LearnedMethod)
    return method


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bands", [1, 8])
def test_any_number_of_bands_is_filled(name, bands) -> None:
    image, gaps = scene(bands, 32, 40)
    filled = fill_array(image, gaps, exact(name)).mean
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[gaps.usable], image[gaps.usable])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("gain", "offset"), [(2.75e-5, -0.2), (300.0, 7000.0)])
def test_gain_and_offset_cancel_out(name, gain, offset) -> None:
    image, gaps = scene()
    method = exact(name)
    expected = fill_array(image.astype(np.float64), gaps, method)
    scaled = fill_array(image.astype(np.float64) * gain + offset, gaps, method)
    np.testing.assert_allclose((scaled.mean - offset) / gain, expected.mean, atol=1e-3)
    if expected.std is not None and scaled.std is not None:
        np.testing.assert_allclose(scaled.std / gain, expected.std, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_strips_of_aligned_height_give_the_whole(name, tmp_path) -> None:
    """A tile deep in the scene gives what it gives in a larger one, halo and all."""
    image, gaps = scene(1, 512, 64)
    method = exact(name)
    if name == "convlnp":
        method = exact(name, weights=str(without_averages(method, tmp_path)))
    info = method.info
    whole = fill_tiles(image, gaps, Window(0, 0, 512, 64), method, Context())
    rows = 4 * info.align_px
    top = 512 // 2 - (512 // 2) % info.align_px
    outer = Window(top, 0, rows, 64).expanded(info.halo_px, 512, 64)
    part = Gaps(gaps.missing[:, *outer.slices], gaps.usable[:, *outer.slices])
    inner = Window(top, 0, rows, 64).within(outer)
    found = fill_tiles(image[:, *outer.slices], part, inner, method, Context(), origin=(outer.row, 0))
    # The standard deviations in the normalisation reach a little beyond the declared halo, so the match isn't exact.
    np.testing.assert_allclose(found.mean, whole.mean[:, top : top + rows], atol=0.5)


def without_averages(method: LearnedMethod, folder: Path) -> Path:
    """Return tiny weights of a ConvLNP that looks at nothing but a pixel's neighbourhood."""
    torch.manual_seed(2)
    settings = {**method.file.settings, "averaged": False, "pixel_std": True}
    network = build_network("convlnp", settings)
    path = folder / "local.safetensors"
    save_network(path, network)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_is_near(name) -> None:
    image, gaps = scene()
    expected = fill_array(image, gaps, exact(name)).mean
    found = fill_array(image, gaps, exact(name, precision="bfloat16")).mean
    assert np.abs(found - expected).max() < 0.05 * image.std() + 0.02 * np.abs(expected - image.mean()).max()


def test_own_weights_bring_their_own_network(tmp_path) -> None:
    path = tmp_path / "mine.safetensors"
    network = build_network("unet", {"channels": 4, "halvings": 4})
    save_network(path, network)
    method, shipped = exact("unet", weights=str(path)), exact("unet")
    assert method.info.halo_px > shipped.info.halo_px
    assert method.info.align_px == 16
    assert method.info.halo_px % 16 == 0
    assert method.info.weights is not None
    assert method.info.weights.startswith("mine.safetensors sha256:")
    assert type(method).info.weights is None
    image, gaps = scene(1, 40, 50)
    assert np.isfinite(fill_array(image, gaps, method).mean).all()


def test_weights_of_another_network_are_refused(tiny_models) -> None:
    with pytest.raises(UsageError, match=r"expected weights of the network unet, but .* holds convcnp") as caught:
        create_method("unet", {"weights": str(tiny_models / "convcnp.safetensors")})
    assert caught.value.hint == "Run them with -m convcnp."


def test_weights_of_a_network_of_another_version_are_refused(tiny_models, tmp_path) -> None:
    path = tmp_path / "new.safetensors"
    path.write_bytes((tiny_models / "unet.safetensors").read_bytes().replace(b'"unet"', b'"nope"'))
    with pytest.raises(UsageError, match="holds nope") as caught:
        create_method("unet", {"weights": str(path)})
    assert caught.value.hint == "This version of landsat-fill has no method nope."


def test_weights_that_are_not_there_are_refused() -> None:
    with pytest.raises(InputError, match=r"expected a file of weights at nowhere\.safetensors"):
        create_method("unet", {"weights": "nowhere.safetensors"})


def test_a_precision_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="expected --precision to be one of auto, float32, bfloat16, but got 'half'"):
        create_method("unet", {"precision": "half"})


def test_a_method_travels_to_another_process_without_its_network() -> None:
    method = exact("convcnp")
    image, gaps = scene(1, 32, 32)
    expected = fill_array(image, gaps, method).mean
    content = pickle.dumps(method)
    assert len(content) < 3000
    again = pickle.loads(content)
    assert again == method
    assert again.info == method.info
    np.testing.assert_array_equal(fill_array(image, gaps, again).mean, expected)


def test_weights_are_loaded_once(monkeypatch) -> None:
    monkeypatch.setattr(learned, "_RUNNERS", {})
    loaded = []
    load = learned.load_network

    def counting(*given, **named):
        loaded.append(given)
        return load(*given, **named)

    monkeypatch.setattr(learned, "load_network", counting)
    image, gaps = scene(1, 32, 32)
    for _ in range(3):
        fill_array(image, gaps, exact("unet"))
    assert len(loaded) == 1


def test_weights_that_changed_since_are_refused(tmp_path) -> None:
    path = tmp_path / "mine.safetensors"
    save_network(path, build_network("unet", {"channels": 4, "halvings": 1}))
    method = exact("unet", weights=str(path))
    save_network(path, build_network("unet", {"channels": 4, "halvings": 1}))
    image, gaps = scene(1, 32, 32)
    with pytest.raises(InputError, match="to have the sha256"):
        fill_array(image, gaps, method)


def test_the_deviation_is_multiplied_by_the_measured_factor(tmp_path) -> None:
    network = build_network("convcnp", {"channels": 4, "blocks": 1})
    image, gaps = scene(1, 32, 32)
    found = []
    for factor in ("1", "2"):
        path = tmp_path / f"{factor}.safetensors"
        save_network(path, network, {"std_factor": factor})
        found.append(fill_array(image, gaps, exact("convcnp", weights=str(path))).std)
    np.testing.assert_allclose(found[1], 2 * found[0], rtol=1e-5)
    assert found[0][gaps.missing].min() > 0


class Greedy:
    """A network that fits into memory with at most so many tiles."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.asked: list[int] = []

    def __call__(self, tiles: slice) -> None:
        count = tiles.stop - tiles.start
        self.asked.append(count)
        if count > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")


def runner(device: str = "cuda:0") -> learned.Runner:
    return learned.Runner(torch.nn.Identity(), device, bfloat16=False)


def test_memory_that_runs_out_halves_the_batch_aloud() -> None:
    one, work, warnings = runner(), Greedy(2), []
    one.in_batches(7, work, warnings.append)
    assert work.asked == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    assert len(warnings) == 2
    assert warnings[0].startswith("warning: 7 tiles at once don't fit into the memory of cuda:0: continuing with 3")
    one.in_batches(2, work, warnings.append)
    assert work.asked[-2:] == [1, 1]
    assert len(warnings) == 2


def test_a_card_runs_with_cudnn_alike_at_every_run() -> None:
    flags = torch.backends.cudnn
    before = flags.enabled, flags.benchmark, flags.deterministic, flags.allow_tf32
    with runner().running():
        assert (flags.enabled, flags.benchmark, flags.deterministic, flags.allow_tf32) == (
            True, False, True, False,
        )  # fmt: skip
    assert (flags.enabled, flags.benchmark, flags.deterministic, flags.allow_tf32) == before


def test_a_cpu_works_each_tile_alone() -> None:
    asked = []
    runner("cpu").in_batches(5, asked.append, lambda _note: None)
    assert asked == [slice(tile, tile + 1) for tile in range(5)]


def test_only_what_the_wanted_part_depends_on_is_asked_for(tiny_models) -> None:
    """The rest of a tile is halo; what is wanted comes out as if all had been asked for."""
    generator = np.random.default_rng(3)
    image = generator.normal(100, 20, (2, 3, 304, 304)).astype(np.float32)
    missing = np.zeros(image.shape, bool)
    missing[..., ::9, :] = True
    gaps = Gaps(missing=missing, usable=~missing)
    method = create_method("band-unet", {"precision": "float32"})
    wanted = Window(136, 128, 40, 48)
    whole = method.fill(image, gaps, Context())
    part = method.fill(image, gaps, Context(tiles=(TilePlace(wanted=wanted),) * 2))
    inner = (..., *wanted.slices)
    np.testing.assert_allclose(part.mean[inner], whole.mean[inner], rtol=1e-6)
    np.testing.assert_allclose(part.std[inner], whole.std[inner], rtol=1e-6)
    assert (part.mean[..., :8, :8] == image[..., :8, :8]).all()


def test_a_tile_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(MethodError, match="expected a tile to fit into the memory of cuda:0") as caught:
        runner().in_batches(2, Greedy(0), lambda _note: None)
    assert "--device cpu" in str(caught.value.hint)


def test_a_full_memory_of_the_cpu_is_said_alike() -> None:
    def work(_tiles: slice) -> None:
        torch.empty(2**60, dtype=torch.uint8)

    with pytest.raises(MethodError, match="expected a tile to fit into the memory of cpu"):
        runner("cpu").in_batches(1, work, lambda _note: None)


def test_another_error_of_torch_is_no_lack_of_memory() -> None:
    def work(_tiles: slice) -> None:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        runner().in_batches(4, work, lambda _note: None)


def test_a_first_fill_is_what_the_network_is_given(monkeypatch) -> None:
    given = {}

    @dataclass(frozen=True)
    class Completed(LearnedMethod):
        info: ClassVar[MethodInfo] = replace(method_classes()["unet"].info)
        network: ClassVar[str] = "unet"

        def predict(self, network, signal, observed, context):
            given["signal"], given["observed"] = signal, observed
            return super().predict(network, signal, observed, context)

    image, gaps = scene(1, 30, 30)
    monkeypatch.setattr(UNet, "starts_filled", True)
    monkeypatch.setattr(learned, "first_fill", lambda values, usable, _: np.where(usable, values, np.float32(0.5)))
    fill_array(image, gaps, Completed(precision="float32"))
    signal, observed = given["signal"], given["observed"]
    assert signal.shape[2:] == (32, 32)
    assert (observed[..., 30:, :] == 0).all()
    assert (signal[observed == 0] != 0).all()


def test_levelling_keeps_the_digits_of_a_large_offset() -> None:
    image, gaps = scene()
    far = image.astype(np.float64) + 2.0**31
    levelled = standardise(far[None], gaps.usable[None], threads=2)
    near = standardise(image.astype(np.float64)[None], gaps.usable[None], threads=1)
    np.testing.assert_allclose(levelled.values, near.values, atol=1e-4)
    assert (levelled.values[~gaps.usable[None]] == 0).all()
    back = levelled.restored(levelled.values, np.dtype(np.float64))
    np.testing.assert_allclose(back[gaps.usable[None]], far[gaps.usable], atol=1e-4)
