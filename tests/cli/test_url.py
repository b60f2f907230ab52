"""A scene read by URL, through GDAL, from a server on this machine."""

from __future__ import annotations

import re
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import rasterio


class RangeHandler(SimpleHTTPRequestHandler):
    """Serves parts of files, as the stores do that scenes are kept in."""

    def do_GET(self):
        content = Path(self.translate_path(self.path)).read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first, last = 0, len(content) - 1
        if asked:
            first, last = int(asked[1]), min(int(asked[2] or last), last)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        self.wfile.write(content[first : last + 1])

    def log_message(self, *_):
        pass


@pytest.fixture
def url(samples, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.chdir(samples)
    server = ThreadingHTTPServer(("127.0.0.1", 0), RangeHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("prefix", ["", "/vsicurl/"])
def test_a_scene_is_filled_from_its_url(url, prefix, run, samples, tmp_path):
    target = tmp_path / "filled.tif"

    result = run(f"{prefix}{url}/slc_off.tif", "-o", target, "-m", "nearest")

    assert result.code == 0, result.err
    with rasterio.open(samples / "slc_off.tif") as source, rasterio.open(target) as filled:
        observed = source.read() > 0
        np.testing.assert_array_equal(filled.read()[observed], source.read()[observed])
