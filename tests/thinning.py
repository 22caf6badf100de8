"""Long tables of small cases: every other row in the usual run, all of them in the slow one."""

import pytest


def every_other(names):
    """Mark every second name as slow, so that each class of a table has rows in both runs."""
    return [name if k % 2 == 0 else pytest.param(name, marks=pytest.mark.slow) for k, name in enumerate(names)]
