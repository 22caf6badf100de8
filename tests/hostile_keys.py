"""Run files whose texts, lists and names of parts cannot be used; and values of any kind, for any key."""

import datetime
import json
import os
from pathlib import Path

from hostile_inputs import GOOD, RAW, beside, cell, fill, keys, polygon, run_file, second

COMMANDING = "a\x1b[31mb"  # turns a terminal red
EMPTY = "a\x00b"
MANY = [str(k) for k in range(3000)]


def also(section, **content):
    """The good run file with a section more."""
    return lambda: {**GOOD, section: content}


def of_two(lines):
    """Two likelihoods, and more lines."""
    return lambda: {RAW: f"{second('b')()[RAW]}\n{lines}"}


def raw(old, new):
    """The good run file's text, with another in the place of one of its own."""

    def write():
        text = run_file(GOOD)
        assert old in text
        return {RAW: text.replace(old, new, 1)}

    return write


def virtual(name, content):
    """A run file of points that a virtual layer takes from the pipe q."""

    def write():
        os.mkfifo("q")
        Path(name).write_text(content)

    return lambda: {**GOOD, "survey": {**GOOD["survey"], "points": name}, "write": write}


KEYS = {
    **{
        f"{section} {key} {word}": (keys(section, **{key: text}), "control character")
        for section, key in (("survey", "name"), ("survey", "points"), ("output", "dir"), ("output", "label"))
        for word, text in {"commands a terminal": COMMANDING, "with an empty character": EMPTY}.items()
    },
    "formula commands a terminal": (keys("model", formula=f"caught ~ {COMMANDING}"), "control character"),
    "formula of two lines": (keys("model", formula="caught ~ 1 +\n\tspde(mesh)"), None),
    "name long": (keys("survey", name="y" * 3000), "200 letters are the most"),
    "label long": (keys("output", label="y" * 3000), "200 letters are the most"),
    "areas by the hundred": (also("regions", areas=MANY), "100 entries are the most"),
    "areas that exceed by the hundred": (
        also("regions", areas=["a.gpkg"], exceed=list(range(300))),
        "100 entries are the most",
    ),
    "excursions by the hundred": (also("excursions", exceed=list(range(300))), "each of which is a map"),
    "excursions of texts": (also("excursions", exceed=MANY), "list of numbers"),
    "graph that is not there": (also("graphs", w="gone.gpkg"), "graph w: there is no file"),
    "graph: a pipe": (beside("w.gpkg", None, graphs={"w": "w.gpkg"}), "pipe or a device"),
    "barrier that is not there": (keys("mesh", barrier="gone.gpkg"), "barrier: there is no file"),
    "domain that is not there": (keys("survey", domain="gone.gpkg"), "domain is only for point patterns"),
    "covariate with an empty character": (also("covariates", elev=EMPTY), "no file"),
    "distance with an empty character": (also("covariates", elev={"distance_to": EMPTY}), "no file"),
    "covariate without a name": (also("covariates", **{"": {"coordinate": "x"}}), "called by a text"),
    "coordinate z": (also("covariates", elev={"coordinate": "z"}), "one of 'x' and 'y'"),
    "labels by text": (also("covariates", elev={"raster": "a", "labels": {"a": "b"}}), "texts by number"),
    "validated part of one": (also("validation", observations="magic"), "there is but one"),
    "validated part of two": (of_two('[validation]\nobservations = "b"'), None),
    "validated part that is none": (of_two('[validation]\nobservations = "c"'), "there are a, b"),
    "validated part not said": (of_two("[validation]\nk = 3"), "is of one of several"),
    "validated part of a delta family": (
        lambda: {**GOOD, "model": {**GOOD["model"], "family": "delta_gamma"}, "validation": {"observations": "b"}},
        "there are presence, positive",
    ),
    "time that the model has not": (keys("prediction", at={"year": 1}), "the model does not use"),
    "points: a virtual layer of a pipe": (
        virtual("p.vrt", "<OGRVRTDataSource><OGRVRTLayer name='q'><SrcDataSource>q</SrcDataSource>"),
        "'q' is a pipe or a device",
    ),
    "points at home of nobody": (keys("survey", points="~nobody/p.csv"), "no file"),
    "points with a field of 50,000 digits": (cell("caught", 3, "9" * 50_000), "is infinite"),
    "points with a field of 3 million letters": (cell("caught", 3, "a" * 3_000_000), "a field of 3,000,000 letters"),
    "family of 200,000 letters": (keys("model", family="a" * 200_000), "200,000 letters"),
    "areas of no file": (also("regions", kind="mean"), "needs the key 'areas'"),
    "cell written in Cyrillic": (keys("prediction", **{"\u0441ell": 100}), "has no key"),
    **{
        f"family {word}": (keys("model", family=name), "there is no family|unknown family|family")
        for word, name in {
            "with a Cyrillic letter": "p\u043eisson",
            "in full width": "\uff50\uff4f\uff49\uff53\uff53\uff4f\uff4e",
            "with a space of no width": "poi\u200bsson",
            "from the right": "\u202epoisson",
        }.items()
    },
    **{
        f"text: {name}": (raw(old, new), words)
        for name, old, new, words in (
            ("a table twice", "[model]", "[mesh]\n[model]", "is not TOML"),
            ("a key twice", "[model]", '[model]\n"family" = "gamma"', "is not TOML"),
            ("a key of nothing", "[model]", '[model]\n"" = 1', "has no key"),
            ("a section of nothing", "[model]", '[""]\na = 1\n[model]', "there is no section"),
            ("a list of sections", "[model]", "[[model]]", "model"),
            (
                "deep tables",
                "[model]",
                f"[priors]\nx = {'{a = ' * 2000}1{'}' * 2000}\n[model]",
                "nested deeper|is not TOML",
            ),
            ("deep names", "[model]", f"[priors]\n{'a.' * 1500}b = 1\n[model]", "nested deeper"),
            ("a number of 4,000 digits", "[model]", f"[priors]\nx = {'9' * 4000}\n[model]", ""),
            ("a time of day", "[model]", "[priors]\nx = 07:32:00\n[model]", ""),
        )
    },
    **{
        f"formula {name}": (keys("model", formula=f"caught ~ {term}"), "")
        for name, term in {
            "3,000 deep": f"{'(' * 3000}1{')' * 3000}",
            "of a lambda": "(lambda: 1)()",
            "of a fish": "1 + \U0001f41f + spde(mesh)",
            "of itself": "caught + spde(mesh)",
            "of a mesh twice": "spde(mesh, mesh)",
            "of a field of 3": "spde(3)",
        }.items()
    },
    **{
        f"{key} {value}": (keys("prediction", **{key: value}), "")
        for key, value in {"quantiles": [0], "exceed": [True], "buffer": 1e300, "cell": [100]}.items()
    },
    "time nested": (keys("prediction", at={"year": [[1]]}), "numbers or words"),
    "a term that is called as the intercept": (
        keys("model", formula="caught ~ 1 + spde(mesh, label='Intercept')"),
        "another label",
    ),
    "an exposure of truths": (fill("hours", True, exposure="hours"), "True and False"),
    "a barrier that is everywhere": (
        beside(
            "b.json",
            polygon([[-9e4, -9e4], [9e4, -9e4], [9e4, 9e4], [-9e4, 9e4], [-9e4, -9e4]]),
            mesh={"barrier": "b.json"},
            model={"formula": "caught ~ 1 + spde(mesh, barrier=0.1)"},
        ),
        "none of it is left for a field",
    ),
    "sites without their ending": (
        beside("places.json", "{}", survey={"points": "places"}),
        "did you mean 'places.json'",
    ),
}  # words: None where the run file can be used, with warnings or without

ANYTHING = {
    "negative": -3,
    "zero": 0,
    "fraction": 2.5,
    "large": 1e300,
    "tiny": 5e-324,
    "infinite": float("inf"),
    "none": float("nan"),
    "truth": True,
    "empty": "",
    "blank": "  ",
    "text": "magic",
    "from the right": "\u202eabc",
    "commanding": COMMANDING,
    "long": "y" * 3000,
    "list": [],
    "numbers": [1, 2],
    "texts": ["a", "b"],
    "lists": [[1, 2], [3]],
    "mixture": [1, "a", None],
    "long list": list(range(3000)),
    "table": {},
    "deep table": {"a": {"b": {"c": [1]}}},
    "400 digits": 10**400,
    "date": datetime.date(2020, 1, 1),
}


def with_value(section, key, value):
    """The good run file's content with any value, for a key or in place of a section."""
    content = json.loads(json.dumps(GOOD))
    return content | {section: value if key is None else {**content.get(section, {}), key: value}}
