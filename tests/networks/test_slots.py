from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from landsat_fill.networks.network import band_groups


@given(bands=st.integers(1, 40), slots=st.integers(1, 12))
def test_each_band_is_kept_once_among_as_many_as_there_are_slots(bands: int, slots: int) -> None:
    groups = list(band_groups(bands, slots))
    assert [band for group in groups for band in range(group.kept, group.last)] == list(range(bands))
    for group in groups:
        assert 0 <= group.first <= group.kept
        assert group.last - group.first == min(bands, slots)
