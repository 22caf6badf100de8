"""Levels of groups: their names, and what making them costs."""

import pandas as pd

from geospde.formula import table
from geospde.formula.grouping import Grouping


def test_labels_of_levels_within_levels():
    rows = pd.DataFrame({"a": ["y", "x", "y"], "b": [2.0, 1.0, 1.0]})
    assert Grouping.learn(rows, ("a", "b")).labels == ["x:1", "y:1", "y:2"]


def test_a_level_is_named_once_however_many_there_are(monkeypatch):
    """For each of 5,000 levels all were named anew: 35 s before a fit."""
    grouping = Grouping.learn(pd.DataFrame({"a": range(400), "b": [0, 1] * 200}), ("a", "b"))
    named, label = [], table.label
    monkeypatch.setattr(table, "label", lambda value: named.append(value) or label(value))
    assert len(grouping.labels) == 400
    assert len(named) == 402
