"""The step of a run that cross-validates its model, where the run file has a section for it."""

from geospde.errors import GeospdeError, GeospdeWarning, alert
from geospde.run.config import Config
from geospde.run.step import Step
from geospde.run.steps.fit import FIT
from geospde.run.validation_files import IN_RUN, read_validation, validate, write_validation
from geospde.run.work import Work


def make(work: Work) -> None:
    """Cross-validate; the fit has taken its time and is kept even where that fails."""
    with work.log.step("validate") as summarise:
        try:
            work.validation = validate(
                work.fit, work.config.validation, survey=work.survey, callback=work.log.progress.update
            )
        except GeospdeError as error:
            alert(GeospdeWarning(f"the model is not cross-validated: {error}"))
        else:
            write_validation(work.folder, work.validation, IN_RUN)
            summarise(work.validation.describe())


def recall(work: Work) -> None:
    """Read the validation, unless it had failed."""
    if (work.folder / IN_RUN.scores).exists():
        work.validation = read_validation(work.folder, IN_RUN)


def is_wanted(config: Config) -> bool:
    """Tell whether the run file has the section."""
    return config.validates


VALIDATE = Step(
    "validate",
    "validation",
    make,
    needs=(FIT,),
    reads=("validation",),
    files=tuple(IN_RUN),
    recall=recall,
    is_wanted=is_wanted,
    of="fit",
)
