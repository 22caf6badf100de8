"""The step of a run that certifies its fit, where ``[inference] certify`` asks for it."""

import json

from geospde.export.provenance import write_json
from geospde.results.certificate import Certificate, certify
from geospde.run.config import Config
from geospde.run.step import Step
from geospde.run.steps.fit import FIT
from geospde.run.work import Work

FILE = "certificate.json"


def make(work: Work) -> None:
    """Weigh draws around the fit by the exact joint density."""
    with work.log.step("certify") as summarise:
        wanted = work.config.inference.certify
        draws = {} if wanted is True else {"draws": int(wanted)}
        work.certificate = certify(work.fit, **draws, callback=work.log.progress.update)
        write_json(work.folder / FILE, work.certificate.to_dict())
        summarise(work.certificate.verdict)
    if not work.certificate.is_reliable:
        work.log.warn_at_the_end(work.certificate.finding.as_warning())


def recall(work: Work) -> None:
    """Read the certificate."""
    work.certificate = Certificate.from_dict(json.loads((work.folder / FILE).read_text(encoding="utf-8")))


def is_wanted(config: Config) -> bool:
    """Tell whether the run file asks for it."""
    return bool(config.inference.certify)


CERTIFY = Step(
    "certify",
    "certificate",
    make,
    needs=(FIT,),
    reads=("inference",),
    files=(FILE,),
    recall=recall,
    is_wanted=is_wanted,
    of="fit",
)
