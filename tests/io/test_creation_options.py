"""The user's creation options win, but for those that would change observed pixels."""

from __future__ import annotations

import pytest

from landsat_fill.errors import UsageError
from landsat_fill.io.profile_files import cog_options, gtiff_options
from landsat_fill.io.raster_profile import BandProfile, RasterProfile

LAYOUT = RasterProfile(64, 64, "uint8", (BandProfile(),), predictor=2, bits=7)


@pytest.mark.parametrize("options_of", [gtiff_options, cog_options])
def test_the_users_options_win(options_of):
    options = options_of(LAYOUT, {"COMPRESS": "zstd", "NUM_THREADS": "1"})

    assert (options["COMPRESS"], options["NUM_THREADS"]) == ("zstd", "1")
    assert "PREDICTOR" in options


@pytest.mark.parametrize("options_of", [gtiff_options, cog_options])
def test_a_predictor_goes_with_a_compression_that_knows_it(options_of):
    assert "PREDICTOR" not in options_of(LAYOUT, {"COMPRESS": "LERC"})
    assert options_of(LAYOUT, {"COMPRESS": "LZW", "PREDICTOR": "1"})["PREDICTOR"] == "1"


def test_tiles_on_request_have_no_strips_height():
    options = gtiff_options(LAYOUT, {"TILED": "NO"})

    assert "BLOCKYSIZE" not in options


@pytest.mark.parametrize("options_of", [gtiff_options, cog_options])
@pytest.mark.parametrize(
    "extra",
    [
        {"COMPRESS": "JPEG"},
        {"COMPRESS": "webp"},
        {"COMPRESS": "JXL", "JXL_LOSSLESS": "NO"},
        {"COMPRESS": "LERC", "MAX_Z_ERROR": "0.01"},
        {"DISCARD_LSB": "1"},
        {"NBITS": "4"},
    ],
)
def test_options_that_change_observed_pixels_are_refused(options_of, extra):
    with pytest.raises(UsageError, match="changes observed pixels") as caught:
        options_of(LAYOUT, extra)
    assert caught.value.hint


@pytest.mark.parametrize("options_of", [gtiff_options, cog_options])
@pytest.mark.parametrize(
    "extra",
    [
        {"COMPRESS": "WEBP", "WEBP_LOSSLESS": "true"},
        {"COMPRESS": "JXL"},
        {"COMPRESS": "LERC", "MAX_Z_ERROR": "0.0"},
        {"DISCARD_LSB": "0,0,0"},
        {"NBITS": "7"},
    ],
)
def test_options_that_keep_every_number_are_taken(options_of, extra):
    assert options_of(LAYOUT, extra).items() >= extra.items()
