"""The whole system on one machine: a broker, workers, a learner and the store, each a process of its own, supervised.

The demo, the benchmarks and the fault runs all start it from here, so they run the same thing.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deploy.broker import Broker
from deploy.keys import Keys
from deploy.processes import Process, bound, log_tail
from deploy.read_back import read_topic
from deploy.security import ADMIN, principal_of
from schemas.observer import Observer
from schemas.settings import Settings
from schemas.topics_to_kafka import create_topics
from streams.detector.state import Size
from streams.exactly_once import POSITION_KEY

ROOT = Path(__file__).resolve().parent.parent
WAIT_INTERVAL_S = 0.3


class System:
    """Broker, workers, learner and store on a data directory.

    The store's process holds the sink, the label join and the page: the embedded ClickHouse belongs to one process.

    Parameters
    ----------
    worker_session_timeout_ms : how long a silent worker keeps its partitions.
    broker : one to use instead of starting one; it is not stopped either.
    partitions, snapshot_records : as the settings of these names.
    secure : start a broker with TLS, users and access control lists; each process is a user of its own, with the rights
        of `schemas/access.py` and no others. Whoever starts the system owns the cluster.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        workers: int = 1,
        worker_session_timeout_ms: int = 10_000,
        broker: Broker | None = None,
        broker_properties: Mapping[str, str] | None = None,
        topic_prefix: str = "",
        partitions: int = 12,
        snapshot_records: int = 1_000,
        secure: bool = False,
    ) -> None:
        # A local system is complete in itself: a shell set up for a real cluster must not reach into it, nor it out.
        for name in [name for name in os.environ if name.startswith("FRAUD_")]:
            del os.environ[name]
        self.data_dir = data_dir.resolve()
        self.logs_dir = self.data_dir / "logs"
        self.logs_dir.mkdir(parents=True, exist_ok=True)
        self._own_broker = broker is None
        self._store_log_start = 0
        self.broker = broker or Broker(self.data_dir / "kafka", properties=broker_properties, secure=secure)
        self.keys = Keys(self.data_dir / "keys")
        self.keys.prepare()
        self.workers: list[Process] = []
        self.learner: Process | None = None
        self.store: Process | None = None
        self._partitions = partitions
        self._snapshot_records = snapshot_records
        self._workers_wanted = workers
        self._session_timeout_ms = worker_session_timeout_ms
        self._topic_prefix = topic_prefix

    def __enter__(self) -> Self:
        if self._own_broker:
            (self.data_dir / "kafka").mkdir(exist_ok=True)
            self.broker.start()
        try:
            create_topics(self.settings)
            if self.broker.security:
                self.run("access", ["streams", "access", "apply"])
        except BaseException:  # nobody will call our exit
            if self._own_broker:
                self.broker.stop()
            raise
        self._observer = Observer(self.settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        running = [process for process in (*self.workers, self.learner, self.store) if process]
        with ThreadPoolExecutor(len(running) or 1) as pool:
            list(pool.map(lambda process: process.terminate(grace_s=10), running))
        self._observer.close()
        if self._own_broker:
            self.broker.stop()

    @property
    def settings(self) -> Settings:
        """What the processes are given, as settings; for whoever owns the cluster."""
        return self.settings_of(ADMIN)

    def settings_of(self, principal: str) -> Settings:
        """Return what the process of a principal is given, as settings."""
        return Settings.model_validate(
            {
                **self.broker.client(principal),
                **self.keys.client(principal),
                "data_dir": self.data_dir / "store",
                "session_timeout_ms": self._session_timeout_ms,
                "topic_prefix": self._topic_prefix,
                "partitions": self._partitions,
                "snapshot_records": self._snapshot_records,
            }
        )

    def environment(self, arguments: Sequence[str]) -> dict[str, str]:
        """Return what the process of these arguments is given, as variables; of its password only where that is."""
        # All of them, so that none of the caller's own FRAUD_* variables reaches a part of the system only.
        settings = self.settings_of(principal_of(arguments)).model_dump(mode="json", exclude={"kafka_password"})
        return {f"FRAUD_{name.upper()}": str(value) for name, value in settings.items()} | {
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        }

    def process(self, name: str, arguments: Sequence[str], *, restart: bool = False, **environment: str) -> Process:
        """Return a process of ours, not started."""
        return Process(
            [sys.executable, "-P", "-m", *arguments],
            log_path=self.logs_dir / f"{name}.log",
            env=self.environment(arguments) | environment,
            restart=restart,
        )

    def start_workers(self, number: int | None = None) -> None:
        """Start workers."""
        for _ in range(self._workers_wanted if number is None else number):
            name = f"worker-{len(self.workers) + 1}"
            worker = self.process(name, ["streams", "worker"], restart=True, FRAUD_WORKER_ID=name)
            self.workers.append(worker.start())

    def start_learner(self) -> None:
        """Start the learner: the one task of the learning stage, in a process of its own."""
        arguments = ["streams", "worker", "--stages", "learning"]
        self.learner = self.process("learner", arguments, restart=True, FRAUD_WORKER_ID="learner")
        # Learning may lag: on a machine for everything it gives way to deciding.
        self.learner.argv[:0] = ["nice", "-n", "10"]
        self.learner.start()

    def start_store(self, page_port: int | None = None) -> None:
        """Start the sink into the embedded store with the label join, and the page where a port is given."""
        page = ["--without-page"] if page_port is None else ["--page-port", str(page_port)]
        self.store = self.process("store", ["consumers", "run", *page, "--json"], restart=True)
        # Storing may lag, too.
        self.store.argv[:0] = ["nice", "-n", "10"]
        self._store_log_start = self.store.log_path.stat().st_size if self.store.log_path.exists() else 0
        self.store.start()

    def start(self, ready_s_max: float) -> None:
        """Start all that decides, learns and stores. Raises RuntimeError where the workers are not ready in time."""
        self.start_workers()
        self.start_learner()
        self.start_store()
        if not self.wait_until_ready(ready_s_max):
            raise RuntimeError(f"the workers did not start: {log_tail(self.workers[0].log_path)}")

    def stop_store(self) -> dict[str, int]:
        """Stop the store's process, then let another store and join what is left; return what that one counted."""
        if self.store:
            self.store.terminate(grace_s=20)
        told = self.run("store-rest", ["consumers", "run", "--without-page", "--until-idle", "1", "--json"])
        counters: dict[str, int] = json.loads(told.splitlines()[-1])
        return counters

    def page_url(self) -> str | None:
        """Return where the page is, once it says so in its log."""
        if self.store is None:
            return None
        told = re.findall(rb"page on (http://\S+)", self.store.log_path.read_bytes()[self._store_log_start :])
        return told[-1].decode() if told else None

    def run(self, name: str, arguments: Sequence[str]) -> str:
        """Run a command of ours to its end and return what it printed. Raises RuntimeError when it failed."""
        log_path = self.logs_dir / f"{name}.log"
        with log_path.open("ab") as log:
            done = subprocess.run(
                bound([sys.executable, "-P", "-m", *arguments]),
                env={**os.environ, **self.environment(arguments)},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                check=False,
                start_new_session=True,  # as every process of ours: Ctrl-C on the terminal is for us alone
            )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments[:2])} failed: {log_tail(log_path)}")
        return done.stdout

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Return the rows of a query on the store; no sink may be running."""
        return [json.loads(line) for line in self.run("query", ["consumers", "query", "--json", sql]).splitlines()]

    def wait_until_learned(self, timeout_s: float) -> bool:
        """Wait until the learner has learned all that is in the training log; False when it took too long."""
        return self._wait(lambda: self._observer.left("learned") == 0, timeout_s)

    def lag(self) -> int:
        """Return how many offsets the workers have still to process."""
        return self._observer.left()

    def wait_until_ready(self, timeout_s: float) -> bool:
        """Wait until every task is open and has told where it is, and the store reads; False when it took too long."""
        return self._wait(lambda: self.store_reads and min(self._observer.committed().values()) >= 0, timeout_s)

    @property
    def store_reads(self) -> bool:
        """Whether the store's process, if there is one, has been given what to read."""
        if self.store is None:
            return True
        told = self.store.log_path.read_bytes()[self._store_log_start :]
        return re.search(rb"reading \d+ partitions", told) is not None

    def wait_until_drained(self, timeout_s: float) -> bool:
        """Wait until nothing is left to process; False when it took too long."""
        return self._wait(lambda: self.lag() == 0, timeout_s)

    def _wait(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if holds():
                return True
            time.sleep(WAIT_INTERVAL_S)
        return False

    def counters(self) -> dict[str, dict[str, int]]:
        """Return what every stage has counted, from the committed positions in the state logs."""
        totals: dict[str, dict[str, int]] = {}
        for stage in ("card", "merchant"):
            counts: dict[str, int] = {}
            for value in self._positions(f"{self._topic_prefix}fraud.{stage}-state.v1").values():
                for name, count in json.loads(value)["counters"].items():
                    counts[name] = counts.get(name, 0) + count
            totals[stage] = counts
        return totals

    def state_size(self) -> dict[str, dict[str, int]]:
        """Return how much every stage remembers: entities, pieces, bytes, and the most bytes of one entity."""
        sizes = {}
        for stage in ("card", "merchant"):
            positions = self._positions(f"{self._topic_prefix}fraud.{stage}-state.v1").values()
            told = [json.loads(value)["state"] for value in positions] or [dict.fromkeys(Size._fields, 0)]
            sizes[stage] = {name: sum(each[name] for each in told) for name in Size._fields}
            sizes[stage]["largest_bytes"] = max(each["largest_bytes"] for each in told)
        return sizes

    def _positions(self, topic: str) -> dict[int, bytes]:
        return {
            message.partition(): message.value()
            for message in read_topic(self.settings, topic)
            if message.key() == POSITION_KEY
        }
