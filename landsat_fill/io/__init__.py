"""Files: what is a product, reading windows, writing atomically, and the metadata a raster carries."""

from landsat_fill.io.atomic import Transaction, append_line, write_bytes_atomically, write_text_atomically
from landsat_fill.io.inputs import Input, InputKind, find_inputs, one_input, open_input
from landsat_fill.io.locks import Claim, TakenError, claim_owner
from landsat_fill.io.raster_profile import RasterProfile
from landsat_fill.io.reader import Opacity, Rasters, SceneReader, StoredReader, read_profile
from landsat_fill.io.writer import RasterWriter, new_raster

__all__ = [
    "Claim",
    "Input",
    "InputKind",
    "Opacity",
    "RasterProfile",
    "RasterWriter",
    "Rasters",
    "SceneReader",
    "StoredReader",
    "TakenError",
    "Transaction",
    "append_line",
    "claim_owner",
    "find_inputs",
    "new_raster",
    "one_input",
    "open_input",
    "read_profile",
    "write_bytes_atomically",
    "write_text_atomically",
]
