"""Files: what is a product, reading windows, writing atomically, and the metadata a raster carries."""

from landsat_fill.io.blocks import tiff_metadata
from landsat_fill.io.claims import Claim, TakenError, claim_owner
from landsat_fill.io.inputs import PARTIAL_MARK, Input, InputKind, find_inputs
from landsat_fill.io.layout import Layout
from landsat_fill.io.opening import open_input
from landsat_fill.io.reading import SceneReader
from landsat_fill.io.stored import Opacity, StoredReader
from landsat_fill.io.text_files import append_line, write_bytes_atomically, write_text_atomically
from landsat_fill.io.writing import RasterWriter

__all__ = [
    "PARTIAL_MARK",
    "Claim",
    "Input",
    "InputKind",
    "Layout",
    "Opacity",
    "RasterWriter",
    "SceneReader",
    "StoredReader",
    "TakenError",
    "append_line",
    "claim_owner",
    "find_inputs",
    "open_input",
    "tiff_metadata",
    "write_bytes_atomically",
    "write_text_atomically",
]
