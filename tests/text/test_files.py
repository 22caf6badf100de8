"""Files appear whole or not at all: what was there stays where writing fails, and nothing else is left."""

import errno
import os
from pathlib import Path

import geopandas as gpd
import pytest
from oracles import square_mesh

import geospde as gs
from geospde.export.vectors import write_layers
from geospde.text import files
from geospde.text.files import whole_file

SAVED = Path(__file__).parents[1] / "reference" / "saved" / "rongelap"
POINT = gpd.GeoDataFrame(geometry=gpd.points_from_xy([0.0], [0.0]))
WRITERS = {
    "a fit": ("fit.json", lambda path: gs.load_fit(SAVED).save(path)),
    "a mesh": ("mesh.gpkg", lambda path: square_mesh(3).to_gpkg(path)),
    "layers": ("layers.gpkg", lambda path: write_layers(path, {"a": POINT, "b": POINT})),
}


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
@pytest.mark.parametrize("what", WRITERS)
def test_a_disk_that_fills_up_is_told_and_what_was_there_stays(what, tmp_path, monkeypatch):
    def full(*paths):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    name, write = WRITERS[what]
    write(tmp_path / name)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(gs.InputError, match="cannot write .*: the disk is full"):
        write(tmp_path / name)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("what", WRITERS)
def test_a_folder_that_is_not_there_is_told(what, tmp_path):
    name, write = WRITERS[what]
    with pytest.raises(gs.InputError, match="there is no folder"):
        write(tmp_path / "nowhere" / name)


def test_what_fails_halfway_leaves_the_earlier_file(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(KeyboardInterrupt), whole_file(tmp_path / "a.txt") as partial:
        partial.write_text("ne")
        raise KeyboardInterrupt
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_file_below_a_file_is_refused(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(gs.InputError, match="cannot write"), whole_file(tmp_path / "a" / "b", make_folders=True):
        pytest.fail("work was done")
