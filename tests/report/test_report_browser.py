"""The report in a browser: the map is drawn, chosen, moved and read, by mouse, fingers and keyboard.

Runs where a Chromium or Chrome is on the path. Values under the pointer are compared with the GeoTIFF of the same
prediction, colours on the canvas with matplotlib's.
"""

import json

import matplotlib
import numpy as np
import pytest
import rasterio
import shapely
from browser import Browser, chromium
from sample_run import ISLAND, made, predicted, scattered

from geospde.export.raster import write_raster
from geospde.mesh.trimesh import Mesh
from geospde.plots.maps import scale_of
from geospde.prediction.grid import Grid
from geospde.report.parts import RunParts
from geospde.report.report import write_report

pytestmark = pytest.mark.skipif(chromium() is None, reason="there is no chromium or google-chrome on the path")

EAST, NORTH = 499_123.25, 8_765_432.75
BANDS = ["mean", "q0.025", "q0.5", "q0.975", "sd", "exceed_6"]
SCRIPT = "</script><script>hacked = 1</script><img src=x onerror='hacked = 2'>"
READ = """(() => {
  const [place, ...values] = [...document.querySelectorAll('#map-readout data')].map((one) => one.value);
  return {place: place ? place.split(' ').map(Number) : null, values: values.map(Number)};
})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A report and the raster it must agree with, far from the origin as UTM coordinates are."""
    folder = tmp_path_factory.mktemp("report")
    run = made(east=EAST, north=NORTH, crs="EPSG:32758", place=["Ridge", SCRIPT, "Bay"])
    grid = run["prediction"].grid
    run["prediction"] = predicted(grid, scattered(grid))
    points = run["survey"].points
    run["survey"].points = points.iloc[[0, 1, 2, 2]].reset_index(drop=True)  # the last place measured twice
    run["fit"].fitted, run["fit"].pointwise = (run["fit"].fitted.iloc[[0, 1, 2, 2]], None)
    write_raster(folder / "prediction.tif", grid, run["prediction"].to_frame())
    run["page"] = write_report(folder / "report.html", RunParts(title="Long Island", label="counts per second", **run))
    run["raster"] = folder / "prediction.tif"
    return run


@pytest.fixture
def page(browser, run):
    """The page on a desk, and no complaint in its console afterwards."""
    browser.open(run["page"], prefers_reduced_motion="reduce")
    yield browser
    assert browser.errors == []
    assert browser.run("typeof hacked") == "undefined"


def canvas(page):
    """Left, top, width and height of the map on the screen."""
    return page.place("#map-canvas")


def at(page, across, down):
    """A place on the screen, from shares of the map."""
    left, top, width, height = canvas(page)
    return round(left + across * width), round(top + down * height)


def inside_a_cell(page, run, x, y):
    """The middle, on the screen, of the cell that is seen at a place there."""
    page.move(x, y)
    (east, north), grid = read(page)["place"], run["prediction"].grid
    page.move(x + 100, y + 100)
    further, lower = read(page)["place"]
    right, up = (east - grid.x0) % 100.0 - 50.0, (north - grid.y0) % 100.0 - 50.0
    return round(x - 100 * right / (further - east)), round(y + 100 * up / (north - lower))


def read(page):
    return page.run(READ)


def colour(page, x, y):
    """Red, green and blue that the map has at a place on the screen."""
    left, top, *_ = canvas(page)
    page.settle()
    return page.run(f"""(() => {{
      const pen = new OffscreenCanvas(1, 1).getContext('2d');
      pen.drawImage(document.querySelector('#map-canvas'), {left - x} * devicePixelRatio, {top - y} * devicePixelRatio);
      return [...pen.getImageData(0, 0, 1, 1).data];
    }})()""")[:3]


def choose(page, name):
    page.run(f"document.querySelector('input[value=\"{name}\"]').click()")
    page.settle()


def picture(page):
    return page.run("document.querySelector('#map-canvas').toDataURL()")


def in_raster(run, place):
    """What the GeoTIFF holds there, in the order of the page's lines."""
    with rasterio.open(run["raster"]) as layers:
        values = dict(zip(layers.descriptions, next(layers.sample([place]))))
    return [values[name] for name in ("mean", "q0.5", "q0.025", "q0.975", "sd", "exceed_6")]


@pytest.mark.slow
def test_the_map_is_drawn_in_the_colours_of_its_values(page, run):
    choose(page, "sites")  # no circle over the cells
    prediction, land = run["prediction"], run["survey"].coastline
    scale = scale_of(prediction, ["mean", "q0.025", "q0.975"], coastline=land)
    for name in ("mean", "exceed_6"):
        choose(page, name)
        for across, down in [(0.3, 0.4), (0.52, 0.55), (0.8, 0.63)]:
            x, y = inside_a_cell(page, run, *at(page, across, down))
            page.move(x, y)
            seen = read(page)
            value = in_raster(run, seen["place"])[0 if name == "mean" else 5]
            if name == "mean":
                share, ramp = (value - scale.low) / (scale.high - scale.low), scale.ramp
            else:
                share, ramp = 0.1 + 0.8 * value, "PuOr_r"  # its ends are cut off
            wanted = matplotlib.colormaps[ramp](float(share), bytes=True)[:3]
            # a colour map has 256 steps: the cut one's lie between matplotlib's, up to 2 of 256 apart
            np.testing.assert_allclose(colour(page, x, y), [int(c) for c in wanted], atol=0 if name == "mean" else 6)


def test_what_is_under_the_pointer_is_what_the_raster_holds(page, run):
    places = np.random.default_rng(7).uniform([0.06, 0.15], [0.94, 0.85], (25, 2))
    for across, down in places:
        page.move(*at(page, across, down))
        seen = read(page)
        np.testing.assert_array_equal(np.float32(seen["values"]), np.float32(in_raster(run, seen["place"])))
        assert shapely.intersects_xy(run["survey"].coastline, *seen["place"])
    words = page.run("document.querySelector('#map-readout').innerText").split("\n")
    assert words[words.index("95 % interval") + 1] == " to ".join(f"{v:.4g}" for v in seen["values"][2:4])


def test_what_is_shown_is_what_is_read_land_only_or_all_cells(page, run):
    x, y = at(page, 0.5, 0.02)  # between the coast and the edge of the predicted cells
    page.move(x, y)
    seen = read(page)
    assert seen["values"] == [] and not shapely.intersects_xy(run["survey"].coastline, *seen["place"])
    sea = colour(page, x, y)
    choose(page, "clip")
    page.move(x + 1, y)
    seen = read(page)
    assert np.isfinite(in_raster(run, seen["place"])).all()
    np.testing.assert_array_equal(np.float32(seen["values"]), np.float32(in_raster(run, seen["place"])))
    assert colour(page, x, y) != sea


def test_another_layer_another_picture(page):
    pictures = {}
    for name in BANDS:
        choose(page, name)
        pictures[name] = picture(page)
        title = page.run("document.querySelector('#map-legend p').textContent")
        assert ("counts per second" in title) == (name not in ("sd",))
    assert len(set(pictures.values())) == len(BANDS)
    for overlay in ("mesh", "coast", "sites"):
        before = picture(page)
        choose(page, overlay)
        assert picture(page) != before
    page.run("""(() => { const slider = document.querySelector('#map-opacity'); slider.value = 0;
        slider.dispatchEvent(new Event('input', {bubbles: true})); })()""")
    page.settle()
    bare = colour(page, *at(page, 0.3, 0.4))
    assert bare == colour(page, *at(page, 0.7, 0.4))  # nothing but land


@pytest.mark.slow
def test_the_map_is_moved_by_wheel_drag_double_click_and_buttons(page):
    x, y = at(page, 0.3, 0.5)
    page.move(x - 5, y)
    page.move(x, y)
    first = read(page)["place"]
    page.wheel(x, y, -300)
    page.move(x, y)
    assert read(page)["place"] == pytest.approx(first, abs=1e-6)  # what is under the pointer stays there
    page.move(x + 100, y)
    step = read(page)["place"][0] - first[0]
    page.drag((x, y), (x + 60, y + 40))
    page.move(x + 60, y + 40)
    assert read(page)["place"] == pytest.approx(first, abs=1e-6)
    for selector, factor in (("#map-in", 2), ("#map-out", 0.5)):
        before = span(page)
        left, top, width, height = page.place(selector)
        page.click(left + width / 2, top + height / 2)
        page.settle()
        assert span(page) == pytest.approx(before / factor)
    assert span(page) == pytest.approx(step)
    left, top, width, height = page.place("#map-home")
    page.click(left + width / 2, top + height / 2)
    page.move(*at(page, 0.3, 0.5))
    assert read(page)["place"] == pytest.approx(first, abs=1e-6)


def span(page):
    """How much of the world is across a hundred pixels."""
    x, y = at(page, 0.25, 0.5)
    page.move(x, y)
    west = read(page)["place"][0]
    page.move(x + 100, y)
    return read(page)["place"][0] - west


@pytest.mark.slow
def test_a_reader_who_scrolls_past_the_map_is_not_held_up(page):
    page.run("scrollTo({top: 0, behavior: 'instant'})")
    before = picture(page)
    for _ in range(12):
        page.wheel(500, 450, 200)
        page.settle()
    assert page.run("scrollY") > 1500
    assert picture(page) == before


def test_a_click_on_a_site_tells_what_is_known_of_it(page):
    x, y = site(page, 900)
    page.move(x, y)
    page.settle()
    assert page.run("document.querySelector('#map-canvas').className") == "on-site"
    page.click(x, y)
    page.settle()
    words = page.run("document.querySelector('#map-popup').innerText")
    for fact in ("Site 2", SCRIPT, "observed counts / time\n5", "fitted mean\n5", "95 % interval\n4 to 6", "1500"):
        assert fact in words
    box, (left, top, width, height) = canvas(page), page.box("#map-popup")
    assert box[0] <= left and box[1] <= top and left + width <= box[0] + box[2] and top + height <= box[1] + box[3]
    page.key("Escape")
    page.click(*at(page, 0.5, 0.05))
    assert page.run("document.querySelector('#map-popup').hidden")
    x, y = site(page, 1900)
    page.click(x, y)
    page.run("document.querySelector('#map-popup-next').click()")
    assert page.run("document.querySelector('#map-popup h3').textContent") in ("Site 3", "Site 4")
    assert page.run("document.querySelector('#map-popup-next').textContent") == "Next of 2 here"


def site(page, east):
    """Where on the screen a site lies: all are on one line from west to east."""
    left, top, width, height = canvas(page)
    page.move(left + 0.25 * width, top + 0.5 * height)
    a = read(page)["place"]
    page.move(left + 0.75 * width, top + 0.5 * height)
    b = read(page)["place"]
    share = (EAST + east - a[0]) / (b[0] - a[0])
    return left + (0.25 + 0.5 * share) * width, top + 0.5 * height


@pytest.mark.slow
def test_everything_is_reached_from_the_keyboard(page, run):
    page.run("document.querySelector('.skip').focus()")
    for _ in range(40):
        page.key("Tab")
        if page.run("document.activeElement.id") == "map-canvas":
            break
    page.key("ArrowRight")
    first = read(page)
    page.key("ArrowRight")
    second = read(page)
    assert np.subtract(second["place"], first["place"]) == pytest.approx([100, 0])  # one cell on
    page.key("ArrowUp")
    third = read(page)
    assert np.subtract(third["place"], second["place"]) == pytest.approx([0, 100])
    for seen in (first, second, third):
        np.testing.assert_array_equal(np.float32(seen["values"]), np.float32(in_raster(run, seen["place"])))
    page.rest()
    said = page.run("document.querySelector('#map-said').textContent")
    assert f"Mean {third['values'][0]:.4g}" in said and "Probability above 6" in said and "95 % interval" in said
    before = span_by_keys(page)
    page.key("+", text="+")
    page.settle()
    assert span_by_keys(page) == pytest.approx(before / 2)
    page.key("0", text="0")
    page.settle()
    assert span_by_keys(page) == pytest.approx(before)
    page.key("Enter", text="\r")
    page.settle()
    assert page.run("document.activeElement.id") == "map-popup"
    page.key("Escape")
    assert page.run("document.activeElement.id") == "map-canvas"
    for _ in range(60):  # the map follows
        page.key("ArrowRight")
    page.rest()
    seen = read(page)
    assert seen["place"][0] > second["place"][0] + 5000
    before = picture(page)
    page.key("ArrowLeft", shift=True)
    page.settle()
    assert picture(page) != before
    page.key("Tab")
    assert page.run("document.activeElement.id") == "map-in"


def span_by_keys(page):
    """How much of the world is across a pixel, by the scale bar."""
    page.settle()
    width = page.run("parseFloat(document.querySelector('#map-scale span').style.width)")
    value, unit = page.run("document.querySelector('#map-scale').innerText").split()
    return float(value) * {"m": 1, "km": 1000}[unit] / width


def test_the_sites_stand_in_a_table_that_leads_back_to_the_map(page):
    page.run("document.querySelector('#map-sites').open = true")
    page.settle()
    rows = page.run("[...document.querySelectorAll('#map-sites-table tr')].map((row) => row.innerText.split('\\t'))")
    assert rows[0] == ["site", "place", "observed counts / time", "fitted mean", "95 % interval", "counts", "time"]
    assert rows[2][:4] == ["2", SCRIPT, "5", "5"] and len(rows) == 5
    page.run("document.querySelectorAll('#map-sites-table button')[1].click()")
    page.settle()
    assert page.run("document.querySelector('#map-popup h3').textContent") == "Site 2"
    assert page.run("document.activeElement.id") == "map-popup"


@pytest.mark.slow
def test_on_a_phone_nothing_is_wider_than_the_screen_and_fingers_move_the_map(browser, run):
    browser.open(run["page"], 360, 740, touch=True, prefers_reduced_motion="reduce")
    assert browser.run("document.documentElement.scrollWidth") <= 360
    x, y = at(browser, 0.3, 0.42)
    before = browser.run("scrollY")
    for kind, up in [("Start", 0), *(("Move", 20 * k) for k in range(1, 8))]:
        browser.touch(kind, (x, y - up))
    browser.touch("End")
    browser.settle()
    assert browser.run("scrollY") > before + 50  # the whole map lets a finger scroll past it
    x, y = at(browser, 0.3, 0.42)
    browser.touch("Start", (x, y))
    browser.touch("End")
    seen = read(browser)
    np.testing.assert_array_equal(np.float32(seen["values"]), np.float32(in_raster(run, seen["place"])))
    before = picture(browser)
    left, top, width, height = canvas(browser)
    middle = left + width / 2, top + height / 2
    for apart in (40, 60, 80):
        fingers = [(middle[0] - apart, middle[1]), (middle[0] + apart, middle[1])]
        browser.touch("Start" if apart == 40 else "Move", *fingers)
    browser.touch("End")
    browser.settle()
    assert picture(browser) != before
    browser.touch("Start", middle)
    browser.touch("End")
    again = read(browser)
    np.testing.assert_array_equal(np.float32(again["values"]), np.float32(in_raster(run, again["place"])))
    browser.run("for (const box of document.querySelectorAll('details')) box.open = true")
    browser.settle()
    assert browser.run("document.documentElement.scrollWidth") <= 360
    assert browser.errors == []


@pytest.mark.slow
def test_the_page_is_dark_where_the_reader_wants_it_and_light_on_paper(page, run):
    corner = at(page, 0.99, 0.02)
    light = colour(page, *corner)
    page.open(run["page"], prefers_color_scheme="dark")
    assert sum(colour(page, *at(page, 0.99, 0.02))) < 200 < 600 < sum(light)
    page.run("dispatchEvent(new Event('beforeprint'))")
    assert colour(page, *at(page, 0.99, 0.02)) == light


@pytest.mark.slow
def test_a_thinned_map_reads_out_its_cells_own_values(browser, tmp_path, monkeypatch):
    from geospde.report import webmap

    monkeypatch.setattr(webmap, "MOST_NUMBERS", 6 * 400)
    grid = Grid.around(ISLAND, cell=20, crs="local:m")
    frame = scattered(grid)
    path = write_report(tmp_path / "r.html", RunParts(title="t", prediction=predicted(grid, frame)))
    browser.open(path)
    assert "one of every 4 × 4" in browser.run("document.querySelector('#map').innerText")
    browser.move(*at(browser, 0.4, 0.6))
    seen = read(browser)
    own = frame[frame["mean"].astype(np.float32) == np.float32(seen["values"][0])].iloc[0]
    assert abs(own["x"] - seen["place"][0]) <= 60 and abs(own["y"] - seen["place"][1]) <= 60  # within the block
    assert np.float32(seen["values"][4]) == np.float32(own["sd"]) and browser.errors == []


@pytest.mark.slow
def test_a_map_without_layers_or_without_units_is_drawn_too(browser, tmp_path):
    mesh = Mesh([[0, 0], [4, 0], [4, 3], [0, 3]], [[0, 1, 2], [0, 2, 3]])
    browser.open(write_report(tmp_path / "r.html", RunParts(title="t", mesh=mesh)))
    blank = browser.run("document.querySelector('#map-scale').hidden")
    assert blank and len(json.dumps(picture(browser))) > 3000 and browser.errors == []
    grid = Grid.from_bounds((166.5, 11.0, 166.9, 11.2), cell=0.01, crs="EPSG:4326")
    browser.open(write_report(tmp_path / "d.html", RunParts(title="t", prediction=predicted(grid, scattered(grid)))))
    x, y = at(browser, 0.5, 0.5)
    places = []
    for dx, dy in ((0, 0), (100, 0), (0, 100)):
        browser.move(x + dx, y + dy)
        places.append(read(browser)["place"])
    east, south = places[1][0] - places[0][0], places[0][1] - places[2][1]
    assert south / east == pytest.approx(np.cos(np.radians(11.1)), rel=1e-6)  # as long on the ground
    assert "km" in browser.run("document.querySelector('#map-scale').innerText") and browser.errors == []
