"""Fits hourglass networks to observed pixels: Adam, held-out error, moving average, backtracking."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landsat_fill.methods.learned import noise_at
from landsat_fill.networks.catalogue import import_torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor


CHECK_ITERATIONS = 10
"""Iterations between two checks of the held-out error."""

KEPT_ITERATIONS = 50
"""Iterations between two saved states, from which a killed run resumes: a few seconds."""

DIVERGED = 3.0
"""A fit whose error grows by this factor between two checks returns to its earlier weights: 5 dB, as in the
authors' code (https://github.com/DmitryUlyanov/deep-image-prior)."""

INPUT_SPREAD = 0.1
"""The input is uniform noise between 0 and this. Source: Petrovskaia et al. 2020, section 2.4."""


@dataclass(frozen=True, slots=True)
class FitSettings:
    """Structure, optimisation and use of the networks.

    Attributes:
        channels: Filters at each depth.
        skip_channels: Filters of the skip connections; 0 for none.
        scales: How often the image is halved.
        skips: Number of depths with a skip connection.
        sigmoid: Whether a sigmoid limits the output to the range of the observed pixels.
        input: `noise` or `meshgrid`.
        input_channels: Channels of the noise.
        input_noise: Standard deviation of the noise added to the input at each iteration.
        iterations: Largest number of iterations.
        learning_rate: Learning rate of Adam.
        anneal: Whether the learning rate rises at the beginning and falls to 0 at the end.
        warm_share: Share of the iterations in which the interpolated gaps are fitted, too.
        average: Weight of the past in the moving average of the output.
        patience_share: Share of the iterations without a lower held-out error after which a fit ends.
        runs: Number of networks that are averaged.
        blend: Whether smooth surfaces are blended in.
    """

    channels: int
    skip_channels: int
    scales: int
    skips: int
    sigmoid: bool
    input: str
    input_channels: int
    input_noise: float
    iterations: int
    learning_rate: float
    anneal: bool
    warm_share: float
    average: float
    patience_share: float
    runs: int
    blend: bool

    @property
    def warm_iterations(self) -> int:
        """Iterations in which the interpolated gaps are fitted."""
        return round(self.warm_share * self.iterations)

    def rate_at(self, iteration: int) -> float:
        """Return the learning rate."""
        if not self.anneal:
            return self.learning_rate
        rise, fall = 0.15 * self.iterations, 0.4 * self.iterations
        return self.learning_rate * min(1, (iteration + 1) / rise, (self.iterations - iteration) / fall)


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """The data that one network is fitted to. Arrays are `(band, row, col)`, padded to suit the network.

    Attributes:
        number: Number of the fit in its tile.
        corner: Row and column of the tile in the scene.
        target: Normalised values, 0 outside the usable pixels.
        fitted: Usable pixels that aren't held out.
        held: Held-out pixels.
        first: Interpolation of the fitted pixels, or None for a start without it.
    """

    number: int
    corner: tuple[int, int]
    target: NDArray[np.float32]
    fitted: NDArray[np.bool_]
    held: NDArray[np.bool_]
    first: NDArray[np.float32] | None


class FitsInProgress:
    """Several independent fits of one shape, computed together."""

    def __init__(self, fits: Sequence[Fit], settings: FitSettings, *, seed: int, device: str, bfloat16: bool) -> None:
        """Build the networks. All fits have one shape; `bfloat16` is the precision of the products."""
        torch = import_torch()
        from landsat_fill.networks.hourglass import Hourglasses, HourglassSettings

        self._settings, self._device, self._bfloat16 = settings, device, bfloat16
        bands, height, width = fits[0].target.shape
        self._input = _input(fits, settings, seed, (height, width), device)
        build = HourglassSettings(
            inputs=self._input.shape[1] // len(fits),
            outputs=bands,
            channels=settings.channels,
            skip_channels=settings.skip_channels,
            scales=settings.scales,
            skips=settings.skips,
            sigmoid=settings.sigmoid,
        )
        seeds = [_seed(seed, fit.number) for fit in fits]
        # Channels last is faster on a CPU, but not for grouped convolutions on a GPU.
        layout = {"memory_format": torch.channels_last} if device == "cpu" else {}
        self._network = Hourglasses(build, seeds).to(device, **layout)
        self._optimiser = torch.optim.Adam(self._network.parameters(), lr=settings.learning_rate, fused=True)
        self._noise = [torch.Generator(device).manual_seed(_seed(seed, fit.number, *fit.corner)) for fit in fits]

        def stacked(arrays: Sequence[NDArray[Any]]) -> Tensor:
            tensor: Tensor = torch.from_numpy(np.stack(arrays).astype(np.float32)).to(device)
            return tensor

        self._target = stacked([fit.target for fit in fits])  # (F, B, H, W)
        self._fitted = stacked([fit.fitted for fit in fits])
        self._held = stacked([fit.held for fit in fits])
        warm = [fit.first for fit in fits if fit.first is not None]
        self._first = stacked(warm) if len(warm) == len(fits) else None
        count = len(fits)
        self._iteration = 0
        self._average = torch.zeros_like(self._target)
        self._best = torch.zeros_like(self._target)
        self._best_error = torch.full((count,), math.inf, device=device)
        self._best_iteration = torch.zeros(count, device=device)
        self._good = [parameter.detach().clone() for parameter in self._network.parameters()]
        self._good_error = torch.full((count,), math.inf, device=device)
        self._has_held = self._held.flatten(1).any(1)

    def run(
        self, report: Callable[[float, float], None] | None = None, keep: Callable[[bytes], None] | None = None
    ) -> None:
        """Run all fits to their end.

        `report` is called with the share of iterations done and the mean held-out error; `keep` is called with
        the state, for `resume`, every `KEPT_ITERATIONS`.
        """
        torch = import_torch()
        settings = self._settings
        patience = max(settings.patience_share * settings.iterations, 2 * CHECK_ITERATIONS)
        with torch.enable_grad():
            while self._iteration < settings.iterations:
                error = self._step()
                at_end = self._iteration == settings.iterations
                if not at_end and self._iteration % CHECK_ITERATIONS:
                    continue
                self._check(error)
                if report is not None:
                    report(self._iteration / settings.iterations, self.held_error)
                # Before the learning rate falls, a plateau means little.
                behind = self._iteration - self._best_iteration
                late = self._iteration > 0.5 * settings.iterations
                if late and bool((behind > patience).all()) and bool(self._has_held.all()):
                    break
                if keep is not None and not at_end and self._iteration % KEPT_ITERATIONS == 0:
                    keep(self.state())

    @property
    def best(self) -> NDArray[np.float32]:
        """The averaged output with the lowest held-out error: `(fit, band, row, col)`.

        It is rounded to half precision, a thousandth of the bands' standard deviation, as it is stored.
        """
        best: NDArray[np.float16] = self._best.cpu().numpy().astype(np.float16)
        return best.astype(np.float32)

    @property
    def held_error(self) -> float:
        """Lowest mean squared error of the held-out pixels, mean over the fits; NaN without such pixels."""
        known = self._best_error[self._has_held]
        return float(known.mean()) if len(known) else math.nan

    def state(self) -> bytes:
        """Return the state of the fits, for `resume`."""
        torch = import_torch()
        content = io.BytesIO()
        state = {name: getattr(self, name) for name in _STATE}
        state |= {
            "network": self._network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "noise": [generator.get_state() for generator in self._noise],
        }
        torch.save(state, content)
        return content.getvalue()

    def resume(self, state: bytes) -> None:
        """Continue from a state of the same fits, with exactly the same result as without a break."""
        torch = import_torch()
        found = torch.load(io.BytesIO(state), map_location=self._device, weights_only=True)
        self._network.load_state_dict(found["network"])
        self._optimiser.load_state_dict(found["optimiser"])
        for generator, was in zip(self._noise, found["noise"], strict=True):
            generator.set_state(was.cpu())  # the state of a GPU generator is a CPU tensor, too
        for name in _STATE:
            setattr(self, name, found[name])

    def _step(self) -> Tensor:
        """Run an iteration, and return each fit's mean squared error before it."""
        torch = import_torch()
        settings = self._settings
        for group in self._optimiser.param_groups:
            group["lr"] = settings.rate_at(self._iteration)
        kind = self._device.partition(":")[0]
        with (
            torch.autocast(kind, torch.bfloat16, enabled=self._bfloat16),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
        ):
            output = self._network(self._disturbed_input())
        target, weight = self._target, self._fitted
        if self._first is not None and self._iteration < settings.warm_iterations:
            target, weight = self._first, torch.ones_like(weight)
        squares = ((output - target).square() * weight).flatten(1).sum(1)
        error = squares / weight.flatten(1).sum(1).clamp_min(1)
        self._optimiser.zero_grad()
        error.sum().backward()
        self._optimiser.step()
        self._iteration += 1
        # Corrected for the initial zeros, like Adam's moments.
        past = min(settings.average, 1 - 1 / self._iteration)
        self._average.lerp_(output.detach(), 1 - past)
        before: Tensor = error.detach()
        return before

    def _disturbed_input(self) -> Tensor:
        torch = import_torch()
        if not self._settings.input_noise:
            return self._input
        count = len(self._noise)
        _, channels, height, width = self._input.shape
        shape = (1, channels // count, height, width)
        drawn = [torch.randn(shape, generator=one, device=self._device) for one in self._noise]
        noise = drawn[0] if count == 1 else torch.cat(drawn, 1)
        disturbed: Tensor = torch.add(self._input, noise, alpha=self._settings.input_noise)
        return disturbed

    def _check(self, error: Tensor) -> None:
        """Keep outputs with a lower held-out error, and restore the weights of diverged fits."""
        torch = import_torch()
        held_error = self._error_of(self._average, self._held)
        # Without held-out pixels, take the latest output.
        better = (held_error < self._best_error) | ~self._has_held
        better &= torch.tensor(self._iteration > self._settings.warm_iterations, device=better.device)
        if self._iteration == self._settings.iterations:
            better |= self._best_iteration == 0
        self._best = torch.where(better[:, None, None, None], self._average, self._best)
        self._best_error = torch.where(better, held_error, self._best_error)
        self._best_iteration = torch.where(
            better, torch.full_like(self._best_iteration, self._iteration), self._best_iteration
        )
        diverged = ~(error < DIVERGED * self._good_error) & (self._good_error < math.inf)
        with torch.no_grad():
            for parameter, good in zip(self._network.parameters(), self._good, strict=True):
                # Each network has its own range of filters in each parameter.
                back = diverged.repeat_interleave(len(parameter) // len(error))
                back = back.view(-1, *[1] * (parameter.ndim - 1))
                parameter.copy_(torch.where(back, good, parameter))
                good.copy_(parameter)
        self._good_error = torch.where(diverged, self._good_error, error)

    def _error_of(self, output: Tensor, where: Tensor) -> Tensor:
        """Return each fit's mean squared error over some pixels; 0 if there are none."""
        squares = ((output - self._target).square() * where).flatten(1).sum(1)
        return squares / where.flatten(1).sum(1).clamp_min(1)


_STATE = ("_iteration", "_average", "_best", "_best_error", "_best_iteration", "_good", "_good_error")
"""Attributes that belong to the state, in addition to the network, the optimiser and the noise."""


def _input(fits: Sequence[Fit], settings: FitSettings, seed: int, size: tuple[int, int], device: str) -> Tensor:
    """Return the inputs of all networks, `(1, fit * channel, row, col)`."""
    torch = import_torch()
    if settings.input == "meshgrid":
        height, width = size
        cols, rows = np.meshgrid(np.arange(width) / width, np.arange(height) / height)
        mesh = torch.from_numpy(np.stack([cols, rows]).astype(np.float32)).to(device)
        channels = mesh.repeat(len(fits), 1, 1)[None]
    else:
        # The noise depends on the position, so that neighbouring tiles start alike where they overlap.
        normal = [
            noise_at([fit.corner], size, range(fit.number, fit.number + 1), settings.input_channels, seed, device)
            for fit in fits
        ]
        uniform = 0.5 * INPUT_SPREAD * (1 + torch.erf(torch.cat(normal) / math.sqrt(2)))
        channels = uniform.flatten(0, 2)[None]
    layout = torch.channels_last if device == "cpu" else torch.contiguous_format
    found: Tensor = channels.contiguous(memory_format=layout)
    return found


def _seed(*parts: int) -> int:
    """Return a seed of 63 bits, the most that torch takes."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0]) >> 1
