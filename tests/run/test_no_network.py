"""A run reaches no network."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pandas as pd
import pytest
from small_run import quietly_in, write_survey

import geospde as gs


@pytest.mark.slow
def test_a_run_opens_no_socket(tmp_path, monkeypatch):
    def refuse(*arguments, **named):
        pytest.fail(f"a connection was opened: {arguments}")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with quietly_in(tmp_path):
        result = gs.run(write_survey(tmp_path))
    assert (tmp_path / result.folder / "report.html").is_file()


@pytest.fixture
def asked(monkeypatch):
    """A server, its address, and the paths that it was asked for."""
    paths = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            paths.append(self.path)
            self.send_response(404)
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    for name in ("no_proxy", "NO_PROXY"):  # hosts that these name are reached past any proxy
        monkeypatch.delenv(name, raising=False)
    server = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", paths
    server.shutdown()
    server.server_close()


def virtual(source):
    """Tables of another source."""
    layer = f'<OGRVRTLayer name="a"><SrcDataSource>{source}</SrcDataSource></OGRVRTLayer>'
    return f"<OGRVRTDataSource>{layer}</OGRVRTDataSource>"


LAYERS = {
    "a.vrt": lambda url: virtual(f"/vsicurl/{url}/a.geojson"),
    "b.vrt": lambda url: virtual(f"{url}/b.geojson"),
    "c.xml": lambda url: f"<OGRWFSDataSource><URL>{url}/c?</URL></OGRWFSDataSource>",
    "d.geojson": lambda url: json.dumps({
        "type": "FeatureCollection", "crs": {"type": "link", "properties": {"href": f"{url}/d", "type": "proj4"}},
        "features": [{"type": "Feature", "geometry": {"type": "Point", "coordinates": [15, 45]}, "properties": {}}],
    }),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_that_names_an_address_asks_nobody(name, asked, tmp_path):
    """All four did: a coordinate system that is a link, too."""
    url, paths = asked
    (tmp_path / name).write_text(LAYERS[name](url))
    with pytest.raises(gs.InputError) as caught:
        gs.read_survey(tmp_path / name, crs="EPSG:3857")
    assert paths == [] and "proxy" not in str(caught.value)


@pytest.mark.parametrize("service", [False, True])
def test_a_raster_that_names_an_address_asks_nobody(service, asked, tmp_path):
    url, paths = asked
    band = f'<SourceFilename relativeToVRT="0">/vsicurl/{url}/e.tif</SourceFilename><SourceBand>1</SourceBand>'
    text = (
        f'<GDAL_WMS><Service name="TMS"><ServerUrl>{url}/${{z}}/${{x}}/${{y}}.png</ServerUrl></Service><DataWindow>'
        "<UpperLeftX>-2000</UpperLeftX><UpperLeftY>2000</UpperLeftY><LowerRightX>2000</LowerRightX><LowerRightY>-2000"
        "</LowerRightY><TileLevel>1</TileLevel></DataWindow><Projection>EPSG:3857</Projection><MaxConnections>1"
        "</MaxConnections><BandsCount>1</BandsCount><BlockSizeX>256</BlockSizeX><BlockSizeY>256</BlockSizeY></GDAL_WMS>"
        if service
        else '<VRTDataset rasterXSize="40" rasterYSize="40"><SRS>EPSG:3857</SRS><GeoTransform>-100,30,0,1100,0,-30'
        f'</GeoTransform><VRTRasterBand dataType="Float32" band="1"><SimpleSource>{band}</SimpleSource>'
        "</VRTRasterBand></VRTDataset>"
    )
    (tmp_path / "e.vrt").write_text(text)
    table = pd.DataFrame(np.random.default_rng(1).uniform(0, 1000, (9, 3)), columns=["x", "y", "z"])
    sites = gs.read_survey(table, crs="EPSG:3857").points
    with pytest.raises(gs.InputError, match="cannot read the raster"):
        gs.fit("z ~ elev", sites, covariates={"elev": str(tmp_path / "e.vrt")}, method="ml")
    assert paths == []
