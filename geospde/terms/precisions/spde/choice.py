"""Which precision an ``spde(...)`` call asks for: a kind a line."""

from geospde.errors import InputError
from geospde.terms.precisions.matern import MaternSpde
from geospde.terms.precisions.spde.anisotropic import Anisotropic
from geospde.terms.precisions.spde.barrier import Barrier
from geospde.terms.precisions.spde.base import Call, FieldPrecision
from geospde.terms.precisions.spde.rational import RationalMatern
from geospde.terms.precisions.spde.varying import Varying

KINDS: tuple[type[FieldPrecision], ...] = (MaternSpde, RationalMatern, Anisotropic, Barrier, Varying)


def all_options() -> tuple[str, ...]:
    """Options of ``spde(...)`` that choose a precision, and of the one that is there without."""
    return tuple(dict.fromkeys(option for kind in KINDS for option in kind.options))


def chosen_precision(call: Call) -> FieldPrecision:
    """The precision that a call asks for.

    Raises
    ------
    InputError
        For options that exclude each other, or do not fit.
    """
    given = [option for option in all_options() if option in call.options]
    able = [kind for kind in KINDS if set(given) <= set(kind.options)]
    if not able:
        raise InputError(f"spde has no field with {' and '.join(given)} together: {call.text}")
    return able[0].read(call)
