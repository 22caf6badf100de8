"""Names of latent terms in formulas, a line each."""

from geospde.errors import InputError
from geospde.formula.expressions import FUNCTIONS
from geospde.terms.areas.besag import Besag
from geospde.terms.areas.bym2 import Bym2
from geospde.terms.areas.car import Car, Sar
from geospde.terms.base import LatentTerm
from geospde.terms.field import Field
from geospde.terms.gaussian_process import Process
from geospde.terms.groups import Group
from geospde.terms.series.ar import Autoregression, FirstOrder
from geospde.terms.series.rw1 import RandomWalk
from geospde.terms.series.rw2 import SmoothWalk
from geospde.terms.series.seasonal import Seasonal
from geospde.terms.smooth import KernelSmooth, TensorSmooth

TERMS: dict[str, type[LatentTerm]] = {
    "spde": Field,
    "iid": Group,
    "group": Group,  # what (x | g) is read as
    "s": KernelSmooth,
    "te": TensorSmooth,
    "gp": Process,
    "rw1": RandomWalk,
    "rw2": SmoothWalk,
    "ar1": FirstOrder,
    "ar": Autoregression,
    "seasonal": Seasonal,
    "besag": Besag,
    "bym2": Bym2,
    "car": Car,
    "sar": Sar,
}


def special_names() -> tuple[str, ...]:
    """What is called in a formula and is no function of columns: terms, and offset."""
    return (*(name for name in TERMS if name != "group"), "offset")


def register(name: str, term: type[LatentTerm]) -> None:
    """Give a class of terms a name in formulas.

    Parameters
    ----------
    name : str
        As in ``name(...)``.
    term : subclass of LatentTerm
        Its `read` is called with each such call. A term that was registered under the name is replaced.

    Raises
    ------
    InputError
        For a name that a formula cannot have, or something that is no class of terms.

    Notes
    -----
    Saved fits hold the formula: a script that loads one registers its terms first.
    """
    if not (isinstance(name, str) and name.isidentifier()):
        raise InputError(f"a term is called by a name such as 'ar1', not {name!r}")
    if name in ("group", "offset") or name in FUNCTIONS:
        raise InputError(f"formulas have another {name}(...): give the term another name")
    if not (isinstance(term, type) and issubclass(term, LatentTerm)):
        raise InputError(f"a term is a class that inherits from gs.terms.LatentTerm, not {term!r}")
    TERMS[name] = term
