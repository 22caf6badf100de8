"""Run files and surveys that no run can be made of: what is changed in a good one, and the words that must come."""

import json
import os
from pathlib import Path

import numpy as np

GOOD = {
    "survey": {"points": "sites.csv", "crs": "local:m"},
    "mesh": {"max_edge": [400, 800]},
    "model": {"formula": "caught ~ 1 + spde(mesh)", "family": "poisson"},
    "inference": {"method": "eb"},
    "prediction": {"cell": 100},
    "output": {"dir": "out"},
}
RAW = "raw"  # text of a run file as it is
LONG = "x" * 5000


def keys(section, **changes):
    """The good run file with other keys in a section."""
    return lambda: {**GOOD, section: {**GOOD.get(section, {}), **changes}}


def prior(name, value):
    """The good run file with a prior."""
    return lambda: {**GOOD, "priors": {name: value}}


def column(change, **model):
    """The good run file, on a table that was changed."""

    def make():
        return {**GOOD, "model": {**GOOD["model"], **model}, "change": change}

    return make


def cell(name, row, value, **model):
    """The same, where one cell is another."""

    def change(table):
        table[name] = table[name].astype(object)
        table.loc[row, name] = value

    return column(change, **model)


def fill(name, value, **model):
    """The same, where a column is another."""
    return column(lambda table: table.__setitem__(name, value), **model)


def text(value):
    """A run file of any text."""
    return lambda: {RAW: value}


def toml(value):
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return json.dumps(value)


def run_file(sections):
    """A run file's text."""
    if RAW in sections:
        return sections[RAW]
    lines = []
    for name, content in sections.items():
        if name not in ("change", "write"):
            lines += [f"[{name}]", *(f"{json.dumps(k)} = {toml(v)}" for k, v in content.items())]
    return "\n".join(lines)


def cell_of(name, value, row, other, **model):
    """The same, where a new column is one value but for one cell."""

    def change(table):
        table[name] = value
        table.loc[row, name] = other

    return column(change, **model)


def polygon(ring):
    """GeoJSON of one polygon."""
    return json.dumps({"type": "Polygon", "coordinates": [ring]})


def second(name):
    """Two likelihoods, the second of this name."""
    one = {"formula": "caught ~ 1 + spde(mesh)", "family": "poisson"}
    lines = [f"[[observations]]\n{run_file({'model': {**one, 'name': n}}).split(chr(10), 1)[1]}" for n in ("a", name)]
    return text("\n".join([run_file({k: v for k, v in GOOD.items() if k != "model"}), *lines]))


def beside(name, content, **sections):
    """The good run file with other keys, and another file beside it; None for a pipe that nobody writes to."""

    def write():
        Path(name).write_text(content) if content is not None else os.mkfifo(name)

    def make():
        made = {section: {**GOOD.get(section, {}), **more} for section, more in sections.items()}
        return {**GOOD, **made, "write": write}

    return make


INF, NAN = float("inf"), float("nan")
NUMBERS = {"text": "many", "inf": INF, "nan": NAN, "truth": True, "list of three": [1, 2, 3], "table": {"a": 1}}
MESH_KEYS = ("max_edge", "offset", "convex", "concave", "cutoff", "min_angle", "max_vertices")
CLASSES = {
    "run file": {
        "empty": (text(""), "missing"),
        "no toml": (text("<html>"), "not TOML"),
        "bytes": (text("\x00\x01"), "not TOML"),
        "unclosed": (text('[survey]\npoints = "'), "not TOML"),
        "twice": (text("[survey]\n[survey]"), "not TOML"),
        "deep": (text("a = " + "[" * 5000 + "]" * 5000), ""),
        "long number": (text("[mesh]\nmax_edge = " + "9" * 5000), ""),
        "unknown section": (lambda: {**GOOD, "nonsense": {"a": 1}}, "no section"),
        "key outside": (text('points = "sites.csv"'), "outside of any section"),
        **{
            f"no {name}": (lambda n=name: {k: v for k, v in GOOD.items() if k != n}, "missing")
            for name in ("survey", "model")
        },
        **{
            f"unknown key in {s}": (keys(s, nonsense=1), "no key")
            for s in ("survey", "mesh", "model", "inference", "prediction", "output")
        },
        **{
            f"{s} {k} a {w}": (keys(s, **{k: v}), "")
            for s, k in (("survey", "points"), ("model", "formula"), ("model", "family"), ("output", "dir"))
            for w, v in (("number", 3), ("list", ["a"]), ("truth", True))
        },
        "method unknown": (keys("inference", method="magic"), "one of"),
        "strategy unknown": (keys("inference", strategy="magic"), "one of"),
        "integration unknown": (keys("inference", integration="magic"), "one of"),
        "quadrature 0": (keys("inference", quadrature=0), ""),
        "quadrature huge": (keys("inference", quadrature=10**9, method="ml"), ""),
        "long word": (keys("inference", method=LONG), "one of"),
        "label empty": (keys("output", label=""), ""),
        "k a fraction": (keys("validation", k=0.5), "k must be a whole number, not 0.5"),
    },
    "mesh": {
        **{f"{k} {w}": (keys("mesh", **{k: v}), "") for k in MESH_KEYS for w, v in NUMBERS.items()},
        **{
            f"max_edge {w}": (keys("mesh", max_edge=v), "max_edge")
            for w, v in {
                "zero": 0,
                "negative": -5,
                "tiny": 5e-324,
                "of 400 digits": 10**400,
                "1e300": 1e300,
                "falling": [250, 10],
                "of 1e6 on a kilometre": 1e6,
                "one empty": [],
                "tiny inside": [1e-9, 300],
            }.items()
        },
        **{
            f"{k} {v:g}": (keys("mesh", **{k: v}), "")
            for k in ("offset", "convex", "concave", "cutoff")
            for v in (1e300, -1e300, 1e12)
        },
        "offset of 400 digits": (keys("mesh", offset=10**400), ""),
        "cutoff beyond the map": (keys("mesh", cutoff=1e5), "cutoff"),
        "cutoff negative": (keys("mesh", cutoff=-1), "cutoff"),
        "max_vertices 1e30": (keys("mesh", max_vertices=10**30), "max_vertices"),
        "max_vertices negative": (keys("mesh", max_vertices=-5), "max_vertices"),
        "max_vertices a fraction": (keys("mesh", max_vertices=2.5), "max_vertices"),
        "min_angle 60": (keys("mesh", min_angle=60), "min_angle"),
        "min_angle negative": (keys("mesh", min_angle=-1), "min_angle"),
        "a factor of 400 GB": (keys("mesh", max_edge=0.22, max_vertices=5 * 10**7), "needs about .* of memory"),
    },
    "prior": {
        **{
            f"pc {w}": (prior("range(spde)", {"pc": v}), "")
            for w, v in {
                "of text": ["a", 0.5],
                "inf": [INF, 0.5],
                "nan": [NAN, 0.5],
                "of one": [100],
                "of three": [1, 2, 3],
                "negative": [-5, 0.5],
                "zero": [0, 0.5],
                "share 2": [100, 2],
                "share 0": [100, 0],
                "share inf": [100, INF],
                "true": [True, 0.5],
                "of 400 digits": [10**400, 0.5],
                "nested": [[100], 0.5],
                "empty": [],
            }.items()
        },
        "range 1e308": (prior("range(spde)", {"pc": [1e308, 0.5]}), "another unit"),
        "range 1e9 on a kilometre": (prior("range(spde)", {"pc": [1e9, 0.5]}), "unit of the coordinates"),
        "range 1e9 in the formula": (
            keys("model", formula="caught ~ spde(mesh, prior_range=(1e9, 0.5))"),
            "unit of the coordinates",
        ),
        **{
            f"{w} in the formula": (keys("model", formula=f"caught ~ 1 + spde(mesh, {w})"), "another unit")
            for w in (
                "prior_range=(5e-324, 0.5)",
                "prior_range=(1e308, 0.5)",
                "prior_sigma=(1e300, 0.5)",
                "prior_sigma=(1e-300, 0.5)",
                "prior_sigma=(1, 1e-320)",
            )
        },
        "sd 1e-308": (prior("sigma(spde)", {"pc": [1e-308, 0.5]}), "another unit"),
        "mean 1e308": (prior("Intercept", {"gaussian": [1e308, 1]}), "another unit"),
        "mean of 400 digits": (prior("Intercept", {"gaussian": [10**400, 1]}), ""),
        "gaussian sd 1e-320": (prior("Intercept", {"gaussian": [0, 1e-320]}), "another unit"),
        "unknown kind": (prior("range(spde)", {"magic": [1, 2]}), "no prior"),
        "unknown name": (prior("nothing", {"pc": [1, 0.5]}), "does not have"),
        "two kinds": (prior("range(spde)", {"pc": [1, 0.5], "gaussian": [0, 1]}), "reads like"),
        "a number": (prior("range(spde)", 3), "reads like"),
        "long": (prior("range(spde)", {"pc": [LONG, 0.5]}), "finite number"),
        "long name": (prior(LONG, {"pc": [1, 0.5]}), "does not have"),
        "set unknown": (lambda: {**GOOD, "priors": {"defaults": "magic"}}, ""),
        "gaussian sd negative": (prior("Intercept", {"gaussian": [0, -1]}), ""),
        "gaussian sd inf": (prior("Intercept", {"gaussian": [0, INF]}), None),
    },
    "formula": {
        **{
            f"{w}": (keys("model", formula=v), "")
            for w, v in {
                "empty": "",
                "no response": "~ 1",
                "two tildes": "a ~ b ~ c",
                "unknown column": "caught ~ depth",
                "unknown response": "nothing ~ 1",
                "of code": "caught ~ __import__('os')",
                "attribute": "caught ~ a.b",
                "call": "caught ~ open('x')",
                "lambda": "caught ~ (lambda: 1)()",
                "unclosed": "caught ~ (1",
                "deep": "caught ~ " + "(" * 2000 + "1" + ")" * 2000,
                "unknown mesh": "caught ~ spde(other)",
                "alpha 5": "caught ~ spde(mesh, alpha=5)",
                "alpha text": "caught ~ spde(mesh, alpha='a')",
                "option unknown": "caught ~ spde(mesh, alpa=2)",
                "nothing": "caught ~ 0",
                "long": "caught ~ " + LONG,
                "power": "caught ~ (x + y)**1000000",
                "poly": "caught ~ poly(x, 1000)",
                "null byte": "caught ~ \x00",
                "response of code": "exec(caught) ~ 1",
                "twice the field": "caught ~ 1 + spde(mesh) + spde(mesh)",
                "semicolon": "caught ~ 1; import os",
                "newline": "caught\n~ 1 +",
            }.items()
        },
        "family unknown": (keys("model", family="nonsense"), "unknown family"),
        "family of code": (keys("model", family="os:system"), "family"),
        "family of no module": (keys("model", family="nomodule:X"), "cannot be imported"),
        "link unknown": (keys("model", link="nonsense"), "link"),
        "exposure of nothing": (keys("model", exposure="nothing"), "nothing"),
        "offset of nothing": (keys("model", offset="nothing"), "nothing"),
        "weights of nothing": (keys("model", weights="nothing"), "nothing"),
    },
    "data": {
        "no rows": (column(lambda t: t.drop(t.index, inplace=True)), ""),
        "one row": (column(lambda t: t.drop(t.index[1:], inplace=True)), ""),
        "no x": (column(lambda t: t.drop(columns="x", inplace=True)), ""),
        "no response": (column(lambda t: t.drop(columns="caught", inplace=True)), "caught"),
        **{
            f"{n} {w}": (cell(n, 3, v), "")
            for n in ("x", "caught")
            for w, v in {"text": "many", "missing": None, "inf": "inf", "1e300": 1e300, "decimal comma": "3,5"}.items()
        },
        "caught missing": (cell("caught", 3, None), None),  # a row without a response is left out, with a warning
        "exposure missing": (cell_of("e", 1.0, 3, None, exposure="e"), ""),
        "all in one place": (column(lambda t: t.__setitem__(["x", "y"], 1.0)), ""),
        "on a line": (fill("x", 5.0), "no area"),
        "far from the origin": (
            column(lambda t: t.__setitem__(["x", "y"], 1e8 + 1e-6 * t[["x", "y"]])),
            "too few digits|one place",
        ),
        "count negative": (cell("caught", 3, -1), "row|line"),
        "count a fraction": (cell("caught", 3, 1.5), "row|line"),
        "count beyond 2^53": (cell("caught", 3, 2**60), "2\\^53"),
        "count 1e200": (cell("caught", 3, 1e200), ""),
        "counts all zero": (fill("caught", 0), "every response"),
        "gaussian 1e200": (cell("caught", 3, 1e200, family="gaussian"), "1e\\+200"),
        "gaussian constant": (fill("caught", 7.0, family="gaussian"), ""),
        "beta of counts": (keys("model", family="beta"), ""),
        "bernoulli of counts": (keys("model", family="bernoulli"), ""),
        "gamma of zeros": (fill("caught", 0.0, family="gamma"), ""),
        "exposure zero": (fill("e", 0.0, exposure="e"), "above 0"),
        "exposure negative": (fill("e", -1.0, exposure="e"), "above 0"),
        "exposure 1e-300": (fill("e", 1e-300, exposure="e"), "exposure"),
        "exposure 1e308": (fill("e", 1e308, exposure="e"), "exposure"),
        "exposure text": (fill("e", "a", exposure="e"), ""),
        "weights zero": (fill("w", 0.0, weights="w"), "weights"),
        "weights negative": (fill("w", -1.0, weights="w"), "weights"),
        "weights 1e300": (fill("w", 1e300, weights="w"), "weights"),
        "offset 1e5": (fill("o", 1e5, offset="o"), "offset"),
        "covariate 1e200": (fill("z", 1e200, formula="caught ~ z + spde(mesh)"), "in another unit"),
        "dates as response": (fill("caught", "2020-01-01"), ""),
        "truths as response": (fill("caught", True, family="gaussian"), ""),
    },
    "crs": {
        **{
            f"{v}"[:30]: (keys("survey", crs=v), "")
            for v in (
                "local:",
                "+proj=geocent",
                "EPSG:4978",
                "EPSG:5773",
                "EPSG:99999999",
                "EPSG:",
                "nonsense",
                4326.5,
                -1,
                True,
                "EPSG:4326",
                LONG,
            )
        },
        "source of a csv": (keys("survey", layer="other"), "layer"),
        "source_crs broken": (keys("survey", source_crs="nonsense"), ""),
        "no file": (keys("survey", points="nothing.csv"), "nothing.csv"),
        "a folder": (keys("survey", points="."), ""),
        "no coastline": (keys("survey", coastline="nothing.gpkg"), "nothing.gpkg"),
        "device": (keys("survey", points="/dev/null"), ""),
        "null byte in a path": (keys("survey", points="a\x00b"), ""),
        "long path": (keys("survey", points=LONG), ""),
        "x unknown": (keys("survey", x="east"), ""),
    },
    "prediction": {
        **{
            f"cell {w}": (keys("prediction", cell=v), "")
            for w, v in {
                **NUMBERS,
                "zero": 0,
                "negative": -1,
                "tiny": 5e-324,
                "small": 1e-4,
                "1e300": 1e300,
                "of 400 digits": 10**400,
            }.items()
        },
        **{
            f"quantiles {w}": (keys("prediction", quantiles=v), "")
            for w, v in {
                "zero": [0],
                "one": [1],
                "text": ["a"],
                "nan": [NAN],
                "too near": [0.5, 0.5000000000000001],
            }.items()  # fmt: skip
        },
        **{
            f"exceed {w}": (keys("prediction", exceed=v), "")
            for w, v in {"text": ["a"], "nan": [NAN], "inf": [INF]}.items()
        },
        "both sizes": (keys("prediction", shape=[5, 5]), "both"),
        "shape of one": (lambda: {**GOOD, "prediction": {"shape": [5]}}, "two whole"),
        "shape huge": (lambda: {**GOOD, "prediction": {"shape": [10**9, 10**9]}}, "too large"),
        "layers unknown": (keys("prediction", layers=["nonsense"]), "layers"),
        "buffer negative": (keys("prediction", buffer=-1e9), ""),
        "buffer 1e300": (keys("prediction", buffer=1e300), ""),
    },
    "validation": {
        **{f"k {v}": (keys("validation", k=v), "") for v in (0, 1, -3, 2.5, 10**30, "a")},
        "folds unknown": (keys("validation", folds="magic"), "one of"),
        "distance zero": (keys("validation", distance=0), ""),
        "distance inf": (keys("validation", distance=INF), ""),
        "seed negative": (keys("validation", seed=-1), ""),
        "seed text": (keys("validation", seed="a"), ""),
    },
    "siblings": {
        **{
            f"label {w}": (keys("model", formula=f"caught ~ 1 + spde(mesh, label={v})"), "a label is a name")
            for w, v in {"empty": "''", "blank": "' '", "a number": "3", "long": f"'{LONG}'"}.items()
        },
        "label twice": (
            keys("model", formula="caught ~ spde(mesh, label='a') + spde(mesh, alpha=1.5, label='a')"),
            "two terms are called 'a'",
        ),
        "fields alike": (keys("model", formula="caught ~ spde(mesh) + spde(mesh, label='b')"), "alike"),
        **{
            f"truths and {family}": (fill("caught", [True, False] * 12 + [True], family=family), "True and False")
            for family in ("gaussian", "poisson")
        },
        "truths and bernoulli": (fill("caught", [True, False] * 12 + [True], family="bernoulli"), None),
        "count 1e15": (cell("caught", 3, 10**15), "scatters by less"),
        "counts of exposures that span 1e90": (fill("e", np.logspace(-45, 45, 25), exposure="e"), "the median 1"),
        "one exposure 1e11": (cell_of("e", 1.0, 3, 1e11, exposure="e"), "the median 1"),
        "one exposure 1e-11": (cell_of("e", 1.0, 3, 1e-11, exposure="e"), "the median 1"),
        "gaussian 1e50": (fill("caught", np.arange(25) * 1e50, family="gaussian"), r"beyond 1e\+40"),
        "gaussian 1e-50": (fill("caught", np.arange(25) * 1e-50, family="gaussian"), "nearer to 0 than 1e-40"),
        "an intercept about 1e5": (prior("Intercept", {"gaussian": [1e5, 1]}), "scale of the link"),
        "an intercept about 1e5, t": (prior("Intercept", {"student_t": [3, 1e5, 1]}), "scale of the link"),
        "an intercept about 1e5 or far from it": (prior("Intercept", {"gaussian": [1e5, 2e4]}), None),
        "one weight 1e30": (cell_of("w", 1.0, 3, 1e30, weights="w"), "no more than 1"),
        "gaussian 1e-300": (fill("caught", np.arange(25) * 1e-300, family="gaussian"), "nearer to 0"),
        "gaussian of last digits": (fill("caught", 1e16 + 2.0 * np.arange(25), family="gaussian"), "last digits"),
        "gamma 1e-320": (fill("caught", [1e-320, *range(1, 25)], family="gamma"), "nearer to 0"),
        "gamma of 28 decades": (fill("caught", 10.0 ** np.linspace(-14, 14, 25), family="gamma"), None),
        "gamma 1e30": (fill("caught", [1e30, *range(1, 25)], family="gamma"), r"beyond 1e\+18 times the median"),
        "one weight 1e11": (cell_of("w", 1.0, 3, 1e11, weights="w"), "no more than 1"),
        "one offset 1e11": (cell_of("o", 1.0, 3, 1e11, offset="o", family="gaussian"), "the offset of .* is 1e\\+11"),
        "gaussian 1e16 alone": (fill("caught", [1e16, *range(1, 25)], family="gaussian"), "correct it, or leave"),
        "x and X": (column(lambda t: t.insert(0, "X", t["x"]) or t.insert(0, "Y", t["y"])), "which two hold"),
        "X beside x and y": (column(lambda t: t.insert(0, "X", 1.0)), None),
        "sites 1e-300 apart": (column(lambda t: t.__setitem__(["x", "y"], t[["x", "y"]] * 1e-300)), "less than any"),
        "x and y one column": (keys("survey", x="x", y="x"), "one column"),
        "integer of 400 digits": (cell("caught", 3, 10**400, family="gaussian"), "infinite"),
        "text of 400 digits as x": (cell("x", 3, "9" * 400), "infinite"),
        "weights tiny": (fill("w", 1e-300, weights="w"), "nearly none"),
        "one weight negative": (cell_of("w", 1.0, 3, -1.0, weights="w"), "negative"),
        "a layer of a csv": (keys("survey", layer="other"), "no layers"),
        "ring without a coastline": (keys("survey", ring="a"), "none is given"),
        "coastline_layer without a coastline": (keys("survey", coastline_layer="a"), "none is given"),
        "a likelihood called ..": (second(".."), "letters and digits"),
        "a likelihood of a long name": (second("b" * 300), "longer than 200 bytes"),
        "a range held beyond the mesh": (prior("range(spde)", {"fixed": [1e12]}), "is held at"),
        "2,001 columns": (
            beside("wide.csv", ",".join(f"c{k}" for k in range(2001)), survey={"points": "wide.csv"}),
            "more than 2,000",
        ),
        "quantiles by the hundred": (keys("prediction", quantiles=[k / 200 for k in range(1, 150)]), "each of which"),
        "exceed by the thousand": (keys("prediction", exceed=list(range(1000))), "each of which"),
        "more folds than sites": (keys("validation", folds="random", k=26), "between 2 and the 25"),
        "one fold": (keys("validation", folds="random", k=1), "2 or more"),
        "a buffer around all": (keys("validation", folds="buffered", distance=1e14), "leaves nothing to fit"),
        "folds of no time": (keys("validation", folds="future", k=2), "model in time"),
        "seed of 400 digits": (keys("validation", seed=10**400), "seed"),
        "certify without end": (keys("inference", certify=10**12), "certify"),
        "draws without end": (keys("excursions", exceed=[3], draws=10**12), "draws"),
        **{
            f"{kind}: {w}": (beside(name, content, **{section: setting}), words)
            for kind, section, setting in (
                ("coastline", "survey", {"coastline": "other.geojson"}),
                ("barrier", "mesh", {"barrier": "other.geojson"}),
                ("areas", "regions", {"areas": "other.geojson"}),
            )
            for name in ("other.geojson",)
            for w, content, words in (
                ("a pipe", None, "pipe or a device"),
                ("empty", "", ""),
                (
                    "a ring that does not close",
                    polygon([[0, 0], [1000, 0], [1000, 1000], [0, 1000]]),
                    "its last vertex",
                ),
                ("a ring of two points", polygon([[0, 0], [1000, 0], [0, 0]]), ""),
                ("no JSON", "{" * 1000, ""),
                ("an empty collection", '{"type": "FeatureCollection", "features": []}', ""),
                ("points", '{"type": "Point", "coordinates": [1, 2]}', ""),
            )
        },
        "coastline: a vertex at 1e300": (
            beside("c.geojson", polygon([[0, 0], [1000, 0], [1e300, 1000], [0, 0]]), survey={"coastline": "c.geojson"}),
            "",
        ),
        "coastline: 1e13 across": (
            beside("c.csv", "x,y\n-1e13,-1e13\n1e13,-1e13\n1e13,1e13\n-1e13,1e13\n", survey={"coastline": "c.csv"}),
            "max_edge",
        ),
        "sites: a pipe": (beside("p.csv", None, survey={"points": "p.csv"}), "pipe or a device"),
        "weights of areas: a pipe": (
            beside("w.tif", None, regions={"areas": "sites.csv", "weights": "w.tif"}),
            "no file 'w.tif'",
        ),
        **{
            f"points {w}": (keys("survey", points=v), "no file")
            for w, v in {
                "on the net": "https://example.com/sites.csv",
                "by GDAL's net": "/vsicurl/https://example.com/sites.gpkg",
                "in a database": "PG:dbname=x",
                "in a zip": "/vsizip/sites.zip",
            }.items()
        },
        **{
            f"{term}": (keys("model", formula=f"caught ~ {term}"), "")
            for term in (
                "s(x, k=1000000000)",
                "s(x, k=-5)",
                "poly(x, -1)",
                "ar(x, order=1000000000)",
                "seasonal(x, period=0)",
                "spde(mesh, nu=0)",
                "spde(mesh, nu=1e300)",
                "spde(mesh, barrier=1e300)",
                "spde(mesh, alpha=True)",
                "I(x / 0)",
                "I(x ** 1e308)",
                "I(x * 9 ** 9 ** 9 ** 9)",
                "I(x * 1e400)",
                "exp(x * 1e5)",
                "log(0 * x)",
                "offset(x * 1e300)",
                "(1 | nothing)",
                "(x + y + caught) ** 7",
                "te(x, y, k=1000)",
                "C(x)",
                "spde(mesh, by=nothing)",
                "spde(mesh, time=x, temporal='ar1')",
                "rw1(nothing)",
                "besag(x, graph=none)",
            )
        },
    },
}  # words: None where the run file can be used, with warnings or without
CASES = {f"{kind}: {name}": case for kind, cases in CLASSES.items() for name, case in cases.items()}
