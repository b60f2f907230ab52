"""Shards: each thing in one of them, and as many in each as can be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landsat_fill.errors import UsageError
from landsat_fill.pipeline.plan import Shard, read_shard


@given(st.integers(0, 200), st.integers(1, 50))
def test_shards_have_each_thing_once_and_are_even(things, count):
    shards = [Shard(number, count).of(range(things)) for number in range(1, count + 1)]
    assert sorted(thing for shard in shards for thing in shard) == list(range(things))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_a_shard_is_read():
    assert read_shard("3/8") == Shard(3, 8)


@pytest.mark.parametrize("text", ["3", "0/8", "9/8", "a/b", "-1/3", "1/0", "1.5/3", "", "/", "1/2/3"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(UsageError, match="--shard"):
        read_shard(text)
