"""Whatever a run file, table, saved fit or domain holds, it is used or refused in a sentence; see `scripts/fuzz`."""

import os
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from hostile_inputs import GOOD, run_file
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from oracles import square_mesh

import geospde as gs
from geospde.errors import InputError
from geospde.model.build import build_model
from geospde.run.config import Config, read_config
from geospde.survey.tables import read_csv

KEYS = sorted({key for field in Config.model_fields.values() for key in getattr(field.annotation, "model_fields", ())})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(KEYS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
SECTIONS = st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), VALUES, max_size=4)
TEXT = run_file(GOOD)
SAVED = Path(__file__).parents[1] / "reference" / "saved" / "rongelap"
EXAMPLES = int(os.environ.get("GEOSPDE_FUZZ", "60"))


def is_one_sentence(error):
    """Whether an error says one short thing."""
    return 0 < len(str(error)) < 500 and "\n" not in str(error) and "Traceback" not in str(error)


@settings(deadline=None, max_examples=EXAMPLES)
@given(st.dictionaries(st.sampled_from(sorted(Config.model_fields)), SECTIONS, max_size=3))
@example({"terms": {"\n": None}})
@example({"covariates": {"east\r\x1b[31m": {"raster": 3}}})
def test_any_sections_are_read_or_refused(sections):
    try:
        config = read_config({**GOOD, **{k: {**GOOD.get(k, {}), **v} for k, v in sections.items()}})
    except InputError as error:
        assert is_one_sentence(error), str(error)
    else:
        assert read_config(config.settings()).settings() == config.settings()


@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, len(TEXT)), st.integers(0, 40), st.text(max_size=12))
def test_a_run_file_cut_and_mended_anyhow_is_read_or_refused(start, length, other):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bay.toml"
        path.write_text(TEXT[:start] + other + TEXT[start + length :], encoding="utf-8", errors="replace")
        try:
            read_config(path)
        except InputError as error:
            assert is_one_sentence(error), str(error)


CELLS = (
    st.text(max_size=8) | st.integers().map(str) | st.floats().map(str) | st.sampled_from(["", "NA", '"', "1,5", "é"])
)


@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=5),
    st.sampled_from([",", ";", "\t"]),
    st.binary(max_size=3),
)
def test_any_text_is_a_table_or_refused(rows, separator, tail):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_bytes("\n".join(separator.join(row) for row in rows).encode("utf-8", "replace") + tail)
        try:
            table = read_csv(path).without_marks(["-9"]).with_numbers()
            for column in table.frame.columns:
                assert np.isfinite(table.numbers(column)).all()
        except InputError as error:
            assert "Traceback" not in str(error)


TABLE = pd.DataFrame({"x": np.linspace(0.1, 3, 12), "z": [1, -2, 0, 3] * 3, "g": list("abc") * 4, "k": [1, 2, 3] * 4})
TABLE["y"] = np.sin(TABLE["x"]) + TABLE["k"]
MESH = square_mesh(3)
ATOMS = st.sampled_from([*TABLE, *"soil 0 1 -1 2.5 1e400 'a' mesh True None . `x` pi".split()])
CALLS = st.sampled_from(
    "log exp sqrt I poly scale C factor offset s te gp rw1 ar1 iid spde cens copy besag cut open __import__ x".split()
)
SIGNS = st.sampled_from([*" + , - , * ,:,/,^,**, | , || ,=,%in%,==, ".split(","), ", ", ", k=", ", by="])
TERMS_OF_TEXT = st.recursive(
    ATOMS,
    lambda inner: (
        st.tuples(inner, SIGNS, inner).map("".join)
        | st.tuples(CALLS, inner).map("{0[0]}({0[1]})".format)
        | inner.map("({})".format)
        | inner.map("-{}".format)
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["y", "log(k)", "p(k, k)", "cens(y, g)", "x + z", "soil", ""]),
    TERMS_OF_TEXT,
    st.integers(0, 40),
    st.sampled_from(["", "", "", "~", "(", ")", "`", "\x00", "é", "|", "\n"]),
)
@example("y", "-s('a')", 8, "\n")
def test_any_formula_is_a_model_or_refused(left, right, at, other):
    text = f"{left} ~ {right}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = build_model(text[:at] + other + text[at:], TABLE, mesh=MESH, coords=("x", "k"))
        except InputError as error:
            assert is_one_sentence(error), str(error)
        else:
            assert np.isfinite(model.design.data).all() and model.design.shape[0] <= len(TABLE)


@st.composite
def altered(draw, files=(".npz", ".json")):
    """A file of a saved fit, a place in it as a share of its length, how many bytes go, and what comes instead."""
    return draw(st.sampled_from(files)), draw(st.floats(0, 1)), draw(st.integers(0, 9)), draw(st.binary(max_size=9))


@settings(deadline=None, max_examples=EXAMPLES // 4)
@given(altered())
def test_a_saved_fit_of_other_bytes_is_refused_or_the_same_fit(change):
    suffix, share, length, other = change
    with tempfile.TemporaryDirectory() as folder:
        for each in (".npz", ".json"):
            shutil.copy(SAVED.with_suffix(each), folder)
        path = Path(folder) / f"{SAVED.name}{suffix}"
        data = path.read_bytes()
        start = int(share * len(data))
        path.write_bytes(data[:start] + other + data[start + length :])
        try:
            again = gs.load_fit(path.with_suffix(""))
        except InputError as error:
            assert is_one_sentence(error), str(error)
        else:
            assert again.hyper.equals(gs.load_fit(SAVED).hyper)


@settings(deadline=None, max_examples=EXAMPLES // 4, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(*[st.floats(0, 1)] * 2, st.floats(1e-3, 0.6), st.floats(1e-3, 0.6)), min_size=1, max_size=4),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.sampled_from([0.0, 1e-14, 1e-9, 1e-4])), max_size=4),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=6),
    st.floats(0.1, 1.0),
    st.sampled_from([(1.0, 0.0), (1e6, 0.0), (1e3, 1e7), (1e-6, 1e8)]),
)
def test_building_a_mesh_ends_and_its_area_is_that_of_the_domain(boxes, near, ring, max_edge, scale):
    """Rectangles, slivers among them, that touch, cross or lie apart, and a ring; pairs of sites that are nearly one;
    all of it small, large or far away.
    """
    unit, far = scale
    shapes = [shapely.box(x, y, x + width, y + height) for x, y, width, height in boxes]
    shapes += [shapely.Polygon(ring).buffer(0)] if len(ring) > 2 else []
    domain = shapely.transform(shapely.union_all(shapes), lambda xy: unit * xy + far)
    sites = np.array([(x + shift * k, y) for x, y, shift in near for k in (0, 1)]).reshape(-1, 2) * unit + far
    max_edge = unit * max_edge
    sites = sites[shapely.intersects_xy(domain, sites)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gs.GeospdeWarning)
        try:
            mesh = gs.build_mesh(domain, sites=sites, max_edge=max_edge, convex=0, cutoff=0, max_vertices=20_000)
        except InputError as error:
            assert is_one_sentence(error), str(error)
        else:
            assert abs(mesh.areas.sum() - domain.area) <= 1e-9 * domain.area
