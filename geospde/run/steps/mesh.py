"""The first step of a run: the mesh, and the cells that are to be predicted."""

from geospde.mesh.trimesh import Mesh
from geospde.run import analysis
from geospde.run.config import Config
from geospde.run.room import refuse_fine_mesh, refuse_too_large
from geospde.run.step import Step
from geospde.run.work import Work
from geospde.text.words import counted

FILE = "mesh.gpkg"


def make(work: Work) -> None:
    """Build the mesh, draw it, and refuse a grid that would not fit into memory or onto the disk."""
    with work.log.step("mesh") as summarise:
        refuse_fine_mesh(work.config, work.survey)
        work.mesh = analysis.make_mesh(work.config, work.survey)
        work.grid = analysis.make_grid(work.config, work.survey, work.mesh)
        refuse_too_large(work.config, work.grid, work.folder)
        work.mesh.to_gpkg(work.folder / FILE)
        work.draw(survey=work.survey, mesh=work.mesh)
        vertices = counted(work.mesh.n_vertices, "vertex", "vertices")
        summarise(f"{vertices}, {counted(work.grid.n, 'cell')} to predict")


def recall(work: Work) -> None:
    """Read the mesh, and lay the cells again."""
    work.mesh = Mesh.from_gpkg(work.folder / FILE)
    work.grid = analysis.make_grid(work.config, work.survey, work.mesh)


def is_wanted(config: Config) -> bool:
    """Tell whether the model is of places."""
    return config.has_places


BY_LABEL = "its survey is of areas by their labels; geospde regions has figures for them"

MESH = Step(
    "mesh",
    "mesh",
    make,
    reads=("survey", "observations", "mesh"),
    files=(FILE, "figures/mesh.*"),
    recall=recall,
    is_wanted=is_wanted,
    without=BY_LABEL,
)
