"""Batches on a Dask cluster: real clusters of several processes, some of which die."""

import contextlib
import pickle
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("distributed")

from distributed import Client

from pillow_inr.batch import cluster as batch_cluster
from pillow_inr.batch import cluster_errors, local
from pillow_inr.batch.manifest import Record
from pillow_inr.batch.worker import Task
from pillow_inr.errors import BackendError
from tests.support.cluster import ROOT, cluster
from tests.support.waiting import PATIENCE_SECONDS, wait_until

if find_spec("tensorflow") is None:
    pytest.skip("workers must have TensorFlow", allow_module_level=True)


def quiet(message: str) -> None:
    raise AssertionError(message)


def task(folder: Path, name: str, **options: Any) -> Task:
    return Task(str(folder / name), str(folder / "out" / f"{name}.inr"), f"{name}.inr", options, 1)


def tasks(folder: Path, texts: Sequence[str]) -> Iterator[Task]:
    """For the workers of tests/support/cluster_work.py."""
    (folder / "out").mkdir(exist_ok=True)
    for number, text in enumerate(texts):
        (folder / str(number)).write_text(text)
        yield task(folder, str(number))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with cluster(tmp_path_factory.mktemp("logs") / "log", 3, 1, "tests.support.cluster_work") as (address, _):
        yield address


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a file when the client hears that a task has begun: 5.inr.begun2 the second time."""
    begun = batch_cluster._Flow._begun

    def mark(flow: batch_cluster._Flow, event: tuple[float, Any]) -> None:
        begun(flow, event)
        entry = flow._entries.get(event[1][0])
        if entry is not None:
            Path(f"{entry.task.output}.begun{len(entry.begun)}").touch()

    monkeypatch.setattr(batch_cluster._Flow, "_begun", mark)


def recorded(given: Iterator[Task], address: str) -> dict[str, Record]:
    """The records of a run, by output; makes a file when the client has one: 5.inr.recorded."""
    outputs: dict[str, str] = {}

    def noted() -> Iterator[Task]:
        for one in given:
            outputs[one.below] = one.output
            yield one

    records = {}
    for record in batch_cluster.run(noted(), address, quiet):
        records[record.output] = record
        Path(f"{outputs[record.output]}.recorded").touch()
    return records


def test_distributed_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(BackendError, match=r"pip install 'pillow-inr\[cluster\]'"):
        next(batch_cluster.run(tasks(tmp_path, ["copy"]), "tcp://127.0.0.1:9", quiet))


@pytest.mark.parametrize("scheduler", ["tcp://127.0.0.1:9", "nonsense://1"])
def test_no_scheduler(tmp_path: Path, scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_cluster, "TIMEOUT_SECONDS", 1)
    with pytest.raises(ConnectionError, match=f"no Dask scheduler answers at {scheduler}: start one"):
        next(batch_cluster.run(tasks(tmp_path, ["copy"]), scheduler, quiet))


@pytest.mark.usefixtures("heard")
def test_one_image_kills_its_workers(tmp_path: Path, address: str) -> None:
    texts = ["copy", "die", *["copy"] * 20, "defect", *["copy"] * 5]
    records = recorded(tasks(tmp_path, texts), address)
    assert set(records) == {f"{number}.inr" for number in range(len(texts))}
    assert {output: record.error for output, record in records.items() if not record.done} == {
        "1.inr": "3 workers died while they encoded it",
        "22.inr": "TypeError: an odd image",
    }
    # Those that waited in line behind it were not begun, and are not blamed.
    assert {output: record.attempts for output, record in records.items() if record.attempts > 1} == {"1.inr": 4}
    assert all(record.source == str(tmp_path / output.removesuffix(".inr")) for output, record in records.items())
    assert len(list((tmp_path / "out").glob("*.inr"))) == len(texts) - 2


@pytest.mark.usefixtures("heard")
def test_an_image_whose_worker_died_is_begun_again(tmp_path: Path, address: str) -> None:
    records = recorded(tasks(tmp_path, ["copy", "die once", *["copy"] * 10]), address)
    assert [record.done for record in records.values()] == [True] * 12
    assert {output: record.attempts for output, record in records.items() if record.attempts > 1} == {"1.inr": 2}
    killed = (tmp_path / "out" / "1.inr.attempt1").read_text()
    assert str(records["1.inr"].worker).rpartition(":")[2] != killed
    assert (tmp_path / "out" / "1.inr").read_text() == "die once"


def test_tasks_are_taken_as_they_are_needed(tmp_path: Path, address: str) -> None:
    taken = 0

    def counted() -> Iterator[Task]:
        nonlocal taken
        for one in tasks(tmp_path, ["copy"] * 100):
            taken += 1
            yield one

    for done, _ in enumerate(batch_cluster.run(counted(), address, quiet)):
        assert taken <= done + 1 + 3 * 3
    assert taken == 100


def test_what_is_not_begun_is_taken_back(tmp_path: Path, address: str) -> None:
    records = batch_cluster.run(tasks(tmp_path, ["slow"] * 50), address, quiet)
    next(records)
    records.close()  # type: ignore[attr-defined]
    left = list(batch_cluster.run(tasks(tmp_path, ["copy"] * 3), address, quiet))
    assert {record.output for record in left} == {"0.inr", "1.inr", "2.inr"}
    assert len(list((tmp_path / "out").iterdir())) <= 3 * 3 + 1


def test_a_source_that_has_gone_fails_alone(tmp_path: Path, address: str) -> None:
    def two() -> Iterator[Task]:
        yield from tasks(tmp_path, ["copy"])
        yield task(tmp_path, "gone")

    records = {record.output: record for record in batch_cluster.run(two(), address, quiet)}
    assert records["0.inr"].status == "done"
    assert records["gone.inr"].error == f"[Errno 2] No such file or directory: '{tmp_path / 'gone'}'"


def test_paths_may_be_relative(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = [replace(one, strip=True) for one in tasks(Path(), ["copy"])]
    (record,) = batch_cluster.run(given, address, quiet)
    assert (record.source, record.status, record.options) == ("0", "done", {"strip": True})
    assert Path("out/0.inr").read_text() == "copy"


def test_what_no_worker_can_do_ends_the_run(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendError, match=r"^tcp://.* cannot encode: Install s3fs to access S3$"):
        list(batch_cluster.run(tasks(tmp_path, ["missing package"]), address, quiet))
    other = [replace(one, threads=2) for one in tasks(tmp_path, ["copy"])]
    with pytest.raises(
        BackendError, match=r"^tcp://.* cannot encode: TensorFlow runs with 1 threads there: restart the worker"
    ):
        list(batch_cluster.run(other, address, quiet))
    monkeypatch.setattr(batch_cluster, "__version__", "77.0")
    with pytest.raises(BackendError, match=r"^tcp://.* cannot encode: it has pillow_inr .*, this machine 77.0$"):
        list(batch_cluster.run(tasks(tmp_path, ["copy"]), address, quiet))


def test_files_that_workers_do_not_see_end_the_run(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is there for this process, as the first folder is; a worker looks for the second one.
    real = batch_cluster._for_worker
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setattr(
        batch_cluster, "_for_worker", lambda given: replace(real(given), source=str(elsewhere / "photo.png"))
    )
    with pytest.raises(BackendError, match=r"does not see .*photo.png: paths must lie on a file system"):
        list(batch_cluster.run(tasks(tmp_path, ["copy"]), address, quiet))
    monkeypatch.setattr(
        batch_cluster, "_for_worker", lambda given: replace(real(given), output=str(tmp_path / "other.inr"))
    )
    monkeypatch.setattr(batch_cluster, "_SEEN_SECONDS", 0)
    with pytest.raises(BackendError, match=r"wrote .*0.inr, which is not there on this machine: paths must lie"):
        list(batch_cluster.run(tasks(tmp_path, ["copy"]), address, quiet))


def test_the_scheduler_goes(tmp_path: Path) -> None:
    with cluster(tmp_path / "log", 1, 1, "tests.support.cluster_work") as (address, process):
        records = batch_cluster.run(tasks(tmp_path, ["slow"] * 20), address, quiet)
        next(records)
        process.kill()
        with pytest.raises(ConnectionError, match=f"the Dask scheduler at {address} has gone"):
            list(records)


@contextlib.contextmanager
def worker(address: str, log: Path, *options: str, folder: Path = ROOT) -> Iterator[None]:
    """Another worker, started as by hand; it imports packages from a folder."""
    command = [sys.executable, "-m", "dask", "worker", address, "--no-nanny", "--no-dashboard", "--memory-limit", "0"]
    with log.open("w") as errors, Popen([*command, *options], cwd=folder, stderr=errors) as process:
        try:
            yield
        finally:
            process.terminate()


PRELOAD = ("--preload", "tests.support.cluster_work")


class FakeClient:
    """A client of a scheduler with these workers."""

    def __init__(self, *workers: str) -> None:
        self.workers = {str(n): {"status": status, "resources": {}, "nthreads": 1} for n, status in enumerate(workers)}

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        assert n_workers == -1  # all of them
        return {"workers": self.workers}

    def subscribe_topic(self, *_: object) -> None:
        pass


def test_paused_workers_are_told_of_and_not_counted() -> None:
    said: list[str] = []
    flow = batch_cluster._Flow(FakeClient("running", "paused", "running", "closing_gracefully"), "tcp://a", said.append)
    assert flow._workers() == 2
    assert said == ["1 workers paused, near their --memory-limit: docs/cluster.md tells how to set it"]


def test_workers_that_come_later_with_threads_and_a_gpu(tmp_path: Path) -> None:
    with cluster(tmp_path / "log", 0) as (address, _), contextlib.ExitStack() as workers:
        said: list[str] = []

        def say(message: str) -> None:
            said.append(message)
            if message.startswith("no workers"):
                options = ("--nthreads", "4", "--resources", "GPU=1")
                workers.enter_context(worker(address, tmp_path / "gpu", *PRELOAD, *options))

        records = list(batch_cluster.run(tasks(tmp_path, ["slow"] * 4), address, say))
        assert said == [
            f"no workers: waiting for 'dask worker {address} --nthreads 1'",
            "workers with several threads do one image at a time: start them with --nthreads 1",
        ]
        # One after another, though there are threads for all.
        times = [[float(time) for time in path.read_text().split()] for path in (tmp_path / "out").iterdir()]
        assert all(end <= start for (_, end), (start, _) in pairwise(sorted(times)))

        workers.enter_context(worker(address, tmp_path / "plain", *PRELOAD))
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=PATIENCE_SECONDS)
        later = list(batch_cluster.run(tasks(tmp_path, ["copy"] * 20), address, said.append))
        assert {record.worker for record in later} == {record.worker for record in records}
        assert len(later) == 20


def test_a_worker_with_an_older_release_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot even unpickle a task, since it lacks the modules: `batch` was a module, and is a package."""
    older = tmp_path / "older"
    (older / "pillow_inr").mkdir(parents=True)
    for name in ("__init__", "batch", "cluster_worker"):
        (older / "pillow_inr" / f"{name}.py").write_text("__version__ = '0.1'\n")
    match = r"^tcp://.* has another release of pillow_inr: install \d+\.\d+.* there$"
    with cluster(tmp_path / "log", 0) as (address, _), contextlib.ExitStack() as workers:
        workers.enter_context(worker(address, tmp_path / "worker", "--nthreads", "1", folder=older))
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=PATIENCE_SECONDS)
        with pytest.raises(BackendError, match=match):
            list(batch_cluster.run(tasks(tmp_path, ["copy"]), address, quiet))
        # As if it had come when others had been found fit.
        monkeypatch.setattr(batch_cluster._Flow, "_prepare", lambda flow, _: wait_until(flow._workers))
        with pytest.raises(BackendError, match=match.replace("tcp://.*", "a worker")):
            list(batch_cluster.run(tasks(tmp_path, ["copy"]), address, quiet))


@pytest.mark.parametrize(
    ("pickled", "text"),
    [
        (b"cpillow_inr.batch.no_such_module\nwork\n.", "w has another release of pillow_inr: install"),
        (b"cpillow_inr.batch.cluster_worker\nno_such_function\n.", "w has another release of pillow_inr: install"),
        (b"cno_such_package\nwork\n.", "w cannot encode: No module named 'no_such_package'"),
    ],
)
def test_what_a_worker_cannot_unpickle_is_told(pickled: bytes, text: str) -> None:
    with pytest.raises((ImportError, AttributeError)) as error:
        pickle.loads(pickled)
    assert str(cluster_errors.unfit("w", error.value)).startswith(text)


def test_a_worker_without_pillow_inr_is_told_so() -> None:
    missing = ModuleNotFoundError("No module named 'pillow_inr'", name="pillow_inr")
    assert str(cluster_errors.unfit("w", missing)).startswith("w has no pillow_inr: install the release")


@pytest.mark.keras
@pytest.mark.slow
def test_files_are_those_of_the_local_engine(tmp_path: Path) -> None:
    """To the byte; one of them by URLs, as those of a bucket."""
    options = {"model": "siren", "width": 8, "depth": 2, "steps": 2, "seed": 3}
    (tmp_path / "out").mkdir()
    given = []
    for number, start in enumerate([str(tmp_path), f"file://{tmp_path}"]):
        Image.effect_noise((32, 32), 40 + number).save(tmp_path / f"{number}.png")
        given.append(Task(f"{start}/{number}.png", f"{start}/out/{number}.inr", f"{number}.inr", options, 1))
    with cluster(tmp_path / "log", 1) as (address, _):
        records = list(batch_cluster.run(given, address, quiet))
    assert [(record.error, record.attempts) for record in records] == [(None, 1)] * 2
    again = [replace(one, output=one.output.replace("/out/", "/local/")) for one in given]
    assert all(record.done for record in local.run(again, 1))
    files = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("out", "local")]
    assert files[0] == files[1] and len(files[0]) == 2
