"""A run whose field goes around land that a file has."""

import geopandas
import shapely
from small_run import quietly_in, write_survey

from geospde.mesh.trimesh import Mesh
from geospde.run.pipeline import run


def test_a_run_reads_the_barrier_and_fits_around_it(tmp_path, unrendered_here):
    path = write_survey(tmp_path)
    land = geopandas.GeoSeries([shapely.box(480, -500, 520, 700)], crs=None)
    land.to_frame("geometry").set_geometry("geometry").to_file(tmp_path / "land.gpkg", driver="GPKG")
    text = path.read_text().replace("[mesh]\n", '[mesh]\nbarrier = "land.gpkg"\n')
    path.write_text(text.replace("spde(mesh)", "spde(mesh, barrier=0.1)"))
    with quietly_in(tmp_path):
        run(path)
    mesh = Mesh.from_gpkg(tmp_path / "out" / "mesh.gpkg")
    assert mesh.barrier is not None and 0 < mesh.areas[mesh.barrier].sum() < 0.05 * mesh.areas.sum()
