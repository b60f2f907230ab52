"""Finding gaps and the footprint, reading quality bits, simulating SLC-off stripes."""
