"""The environment as one frozen value. Every process reads it once, in its `__main__`.

Variables are upper case with the prefix `FRAUD_`: `FRAUD_KAFKA_BOOTSTRAP=broker:9092`.
"""

import sys
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What a deployment chooses. Units are in the names; each description says why one would change it."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_", frozen=True, extra="ignore")

    kafka_bootstrap: str = Field(default="127.0.0.1:9092", description="host:port, comma-separated.")
    application_id: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")] = Field(
        default="fraud",
        description="Names the consumer groups and transactional ids: one per deployment on a broker.",
    )
    topic_prefix: Annotated[str, Field(pattern=r"^([a-z0-9-]+\.)?$")] = Field(
        default="", description="Put before every topic name, with its dot, to run two deployments on one broker."
    )
    worker_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,64}$")] = Field(
        default="",
        description="A name that outlives restarts (Kafka's static membership): a restarted worker gets its partitions"
        " back at once. Empty: a new member at every start.",
    )
    partitions: Annotated[int, Field(ge=1, le=512)] = Field(
        default=12, description="Tasks a stage can be spread over. Fixed once the topics exist: keys would move."
    )
    replication_factor: Annotated[int, Field(ge=1, le=5)] = Field(
        default=1, description="3 in production, with min.insync.replicas 2; 1 suits a single broker."
    )
    transaction_timeout_ms: Annotated[int, Field(ge=1_000, le=900_000)] = Field(
        default=10_000, description="How long a dead worker's open transaction can hold back readers of its partitions."
    )
    session_timeout_ms: Annotated[int, Field(ge=1_000, le=60_000)] = Field(
        default=10_000, description="How long a silent worker keeps its partitions: shorter is a faster take-over."
    )
    leave_on_stop: bool = Field(
        default=True,
        description="Whether a worker that is stopped hands its partitions over at once. If not, and it has a worker"
        " ID, they wait for its restart until the session times out: nothing moves in a planned restart.",
    )
    profiles_ready: Annotated[int, Field(ge=1_000, le=100_000_000)] = Field(
        default=50_000,
        description="Profiles of each stage that a worker with all partitions keeps ready, some 6 kB each. Others are"
        " made of their bytes when they are needed.",
    )
    step_interval_ms: Annotated[int, Field(ge=0, le=1_000)] = Field(
        default=10, description="Pace of a task's transactions: longer is fewer commits, shorter is lower latency."
    )
    step_records_max: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=200, description="Most records in one transaction: bounds how long one step keeps the others waiting."
    )
    snapshot_records: Annotated[int, Field(ge=10, le=1_000_000)] = Field(
        default=1_000, description="Training records between two model versions: fewer is fresher, and more to store."
    )
    ahead_ms_max: Annotated[int, Field(ge=0)] = Field(
        default=60_000, description="On a backlog, how far one card task may run ahead of the slowest, in event time."
    )
    future_ms_max: Annotated[int, Field(ge=0)] = Field(
        default=86_400_000,
        description="How far an event's time may lie after its record's timestamp before it is refused: clocks may be a"
        " day ahead.",
    )
    legitimate_kept_one_in: Annotated[int, Field(ge=1, le=100)] = Field(
        default=3,
        description="Of labels that only say nobody disputed the payment, one in so many becomes a training record, and"
        " stands for as many: more is less to learn from and sooner done.",
    )
    label_wait_ms_max: Annotated[int, Field(ge=0)] = Field(
        default=604_800_000,
        description="How long a label waits for its payment's prediction to be stored before it is a dead letter:"
        " longer than the store may be down.",
    )
    clickhouse_url: str = Field(
        default="",
        description="clickhouse://user:password@host:9000/database for a server; empty for the embedded store.",
        repr=False,
    )
    data_dir: Path = Field(default=Path("data"), description="Where the embedded store keeps its files.")


def settings_or_exit() -> Settings:
    """Return the settings, or stop the process with one line per wrong variable."""
    try:
        return Settings()
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            name = "FRAUD_" + "_".join(map(str, problem["loc"])).upper()
            sys.stderr.write(f"{name}: {problem['msg']}. {_help(problem['loc'])}\n")
        raise SystemExit(2) from None


def _help(location: tuple[int | str, ...]) -> str:
    described = Settings.model_fields.get(str(location[0])) if location else None
    return (described.description or "") if described else ""
