"""The environment as one frozen value. Every process reads it once, in its `__main__`.

Variables are upper case with the prefix `FRAUD_`: `FRAUD_KAFKA_BOOTSTRAP=broker:9092`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What a deployment chooses. Units are in the names; each description says why one would change it."""

    # An error must not quote what was given: it may be a password.
    model_config = SettingsConfigDict(env_prefix="FRAUD_", frozen=True, extra="ignore", hide_input_in_errors=True)

    kafka_bootstrap: str = Field(default="127.0.0.1:9092", description="host:port, comma-separated.")
    kafka_security_protocol: Literal["plaintext", "ssl", "sasl_ssl"] = Field(
        default="plaintext",
        description="ssl: TLS, and who we are by a certificate; sasl_ssl: TLS, and who we are by name and password.",
    )
    kafka_sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256"] = Field(
        default="SCRAM-SHA-512", description="How the password is proved, as the broker's listener has it."
    )
    kafka_username: str = Field(
        default="", description="With sasl_ssl. One for each kind of process, as `python -m streams access show` names."
    )
    kafka_password: SecretStr = Field(default=SecretStr(""), description="With sasl_ssl; or its file.")
    kafka_password_file: str = Field(
        default="", description="A file that holds the password and is readable by this process alone."
    )
    kafka_ca_file: str = Field(
        default="", description="PEM: whose certificates are trusted. Empty: those that the system trusts."
    )
    kafka_certificate_file: str = Field(default="", description="PEM: our own certificate, where the broker asks.")
    kafka_key_file: str = Field(default="", description="PEM: the key of our own certificate, without a password.")
    signing_key_file: str = Field(
        default="",
        description="PEM: our own Ed25519 private key, for a learner, challengers, a publisher or an operator; readable"
        " by this process alone.",
    )
    trusted_keys_dir: str = Field(
        default="",
        description="Folder of PEM public keys, as <principal>/<owner>.pem: whose models, policies and commands are"
        " believed.",
    )
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
    shadow_models: Annotated[
        str, Field(pattern=r"^[a-z][a-z0-9-]*(=[A-Za-z0-9_.]+:\w+)?(,[a-z][a-z0-9-]*(=[A-Za-z0-9_.]+:\w+)?)*$")
    ] = Field(
        default="cells,leaves,adaptive,anomaly",
        description="Challengers that score in the shadow, by the names of streams/detector/challengers.py; another"
        " package's as name=package.module:factory.",
    )
    shadow_classes: str = Field(
        default="",
        description="Which package.module:factory may be loaded as a challenger, comma-separated: it runs as our code.",
    )
    shadow_records_back: Annotated[int, Field(ge=0)] = Field(
        default=200_000,
        description="So many training records challengers learn again when they start: more is closer to what ran"
        " before, and later ready.",
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
    silence_matures_days: Annotated[int, Field(ge=0, le=540)] = Field(
        default=90,
        description="After so many days without a word a payment that was authorised is taken for honest, and a sample"
        " of those is labelled assumed_legitimate; 0: never, for senders that label such payments themselves.",
    )
    monitor_interval_s: Annotated[float, Field(ge=0, le=86_400)] = Field(
        default=60.0,
        description="Seconds between two rounds of the monitors: the rules that are due look at the store. 0: no"
        " monitors in `run`.",
    )
    alert_webhook_url: SecretStr = Field(
        default=SecretStr(""), description="Where alerts are posted as JSON; empty: nowhere. It may hold a secret."
    )
    alert_webhook_key: SecretStr = Field(
        default=SecretStr(""), description="Signs what is posted (HMAC-SHA-256), so that the receiver knows us."
    )
    clickhouse_url: str = Field(
        default="",
        description="clickhouse://user:password@host:9000/database for a server; empty for the embedded store.",
        repr=False,
    )
    data_dir: Path = Field(
        default=Path("data"), description="Where the embedded store keeps its files, and runs are recorded."
    )

    @model_validator(mode="before")
    @classmethod
    def _with_the_password_of_the_file(cls, given: dict[str, Any]) -> dict[str, Any]:
        if not given.get("kafka_password_file"):
            return given
        if given.get("kafka_password"):
            raise ValueError("FRAUD_KAFKA_PASSWORD and FRAUD_KAFKA_PASSWORD_FILE exclude one another: unset one")
        try:
            password = Path(given["kafka_password_file"]).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:  # neither names the file: it may be the password itself
            why = error.strerror if isinstance(error, OSError) else "no UTF-8"
            raise ValueError(f"FRAUD_KAFKA_PASSWORD_FILE cannot be read ({why}): name a file") from None
        return {**given, "kafka_password": password}

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if complaint := next(_wrong_together(self), None):
            raise ValueError(complaint)
        return self

    def worker_group(self, *stages: str) -> str:
        """Return the consumer group of the workers that host these stages; none named: those that decide.

        >>> Settings(topic_prefix="a.").worker_group(), Settings().worker_group("learning")
        ('a.fraud', 'fraud-learning')
        """
        return self.topic_prefix + "-".join((self.application_id, *stages))

    def consumer_group(self, role: str) -> str:
        """Return the consumer group of the sink or of the label join.

        >>> Settings().consumer_group("sink")
        'fraud-sink'
        """
        return f"{self.application_id}-{role}"


_TLS_FILES = ("kafka_ca_file", "kafka_certificate_file", "kafka_key_file")


def _wrong_together(chosen: Settings) -> Iterator[str]:
    """Say what is wrong though each variable is right, and what to change."""
    protocol = chosen.kafka_security_protocol
    if protocol == "sasl_ssl" and not (chosen.kafka_username and chosen.kafka_password):
        yield (
            "FRAUD_KAFKA_SECURITY_PROTOCOL=sasl_ssl needs a user: set FRAUD_KAFKA_USERNAME, and FRAUD_KAFKA_PASSWORD"
            " or FRAUD_KAFKA_PASSWORD_FILE"
        )
    if protocol != "sasl_ssl" and (chosen.kafka_username or chosen.kafka_password):
        yield (
            "FRAUD_KAFKA_USERNAME and its password would not be used: set FRAUD_KAFKA_SECURITY_PROTOCOL=sasl_ssl, or"
            " unset them"
        )
    if protocol == "plaintext" and any(getattr(chosen, name) for name in _TLS_FILES):
        yield (
            "FRAUD_KAFKA_CA_FILE, FRAUD_KAFKA_CERTIFICATE_FILE and FRAUD_KAFKA_KEY_FILE would not be used: set"
            " FRAUD_KAFKA_SECURITY_PROTOCOL to ssl or sasl_ssl, or unset them"
        )
    if bool(chosen.kafka_certificate_file) != bool(chosen.kafka_key_file):
        yield "FRAUD_KAFKA_CERTIFICATE_FILE and FRAUD_KAFKA_KEY_FILE go together: set both, or unset both"
    for name in _TLS_FILES:
        if (path := getattr(chosen, name)) and not Path(path).is_file():
            yield f"FRAUD_{name.upper()} names no file: give the path of a PEM file, or unset it"


def settings_or_exit() -> Settings:
    """Return the settings, or stop the process with one line per wrong variable."""
    try:
        return Settings()
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            sys.stderr.write(f"{_line(problem['loc'], problem['msg'])}\n")
        raise SystemExit(2) from None


def _line(location: tuple[int | str, ...], message: str) -> str:
    if not location:  # of several together, which the message names
        return f"{message.removeprefix('Value error, ')}."
    described = Settings.model_fields.get(str(location[0]))
    name = "FRAUD_" + "_".join(map(str, location)).upper()
    return f"{name}: {message}. {(described.description or '') if described else ''}"
