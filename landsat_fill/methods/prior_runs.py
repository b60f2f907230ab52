"""Works fits off: on a card as many at once as its memory holds, on a CPU one a thread; keeps the output."""

from __future__ import annotations

import hashlib
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import MethodError
from landsat_fill.methods.inference import is_lack_of_memory
from landsat_fill.methods.prior_fit import Fit, FitSettings, FitsInProgress
from landsat_fill.networks.torch_package import import_torch
from landsat_fill.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from landsat_fill.methods.interface import Context


@dataclass(slots=True)
class PriorRuns:
    """Runs fits with one setting.

    Attributes:
        settings: How hourglasses are built and fitted.
        bfloat16: Whether products are taken in bfloat16.
        context: Threads, device, seed, shelf and progress.
    """

    settings: FitSettings
    bfloat16: bool
    context: Context
    _shares: dict[int, float] = field(default_factory=dict)
    _errors: dict[int, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _count: int = 0

    def outputs(self, fits: Sequence[Fit]) -> list[NDArray[np.float32]]:
        """Return the output of each fit, `(band, row, col)`.

        Args:
            fits: Of one shape.

        Raises:
            MethodError: If the device's memory doesn't hold a single one.
        """
        self._count = len(fits)
        if self.context.device == "cpu":
            return self._on_cpu(fits)
        return self._on_card(fits)

    def _on_cpu(self, fits: Sequence[Fit]) -> list[NDArray[np.float32]]:
        torch = import_torch()
        # A fit a thread: no result depends on their number, and small convolutions don't share well.
        torch.set_num_threads(1)
        with ThreadPoolExecutor(
            self.context.threads, initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            working = [pool.submit(self._together, [fit], number) for number, fit in enumerate(fits)]
            try:
                return [one.result()[0] for one in working]
            except BaseException:
                for one in working:
                    one.cancel()
                raise

    def _on_card(self, fits: Sequence[Fit]) -> list[NDArray[np.float32]]:
        torch = import_torch()
        outputs: list[NDArray[np.float32]] = []
        at_once = len(fits)
        while len(outputs) < len(fits):
            start = len(outputs)
            try:
                outputs += self._together(fits[start : start + at_once], start)
                continue
            except RuntimeError as error:
                if not is_lack_of_memory(error):
                    raise
                if at_once == 1:
                    raise MethodError(
                        f"expected a tile to fit into the memory of {self.context.device}, but it is full",
                        hint="end other programs that use it, give fewer --bands, or --device cpu",
                    ) from error
            # Outside of the except clause, which would keep what filled the memory alive.
            at_once = -(-at_once // 2)
            torch.cuda.empty_cache()
            self.context.tell(
                f"warning: {2 * at_once} fits at once don't fit into the memory of {self.context.device}: "
                f"going on with {at_once}"
            )
        return outputs

    def _together(self, fits: Sequence[Fit], number: int) -> list[NDArray[np.float32]]:
        """Return the outputs of fits that are worked side by side, or were in a run before."""
        shelf = self.context.shelf
        name = self._name_of(fits) if shelf is not None else ""
        done = shelf.get(f"{name}.npy") if shelf is not None else None
        if done is not None:
            self._tell(number, len(fits), 1.0, float("nan"))
            return list(np.load(io.BytesIO(done), allow_pickle=False).astype(np.float32))
        work = FitsInProgress(
            fits,
            self.settings,
            seed=self.context.seed,
            device=self.context.device,
            bfloat16=self.bfloat16,
        )
        state = shelf.get(f"{name}.state") if shelf is not None else None
        if state is not None:
            work.resume(state)
        work.run(
            tell=lambda share, error: self._tell(number, len(fits), share, error),
            keep=None if shelf is None else partial(shelf.put, f"{name}.state"),
        )
        best = work.best
        if shelf is not None:
            content = io.BytesIO()
            np.save(content, best.astype(np.float16))
            shelf.put(f"{name}.npy", content.getvalue())
            shelf.drop(f"{name}.state")
        self._tell(number, len(fits), 1.0, work.held_error)
        return list(best)

    def _tell(self, number: int, count: int, share: float, error: float) -> None:
        """Tell the share of all fits that is done, and the held-out error of those that have one."""
        with self._lock:
            self._shares[number] = count * share
            if error == error:  # not NaN
                self._errors[number] = error
            done = sum(self._shares.values()) / self._count
            known = list(self._errors.values())
        text = f"held-out error {np.mean(known) ** 0.5:.3f} of the bands' deviation" if known else ""
        self.context.progress(min(done, 1.0), text)

    def _name_of(self, fits: Sequence[Fit]) -> str:
        """Return a name that no other work shares: of the pixels, the settings and the version."""
        digest = hashlib.sha256(
            repr((__version__, self.settings, self.context.seed, self.context.device, self.bfloat16)).encode()
        )
        for fit in fits:
            digest.update(repr((fit.number, fit.corner, fit.target.shape)).encode())
            for array in (fit.target, fit.fitted, fit.held, fit.first):
                digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:32]
