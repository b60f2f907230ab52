"""This project's method for scenes with other dates: regressions on them, and a network for what these leave."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landsat_fill.methods.date_predictions import (
    LATTICE_PX,
    MARGIN_PX,
    RADIUS_PX,
    Node,
    Stack,
    Survey,
    expectation,
    fitted_node,
    judged_node,
    middle,
    residuals_of_alike,
    spread_out,
    stacked,
    stripes,
    survey_of,
)
from landsat_fill.methods.method import MethodInfo, fill_unprepared
from landsat_fill.methods.registry import BEST_METHOD, create_method
from landsat_fill.scene import Filled, Gaps, Window
from landsat_fill.schema import option, require_allowed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from landsat_fill.methods.method import Context, FillMethod, TilePlace

    Cube = NDArray[np.float32]
    Flags = NDArray[np.bool_]

STD_FACTOR = 1.03
"""Errors are this much larger than the network expects: 90 % intervals held 89 % on pairs of training places."""


@dataclass(frozen=True)
class MultiDate:
    """Regressions on other dates, each trusted as far as it proves right on hidden pixels, and a network for the rest.

    A reference's pixels are divided into classes. A linear regression for each class predicts the image from all
    bands of all references that are usable at a pixel. A local regression on all bands corrects the prediction. It is
    fitted to differences of adjacent pixels within a square of 24 pixels. Stripes of observed pixels are hidden to find
    how much the prediction and the corrected prediction are worth. Their weights are not negative and sum to 1 at most.
    The rest of the image, what the weighted prediction leaves, is filled by `band-unet`. Where references prove
    useless, the weights are 0 and the fill is that of `band-unet`.

    Source: this project; see the guide. Classes and residuals: Zhu, Liu and Chen 2012, doi:10.1016/j.rse.2012.04.019.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="multi-date",
        summary="regressions on other dates, weighted by their error on hidden pixels, and band-unet for the rest",
        source="landsat-fill 2026; Zhu, Liu and Chen 2012, doi:10.1016/j.rse.2012.04.019",
        halo_px=112,
        tile_px=480,
        align_px=8,
        gives_std=True,
        needs_references=True,
        devices=("cpu", "cuda"),
    )

    classes: int = option(4, "classes of ground cover, each with its own regression", low=1, high=16)
    weights: str = option("", "file of your own band-unet weights (.safetensors); the shipped weights if not given")

    lattice_px: ClassVar[int] = LATTICE_PX
    margin_px: ClassVar[int] = MARGIN_PX

    def __post_init__(self) -> None:
        """Take the halo and the alignment of the network."""
        require_allowed(self)
        inner = self.network.info
        align_px = inner.align_px
        halo_px = -(-(inner.halo_px + RADIUS_PX) // align_px) * align_px
        own = replace(
            self.info,
            halo_px=halo_px,
            tile_px=inner.tile_px,
            align_px=align_px,
            tile_a_thread=True,
            weights=inner.weights,
        )
        object.__setattr__(self, "info", own)

    @cached_property
    def network(self) -> FillMethod:
        """The method that fills what the regressions leave."""
        return create_method(BEST_METHOD, {"weights": self.weights})

    def measure(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Node | None:
        """Return what the window of one node shows, or None if no reference has a pixel in common with the image.

        Args:
            image: `(1, band, row, col)`.
            gaps: Cubes of the same shape.
            context: With the references and the place of the window.
        """
        if not context.references:
            return None
        stack = stacked(context.references, 0)
        if not stack.values.size:
            return None
        usable = gaps.usable[0] & (stack.patterns > 0)
        hidden = usable & stripes(usable.shape[1:], context.place(0).corner)
        node = fitted_node(image[0], usable & ~hidden, stack, self.classes)
        if node is None:
            return node
        part = np.s_[..., *middle(*usable.shape[1:])]
        values, patterns = np.ascontiguousarray(stack.values[part]), np.ascontiguousarray(stack.patterns[part])
        stack = Stack(values, patterns, stack.first_bands)
        known = gaps.usable[0][part] & ~hidden[part]
        return judged_node(image[0][part], known, hidden[part], stack, node)

    def fitted(self, nodes: Mapping[tuple[int, int], Node | None], shape: tuple[int, int]) -> FittedMultiDate:
        """Return the method for a scene.

        Args:
            nodes: What `measure` found, by row and column of the node.
            shape: Rows and columns of the lattice.
        """
        there = {place: node for place, node in nodes.items() if node is not None}
        return FittedMultiDate(self, survey_of(there, shape) if there else None)

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image, each tile with regressions of its own; see `FillMethod.fill`."""

        def measured(image: NDArray[np.floating], gaps: Gaps, context: Context) -> FittedMultiDate:
            return self.fitted({(0, 0): self.measure(image, gaps, context)}, (1, 1))

        at_node = tuple(replace(context.place(tile), corner=(0, 0)) for tile in range(len(image)))
        return fill_unprepared(measured, image, gaps, replace(context, tiles=at_node))


@dataclass(frozen=True)
class FittedMultiDate:
    """The method with the regressions and weights of a scene.

    Attributes:
        method: The method with its options.
        survey: The nodes of the scene; None if no reference has a pixel in common with it.
    """

    method: MultiDate
    survey: Survey | None

    @property
    def info(self) -> MethodInfo:
        """The facts about the method."""
        return self.method.info

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image, NaN where no reference is usable; see `FillMethod.fill`."""
        mean, std = np.full(image.shape, np.nan, image.dtype), np.zeros(image.shape, np.float32)
        sources = np.zeros(image.shape, np.uint8)
        if self.survey is None:
            return Filled(mean, std, sources=sources)
        for tile in range(len(image)):
            place = context.place(tile)
            stack = stacked(context.references, tile)
            expected, known, of_tile = expectation(image[tile], gaps.usable[tile], stack, self.survey, place.corner)
            sources[tile] = of_tile
            rest = np.where(gaps.usable[tile] & known, image[tile] - expected, 0).astype(image.dtype)
            own = Gaps(gaps.missing[tile] & known, gaps.usable[tile] & known)
            filled, tile_std = self._filled_rest(rest, own, place, context)
            share = spread_out(self.survey.alike, place.corner, known.shape)
            if share.any():
                inner = (Window(0, 0, *known.shape) if place.wanted is None else place.wanted).slices
                wanted = np.zeros_like(gaps.missing[tile])
                wanted[:, *inner] = (gaps.missing[tile] & (share > 0))[:, *inner]
                alike = residuals_of_alike(rest, gaps.usable[tile], wanted, known, stack, self.survey, place.corner)
                np.copyto(filled, filled + share * (alike - filled), where=np.isfinite(alike))
            mean[tile] = np.where(known, filled + expected, np.nan)
            std[tile] = STD_FACTOR * tile_std
        return Filled(mean, std, sources=sources)

    def _filled_rest(
        self, rest: NDArray[np.floating], gaps: Gaps, place: TilePlace, context: Context
    ) -> tuple[NDArray[np.floating], NDArray[np.float32]]:
        """Return the rest of a tile filled by the network, which sees no farther than its own halo, and its std."""
        network, whole = self.method.network, Window(0, 0, *rest.shape[1:])
        seen = whole if place.wanted is None else place.wanted.expanded(network.info.halo_px, whole.height, whole.width)
        part = (slice(None), *seen.slices)
        own = Gaps(gaps.missing[part][None], gaps.usable[part][None])
        filled = network.fill(rest[part][None], own, context.for_tiles((place.cropped(seen),)))
        mean, std = rest.copy(), np.zeros(rest.shape, np.float32)
        mean[part] = filled.mean[0]
        if filled.std is not None:
            std[part] = filled.std[0]
        return mean, std
