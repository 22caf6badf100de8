"""The step of a run of a point pattern that says how many points are expected: in its domain, and by area."""

from __future__ import annotations

import json

import geopandas as gpd
import pandas as pd

from geospde.errors import InputError
from geospde.export.provenance import write_json
from geospde.prediction.pattern import expected_numbers
from geospde.prediction.regions.areas import read_areas
from geospde.results.bayesian import BayesianFit
from geospde.run import analysis
from geospde.run.config import Config
from geospde.run.inputs import pattern_domain
from geospde.run.regions import NumberFigures
from geospde.run.step import Step
from geospde.run.steps.fit import FIT
from geospde.run.work import Work
from geospde.text.words import counted

TABLE, WORDS = "numbers.csv", "numbers.json"
WHOLE = "domain"


def make(work: Work) -> None:
    """Draw expected numbers, and write their table."""
    with work.log.step("numbers") as summarise:
        assert isinstance(work.fit, BayesianFit)
        config, name, part, survey = work.config, None, work.config, work.survey
        if config.observations:
            number = next(k for k, one in enumerate(config.likelihoods()) if one.is_pattern)
            name, part, survey = list(work.fit.model.parts)[number], config.likelihoods()[number], survey.parts[number]
        domain = pattern_domain(part, survey)
        shapes, names = [domain], [WHOLE]
        for file, layer in config.regions.layers:
            areas = read_areas(config.path(file), work.fit.model.crs, config.regions.name, layer)
            shapes += list(areas.frame.geometry.intersection(domain))
            names += areas.names
        there = [k for k, shape in enumerate(shapes) if shape.area > 0]
        numbers = expected_numbers(
            work.fit, gpd.GeoSeries([shapes[k] for k in there], index=[names[k] for k in there], crs=work.survey.crs),
            quantiles=config.prediction.quantiles, draws=config.regions.draws, seed=config.regions.seed,
            observations=name,
        )  # fmt: skip
        numbers.rename_axis("area").reset_index().to_csv(work.folder / TABLE, index=False)
        seen = len(survey.points)
        how = f"integrals of the intensity over each area within the domain, where {counted(seen, 'point')} was seen"
        how = how if seen == 1 else how.replace(" was ", " were ")
        write_json(work.folder / WORDS, {"title": "Expected numbers of points", "how": how})
        recall(work)
        summarise(f"{numbers['mean'].iloc[0]:.4g} expected in the domain, {seen:,} seen")


def recall(work: Work) -> None:
    """Read the table."""
    try:
        said = json.loads((work.folder / WORDS).read_text(encoding="utf-8"))
        work.numbers = (NumberFigures(said["title"], said["how"], pd.read_csv(work.folder / TABLE)),)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"the numbers in {work.folder} cannot be read ({error}): predict them again") from None


def is_wanted(config: Config) -> bool:
    """Tell whether the run is of a point pattern with a posterior."""
    patterns = [one.is_pattern for one in config.likelihoods() or [config]]
    return any(patterns) and config.inference.method in analysis.BAYESIAN


NUMBERS = Step(
    "numbers",
    "expected numbers",
    make,
    needs=(FIT,),
    reads=("prediction", "regions"),
    files=(TABLE, WORDS),
    recall=recall,
    is_wanted=is_wanted,
    of="predict",
)
