import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from small_run import VALIDATION, write_survey

import geospde as gs
from geospde.cli.commands import main
from geospde.run import analysis

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def run_file(island, monkeypatch):
    """Return a run file whose outputs would go into the test's own folder."""
    monkeypatch.chdir(island)
    return island / "survey.toml"


def said(capsys):
    """Return what stderr holds besides warnings and finished steps, which must be one line."""
    lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith("geospde")]
    assert len(lines) == 1
    return lines[0]


def test_help_names_the_commands():
    done = subprocess.run([sys.executable, "-m", "geospde", "--help"], capture_output=True, text=True, check=True)
    for command in "init run check explore mesh fit predict map report validate compare info".split():
        assert f"\n  {command} " in done.stdout
    for code in (0, 1, 2, 3, 130):
        assert f"\n    {code} " in done.stdout


def test_help_imports_next_to_nothing_beside_typer():
    # what makes a command slow to answer is what it imports: counted, as seconds depend on the machine
    code = "import sys, typer; before = {*sys.modules}; from geospde.cli.commands import main; main(['--help'])"
    code += "; print(*({*sys.modules} - before), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = done.stderr.split()
    ours = {name for name in imported if name.partition(".")[0] == "geospde"}
    assert "geospde.cli.commands" in ours and len(ours) <= 24
    assert {name.split(".")[1] for name in ours if "." in name} <= {"cli", "errors", "text", "run"}
    packages = {name.partition(".")[0] for name in imported} - sys.stdlib_module_names
    assert packages <= {"geospde", "typer", "click", "shellingham"}


def test_version_and_info(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"geospde {gs.__version__}\n"
    assert main(["info"]) == 0
    facts = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert facts["geospde"] == gs.__version__
    assert {"numpy", "solver", "processors", "data"} <= set(facts)
    assert main(["info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["processors"] == int(facts["processors"])


def test_usage_errors_exit_with_2(capsys):
    assert main(["runn"]) == 2
    assert "Did you mean" in capsys.readouterr().err
    assert main(["run"]) == 2
    assert main(["run", "--nonsense", "x.toml"]) == 2


def test_check_reads_everything_and_writes_nothing(run_file, capsys):
    before = sorted(run_file.parent.rglob("*"))
    assert main(["check", str(run_file)]) == 0
    shown = capsys.readouterr()
    assert "2 of 157 sites" in shown.err
    assert "1612 predicted" in shown.err
    assert "can be run (1 warning)" in shown.out
    assert sorted(run_file.parent.rglob("*")) == before


def test_quiet_says_only_what_needs_a_look(run_file, capsys):
    assert main(["check", "--quiet", str(run_file)]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("warning: 2 of 157 sites")
    assert len(shown.err.splitlines()) == 1


MISTAKES = [
    ("survey.toml", "max_edge", "max_edgs", "survey.toml, line 16: [mesh] has no key 'max_edgs'"),
    ("survey.toml", "points.csv", "sites.csv", "points: there is no file"),
    ("survey.toml", '"cX"', '"X"', "points.csv has no column 'X': did you mean 'cX'?"),
    ("survey.toml", '"time"', '"tme"', "points.csv has no column 'tme': did you mean 'time'?"),
    ("survey.toml", "counts ~", "count ~", "points.csv has no column 'count': did you mean 'counts'?"),
    ("survey.toml", "alpha=1.5", "alfa=1.5", "alfa"),
    ("survey.toml", '"poisson"', '"poison"', "poison"),
    ("survey.toml", "local:m", "EPSG:4326", "is not longitude and latitude"),
    ("survey.toml", "shape = [75, 150]", "cell = 0.01", "too large"),
    ("survey.toml", "shape = [75, 150]", "cell = 1e6", "cell"),
    ("survey.toml", "buffer = 50", "buffer = -5000", "no area after a buffer"),
    ("survey.toml", "buffer = 50", "buffer = 500", "have their centre outside of the mesh"),
    ("survey.toml", "[300, 600]", "[0.05, 600]", "max_vertices"),
    ("survey.toml", "convex = [100, 200]", "convex = [200, 100]", "convex"),
    ("survey.toml", "counts ~ 1 + spde", "counts ~ time + spde", "needs the column 'time' of the model, and the cells"),
    ("survey.toml", 'method = "inla"', 'method = "ml"', "method 'ml' takes no priors"),
    ("survey.toml", 'method = "inla"', 'method = "ubre"', "method 'ubre' takes no priors"),
    ("survey.toml", 'integration = "auto"', 'integration = "gird"', "'eb', not 'gird'"),
    ("survey.toml", 'method = "inla"', 'method = "inla"\nquadrature = 5', "is only for method 'ml', not 'inla'"),
    ("survey.toml", '"counts ~ 1 + spde', '"counts ~ 1 + offset(time) + spde', "has an offset, and the cells"),
    ("points.csv", "-6050,-3270,75", "-6050,-3270,many", "points.csv, line 2, column 'counts': 'many'"),
    ("points.csv", "-6050,-3270,75", "-6050,nan,75", "points.csv, line 2, column 'cY' is empty"),
    ("points.csv", "-6050,-3270,75", "-6050,-3270,-75", "line 2, column 'counts': family 'poisson' needs"),
    ("points.csv", "-6050,-3270,75", "-6050,-3270,7.5", "line 2, column 'counts': family 'poisson' needs"),
    ("points.csv", "75,300", "75,0", "points.csv, line 2, column 'time': an exposure must be above 0, not 0"),
    ("coastline.csv", "-5544.820801,-3582.25", "9000,9000", "coastline.csv crosses itself near"),
]


@pytest.mark.parametrize(("file", "old", "new", "sentence"), MISTAKES, ids=[m[2] for m in MISTAKES])
def test_a_mistake_is_one_sentence_exit_2_and_nothing_written(run_file, edit, capsys, file, old, new, sentence):
    edit(run_file.parent / file, old, new)
    before = sorted(run_file.parent.rglob("*"))
    assert main(["check", str(run_file)]) == 2
    assert sentence in said(capsys)
    assert main(["run", str(run_file), "--out", "out"]) == 2
    assert sentence in said(capsys)
    assert sorted(run_file.parent.rglob("*")) == before


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (gs.InputError("the data are wrong"), 2, "geospde: the data are wrong"),
        (gs.NumericalError("no convergence at range 3"), 3, "geospde: no convergence at range 3"),
        (KeyboardInterrupt(), 130, "geospde: interrupted; nothing was written"),
        (MemoryError(), 3, "geospde: out of memory"),
        (TypeError("None\nis not a number"), 1, "please report it: TypeError: None is not a number"),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(run_file, monkeypatch, capsys, error, code, sentence):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(analysis, "make_mesh", fail)
    assert main(["run", str(run_file), "--out", "out"]) == code
    shown = capsys.readouterr().err
    assert sentence in shown
    assert "Traceback" not in shown
    assert not (run_file.parent / "out").exists()
    log = run_file.parent / "out-failed.log"
    assert log.exists() == (code in (1, 3)) == (f"; the log is {log}" in shown)


def test_json_of_a_run_is_all_that_stdout_holds(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_survey(tmp_path, VALIDATION)
    assert main(["run", "bay.toml", "--json"]) == 0
    shown = capsys.readouterr()
    told = json.loads(shown.out)
    assert all(line.startswith("warning: ") for line in shown.err.splitlines())
    assert (told["folder"], told["name"]) == ("out", tmp_path.name)
    assert sorted(told["files"]) == sorted(p.relative_to("out").as_posix() for p in Path("out").rglob("*.*"))
    fit = gs.load_fit("out")
    assert told["fixed"]["Intercept"]["mean"] == fit.fixed.loc["Intercept", "mean"]
    assert set(told["hyper"]) == set(fit.hyper.index) and told["criteria"]["waic"] == fit.criteria["waic"]
    assert list(told["validation"]["scores"]) == ["model", "intercept only", "iid"]
    assert {"level", "subject", "message", "remedy"} <= set(told["checks"][0])
    assert main(["run", "bay.toml", "--json"]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and "--overwrite" in shown.err


def test_verbose_shows_the_traceback(run_file, monkeypatch, capsys):
    def fail(*_, **__):
        raise gs.InputError("the data are wrong")

    monkeypatch.setattr(analysis, "make_mesh", fail)
    assert main(["run", "--verbose", str(run_file), "--out", "out"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_refused_folder_stays_as_it_is(run_file, edit, capsys):
    (run_file.parent / "out").mkdir()
    (run_file.parent / "out" / "thesis.txt").write_text("years of work")
    assert main(["run", str(run_file), "--out", "out", "--overwrite"]) == 2
    assert "not the folder of a run" in said(capsys)
    edit(run_file, 'dir = "outputs/rongelap"', "")
    assert main(["run", str(run_file)]) == 2
    assert "--out" in said(capsys)


def test_the_command_itself_fails_with_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "geospde", "run", "none.toml"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "geospde: there is no run file 'none.toml'\n"


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(
    ("number", "code"), [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 143)]
)
def test_an_interrupted_run_leaves_nothing(run_file, number, code):
    before = sorted(run_file.parent.rglob("*"))
    # tests that a shell runs in the background would hand down that interrupts are ignored
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    running = subprocess.Popen(
        [sys.executable, "-m", "geospde", "run", "survey.toml"],
        cwd=run_file.parent,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    signal.signal(signal.SIGINT, handler)
    for line in running.stderr:  # the mesh is done, the fit begins
        if line.startswith("mesh"):
            break
    running.send_signal(number)
    _, rest = running.communicate(timeout=900)  # only so that a run that goes on for ever ends
    assert running.returncode == code, rest
    assert "Traceback" not in rest
    assert sorted(run_file.parent.rglob("*")) == before


def test_warnings_of_libraries_are_for_the_verbose(run_file, monkeypatch, capsys):
    make_mesh = analysis.make_mesh

    def noisy(*arguments):
        warnings.warn("overflow somewhere", RuntimeWarning, stacklevel=1)
        return make_mesh(*arguments)

    monkeypatch.setattr(analysis, "make_mesh", noisy)
    with warnings.catch_warnings(record=True) as passed_on:
        main(["check", str(run_file)])
    assert passed_on == []
    with pytest.warns(RuntimeWarning, match="overflow somewhere"):
        main(["check", str(run_file), "--verbose"])
    assert "2 of 157 sites" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", ""], "after 'run' is empty"),
        (["run", "bay.toml", "--out", ""], "after '--out' is empty"),
        (["run", "bay.toml", "--out="], "of '--out' is empty"),
        (["design", "bay.toml", "--candidates", ""], "after '--candidates' is empty"),
        (["explore", ""], "after 'explore' is empty"),
    ],
)
def test_an_empty_word_is_not_the_folder_here(words, said, tmp_path, monkeypatch, capsys):
    """As of a variable of the shell that is not set: `geospde run ""` ran each run file that lay there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bay.toml").write_text("")
    assert main(words) == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["bay.toml"]
