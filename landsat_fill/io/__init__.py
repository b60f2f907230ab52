"""Files: what is a product, reading windows, writing atomically, and the metadata a raster carries."""

from landsat_fill.io.atomic import append_line, write_bytes_atomically, write_text_atomically
from landsat_fill.io.inputs import PARTIAL_MARK, Input, InputKind, find_inputs, open_input
from landsat_fill.io.locks import Claim, TakenError, claim_owner
from landsat_fill.io.profile_files import read_profile
from landsat_fill.io.raster_profile import RasterProfile
from landsat_fill.io.reader import Opacity, SceneReader, StoredReader
from landsat_fill.io.tiff_structure import tiff_metadata
from landsat_fill.io.writer import RasterWriter

__all__ = [
    "PARTIAL_MARK",
    "Claim",
    "Input",
    "InputKind",
    "Opacity",
    "RasterProfile",
    "RasterWriter",
    "SceneReader",
    "StoredReader",
    "TakenError",
    "append_line",
    "claim_owner",
    "find_inputs",
    "open_input",
    "read_profile",
    "tiff_metadata",
    "write_bytes_atomically",
    "write_text_atomically",
]
