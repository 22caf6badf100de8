"""`geospde validate`: whose fit it takes, what it writes, what it says in words."""

import json

import numpy as np
import pandas as pd
import pytest
from small_run import VALIDATION, quietly_in, write_survey

import geospde as gs
from geospde.cli.commands import main
from geospde.prediction.validation import Validation
from geospde.run import analysis
from geospde.run.config import read_config
from geospde.run.inputs import load_survey
from geospde.run.validate import validate_run
from geospde.run.validation_files import ALONE, in_words, read_validation, write_validation

pytestmark = [pytest.mark.filterwarnings("ignore::geospde.GeospdeWarning"), pytest.mark.usefixtures("undrawn")]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Return a folder with a survey and its run."""
    folder = tmp_path_factory.mktemp("bay")
    write_survey(folder, VALIDATION)
    with quietly_in(folder):
        gs.run("bay.toml")
    return folder


@pytest.fixture
def fits(monkeypatch):
    """Return a list that grows with every fit."""
    made, fit_model = [], analysis.fit_model

    def counted(*arguments, **options):
        made.append(1)
        return fit_model(*arguments, **options)

    monkeypatch.setattr(analysis, "fit_model", counted)
    return made


def said(capsys):
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("geospde")]
    return line


@pytest.mark.slow
@pytest.mark.parametrize("source", ["bay.toml", "out"])
def test_the_saved_fit_is_taken_and_scores_as_a_new_one_does(bay, fits, source):
    validated = validate_run(source, write=False)
    assert fits == [] and validated.saved_fit is not None and validated.folder is None
    config = read_config("bay.toml")
    survey = load_survey(config)
    fit = analysis.fit_model(config, analysis.make_model(config, survey, analysis.make_mesh(config, survey)))
    # refits of folds start at the saved mode: equal but for the search's last steps
    pd.testing.assert_frame_equal(validated.validation.scores, fit.validate("random", k=3).scores, rtol=1e-6)
    assert not (bay / "out-validation").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "old", "new"),
    [("bay.toml", '"poisson"', '"nbinomial"'), ("sites.csv", "x,y", "x,y"), ("bay.toml", "[150, 300]", "[200, 300]")],
)
def test_a_fit_of_other_settings_or_inputs_is_not_taken(bay, edit, fits, file, old, new):
    edit(bay / file, old, new)
    if file == "sites.csv":
        (bay / file).write_text((bay / file).read_text() + "500,500,3\n")
    validated = validate_run("bay.toml", write=False)
    assert fits == [1] and validated.saved_fit is None


@pytest.mark.slow
def test_settings_that_make_no_fit_do_not_matter(bay, edit, fits):
    edit(bay / "bay.toml", "cell = 100", "cell = 50")
    edit(bay / "bay.toml", "k = 3", "k = 4")
    validated = validate_run("bay.toml", write=False)
    assert fits == [] and validated.validation.folds == 4


@pytest.mark.slow
def test_a_saved_fit_that_cannot_be_read_is_made_anew(bay, fits, capsys):
    (bay / "out" / "fit.npz").write_bytes(b"not numbers")
    assert main(["validate", "bay.toml", "--json"]) == 0
    assert fits == [1]
    assert main(["validate", "out"]) == 2
    assert "out/fit.npz is damaged, or not a saved fit" in said(capsys)


def test_the_command_writes_a_folder_and_says_which_predicts_better(bay, capsys):
    assert main(["validate", "bay.toml"]) == 0
    out = capsys.readouterr().out
    assert "40 observations of caught predicted from the rest: 3 random folds." in out
    assert "intercept only" in out and "standard errors" in out and "Its 95 % intervals hold" in out
    assert max(map(len, out.partition("Smaller")[0].splitlines()[1:])) <= 80
    folder = bay / "out-validation"
    assert {p.name for p in folder.iterdir()} == {
        "scores.csv", "pointwise.csv", "calibration.png", "validation.json", "run.log"
    }  # fmt: skip
    scores = pd.read_csv(folder / "scores.csv", index_col="model")
    assert scores.index.tolist() == ["model", "intercept only", "iid"]
    lost = scores["log_score"] - scores.loc["model", "log_score"]
    np.testing.assert_allclose(lost[1:], scores["log_score_difference"][1:], rtol=1e-9)
    pointwise = pd.read_csv(folder / "pointwise.csv")
    assert pointwise["place"].tolist() == [f"sites.csv, line {row + 2}" for row in pointwise["row"]]
    assert -pointwise["log_density"].mean() == pytest.approx(scores.loc["model", "log_score"], rel=1e-12)
    assert main(["validate", "bay.toml"]) == 2
    assert "out-validation holds an earlier validation: choose another folder" in said(capsys)
    assert main(["validate", "bay.toml", "--overwrite", "--quiet"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_json_is_of_the_same_numbers_and_writes_nothing(bay, capsys):
    before = sorted(bay.rglob("*"))
    assert main(["validate", "out", "--json", "--folds", "loo"]) == 0
    shown = capsys.readouterr()
    told = json.loads(shown.out)
    assert shown.err == "" and sorted(bay.rglob("*")) == before
    assert (told["run"], told["saved_fit"], told["folder"], told["kind"]) == ("out", "out", None, "loo")
    fit = gs.load_fit("out")
    assert told["scores"]["model"]["log_score"] == pytest.approx(fit.validate("loo").scores.loc["model", "log_score"])


@pytest.mark.slow
def test_other_folds_than_the_run_files_start_afresh(bay, edit):
    edit(bay / "bay.toml", "k = 3", "k = 3\nseed = 5")
    buffered = validate_run("bay.toml", folds="buffered", distance=50.0, write=False).validation
    assert (buffered.kind, buffered.folds, buffered.distance) == ("buffered", 40, 50.0)
    again = validate_run("bay.toml", k=5, write=False).validation
    assert (again.kind, again.folds) == ("random", 5)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--folds", "bloks"], "[validation] folds must be one of 'blocks', 'random', 'loo', 'buffered' and 'future'"),
        (["--k", "0"], "[validation] k must be at least 1"),
        (["--k", "41"], "between 2 and the 40"),
        (["--distance", "nan"], "[validation] distance must be a finite number"),
        (["--distance", "-1"], "[validation] distance must be greater than 0"),
        (["--folds", "buffered", "--distance", "1e9"], "leaves nothing"),
        (["--folds", "blocks", "--distance", "1e9"], "too few for 10 folds"),
        (["--seed", "-1"], "[validation] seed must be at least 0"),
        (["--out", "out"], "holds no validation.json, so it is not the folder of a validation"),
    ],
)
def test_a_choice_that_cannot_be_is_a_sentence_and_writes_nothing(bay, capsys, options, sentence):
    before = sorted(bay.rglob("*"))
    assert main(["validate", "bay.toml", *options]) == 2
    assert sentence in said(capsys)
    assert sorted(bay.rglob("*")) == before


def test_what_is_neither_run_file_nor_run_is_a_sentence(bay, capsys):
    (bay / "empty").mkdir()
    for name, sentence in (("empty", "is not the folder of a run: it holds no run.json"), ("none.toml", "no run file")):
        assert main(["validate", name]) == 2
        assert sentence in said(capsys)
    assert main(["mesh", "bay.toml", "--out", "begun", "--quiet"]) == 0
    assert main(["validate", "begun"]) == 2
    assert said(capsys).startswith("geospde: ")


def test_a_section_that_is_wrong_names_line_and_key(bay, edit, capsys):
    edit(bay / "bay.toml", 'folds = "random"', 'folds = "radnom"')
    assert main(["check", "bay.toml"]) == 2
    assert "bay.toml, line 18: [validation] folds must be one of" in said(capsys)
    edit(bay / "bay.toml", 'folds = "radnom"', "fold = 3")
    assert main(["check", "bay.toml"]) == 2
    assert "[validation] has no key 'fold': did you mean 'folds'?" in said(capsys)


# ---- in words, and to a file and back ----


def validation(loss, se, **other):
    differences = {"log_score": loss, "log_score_se": se, "crps": 0.5, "crps_se": 0.1} | other
    scores = {"log_score": 2.0, "crps": 1.0, "cover_95": 0.925}
    pointwise = pd.DataFrame({
        "row": [0, 1], "fold": [0, 1], "observed": [1.0, 2.0], "mean": [1.5, 2.5], "sd": [1.0, 1.0],
        "q0.025": [0.0, 0.5], "q0.5": [1.5, 2.4], "q0.975": [3.0, 4.0], "log_density": [-1.0, -3.0],
        "crps": [0.1, 0.2], "dss": [0.1, 0.2], "pit": [0.2, 0.8],
    })  # fmt: skip
    return Validation(
        pd.DataFrame([scores, scores], index=["model", "iid"]), pointwise, pd.DataFrame(differences, index=["iid"]),
        "random", 2, None, "count",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("loss", "se", "words"),
    [
        (1.0, 0.4, "The model predicts better than iid: the model's log score is 1 lower (2.5 standard errors)"),
        (-1.0, 0.4, "The model predicts worse than iid: the model's log score is 1 higher (2.5 standard errors)"),
        (1.0, 0.6, "The model and iid cannot be told apart: the model's log score is 1 lower (1.7 standard errors)"),
        (np.nan, np.nan, "The model and iid cannot be told apart"),
    ],
)
def test_words_say_better_only_beyond_two_standard_errors(loss, se, words):
    sentence, held = in_words(validation(loss, se))
    assert sentence.startswith(words) and "its CRPS 0.5 lower (5.0 standard errors)." in sentence
    assert held == "Its 95 % intervals hold 92.5 % of 2 observations."


def test_a_validation_comes_back_from_its_files(tmp_path):
    made = validation(1.0, 0.4)
    write_validation(tmp_path, made, ALONE)
    again = read_validation(tmp_path, ALONE)
    for name in ("scores", "pointwise", "differences"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(made, name))
    assert again.describe() == made.describe()
