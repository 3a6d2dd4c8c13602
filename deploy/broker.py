"""A real Kafka broker for one machine: KRaft, broker and controller in one Java process, on the loopback address only.

Every replication factor is 1: what it proves about crashes of our processes and restarts of a broker holds for a
cluster as well, what happens when a machine is lost it cannot show.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import socket
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy.processes import LOOPBACK, Server, free_port, log_tail
from deploy.security import ADMIN, Security, write_secret
from schemas.connection import connection
from schemas.settings import Settings

JARS_DIR = Path(__file__).parent / "kafka" / "target" / "dependency"
MIN_JAVA = 17

# The quick compiler only: against the default on two cores the broker starts in 1.9 s instead of 2.4 s, takes a third
# less CPU in its first 20 s and commits a small transaction in 14 ms instead of 35 ms at the 99th percentile. After a
# minute under full load the default commits the median one in 6 ms instead of 8 ms.
JVM_FLAGS = [
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
]

# A client that knocks while the broker comes up has nothing to tell.
QUIET = logging.getLogger(f"{__name__}.probe")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False

SERVER_PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
# Named here and not in the metadata log, so that an old data directory opens on new ports.
controller.quorum.voters=1@{host}:{controller_port}
log.dirs={log_dir}

# One broker holds the only replica of everything.
default.replication.factor=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# Few partitions of Kafka's own topics: each is a directory to open at every start.
offsets.topic.num.partitions=8
transaction.state.log.num.partitions=8
# Asks the coordinator, once a partition and transaction, what a client that registers its partitions first has told it
# already (KIP-890 guards against those that do not): at 400 transactions a second on two cores a commit takes 6 ms
# without it and 20 with it. A fault run sets it back to Kafka's default.
transaction.partition.verification.enable=false
# A dead worker's open transaction holds readers back: look for timed-out ones every second, not every ten.
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
share.coordinator.state.topic.num.partitions=1
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0

# A killed broker may register again when its old registration has timed out, by default after 9 s.
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000

# The first record of a partition makes its index files, 10 MB each by default: with a hundred partitions the first
# seconds of a new broker took a second a decision.
log.index.size.max.bytes=262144
message.max.bytes=5242880
replica.fetch.max.bytes=5242880

# State topics are compacted soon, so that the tests see compaction.
log.cleaner.enable=true
log.cleaner.threads=1
log.cleaner.backoff.ms=1000
log.cleaner.dedupe.buffer.size=16777216

# For two cores.
num.network.threads=2
num.io.threads=4
num.recovery.threads.per.data.dir=2
background.threads=2
"""

LOG4J_PROPERTIES = """\
status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %c{1}: %m%n
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
"""


class Broker(Server):
    """A KRaft broker on `data_dir`; `bootstrap` is its address for clients; `properties` override its configuration.

    One that is `secure` speaks TLS only, knows its users by SCRAM, and refuses what no access control list allows.
    """

    name = "broker"

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        heap_mb: int = 512,
        properties: Mapping[str, str] | None = None,
        secure: bool = False,
    ) -> None:
        super().__init__(data_dir)
        self.security = Security(self.data_dir / "security") if secure else None
        self.properties = dict(properties or {})
        self.port = port or free_port()
        self.heap_mb = heap_mb
        self._controller_port = free_port()

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def client(self, principal: str = ADMIN) -> dict[str, str]:
        """Return the settings by which a principal's process reaches this broker; where it is not secure all do alike.

        The default is who owns the cluster.
        """
        return {"kafka_bootstrap": self.bootstrap, **(self.security.client(principal) if self.security else {})}

    def _prepare(self) -> list[str]:
        if not any(JARS_DIR.glob("kafka_*.jar")):
            raise RuntimeError(f"Kafka's jars are not in {JARS_DIR}: run deploy/setup")
        try:
            socket.create_server((LOOPBACK, self.port)).close()
        except OSError as error:
            raise RuntimeError(f"the broker cannot listen on port {self.port}: {error.strerror}") from error
        log_dir = self.data_dir / "topics"
        java = find_java()
        if self.security:
            self.security.prepare(java)
        properties_path = self.data_dir / "server.properties"
        # What is named twice holds as it is named last.
        write_secret(
            properties_path,
            SERVER_PROPERTIES.format(
                host=LOOPBACK,
                port=self.port,
                controller_port=self._controller_port,
                log_dir=str(log_dir).replace("\\", r"\\"),
            )
            + (self.security.properties(self.port, self._controller_port) if self.security else "")
            + "".join(f"{name}={value}\n" for name, value in self.properties.items()),
        )
        log4j_path = self.data_dir / "log4j2.properties"
        log4j_path.write_text(LOG4J_PROPERTIES)
        options = [
            f"-Xmx{self.heap_mb}m",
            *JVM_FLAGS,
            f"-Dlog4j2.configurationFile={log4j_path.as_uri()}",
            # Native libraries are unpacked there; a killed broker leaves them behind.
            f"-Djava.io.tmpdir={self.data_dir}",
            "-cp",
            f"{JARS_DIR}/*",
        ]
        if not (log_dir / "meta.properties").exists():
            self._format(java, [*options, "kafka.tools.StorageTool"], properties_path)
        return [java, *options, "kafka.Kafka", str(properties_path)]

    def _format(self, java: str, storage_tool: list[str], properties_path: Path) -> None:
        # With a letter in front, or one id in 64 would begin with a dash and be taken for a flag.
        cluster_id = "k" + urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()[1:]
        arguments = ["format", "--cluster-id", cluster_id, "--config", str(properties_path), "--ignore-formatted"]
        arguments += self.security.users() if self.security else []
        # In a file, because everybody on the machine can read what a process was started with.
        argument_file = self.data_dir / "format.arguments"
        quoted = (word.replace("\\", r"\\").replace('"', r"\"") for word in (*storage_tool, *arguments))
        write_secret(argument_file, "".join(f'"{word}"\n' for word in quoted))
        with self.log_path.open("ab") as log:
            done = subprocess.run([java, f"@{argument_file}"], stdout=log, stderr=log, check=False)
        argument_file.unlink()
        if done.returncode != 0:
            raise RuntimeError(f"Kafka's storage could not be formatted: {log_tail(self.log_path)}")

    def _answers(self) -> bool:
        """Every partition has its leader; a broker that only listens may still be reading its logs."""
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, self.port)) != 0:
                return False
        try:
            settings = Settings.model_validate(self.client())
            metadata = AdminClient(connection(settings), logger=QUIET).list_topics(timeout=5)
        except KafkaException:
            return False
        partitions = [partition for topic in metadata.topics.values() for partition in topic.partitions.values()]
        return bool(metadata.brokers) and all(partition.leader >= 0 for partition in partitions)


def find_java() -> str:
    """Find a Java runtime that is new enough, in JAVA_HOME or on the PATH."""
    home = os.environ.get("JAVA_HOME")
    candidates = [shutil.which("java", path=str(Path(home) / "bin")) if home else None, shutil.which("java")]
    found = "no java found"
    for java in filter(None, candidates):
        output = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
        match = re.search(r'version "(?:1\.)?(\d+)', output)
        if match and int(match[1]) >= MIN_JAVA:
            return java
        found = f"{java} is version {match[1] if match else 'unknown'}"
    raise RuntimeError(
        f"Kafka needs Java {MIN_JAVA} or later, but {found}: install one "
        "(apt-get install openjdk-17-jre-headless) or point JAVA_HOME at one"
    )
