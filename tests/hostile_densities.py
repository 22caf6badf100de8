"""Saved fits whose arrays are of one another and of no model: what is done to them, and the words that must come."""

import numpy as np
from hostile_fits import less, of_arrays, of_words, put, setting, word


def in_force(priors):
    """Parts of the first term's prior."""
    return priors["terms"][0]["Independent"]["parts"]


DENSITY = {
    **{
        f"{name} {what}": (of_arrays(put(name, change)), words)
        for name, what, change, words in (
            ("weights", "rolled", lambda a: np.roll(a, 1), "weights of its points"),
            ("means", "a little off", lambda a: 1.1 * a, "computed again"),
            ("covariances", "a little larger", lambda a: 1.03 * a, "computed again"),
            ("log_posterior", "higher", lambda a: a + 2.0, "density of its hyper"),
            ("hyper_centre", "moved", lambda a: a + 1.0, "density of its hyper|weights of its points"),
            ("hyper_root", "longer", lambda a: 1.5 * a, "density of its hyper|weights of its points"),
            ("hyper_root", "negated", lambda a: -a, "density of its hyper|weights of its points"),
            ("residual_shape", "reversed", lambda a: a[::-1].copy(), "density of its hyper|weights"),
            ("residual_metric", "of words", lambda a: a.astype("U"), "no numbers"),
            ("warp_z", "larger", lambda a: 1.5 * a, "density of its hyper|weights of its points"),
        )
    },
    **{
        f"without {name}": (of_arrays(less(name)), "beside its others|hold together")
        for name in ("warp_u", "residual_places", "residual_kernels", "residual_mean")
    },
    "another prior": (of_words(word(priors={"sd(Intercept | g)": {"pc": [0.01, 0.01]}})), "written twice"),
    **{
        f"priors in force {what}": (of_words(lambda w, change=change: change(w["priors_in_force"])), words)
        for what, change, words in (
            ("of another size", lambda p: in_force(p)[0].update(PCSd={"sd0": 0.1, "p": 0.05}), "computed again"),
            ("of no kind", lambda p: in_force(p).__setitem__(0, {"Nothing": {"sd0": 1.0}}), "hold together"),
            ("without a number", lambda p: in_force(p)[0].update(PCSd={"sd0": 1.0}), "hold together"),
            ("of infinity", lambda p: in_force(p)[0].update(PCSd={"sd0": float("inf"), "p": 0.05}), "that is none"),
            ("of words", lambda p: in_force(p)[0].update(PCSd={"sd0": "one", "p": 0.05}), "that is none"),
            ("of a list", lambda p: in_force(p)[0].update(PCSd={"sd0": [1.0, 2.0], "p": 0.05}), "that is none"),
            ("negative", lambda p: in_force(p)[0].update(PCSd={"sd0": -1.0, "p": 0.05}), "must be positive"),
            ("of two", lambda p: in_force(p).append(in_force(p)[0]), "another model"),
            ("of none", lambda p: in_force(p).clear(), "another model"),
            ("of no term", lambda p: p["terms"].clear(), "another model"),
            ("of a coefficient", lambda p: p["coefficients"].update(precision=[0.0, 50.0]), "mode of its model"),
            ("of a coefficient less", lambda p: p["coefficients"].update(mean=[0.0]), "another model"),
            ("of a negative precision", lambda p: p["coefficients"].update(precision=[0.0, -1.0]), "another model"),
        )
    },
    "without its priors in force": (of_words(word(priors_in_force=None)), "does not say its priors"),
    "another family by name": (of_words(setting(family="binomial")), "family"),
    "another strategy by name": (of_words(setting(strategy="laplace")), "strategy"),
    "points of empirical Bayes": (of_words(setting(method="eb")), "one point"),
}
"""The same of counts with a group, whose density of theta is an emulator's."""
EVEN = {
    "values of the residual larger": (of_arrays(put("residual_values", lambda a: a * 1.5)), "density of its hyper"),
    "nodes of the residual elsewhere": (of_arrays(put("residual_axis0", lambda a: a * 1.5)), "density of its hyper"),
}
"""The same where that density is an even grid's."""
SITES = {
    "coordinates swapped": (of_words(setting(coords=["y", "x"])), "sites"),
    "a log likelihood moved with the words": (
        lambda base: (
            of_arrays(put("maximum_log_likelihood", lambda a: a + 3.0))(base),
            of_words(lambda w: w.update(log_likelihood=w["log_likelihood"] + 3.0))(base),
        ),
        "log likelihood is not that",
    ),
    "exposure of a family that has none": (of_words(setting(exposure="x")), "has an exposure"),
    "reml called ml": (of_words(setting(method="ml")), "log likelihood is not that|mode of its model"),
    "reml called ubre": (of_words(setting(method="ubre")), "ubre"),
    "a response a little larger": (of_arrays(put("column_2", lambda a: 1.05 * a)), "not that of|mode of its"),
}
"""The same of a restricted likelihood with a field."""

ANSWERS = "not (those|that) of its|computed again|mode of its model|no probabilities|differ|variances"


def _one_number(values):
    """The same with its middle number a little larger."""
    values = np.array(values)
    values.flat[values.size // 2] = values.flat[values.size // 2] * 1.02 + 0.01
    return values


def _lighter(values):
    """Probabilities a little more alike."""
    return (values + 0.01) / (1.0 + 0.01 * values.size)


def forged(*names):
    """A number of each array altered, as little as no earlier check told, and all sealed again."""
    return {f"{name} forged": (of_arrays(put(name, _one_number)), ANSWERS) for name in names}


FORGED = {
    "grid": {
        **forged("hyper_root", "residual_values", "modes", "column_0", "exposure", "observation_weights"),
        "weights more alike": (of_arrays(put("weights", _lighter)), ANSWERS),
        "weights rolled": (of_arrays(put("weights", lambda a: np.roll(a, 1))), ANSWERS),
        "theta rolled": (of_arrays(put("theta", lambda a: np.roll(a, 1, axis=0))), ANSWERS),
        "covariances one larger": (of_arrays(put("covariances", lambda a: 1.01 * a)), ANSWERS),
        "means a little off": (of_arrays(put("means", lambda a: a + 0.001)), ANSWERS),
        "an effect's moment": (of_words(lambda w: w["moments"]["fixed"].__setitem__(0, 0.5)), ANSWERS),
        "moments of fewer": (of_words(lambda w: w["moments"]["theta"].pop()), ANSWERS),
        "moments without a part": (of_words(lambda w: w["moments"].pop("theta")), "another model"),
        "moments of words": (of_words(lambda w: w.update(moments="all right")), "not a saved fit"),
        "moments not finite": (
            of_words(lambda w: w["moments"].update(latent=[float("nan"), 1.0])), "not a saved fit"
        ),
        "moments of another version": (
            of_words(lambda w: w["moments"].update(version="9", theta=[2 * v for v in w["moments"]["theta"]])),
            ANSWERS,
        ),
    },
    "ccd": {
        **forged("hyper_root", "residual_coefficients", "theta"),
        "weights more alike": (of_arrays(put("weights", _lighter)), ANSWERS),
        "weights all alike": (of_arrays(put("weights", lambda a: np.full(a.shape, 1 / a.size))), ANSWERS),
    },
    "reml": {
        **forged("maximum_theta", "column_0", "column_2"),
        "a response of others": (of_arrays(put("column_2", lambda a: a[::-1].copy())), ANSWERS),
        "an edge on the other side": (of_arrays(put("maximum_edges", lambda a: -a)), "estimates are none"),
        "covariance in words": (of_words(lambda w: w["covariance"].__setitem__(0, 3.0)), ANSWERS),
    },
}  # fmt: skip
"""Fits whose checksums were made anew about one number, which gave other answers without a word."""
