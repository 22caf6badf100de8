"""What can go wrong, in two kinds: the user can mend an `InputError`; a `NumericalError` names where it happened."""


class GeospdeError(Exception):
    """Base of every error that geospde raises on purpose."""

    exit_code = 1


class InputError(GeospdeError, ValueError):
    """A user's mistake: one sentence that says what is wrong, where, and what to do."""

    exit_code = 2


class NumericalError(GeospdeError, ArithmeticError):
    """A computation that failed: names the hyperparameters it happened at and what was tried."""

    exit_code = 3


class GeospdeWarning(UserWarning):
    """Something the user should look at, though the run goes on."""
