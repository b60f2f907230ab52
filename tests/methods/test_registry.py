from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from landsat_fill.errors import UsageError
from landsat_fill.methods import (
    BEST_METHOD,
    DEFAULT_METHOD,
    FillMethod,
    create_method,
    method_class,
    method_classes,
    method_options,
)

if TYPE_CHECKING:
    from pathlib import Path

CLASSICAL = {
    "biharmonic",
    "diffusion",
    "harmonic",
    "inverse-distance",
    "navier-stokes",
    "nearest",
    "telea",
    "tension-spline",
}


def test_every_method_file_is_found() -> None:
    assert set(method_classes()) >= CLASSICAL


@pytest.mark.parametrize("name", method_classes())
def test_a_method_describes_itself(name: str, tiny_models: Path) -> None:
    cls = method_classes()[name]
    info = cls.info
    assert info.name == name
    assert name == name.lower().replace("_", "-")
    assert "\n" not in info.summary
    assert 10 < len(info.summary) < 100
    assert re.search(r"\b(19|20)\d\d\b|https://", info.source)
    assert info.halo_px >= 0
    assert info.tile_px > 0
    assert isinstance(create_method(name), FillMethod)


@pytest.mark.parametrize("name", method_classes())
def test_a_method_is_frozen_and_its_options_have_help_and_a_default_in_range(name: str) -> None:
    cls = method_classes()[name]
    assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    for option in method_options(cls):
        assert option.help
        assert option.default is None or option.parse(option.default, option.flag) == option.default


def test_auto_is_the_best_method() -> None:
    assert method_class(DEFAULT_METHOD) is method_class(BEST_METHOD)


def test_an_unknown_method_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="expected the name of a method, but got 'harmonics'") as caught:
        create_method("harmonics")
    assert "Did you mean 'harmonic'?" in str(caught.value.hint)
    assert "telea" in str(caught.value.hint)


def test_options_are_converted_from_text() -> None:
    method = create_method("inverse-distance", {"max-distance-px": "12.5", "smoothing": "0"})
    assert method == method_class("inverse-distance")(max_distance_px=12.5, smoothing=0)  # type: ignore[call-arg]


def test_an_unknown_option_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="expected an option of telea, but got 'radius'") as caught:
        create_method("telea", {"radius": 3})
    assert "Did you mean 'radius_px'?" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("telea", {"radius_px": 0}, "expected --radius-px to be a number from 1 to 30, but got 0"),
        ("telea", {"radius_px": "wide"}, "expected --radius-px to be a number from 1 to 30, but got 'wide'"),
        ("tension-spline", {"tension": np.nan}, "expected --tension to be a number from 0 to 1, but got nan"),
        ("diffusion", {"rounds": 1.5}, "--rounds to be a whole number from 1 to 10000, but got 1.5"),
        ("diffusion", {"rounds": True}, "expected --rounds to be a whole number from 1 to 10000, but got True"),
        ("inverse-distance", {"max_distance_px": 0}, "--max-distance-px to be a number of at least 1"),
    ],
)
def test_a_value_out_of_range_is_refused(name: str, options: dict[str, object], expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        create_method(name, options)


def test_an_option_by_its_old_name_is_refused_with_the_new_one() -> None:
    with pytest.raises(UsageError, match="an option of direct-sampling, but got 'realisations'") as caught:
        create_method("direct-sampling", {"realisations": 3})
    assert caught.value.hint == "It is 'ensemble' now."
