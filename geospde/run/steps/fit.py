"""The step of a run that fits the model and checks the fit."""

from geospde.export.provenance import write_json
from geospde.results.saved import load_fit
from geospde.run import analysis
from geospde.run.regions import check_regions
from geospde.run.step import Step
from geospde.run.steps.mesh import MESH
from geospde.run.work import Work
from geospde.text.findings import count_levels, findings_frame
from geospde.text.words import counted

TABLES = ("fixed", "hyper", "fitted")


def make(work: Work) -> None:
    """Fit the model and write its tables; then look at survey, mesh and fit."""
    with work.log.step("fit") as summarise:
        model = analysis.make_model(work.config, work.survey, work.mesh)
        if work.config.has_places:
            for one in model.parts.values() if work.config.observations else [model]:
                analysis.check_predictable(one, work.grid, work.config.prediction.at)
        check_regions(work.config, work.survey, model, work.grid)
        work.fit = analysis.fit_model(work.config, model, callback=work.log.progress.update)
        work.fit.compute_criteria(work.log.progress.update)
        write(work)
        (what, value), *_ = analysis.criteria_of(work.fit).items()
        summarise(f"{what.replace('_', ' ')} {value:.2f}")
    with work.log.step("check") as summarise:
        findings_frame(work.findings).to_csv(work.folder / "checks.csv", index=False)
        levels = count_levels(work.findings)
        summarise(f"{counted(levels['warning'], 'warning')}, {counted(levels['note'], 'note')}")
    for finding in work.checks:
        if finding.level in ("warning", "error"):
            work.log.warn_at_the_end(finding.as_warning())


def write(work: Work) -> None:
    """Write the tables of the fit, and the fit itself."""
    for name in TABLES:
        getattr(work.fit, name).to_csv(work.folder / f"{name}.csv")
    write_json(work.folder / "criteria.json", analysis.criteria_of(work.fit))
    work.fit.save(work.folder / "fit")


def recall(work: Work) -> None:
    """Read the fit."""
    work.fit = load_fit(work.folder)


FIT = Step(
    "fit",
    "fit",
    make,
    needs=(MESH,),
    reads=("survey", "model", "observations", "terms", "covariates", "graphs", "priors", "inference"),
    files=(*(f"{name}.csv" for name in TABLES), "criteria.json", "fit.npz", "fit.json", "checks.csv"),
    recall=recall,
)
