"""Whatever a run file or a table holds, it is read or refused with one sentence; `scripts/fuzz` tries for longer."""

import os
import tempfile
from pathlib import Path

import numpy as np
from hostile_inputs import GOOD, run_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geospde.errors import InputError
from geospde.run.config import Config, read_config
from geospde.survey.tables import read_csv

KEYS = sorted({key for field in Config.model_fields.values() for key in getattr(field.annotation, "model_fields", ())})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(KEYS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
SECTIONS = st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), VALUES, max_size=4)
TEXT = run_file(GOOD)
EXAMPLES = int(os.environ.get("GEOSPDE_FUZZ", "60"))


def is_one_sentence(error):
    """Whether an error says one short thing."""
    return 0 < len(str(error)) < 500 and "\n" not in str(error) and "Traceback" not in str(error)


@settings(deadline=None, max_examples=EXAMPLES)
@given(st.dictionaries(st.sampled_from(sorted(Config.model_fields)), SECTIONS, max_size=3))
def test_any_sections_are_read_or_refused(sections):
    try:
        config = read_config({**GOOD, **{k: {**GOOD.get(k, {}), **v} for k, v in sections.items()}})
    except InputError as error:
        assert is_one_sentence(error), str(error)
    else:
        assert read_config(config.settings()).settings() == config.settings()


@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, len(TEXT)), st.integers(0, 40), st.text(max_size=12))
def test_a_run_file_cut_and_mended_anyhow_is_read_or_refused(start, length, other):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bay.toml"
        path.write_text(TEXT[:start] + other + TEXT[start + length :], encoding="utf-8", errors="replace")
        try:
            read_config(path)
        except InputError as error:
            assert is_one_sentence(error), str(error)


CELLS = (
    st.text(max_size=8) | st.integers().map(str) | st.floats().map(str) | st.sampled_from(["", "NA", '"', "1,5", "é"])
)


@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=5),
    st.sampled_from([",", ";", "\t"]),
    st.binary(max_size=3),
)
def test_any_text_is_a_table_or_refused(rows, separator, tail):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_bytes("\n".join(separator.join(row) for row in rows).encode("utf-8", "replace") + tail)
        try:
            table = read_csv(path).without_marks(["-9"]).with_numbers()
            for column in table.frame.columns:
                assert np.isfinite(table.numbers(column)).all()
        except InputError as error:
            assert "Traceback" not in str(error)
