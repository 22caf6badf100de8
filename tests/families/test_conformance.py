"""Every registered family, and one of a user's, through the checks of `family_checks`, and through a saved fit."""

import zlib

import numpy as np
import pandas as pd
import pytest
from family_checks import CHECKS, simulated
from own_family import Weibull

import geospde as gs
from geospde.families.registry import REGISTERED, path_of, read_family

# rows of a point pattern are no responses: tests/prediction/test_pattern.py is of these
OF_ROWS = [family for family in (*REGISTERED, Weibull) if not family.is_pattern]
FAMILIES = [family(link.name) for family in OF_ROWS for link in family.links]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_a_family_does_what_families_must(family, check):
    for seed in (1, 2):
        check(family, np.random.default_rng([zlib.crc32(repr(family).encode()), seed]))


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_a_family_is_found_again_by_what_it_is_saved_as(family):
    again = read_family(path_of(family), family.link.name)
    assert type(again) is type(family) and again.link is family.link


@pytest.mark.slow
@pytest.mark.parametrize("family", [kind() for kind in OF_ROWS], ids=repr)
def test_a_fit_of_a_family_is_saved_and_loaded(family, tmp_path, capsys):
    rng = np.random.default_rng(9)
    responses, eta = simulated(family, rng, 60)
    table = pd.DataFrame({"y": responses.y, "x": eta, "trials": responses.trials, "exposure": responses.exposure})
    left = "p(y, trials)" if family.takes_trials else "y"
    exposure = "exposure" if family.has_exposure else None
    for method in ("eb", "ml"):
        fit = gs.fit(f"{left} ~ x", table, family=family, method=method, exposure=exposure)
        fit.save(tmp_path / method)
        again = gs.load_fit(tmp_path / method)
        assert type(again.model.family) is type(family) and again.family == family.name
        pd.testing.assert_frame_equal(again.fixed, fit.fixed)
        pd.testing.assert_frame_equal(again.fitted, fit.fitted)
        again.summary()
        assert family.name in capsys.readouterr().out
