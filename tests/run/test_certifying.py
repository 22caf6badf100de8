"""`[inference] certify` and `geospde certify`: the certificate in a run, its files and its report, and by itself."""

import json

import pytest
from small_run import quietly_in, write_survey

import geospde as gs
from geospde.cli.commands import main

pytestmark = [pytest.mark.filterwarnings("ignore::geospde.GeospdeWarning"), pytest.mark.usefixtures("undrawn")]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Return a folder with a run that was certified."""
    folder = tmp_path_factory.mktemp("bay")
    path = write_survey(folder)
    path.write_text(
        path.read_text().replace('method = "eb"', 'method = "eb"\ncertify = 240').replace("cell = 100", "cell = 250")
    )
    with quietly_in(folder):
        result = gs.run("bay.toml")
    return folder, result


def test_a_run_holds_its_certificate(done):
    folder, result = done
    content = json.loads((folder / "out" / "certificate.json").read_text())
    assert result.certificate.draws == content["draws"] == 240
    assert content["verdict"] == result.certificate.verdict == result.to_dict()["certificate"]["verdict"]
    assert any(finding.subject == "certificate" for finding in result.checks)
    page = (folder / "out" / "report.html").read_text()
    assert 'id="certificate"' in page and "Monte Carlo error" in page


def test_the_report_by_itself_reads_it_again(done):
    with quietly_in(done[0]):
        assert main(["report", "bay.toml", "-q"]) == 0
        assert 'id="certificate"' in (done[0] / "out" / "report.html").read_text()


@pytest.mark.slow
def test_the_command_takes_the_saved_fit(done, capsys):
    with quietly_in(done[0]):
        assert main(["certify", "bay.toml", "--draws", "240", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["saved_fit"] == "out" and told["verdict"] == done[1].certificate.verdict
        assert main(["certify", "out", "--draws", "240"]) == 0
        printed = capsys.readouterr().out
    assert "log marginal likelihood is" in printed and "range(spde)" in printed


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ("certify = 12", "certify in [inference] is true or a number of draws, 200 or more"),
        ('certify = "yes"', "[inference] certify"),
        ("certify = -1", "[inference] certify"),
        ('certify = true\nmethod = "ml"', "certify in [inference] needs method 'inla' or 'eb', not 'ml'"),
    ],
)
def test_what_cannot_be_certified_is_refused_in_a_sentence(tmp_path, capsys, keys, sentence):
    path = write_survey(tmp_path)
    text = path.read_text().replace('method = "eb"', keys)
    path.write_text(text.replace('[validation]\nfolds = "random"\nk = 3\n', ""))
    with quietly_in(tmp_path):
        assert main(["run", "bay.toml"]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("geospde:")]
    assert len(errors) == 1 and sentence in errors[0]


def test_too_few_draws_on_the_command_line(done, capsys):
    with quietly_in(done[0]):
        assert main(["certify", "out", "--draws", "3"]) == 2
    assert "200 to 1,000,000, not 3" in capsys.readouterr().err
