"""Every registered term keeps the contract; nothing outside `geospde/terms/` asks for a kind of term."""

import re
from pathlib import Path

import pytest
from conformance import Case, check_fit, check_inside_a_model, check_precision, check_rows, check_words

import geospde
from geospde.terms.registry import TERMS

CASES = [
    Case("spde(mesh)", methods=("ccd", "eb", "reml", "ml")),
    Case("spde(mesh, alpha=1.5, constr=True)", methods=("eb", "reml")),
    Case("spde(mesh, by=z)", methods=("eb", "ml")),
    Case("spde(mesh, by=f, constr=True)", methods=("eb",)),
    Case("spde(mesh, by=(1, z))", methods=("reml",)),
    Case("spde(mesh, time=g6, temporal='ar1')", methods=("ccd", "ml")),
    Case("spde(mesh, time=g6, temporal='rw1')", methods=("eb",)),
    Case("spde(mesh, time=g6, temporal='iid', spatial=True, constr=True)", methods=("eb",)),
    Case("spde(mesh, nu=0.5)", methods=("eb", "reml")),
    Case("spde(mesh, nu=1.6, order=3, constr=True)", methods=("eb",)),
    Case("spde(mesh, nu='estimate')", methods=("ccd", "eb")),
    Case("spde(mesh, nu='estimate', by=(1, z))", methods=()),
    Case("spde(mesh, anisotropy=True)", methods=("ccd", "ml")),
    Case("spde(mesh, anisotropy=True, constr=True, by=f)", methods=()),
    Case("spde(mesh, barrier=0.2)", methods=("eb", "reml")),
    Case("spde(mesh, barrier=0.1, constr=True)", methods=()),
    Case("spde(mesh, log_range='~ x', log_sigma='~ elev')", methods=("eb",)),
    Case("spde(mesh, log_sigma='~ elev')", methods=("reml",)),
    Case("spde(mesh, log_sigma='~ I(elev^2)', constr=True, by=(1, z))", methods=()),
    Case("iid(g)"),
    Case("(z | g)", methods=("eb", "reml", "ml")),  # inla: test_brms_mixed, against an exact posterior
    Case("s(w, bs='gp', k=8)", methods=("inla", "eb", "reml", "ml")),
    Case("s(x, y, bs='gp', k=12, m=-3)"),
    Case("s(w, k=8)", methods=("eb", "reml")),
    Case("s(w, bs='cc', k=6)", methods=("eb", "ml")),
    Case("s(w, k=6, by=z)", methods=("reml",)),
    Case("s(w, k=6, by=f)", methods=("eb",)),
    Case("te(w, x, k=4)", methods=("eb", "ml")),
    Case("te(w, x, bs=('cr', 'cc'), k=(4, 5), by=z)", methods=()),
    Case("s(g, bs='re')"),
    # smoother kernels have no digits left for differences
    Case("gp(w, cov='exponential')", methods=("ccd", "eb", "reml", "ml")),
    Case("gp(x, y, k=4, c=1.5)", methods=("eb", "reml")),
    Case("gp(w, by=f, cov='exponential')", methods=("eb",)),
    Case("rw1(w)"),
    Case("rw1(w, scale=True)", fixed="z", methods=("eb", "ml")),
    Case("rw1(w, cyclic=True)", methods=("eb", "ml")),
    Case("rw1(w, by=z)", methods=("inla", "reml")),
    Case("rw2(w)", methods=("inla", "reml")),
    Case("rw2(w, scale=False)", methods=("eb",)),
    Case("rw2(w, cyclic=True)", methods=("eb",)),
    Case("ar1(w)", methods=("eb", "ml")),  # inla: test_series, against R's numbers
    Case("ar(w, order=3)", methods=("eb",)),
    Case("besag(g, graph=w)", methods=("inla", "reml")),
    Case("besag(g, graph=w, scale=False)", methods=("eb",)),
    Case("bym2(g, graph=w)", methods=("eb",)),
    Case("car(g, graph=w)", methods=("eb",)),
    Case("sar(g, graph=w)", methods=("eb", "ml")),
    Case("besag(g, graph=w, by=z)", fixed="z", methods=("inla", "reml")),
    Case("bym2(g, graph=w, by=z)", methods=("eb",)),
    Case("car(g, graph=w, by=z)", methods=("reml",)),
    Case("sar(g, graph=w, by=z)", methods=()),
    Case("seasonal(w, period=4)", methods=("eb", "reml")),
]
FITS = [
    pytest.param(
        case,
        method,
        marks=pytest.mark.slow if case.methods[1:] and method != ("eb" if "eb" in case.methods else "reml") else (),
        id=f"{case}-{method}",
    )
    for case in CASES
    for method in case.methods
]
ADAPTIVE = [case for case in CASES if "ccd" in case.methods]  # the rule that is there by default takes seconds for them


def test_every_registered_term_is_listed():
    called = {re.match(r"\w+(?=\()", case.term)[0] if case.term[0] != "(" else "group" for case in CASES}
    assert called == set(TERMS)


@pytest.mark.parametrize("check", [check_words, check_precision, check_rows, check_inside_a_model])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_term_keeps_the_contract(case, check):
    check(case)


@pytest.mark.parametrize("case, method", FITS)
@pytest.mark.filterwarnings("ignore::geospde.GeospdeWarning")
def test_a_term_is_fitted_shown_and_saved(case, method, tmp_path):
    check_fit(case, method, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", ADAPTIVE, ids=str)
@pytest.mark.filterwarnings("ignore::geospde.GeospdeWarning")
def test_a_term_is_fitted_shown_and_saved_by_the_adaptive_rule(case, tmp_path):
    check_fit(case, "inla", tmp_path)


def test_no_other_room_asks_for_a_kind_of_term():
    kinds = {c.__name__ for c in TERMS.values()} | {"GroupSmooth", "Correlated", "Iid", "MaternSpde", "SideBySide"}
    asked = re.compile(rf"(isinstance|issubclass|type)\([^)]*\b({'|'.join(kinds)})\b|\.name == ['\"]gp['\"]")
    root = Path(geospde.__file__).parent
    found = [
        f"{path.relative_to(root)}: {match[0]}"
        for path in root.rglob("*.py")
        if path.relative_to(root).parts[0] != "terms"
        for match in asked.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not found
