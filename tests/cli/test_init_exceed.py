"""`geospde init --exceed`: the limit goes into the proposal, with a section that decides the map at it."""

import tomllib

import pytest
from small_run import quietly_in, write_survey

from geospde.cli.commands import main


def test_the_limit_is_mapped_and_decided(tmp_path):
    write_survey(tmp_path)
    with quietly_in(tmp_path):
        assert (
            main(["init", "sites.csv", "--crs", "local:m", "--exceed", "4.5", "--yes", "-q", "--out", "new.toml"]) == 0
        )
        keys = tomllib.loads((tmp_path / "new.toml").read_text())
    assert keys["prediction"]["exceed"] == [4.5] and keys["excursions"]["exceed"] == [4.5]


@pytest.mark.parametrize("limit", ["nan", "inf"])
def test_no_limit(tmp_path, capsys, limit):
    write_survey(tmp_path)
    with quietly_in(tmp_path):
        assert main(["init", "sites.csv", "--crs", "local:m", "--exceed", limit, "--yes", "--out", "new.toml"]) == 2
    assert "must be a finite number" in capsys.readouterr().err
