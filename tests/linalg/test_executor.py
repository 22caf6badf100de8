"""Work that is shared out on a Dask cluster is the work that is done here, whatever workers are lost."""

import os
import signal
import sys
from types import SimpleNamespace

import geopandas as gpd
import numpy as np
import pytest
from calibration import results
from oracles import square_mesh
from small_run import quietly_in, write_survey

import geospde as gs
from geospde.cli.commands import main
from geospde.errors import GeospdeError, InputError
from geospde.export import windowed
from geospde.linalg import threads
from geospde.linalg.executor import Dask, Here, cluster, executor
from geospde.prediction import windows

pytestmark = pytest.mark.filterwarnings("ignore::geospde.GeospdeWarning")


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed")
    place = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**place) as two, distributed.Client(two) as client:
        yield client


@pytest.fixture(scope="module")
def points():
    rng = np.random.default_rng(3)
    x, y = rng.uniform(0.05, 0.95, (2, 60))
    return gpd.GeoDataFrame({"n": rng.poisson(np.exp(1 + x))}, geometry=gpd.points_from_xy(x, y))


@pytest.fixture(scope="module")
def fit(points):
    return gs.fit("n ~ 1 + spde(mesh)", points, mesh=square_mesh(7), family="poisson", method="eb")


@pytest.fixture(scope="module")
def grid():
    return gs.Grid.from_bounds((0.1, 0.1, 0.9, 0.9), cell=0.02, crs="local:m")


@pytest.fixture
def small_windows(monkeypatch):
    monkeypatch.setattr(windowed, "windows", lambda grid, cells=100: windows.windows(grid, cells))


def plus(item, *shared):
    return item + sum(map(len, shared))


def test_here_tasks_are_taken_as_they_are_wanted():
    taken = []
    results = executor().map(plus, (taken.append(k) or k for k in range(5)), [1, 2])
    assert isinstance(executor(), Here) and taken == []
    assert next(results) == 2 and taken == [0]
    assert list(results) == [3, 4, 5, 6]
    assert list(Here().map(plus, [1, 2], size=10_000)) == [1, 2]


@pytest.mark.slow
def test_a_cluster_gives_results_in_order(client):
    with cluster(client) as there:
        assert executor() is there
        assert list(there.map(plus, range(20), "ab", {"a": 1})) == list(range(3, 23))
        with pytest.raises(TypeError):
            list(there.map(plus, ["a"]))
        assert list(there.map(plus, [])) == []
    assert isinstance(executor(), Here)


@pytest.mark.slow
def test_a_fit_on_a_cluster_is_the_fit(client, points):
    asked = {"mesh": square_mesh(7), "family": "poisson", "integration": "ccd", "strategy": "gaussian"}
    here, there = (gs.fit("n ~ 1 + spde(mesh)", points, **asked, client=where) for where in (None, client))
    assert there.identity() == here.identity()  # to the last bit: the same code, on the same machine
    assert there.laplace.evaluations == here.laplace.evaluations


@pytest.mark.slow
def test_folds_and_candidates_are_shared_out(client, fit, grid):
    here = fit.validate("random", k=3, baselines=False), gs.design(fit, add=3, candidates=square_mesh(20))
    there = (
        fit.validate("random", k=3, baselines=False, client=client),
        gs.design(fit, add=3, candidates=square_mesh(20), client=client),
    )
    np.testing.assert_allclose(there[0].pointwise["log_density"], here[0].pointwise["log_density"], rtol=1e-4)
    assert here[1].sites.equals(there[1].sites)


@pytest.mark.slow
def test_replicates_of_a_simulation_are_shared_out(client):
    here = list(results(["mixed, counts"], 0, 3))
    with gs.cluster(client):
        there = list(results(["mixed, counts"], 0, 3))
    assert [one[:2] for one in there] == [("mixed, counts", seed) for seed in range(3)]
    for mine, other in zip(here, there):
        assert other[2] == pytest.approx(mine[2], abs=1e-6)  # of a probability: the same computation


@pytest.mark.slow
def test_surveys_are_run_on_the_workers(client, tmp_path, capsys):
    for name in ("one", "two"):
        (tmp_path / f"{name}.toml").write_text("[survey]\n")
    with quietly_in(tmp_path):
        assert main(["run", "one.toml", "two.toml", "--out", "all", "--dask", client.scheduler.address, "-q"]) == 2
    said = capsys.readouterr().err
    assert "one.toml: refused: " in said and "two.toml: refused: " in said
    assert not (tmp_path / "all").exists()  # where no run is made nothing is written


def test_a_lost_scheduler_is_told_and_a_fault_of_a_task_stays_its_own():
    pytest.importorskip("distributed")

    class Client:
        """Of a scheduler that is there while shared objects are sent, and answers with an error later."""

        status = "running"

        def ncores(self):
            return {"tcp://there:1": 1}

        def scatter(self, *args, **options):
            return [None]

        def submit(self, *args, **options):
            raise TimeoutError("no answer")

        def cancel(self, futures):
            raise OSError("no answer either")

    client = Client()
    with pytest.raises(TimeoutError, match="no answer$"):
        list(Dask(client).map(plus, [1, 2], [3]))
    client.submit = lambda *args, **options: SimpleNamespace(result=lambda: Client.submit(client))
    client.status = "connecting"
    with pytest.raises(GeospdeError, match="scheduler of the Dask cluster is gone: no answer"):
        list(Dask(client).map(plus, [1, 2], [3]))


@pytest.mark.slow
def test_a_lost_worker_costs_no_more_than_its_tasks(client, tmp_path, small_windows, fit, grid):
    serial = fit.predict_raster(tmp_path / "serial.tif", grid, exceed=[5]).read_bytes()
    process, *_ = client.run(os.getpid).values()

    def kill(done, total, message):
        nonlocal process
        if process and done > total / 2:
            os.kill(process, signal.SIGKILL)
            process = None

    with gs.cluster(client):
        shared = fit.predict_raster(tmp_path / "shared.tif", grid, exceed=[5], callback=kill)
    assert process is None and shared.read_bytes() == serial


@pytest.mark.slow
def test_steps_and_validations_are_shared_out(client, tmp_path, capsys):
    write_survey(tmp_path)
    there = ["--dask", client.scheduler.address, "-q"]
    with quietly_in(tmp_path):
        assert main(["mesh", "bay.toml", "-q"]) == 0
        for command in (["fit"], ["validate", "--folds", "random"], ["design", "--add", "2"]):
            before = client.run(_unpacked_names)
            assert main([*command, "bay.toml", *there]) == 0, capsys.readouterr().err
            assert client.run(_unpacked_names) != before
        assert main(["predict", "bay.toml", *there]) == 0  # a small map is predicted here
    assert (tmp_path / "out/fit.npz").is_file() and (tmp_path / "out/prediction.tif").is_file()


def _unpacked_names():
    """Of what this process has been sent as a worker."""
    from geospde.linalg import executor

    return sorted(executor._UNPACKED)


@pytest.mark.parametrize("command", ["run", "fit", "predict", "validate", "design"])
def test_commands_that_share_out_name_the_scheduler_that_is_not_there(command, tmp_path, capsys):
    pytest.importorskip("distributed")
    write_survey(tmp_path)
    with quietly_in(tmp_path):
        assert main([command, "bay.toml", "--dask", "nowhere.json", "-q"]) == 2
    assert "there is no file 'nowhere.json' of a Dask scheduler" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_is_no_cluster_is_refused(monkeypatch, capsys):
    pytest.importorskip("distributed")
    with pytest.raises(InputError, match="distributed.Client or a scheduler's address, not 3"), cluster(3):
        pass
    with pytest.raises(InputError, match="there is no file 'nowhere.json'"), cluster("nowhere.json"):
        pass
    with pytest.raises(InputError, match="no Dask scheduler answers at 'http"), cluster("http://nowhere"):
        pass
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'geospde\[dask\]'"), cluster("tcp://127.0.0.1:8786"):
        pass
    with gs.cluster(None) as here:
        assert here is executor()


def test_tasks_ahead_come_in_order_and_few_at_a_time(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 3)
    taken = []
    results = threads.ahead(plus, (taken.append(k) or k for k in range(9)), threads.SEVERAL)
    assert taken == [] and next(results) == 0
    assert len(taken) == 4  # three at work beside the one that is there
    assert list(results) == list(range(1, 9))
    assert list(threads.ahead(plus, range(3), 1)) == [0, 1, 2]
    with pytest.raises(TypeError):
        list(threads.ahead(plus, [1, "a", 2], threads.SEVERAL))
