"""Directories that lie about their size are no TIFFs, and never more is read than the file holds."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from landsat_fill.io.tiff_structure import tiff_blocks, tiff_metadata

BIG = b"II" + struct.pack("<HHHQ", 43, 8, 0, 16)
CLASSIC = b"II" + struct.pack("<HI", 42, 8)


@pytest.mark.parametrize(
    "content",
    [
        BIG + struct.pack("<Q", 2**36) + bytes(64),
        BIG + struct.pack("<Q", 2**63) + bytes(64),
        b"II" + struct.pack("<HHHQ", 43, 8, 0, 2**64 - 1),
        CLASSIC + struct.pack("<HHHIII", 1, 273, 4, 2**32 - 1, 8, 0),
        CLASSIC + struct.pack("<HHHIII", 1, 273, 99, 1, 8, 0),
        b"II",
        b"",
    ],
)
def test_a_directory_that_claims_more_than_the_file_holds_is_refused(tmp_path, content):
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    assert tiff_blocks(path) is None


def test_metadata_that_claims_more_than_the_file_holds_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(CLASSIC + struct.pack("<HHHIII", 1, 42112, 2, 2**32 - 1, 8, 0))
    assert tiff_metadata(path) is None


def test_no_damage_raises(tmp_path):
    path, generator = tmp_path / "a.tif", np.random.default_rng(0)
    whole = CLASSIC + struct.pack("<HHHIIHHIII", 2, 273, 4, 2, 38, 279, 4, 2, 46, 0) + bytes(range(16)) * 4
    path.write_bytes(whole)
    assert tiff_blocks(path) is not None
    for _ in range(300):
        damaged = bytearray(whole)
        for place in generator.integers(0, len(whole), 4):
            damaged[place] = generator.integers(256)
        path.write_bytes(damaged)
        tiff_blocks(path)
        tiff_metadata(path)
