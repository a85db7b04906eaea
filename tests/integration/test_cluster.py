"""Images by a Dask cluster: real ones of several processes, some of which die."""

import contextlib
import os
import signal
import sys
from collections import Counter
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
from pillow_inr.batch import cluster_worker
from pillow_inr.batch.local import run as run_local
from pillow_inr.batch.worker import Task
from pillow_inr.errors import BackendError
from tests.support.cluster import ROOT, cluster

if find_spec("tensorflow") is None:
    pytest.skip("workers must have TensorFlow", allow_module_level=True)


def quiet(message: str) -> None:
    raise AssertionError(message)


def task(folder: Path, name: str, **options: Any) -> Task:
    return Task(str(folder / name), str(folder / "out" / f"{name}.inr"), f"{name}.inr", options, 1)


def tasks(folder: Path, texts: Sequence[str]) -> Iterator[Task]:
    """For the workers of tests/cluster_work.py."""
    for number, text in enumerate(texts):
        (folder / str(number)).write_text(text)
        yield task(folder, str(number))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with cluster(tmp_path_factory.mktemp("logs") / "log", 3, 1, "tests.support.cluster_work") as (address, _):
        yield address


def test_distributed_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(BackendError, match=r"pip install 'pillow-inr\[cluster\]'"):
        next(batch_cluster.run(tasks(tmp_path, ["copy"]), "tcp://127.0.0.1:9", quiet))


@pytest.mark.parametrize("scheduler", ["tcp://127.0.0.1:9", "nonsense://1"])
def test_no_scheduler(tmp_path: Path, scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "TIMEOUT_SECONDS", 1)
    with pytest.raises(ConnectionError, match=f"no Dask scheduler answers at {scheduler}: start one"):
        next(batch_cluster.run(tasks(tmp_path, ["copy"]), scheduler, quiet))


def test_one_image_kills_its_workers(tmp_path: Path, address: str) -> None:
    texts = [*["slow"] * 5, "die", *["copy"] * 20, "defect", *["copy"] * 5]
    records = list(batch_cluster.run(tasks(tmp_path, texts), address, quiet))
    assert {record.output for record in records} == {f"{number}.inr" for number in range(len(texts))}
    failed = {record.output: record for record in records if record.status == "failed"}
    assert {record.error for record in failed.values()} == {
        "3 workers died while they encoded it",
        "TypeError: an odd image",
    }
    assert failed["5.inr"].attempts == 4
    # Those that waited in line behind it were not begun, and are not blamed.
    assert Counter(record.attempts for record in records)[1] == len(texts) - 1
    assert all(record.source == str(tmp_path / record.output.removesuffix(".inr")) for record in records)
    assert len(list((tmp_path / "out").iterdir())) == len(texts) - 2


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
        BackendError, match=r"^tcp://.* cannot encode: TensorFlow has 1 threads there for good: start it"
    ):
        list(batch_cluster.run(other, address, quiet))
    monkeypatch.setattr(cluster, "__version__", "77.0")
    with pytest.raises(BackendError, match=r"^tcp://.* cannot encode: it has pillow_inr .*, this machine 77.0$"):
        list(batch_cluster.run(tasks(tmp_path, ["copy"]), address, quiet))


def test_files_that_workers_do_not_see_end_the_run(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is there for this process, as the first folder is; a worker looks for the second one.
    real = batch_cluster._for_worker
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setattr(cluster, "_for_worker", lambda given: replace(real(given), source=str(elsewhere / "photo.png")))
    with pytest.raises(BackendError, match=r"does not see .*photo.png: paths must lie on a file system"):
        list(batch_cluster.run(tasks(tmp_path, ["copy"]), address, quiet))
    monkeypatch.setattr(cluster, "_for_worker", lambda given: replace(real(given), output=str(tmp_path / "other.inr")))
    monkeypatch.setattr(cluster, "_SEEN_SECONDS", 0)
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
def worker(address: str, log: Path, *options: str) -> Iterator[None]:
    """Another worker, started as by hand."""
    command = [sys.executable, "-m", "dask", "worker", address, "--no-nanny", "--no-dashboard"]
    preload = ("--preload", "tests.support.cluster_work")
    with log.open("w") as errors, Popen([*command, *preload, *options], cwd=ROOT, stderr=errors) as process:
        try:
            yield
        finally:
            process.terminate()


class FakeClient:
    """Of a scheduler with these workers."""

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
                workers.enter_context(worker(address, tmp_path / "gpu", "--nthreads", "4", "--resources", "GPU=1"))

        records = list(batch_cluster.run(tasks(tmp_path, ["slow"] * 4), address, say))
        assert said == [
            f"no workers: waiting for 'dask worker {address} --nthreads 1'",
            "workers with several threads do one image at a time: start them with --nthreads 1",
        ]
        # One after another, though there are threads for all.
        times = [[float(time) for time in path.read_text().split()] for path in (tmp_path / "out").iterdir()]
        assert all(end <= start for (_, end), (start, _) in pairwise(sorted(times)))

        workers.enter_context(worker(address, tmp_path / "plain"))
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=30)
        later = list(batch_cluster.run(tasks(tmp_path, ["copy"] * 20), address, said.append))
        assert {record.worker for record in later} == {record.worker for record in records}
        assert len(later) == 20


@pytest.mark.keras
@pytest.mark.slow
def test_a_worker_is_killed(tmp_path: Path) -> None:
    """Nothing is lost, little is repeated, and files are those of the local engine to the byte."""
    options = {"model": "siren", "width": 8, "depth": 2, "steps": 2, "seed": 3}
    given = []
    for number in range(8):
        path = tmp_path / f"{number}.png"
        Image.effect_noise((32, 32), 40 + number).save(path)
        # Half of them by URLs, as those of a bucket.
        start = f"file://{tmp_path}" if number % 2 else str(tmp_path)
        given.append(Task(f"{start}/{number}.png", f"{start}/out/{number}.inr", f"{number}.inr", options, 1))
    killed: list[int] = []
    with cluster(tmp_path / "log", 3) as (address, _), Client(address, set_as_default=False) as client:
        processes = client.run(os.getpid)

        def kill(event: tuple[float, tuple[str, str]]) -> None:
            """The first worker that begins its second image."""
            begun[event[1][1]] += 1
            if not killed and begun[event[1][1]] == 2:
                killed.append(processes[event[1][1]])
                os.kill(killed[0], signal.SIGKILL)

        begun: Counter[str] = Counter()
        client.subscribe_topic(cluster_worker.TOPIC, kill)
        records = list(batch_cluster.run(given, address, quiet))
    assert len(killed) == 1
    assert {record.output for record in records if record.status == "done"} == {one.below for one in given}
    # The image that it was encoding; perhaps one more, whose record was still there.
    assert sum(record.attempts for record in records) - len(given) in (1, 2)
    clustered = {record.output: (tmp_path / "out" / record.output).read_bytes() for record in records}
    local = [replace(one, output=one.output.replace("/out/", "/local/")) for one in given]
    assert all(record.status == "done" for record in run_local(local, 1))
    assert {path.name: path.read_bytes() for path in (tmp_path / "local").iterdir()} == clustered
