"""Fill the SLC-off gaps of Landsat 7 scenes."""

__version__ = "0.1.0"
