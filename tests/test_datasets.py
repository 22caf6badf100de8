import shutil

import pytest

import geospde as gs
from geospde import datasets


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


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(gs.InputError, match="did you mean 'sleepstudy'"):
        gs.load_dataset("sleep_study")
    with pytest.raises(gs.InputError, match="the names are 'rongelap'"):
        gs.load_dataset("zzz")


def test_data_are_found_inside_an_installed_package(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "geospde"
    shutil.copytree(datasets.data_folder(), package / "data")
    monkeypatch.setattr(datasets, "__file__", str(package / "datasets.py"))
    assert datasets.data_folder() == package / "data"
    shutil.rmtree(package / "data")
    with pytest.raises(gs.GeospdeError, match="reinstall"):
        datasets.data_folder()
