"""The last step of a run: its report, of all that the others made."""

from geospde.report.report import write_report
from geospde.run.step import Step
from geospde.run.steps.certify import CERTIFY
from geospde.run.steps.index import INDEX
from geospde.run.steps.map import MAP
from geospde.run.steps.numbers import NUMBERS
from geospde.run.steps.validate import VALIDATE
from geospde.run.work import Work

FILE = "report.html"


def make(work: Work) -> None:
    """Write the report."""
    with work.log.step("report"):
        write_report(work.folder / FILE, work.parts())


REPORT = Step("report", "report", make, needs=(CERTIFY, MAP, VALIDATE, INDEX, NUMBERS), files=(FILE,))
