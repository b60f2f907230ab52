"""Scenes of one place are known as such, by coordinates or by name."""

from __future__ import annotations

import pytest

from landsat_fill.training.dataset import Place, balanced_folds, near_groups, place_of, place_stem


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("LE07_L1TP_007059_20161209_20170130_01_T1", "007059"),
        ("LC08_L2SP_007059_20200927_20201006_02_T1", "007059"),
        ("LE70070592016344EDC00", "007059"),
        ("L71007059_05920080329", "007059"),
        ("oli_argentina_227074_20190809", "oli_argentina_227074"),
        ("oli_argentina_227074_20190825_sr", "oli_argentina_227074"),
        ("Lake-2001", "lake"),
        ("20190809", "20190809"),
        ("town", "town"),
    ],
)
def test_a_place_is_read_from_the_name(name, stem):
    assert place_stem(name) == stem


def test_distance_is_between_edges():
    here = Place("a", 10.0, 50.0, 1.0, 1.0)
    assert here.is_near(Place("b", 12.5, 50.0, 1.0, 1.0))  # half a degree of longitude: 36 km
    assert not here.is_near(Place("b", 13.0, 50.0, 1.0, 1.0))  # a degree: 71 km
    assert here.is_near(Place("b", 11.0, 51.0, 1.0, 1.0))  # they overlap
    assert not here.is_near(Place("a", 10.0, 52.6, 1.0, 1.0))  # 67 km, whatever the name


def test_the_date_line_does_not_part_neighbours():
    assert Place("a", 179.9, 0.0).is_near(Place("b", -179.9, 0.0))


def test_without_coordinates_the_name_decides():
    assert Place("a").is_near(Place("a", 10.0, 50.0))
    assert not Place("a").is_near(Place("b", 10.0, 50.0))


def test_neighbours_of_neighbours_are_one_place():
    chain = [Place("a", 0.0, 0.0), Place("x", 90.0, 0.0), Place("c", 0.8, 0.0), Place("b", 0.4, 0.0)]
    assert near_groups(chain) == [[0, 2, 3], [1]]


def test_folds_are_balanced_by_patches():
    places = [Place(str(number)) for number in range(9)]
    patches = [100, 60, 40, 50, 50, 40, 30, 20, 10]
    folds = balanced_folds(places, patches, 4)
    sums = [sum(p for p, own in zip(patches, folds, strict=True) if own == fold) for fold in range(4)]
    assert sum(sums) == sum(patches)
    assert max(sums) - min(sums) <= 20
    assert balanced_folds(places, patches, 4) == folds


def test_a_scene_knows_its_place(write):
    place = place_of(write("lake_20010610", east_km=0).scene)
    assert place.lon == pytest.approx(117.02, abs=0.01)  # the meridian of zone 50, and 1.8 km
    assert place.lat == pytest.approx(36.13, abs=0.02)
    nowhere = place_of(write("lake_20010813", east_km=None).scene)
    assert (nowhere.lon, nowhere.stem) == (None, "lake")
