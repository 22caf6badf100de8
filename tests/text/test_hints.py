"""A newcomer's arguments of another kind: each is a sentence, whatever public function was given them."""

import inspect
from functools import partial

import numpy as np
import pandas as pd
import pytest
from shapely import box

import geospde as gs
from geospde.text.hints import explain

ODD = (
    None, -1, "a", "", [], {}, float("nan"), [float("nan")], np.zeros((2, 2)), pd.DataFrame(), True, (1, 2, 3),
    object(), b"x", 1j, np.array(["a"]), [[]], {"a": 1}, pd.Series([1, 2]), 10**400, range(0), float,
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A fit, its map, and what they were made of."""
    rng = np.random.default_rng(1)
    data = pd.DataFrame(rng.uniform(0, 1000, (30, 2)), columns=["x", "y"])
    data = data.assign(c=rng.poisson(3, 30), z=rng.normal(size=30), g=list("abcdef") * 5)
    mesh = gs.build_mesh(box(0, 0, 1000, 1000), max_edge=(400, 800))
    fit = gs.fit("c ~ 1 + spde(mesh)", data, mesh=mesh, coords=("x", "y"), family="poisson", method="eb")
    grid = gs.Grid.around(box(0, 0, 1000, 1000), cell=250)
    return {"data": data, "mesh": mesh, "fit": fit, "grid": grid, "map": fit.predict(grid)}


CALLS = {
    "contours": lambda of: partial(of["map"].contours),
    "Grid.like": lambda of: gs.Grid.like,
    "Grid.around": lambda of: partial(gs.Grid.around, cell=100),
    "cell": lambda of: lambda odd: gs.Grid.around(box(0, 0, 1, 1), cell=odd),
    "exceed": lambda of: lambda odd: of["fit"].predict(of["grid"], exceed=odd),
    "quantiles": lambda of: lambda odd: of["fit"].predict(of["grid"], quantiles=odd),
    "at": lambda of: lambda odd: of["fit"].predict(of["grid"], at=odd),
    "exposure": lambda of: lambda odd: gs.fit("c ~ z", of["data"], family="poisson", exposure=odd),
    "weights": lambda of: lambda odd: gs.fit("c ~ z", of["data"], family="poisson", weights=odd),
    "build_mesh": lambda of: partial(gs.build_mesh, max_edge=100),
    "max_edge": lambda of: lambda odd: gs.build_mesh(box(0, 0, 10, 10), max_edge=odd),
    "cutoff": lambda of: lambda odd: gs.build_mesh(box(0, 0, 10, 10), max_edge=5, cutoff=odd),
    "load_dataset": lambda of: gs.load_dataset,
    "load_fit": lambda of: gs.load_fit,
    "marginal": lambda of: of["fit"].marginal,
    "sample": lambda of: of["fit"].sample,
    "regions": lambda of: of["fit"].predict_regions,
    "excursions": lambda of: of["map"].excursions,
    "level": lambda of: lambda odd: of["map"].excursions(3.0, level=odd),
    "to_netcdf": lambda of: of["map"].to_netcdf,
    "to_raster": lambda of: of["map"].to_raster,
    "plot": lambda of: of["map"].plot,
    "Mesh": lambda of: lambda odd: gs.Mesh(odd, [[0, 1, 2]]),
    "triangles": lambda of: lambda odd: gs.Mesh([[0, 0], [1, 0], [0, 1]], odd),
    "to_array": lambda of: of["grid"].to_array,
    "PCSd": lambda of: lambda odd: gs.priors.PCSd(odd, 0.1),
    "LogGamma": lambda of: lambda odd: gs.priors.LogGamma(odd, 1.0),
    "design": lambda of: partial(gs.design, of["fit"]),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_argument_of_another_kind_is_a_sentence_or_an_answer(name, made, tmp_path, monkeypatch):
    """Of 1,485 such calls 114 ended in a fault of Python's."""
    monkeypatch.chdir(tmp_path)
    for odd in ODD:
        try:
            CALLS[name](made)(odd)
        except gs.InputError as error:
            assert "\n" not in str(error) and len(str(error)) < 500, str(error)


def test_sentences_say_what_was_wanted(made):
    for call, sentence in (
        (lambda: made["map"].contours(levels=[6, "a"]), r"levels of contours\(\) is .*a list of numbers.*'a'\]"),
        (lambda: made["map"].to_netcdf(3), r"path of to_netcdf\(\) is text or a Path, not 3"),
        (lambda: gs.Grid.like(made["map"]), "a grid is made like a raster file, .*: its own cells are its grid"),
        (lambda: gs.priors.PCSd("a", 0.1), r"sd0 of PCSd\(\) is a number, not 'a'"),
        (lambda: gs.design(made["fit"]), r"design\(\): missing a required argument: 'add'"),
        (lambda: made["fit"].sample(10**400), "n of sample.. holds a number that is too large"),
    ):
        with pytest.raises(gs.InputError, match=sentence):
            call()


def test_a_fault_that_no_argument_explains_stays_what_it_is():
    def work(x: float, names: "list[str]", where: "Nowhere") -> None:  # noqa: F821
        raise ValueError

    own = inspect.signature(work)
    assert explain(work, own, (1, ["a"], object()), {}, ValueError("inside")) is None
    for wrong in (("a", ["a"], 0), (1, "a", 0), (1, [1], 0), (True, ["a"], 0)):
        with pytest.raises(gs.InputError):
            explain(work, own, wrong, {}, ValueError("inside"))


def test_a_threshold_of_32_bits_has_the_digits_that_it_shows(made):
    layers = made["fit"].predict(made["grid"], exceed=np.float32(6.2), quantiles=[np.float32(0.1)]).layers
    assert [layer.name for layer in layers][-2:] == ["q0.1", "exceed_6.2"]
