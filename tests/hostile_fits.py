"""Saved fits that are damaged, altered or made up: what is done to the two files, and the words that must come."""

import io
import json
import struct
import zipfile

import numpy as np

from geospde.results.saving.archive import write_arrays
from geospde.results.saving.schema import words_text


def of_words(change):
    """Change the words and seal them again, so that the schema has to see it."""

    def do(base):
        words = json.loads(base.with_suffix(".json").read_text())
        del words["checksum"]
        change(words)
        base.with_suffix(".json").write_text(words_text(words))

    return do


def unsealed(change):
    """Change the words and leave their checksum."""

    def do(base):
        words = json.loads(base.with_suffix(".json").read_text())
        change(words)
        base.with_suffix(".json").write_text(json.dumps(words))

    return do


def of_arrays(change):
    """Change the arrays and seal them again."""

    def do(base):
        with np.load(base.with_suffix(".npz")) as stored:
            arrays = dict(stored)
        change(arrays)
        sums = write_arrays(base.with_suffix(".npz"), arrays)
        of_words(lambda words: words.update(arrays=sums))(base)

    return do


def altered(change):
    """Change the arrays and leave the checksums."""

    def do(base):
        with np.load(base.with_suffix(".npz")) as stored:
            arrays = dict(stored)
        change(arrays)
        np.savez_compressed(base.with_suffix(".npz"), **arrays)

    return do


def of_bytes(suffix, change):
    """Change the bytes of a file."""

    def do(base):
        path = base.with_suffix(suffix)
        path.write_bytes(change(path.read_bytes()))

    return do


def flipped(at):
    """Flip all bits of a byte, its place a share of the length."""

    def change(data):
        k = int(at * (len(data) - 1))
        return data[:k] + bytes([data[k] ^ 0xFF]) + data[k + 1 :]

    return change


def rezipped(method=zipfile.ZIP_DEFLATED, **more):
    """Pack the same members by another method, with more of them."""

    def do(base):
        path = base.with_suffix(".npz")
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, data in {**members, **more}.items():
                archive.writestr(name, data)

    return do


def member(name, data):
    """Put other bytes in the place of an array."""

    def do(base):
        path = base.with_suffix(".npz")
        with zipfile.ZipFile(path) as archive:
            members = {each: archive.read(each) for each in archive.namelist()}
        members[f"{name}.npy"] = data(members[f"{name}.npy"]) if callable(data) else data
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for each, content in members.items():
                archive.writestr(each, content)

    return do


def npy(text, body=b""):
    """An array file with this header."""
    head = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + body


def pickled():
    """An array of objects."""
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}, []], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def put(name, value):
    """Another array, by a function of the old one or as it is."""

    def change(arrays):
        arrays[name] = value(arrays[name]) if callable(value) else np.asarray(value)

    return change


def less(name):
    """One array or word less."""
    return lambda mapping: mapping.pop(name)


def setting(**changes):
    """Other settings."""
    return lambda words: words["settings"].update(changes)


def word(**changes):
    """Other words."""
    return lambda words: words.update(changes)


def nothing(values, at=0, to=np.nan):
    """An array with another number in it."""
    values = np.array(values, dtype=float)
    values.flat[at] = to
    return values


HUGE = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000,), }"
DAMAGED = {
    "npz empty": (of_bytes(".npz", lambda b: b""), "damaged"),
    "npz of text": (of_bytes(".npz", lambda b: b"not a zip at all" * 9), "damaged"),
    "npz a npy": (of_bytes(".npz", lambda b: npy(HUGE)), "damaged"),
    **{
        f"npz cut at {s}": (of_bytes(".npz", lambda b, s=s: b[: int(s * len(b))]), "damaged")
        for s in (0.1, 0.5, 0.9, 0.999)
    },
    **{
        f"npz flipped at {s}": (of_bytes(".npz", flipped(s)), "") for s in (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 0.99)
    },
    "npz lzma": (rezipped(zipfile.ZIP_LZMA), "no saved fit has"),
    "npz bzip2": (rezipped(zipfile.ZIP_BZIP2), "no saved fit has"),
    "npz with a script": (rezipped(**{"x.py": b"print(1)"}), "no saved fit has"),
    "npz with a path": (rezipped(**{"../../evil.npy": npy(HUGE)}), "describes"),
    "npz with one more": (altered(put("more", [1.0])), "should not have"),
    "array pickled": (member("weights", pickled()), ""),
    "array claims 8 GB": (member("weights", npy(HUGE)), "describes"),
    "array of no magic": (member("weights", b"abc"), "damaged"),
    "array of version 9": (member("weights", lambda b: b[:6] + b"\x09" + b[7:]), "damaged"),
    "array header of code": (member("weights", npy("__import__('os').system('true')")), "damaged"),
    "array header nested": (member("weights", npy("(" * 100)), "damaged"),
    "array of negative size": (member("weights", npy(HUGE.replace("1000000000", "-5"))), ""),
    "array of subarrays": (member("weights", npy(HUGE.replace("'<f8'", "'(1000000,1000000)<f8'"))), ""),
    "array of dates": (of_arrays(put("offset", lambda a: a.astype("M8[s]"))), "describes"),
    "json empty": (of_bytes(".json", lambda b: b""), "cannot read"),
    "json cut": (of_bytes(".json", lambda b: b[: len(b) // 2]), "cannot read"),
    "json of bytes": (of_bytes(".json", lambda b: b"\xff\xfe\x00" * 20), "cannot read"),
    "json list": (of_bytes(".json", lambda b: b"[]"), "of which format"),
    "json null": (of_bytes(".json", lambda b: b"null"), "of which format"),
    "json number": (of_bytes(".json", lambda b: b"1e999"), "of which format"),
    "json empty object": (of_bytes(".json", lambda b: b"{}"), "of which format"),
    "json deep": (of_bytes(".json", lambda b: b"[" * 100_000 + b"]" * 100_000), "nested deeper"),
    "json long number": (of_bytes(".json", lambda b: b'{"format": ' + b"9" * 6000 + b"}"), "cannot read"),
    "json of a later format": (of_words(word(format=99)), "a newer one"),
    "json of format true": (of_words(word(format=True)), "of which format"),
    "json of format text": (of_words(word(format="2")), "of which format"),
    "json called format 1": (of_words(word(format=1)), "checksum"),
    "json without checksum": (unsealed(less("checksum")), "checksum"),
    **{
        f"json altered: {name}": (unsealed(change), "checksum")
        for name, change in {
            "formula": setting(formula="caught ~ 1"),
            "label": word(label="other"),
            "seconds": word(seconds=5.0),
            "evidence": word(log_marginal_likelihood=0.0),
            "family": word(family="gaussian"),
        }.items()
    },
    **{
        f"json lacks {name}": (of_words(less(name)), "not a saved fit")
        for name in ("settings", "seconds", "evaluations", "columns", "meshes", "crs", "label", "arrays")
    },
    **{
        f"json lacks setting {name}": (of_words(lambda w, n=name: w["settings"].pop(n)), "not a saved fit")
        for name in ("formula", "family", "method", "quadrature")
    },
    **{
        f"json has {name}": (of_words(change), "")
        for name, change in {
            "settings a list": word(settings=[]),
            "formula a number": setting(formula=3),
            "formula of another model": setting(formula="caught ~ 1"),
            "formula of no response": setting(formula="nothing ~ 1 + spde(mesh)"),
            "formula of two fields": setting(formula="caught ~ 1 + spde(mesh) + spde(mesh)"),
            "formula broken": setting(formula="caught ~ ((("),
            "formula of code": setting(formula="caught ~ __import__('os')"),
            "formula deep": setting(formula="caught ~ " + "(" * 3000 + "x" + ")" * 3000),
            "formula long": setting(formula="caught ~ 1" + " + x" * 40_000),
            "method unknown": setting(method="magic"),
            "method reml": setting(method="reml"),
            "family unknown": word(family="nonsense"),
            "family of code": word(family="antigravity:fly"),
            "family with another support": word(family="beta"),
            "link unknown": setting(link="nonsense"),
            "priors a list": word(priors=[]),
            "priors of nothing": word(priors={"nothing": {"pc": [1, 0.5]}}),
            "priors not finite": word(priors={"range(spde)": {"pc": [float("inf"), 0.5]}}),
            "seconds negative": word(seconds=-1.0),
            "seconds text": word(seconds="3"),
            "seconds nan": word(seconds=float("nan")),
            "columns a list": word(columns=["x"]),
            "columns of another kind": word(columns={"caught": "magic"}),
            "columns none": word(columns={}),
            "one column more": word(columns={"caught": "number", "more": "number"}),
            "meshes a list": word(meshes=[]),
            "mesh of another name": word(meshes={"other": ["vertices", "triangles", "inner", "crs"]}),
            "mesh without triangles": word(meshes={"mesh": ["vertices"]}),
            "crs broken": word(crs="not a crs"),
            "crs a number": word(crs=4326),
            "evidence nan": word(log_marginal_likelihood=float("nan")),
            "evidence none": word(log_marginal_likelihood=None),
            "strategy unknown": word(strategy="magic"),
            "notes a number": word(notes=3),
            "arrays a list": word(arrays=[]),
            "coords of one": setting(coords=["x"]),
            "coords of nothing": setting(coords=["p", "q"]),
            "offset of nothing": setting(offset="nothing"),
            "quadrature huge": setting(quadrature=10**12),
            "label a list": word(label=[]),
            "evaluations negative": word(evaluations=-3),
        }.items()
    },
    **{
        f"arrays lack {name}": (of_arrays(less(name)), "lacks the array|hold together")
        for name in (
            "weights",
            "theta",
            "modes",
            "means",
            "covariances",
            "offset",
            "exposure",
            "column_0",
            "mesh_mesh_vertices",
            "mesh_mesh_triangles",
            "log_posterior",
        )
    },
    **{
        f"{name} altered": (altered(put(name, lambda a: a * 1.5)), "checksum")
        for name in ("weights", "theta", "modes", "covariances", "hyper_root", "exposure", "mesh_mesh_vertices")
    },
    **{
        f"{name} not finite": (of_arrays(put(name, nothing)), "not finite|hold together")
        for name in (
            "weights",
            "theta",
            "modes",
            "means",
            "covariances",
            "offset",
            "exposure",
            "observation_weights",
            "column_0",
            "mesh_mesh_vertices",
            "hyper_centre",
            "hyper_root",
            "points",
        )
    },
    **{
        f"{name} cut": (of_arrays(put(name, lambda a: a[:-1])), "shape|hold together|another model")
        for name in (
            "weights",
            "theta",
            "modes",
            "means",
            "covariances",
            "offset",
            "exposure",
            "column_0",
            "mesh_mesh_vertices",
            "mesh_mesh_triangles",
            "mesh_mesh_inner",
            "hyper_centre",
            "hyper_root",
            "points",
        )
    },
    **{
        f"{name} of words": (of_arrays(put(name, lambda a: np.full(a.shape, "x"))), "")
        for name in ("weights", "theta", "modes", "column_0", "mesh_mesh_vertices", "mesh_mesh_triangles")
    },
    "modes flat": (of_arrays(put("modes", lambda a: a.ravel())), "shape"),
    "modes of another model": (
        of_arrays(lambda a: a.update(modes=a["modes"][:, :-1], means=a["means"][:, :-1])),
        "another model",
    ),
    "covariances of another model": (of_arrays(put("covariances", lambda a: a[:, :-1])), "another model"),
    "weights negative": (of_arrays(put("weights", lambda a: -a)), "no probabilities"),
    "weights of three": (of_arrays(put("weights", lambda a: 3 * a)), "no probabilities"),
    "weights all zero": (of_arrays(put("weights", lambda a: 0 * a)), "no probabilities"),
    "one weight negative": (
        of_arrays(put("weights", lambda a: nothing(nothing(a, 0, -0.5), -1, 1.5 - a[1:-1].sum()))),
        "no probabilities",
    ),
    "axes singular": (of_arrays(put("hyper_root", lambda a: 0 * a)), "axes"),
    "axes far too short": (of_arrays(put("hyper_root", lambda a: 1e-6 * a)), "axes"),
    "centre elsewhere": (of_arrays(put("hyper_centre", lambda a: a + 1e6)), "axes"),
    "exposure negative": (of_arrays(put("exposure", lambda a: -a)), "exposure"),
    "response negative": (of_arrays(put("column_0", lambda a: -1.0 - a)), "hold together"),
    "vertices all one": (of_arrays(put("mesh_mesh_vertices", lambda a: 0 * a)), "hold together"),
    "triangles beyond": (of_arrays(put("mesh_mesh_triangles", lambda a: a + 10**6)), "hold together"),
    **{
        f"{name} as {kind}": (of_arrays(put(name, lambda a, k=kind: a.astype(k))), words)
        for name, kind, words in (
            ("weights", "f2", "describes"),
            ("theta", "i8", "holds no numbers"),
            ("theta", "c16", "describes"),
            ("points", "f2", "describes"),
            ("weights", "f16", "describes"),
            ("hyper_root", "f16", "describes"),
        )
    },
    "theta all one": (of_arrays(put("theta", lambda a: np.broadcast_to(a[:1], a.shape).copy())), "axes"),
    "covariances negative": (of_arrays(put("covariances", lambda a: -a)), "variances"),
    "covariances zero": (of_arrays(put("covariances", lambda a: 0 * a)), "variances"),
    "coords twice the same": (of_words(setting(coords=["x", "x"])), "twice"),
    "integration unknown": (of_words(setting(integration="magic")), "not a saved fit"),
    "evidence 1e308": (of_words(word(log_marginal_likelihood=1e308)), "not a saved fit"),
    "label commands a terminal": (of_words(word(label="\x1b[2J")), "not a saved fit"),
    "note commands a terminal": (of_words(word(notes=["\x1b]0;x\x07"])), "not a saved fit"),
    "exposure commands a terminal": (of_words(setting(exposure="\x1b[2J")), "not a saved fit"),
    "dispersion of none": (of_words(setting(dispformula="~ x")), "no dispersion"),
    "covariates of a file": (of_words(word(covariates={"elev": {"raster": "/etc/passwd"}})), "hold together"),
    "graphs of nothing": (of_words(word(graphs={"w": {"a": 1}})), "hold together"),
    "support of nothing": (of_words(word(support={"kind": "mean", "columns": {}})), "hold together"),
    "mesh of a path": (of_words(lambda w: w["meshes"].update(mesh=["vertices", "../x"])), "lacks the array"),
    "bytes behind an array": (member("weights", lambda data: data + bytes(8)), "describes"),
    "triangle without area": (
        of_arrays(put("mesh_mesh_triangles", lambda a: np.column_stack([a[:, 0], a[:, 0], a[:, 2]]))),
        "no area",
    ),
    "vertices counted from behind": (of_arrays(put("mesh_mesh_triangles", lambda a: -1 - a)), "refer to vertices"),
    "rows weigh nothing": (of_arrays(put("observation_weights", lambda a: 0 * a)), "weights are zero"),
    **{
        f"{name} made anew": (of_arrays(put(name, change)), words)
        for name, change, words in (
            ("theta", lambda a: a * 1.5, "mode of its model"),
            ("theta", lambda a: a[::-1].copy(), "mode of its model"),
            ("modes", lambda a: a + 1.0, "mode of its model"),
            ("exposure", lambda a: a * 1.5, "mode of its model"),
            ("column_0", lambda a: a + 1.0, "sites"),
            ("mesh_mesh_vertices", lambda a: a * 1.5, "mode of its model"),
            ("covariances", lambda a: a * 1.5, "covariances are not"),
            ("covariances", lambda a: a[::-1].copy(), "covariances are not"),
            ("means", lambda a: a + 100.0, "far from the mode"),
            ("hyper_centre", lambda a: a + 1.0, "density of its hyper"),
            ("hyper_root", lambda a: a.T.copy(), "density of its hyper|axes"),
            ("hyper_root", lambda a: -a, "density of its hyper"),
            ("weights", lambda a: a[::-1].copy(), "weights of its points|density of its hyper"),
        )
    },
    "evidence made anew": (of_words(word(log_marginal_likelihood=0.0)), "density of its hyper"),
    "density without its centre": (of_arrays(less("hyper_centre")), "lacks the array"),
    "formula of other priors": (of_words(setting(formula="caught ~ 1 + spde(mesh, alpha=1.5)")), "mode of its model"),
    "no points of theta": (
        of_arrays(
            lambda a: a.update(
                {k: a[k][:0] for k in ("theta", "log_posterior", "weights", "modes", "means", "covariances")}
            )
        ),
        "",
    ),
}
ESTIMATES = {
    **{
        f"{name} {what}": (of_arrays(put(f"maximum_{name}", change)), words)
        for name, what, change, words in (
            ("fixed", "moved", lambda a: a + 1.0, "written twice"),
            ("x", "moved", lambda a: a + 1.0, "written twice|mode of its model"),
            ("theta", "moved", lambda a: a + 1.0, "mode of its model"),
            ("log_likelihood", "moved", lambda a: a + 1.0, "written twice"),
            ("covariance", "negated", lambda a: -a, "are none"),
            ("covariance", "infinite", lambda a: a + np.inf, "are none"),
            ("covariance", "of words", lambda a: a.astype("U"), "no numbers"),
            ("fixed_covariance", "negated", lambda a: -a, "are none"),
            ("fixed_covariance", "skew", lambda a: a + np.triu(np.ones_like(a), 1), "are none|differ"),
            ("fixed_covariance", "larger", lambda a: 2.0 * a, "differ"),
            ("inner_covariance", "larger", lambda a: 2.0 * a, "differ"),
            ("edges", "beyond", lambda a: a + 5, "are none"),
            ("edges", "moved", lambda a: a + 1, "are none"),
            ("edges", "of fractions", lambda a: a + 0.5, "no numbers"),
            ("flat", "of words", lambda a: a.astype("U"), "no numbers"),
        )
    },
    "response of others": (of_arrays(put("column_0", lambda a: a[::-1].copy())), "mode of its model"),
    "formula of another scale": (of_words(setting(formula="caught ~ I(3 * z) + (1 | g)")), "mode of its model"),
}
"""The same of estimates by maximum likelihood, of a model with a group."""
PLAIN = {
    "response of others": (of_arrays(put("column_0", lambda a: a[::-1].copy())), "log likelihood is not that"),
    "covariate of others": (of_arrays(put("column_1", lambda a: 1.5 * a)), "log likelihood is not that"),
    "rows weigh more": (of_arrays(put("observation_weights", lambda a: 1.5 * a)), "log likelihood is not that"),
    "residual sd larger": (of_arrays(put("maximum_theta", lambda a: a + 1.0)), "log likelihood is not that"),
    "residual sd a whole number": (of_arrays(put("maximum_theta", lambda a: a.astype("i8"))), "no numbers"),
    "fixed_covariance huge": (of_arrays(put("maximum_fixed_covariance", lambda a: a * 1e300)), "differ"),
}
"""The same of a Gaussian regression without random effects."""
ONE_POINT = {
    "centre moved": (of_arrays(put("hyper_centre", lambda a: a + 0.1)), "density of its hyper"),
    "axes longer": (of_arrays(put("hyper_root", lambda a: 1.3 * a)), "density of its hyper"),
    "axes a row longer": (of_arrays(put("hyper_root", lambda a: np.vstack([1.2 * a[:1], a[1:]]))), "density of its"),
    **{
        f"a likelihood called {name!r}": (
            of_words(lambda w, n=name: w["several"]["parts"][0].update(name=n)),
            "not a saved fit",
        )
        for name in ("", "\x1b[2J", "hard\ncoral", "hard\u2028coral", "a\u202eb", "\x85")
    },
    "a column that commands a terminal": (
        of_words(lambda w: w["several"]["parts"][0]["columns"].update({"\x1b[2J": "number"})),
        "not a saved fit",
    ),
    "a fixed effect of another sign": (
        of_arrays(put("means", lambda a: np.hstack([a[:, :-3], a[:, -3:] - 5.0]))),
        "far from the mode",
    ),
    "a likelihood of no family": (
        of_words(lambda w: w["several"]["parts"][0].update(family="nonsense")),
        "unknown family 'nonsense': the families are 'gaussian', .{,170} more$",
    ),
    "a likelihood less": (of_words(lambda w: w["several"]["parts"].pop()), "not a saved fit"),
    "a formula of the other": (
        of_words(lambda w: w["several"]["parts"][0].update(formula="lead ~ 1 + field")),
        "hold together",
    ),
    "a shared term of another kind": (of_words(lambda w: w["several"]["terms"].update(field="1")), "hold together"),
    "exposure of a likelihood": (of_arrays(put("part0_exposure", lambda a: 1.5 * a)), "mode of its model"),
    "response of a likelihood": (of_arrays(put("part1_column_0", lambda a: a[::-1].copy())), "mode of its model"),
}
"""The same of two likelihoods by empirical Bayes."""
