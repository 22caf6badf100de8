import shutil

import pytest

import geospde as gs
from geospde.survey import datasets


@pytest.mark.parametrize(
    ("name", "rows", "labels"),
    [
        ("sleepstudy", 180, {"Subject": 18}),
        ("cbpp", 56, {"herd": 15, "period": 4}),
        ("topo", 52, {}),
        ("gamsim4", 90, {"fac": 3}),
    ],
)
def test_tables_have_their_rows_and_their_labels_are_categories(name, rows, labels):
    table = gs.load_dataset(name)
    assert len(table) == rows
    assert not table.isna().any().any()
    categories = {c: table[c].nunique() for c in table.columns if table[c].dtype == "category"}
    assert categories == labels


def test_levels_are_in_the_order_of_their_numbers():
    cbpp, sleep = gs.load_dataset("cbpp"), gs.load_dataset("sleepstudy")
    assert cbpp["period"].cat.categories.tolist() == [1, 2, 3, 4]
    assert cbpp["herd"].cat.categories.tolist() == list(range(1, 16))
    assert sleep["Subject"].cat.categories.tolist()[::17] == [308, 372]
    fit = gs.fit("p(incidence, size) ~ period + (1 | herd)", cbpp, family="binomial", method="eb")
    assert fit.fixed.index.tolist() == ["Intercept", "period[2]", "period[3]", "period[4]"]
    assert fit.random.index.tolist()[::14] == ["Intercept | herd[1]", "Intercept | herd[15]"]


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(gs.InputError, match="did you mean 'sleepstudy'"):
        gs.load_dataset("sleep_study")
    with pytest.raises(gs.InputError, match="the names are 'rongelap'"):
        gs.load_dataset("zzz")


def test_data_are_found_inside_an_installed_package(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "geospde"
    shutil.copytree(datasets.data_folder(), package / "data")
    monkeypatch.setattr(datasets, "__file__", str(package / "survey" / "datasets.py"))
    assert datasets.data_folder() == package / "data"
    shutil.rmtree(package / "data")
    with pytest.raises(gs.GeospdeError, match="reinstall"):
        datasets.data_folder()
