"""A survey of 40 hauls that a run maps in a second."""

import os
import warnings
from contextlib import contextmanager

import numpy as np
import pandas as pd

import geospde as gs

RUN_FILE = """
[survey]
points = "sites.csv"
crs = "local:m"
[mesh]
max_edge = [150, 300]
[model]
formula = "caught ~ 1 + spde(mesh)"
family = "poisson"
[inference]
method = "eb"
[prediction]
cell = 100
[output]
dir = "out"
"""
VALIDATION = """
[validation]
folds = "random"
k = 3
"""


def write_survey(folder, more=""):
    """Write ``sites.csv`` and ``bay.toml``, with more sections such as `VALIDATION`; return the run file."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.uniform(0, 1000, (40, 2)), columns=["x", "y"])
    table["caught"] = rng.poisson(np.exp(1 + np.sin(table["x"] / 200)))
    table.to_csv(folder / "sites.csv", index=False)
    path = folder / "bay.toml"
    path.write_text(RUN_FILE + more)
    return path


@contextmanager
def quietly_in(folder):
    """Work in a folder, without the warnings that so small a survey draws."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gs.GeospdeWarning)
            yield
    finally:
        os.chdir(before)
