"""Makes a clean scene of six bands of texture: `python geostatistics_scene.py SIDE_PX OUT.tif`."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import rasterio

BANDS = 6


def main() -> None:
    """Write the scene."""
    side_px, path = int(sys.argv[1]), sys.argv[2]
    generator = np.random.default_rng(0)

    def texture(blur_px: float) -> np.ndarray:
        noise = cv2.GaussianBlur(generator.standard_normal((side_px, side_px)), (0, 0), blur_px)
        return noise / noise.std()

    shared = texture(12) + 0.6 * texture(3)
    bands = [shared + 0.5 * texture(4) + 0.2 * texture(0.7) for _ in range(BANDS)]
    stored = np.stack([np.clip(np.round(100 + 25 * band), 1, 255) for band in bands]).astype(np.uint8)
    profile = {
        "driver": "GTiff",
        "count": BANDS,
        "height": side_px,
        "width": side_px,
        "dtype": "uint8",
        "nodata": 0,
        "crs": "EPSG:32618",
        "transform": rasterio.transform.from_origin(500_000, 4_000_000, 30, 30),
    }
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(stored)


if __name__ == "__main__":
    main()
