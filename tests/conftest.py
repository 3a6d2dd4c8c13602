"""Fixtures of every suite: one Kafka broker for the session, topics of its own for each test, Hypothesis profiles.

What a test needs and this machine lacks skips the test with the reason. With CI=true it fails instead: there a test
that did not run has proved nothing.
"""

import os
import uuid
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import pytest

from deploy.broker import JARS_DIR, Broker, find_java
from deploy.clickhouse_server import find_clickhouse_server
from schemas.settings import Settings
from schemas.topics_to_kafka import create_topics

IN_CI = os.environ.get("CI") == "true"
PARTITIONS = 3

# No deadline: two cores shared with a broker say nothing about an example's own time.
hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if IN_CI else "here")


def pytest_configure() -> None:
    """Take the developer's own deployment out of the environment: no test may reach it, or be changed by it."""
    for name in [name for name in os.environ if name.upper().startswith("FRAUD_")]:
        del os.environ[name]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or in CI fail, what is marked as needing a ClickHouse server where there is none."""
    if item.get_closest_marker("clickhouse_server") and find_clickhouse_server() is None:
        cannot_run("no clickhouse-server on this machine: apt-get install clickhouse-server")


def cannot_run(why: str) -> None:
    """End the test that cannot run here."""
    if IN_CI:
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


def why_no_broker() -> str | None:
    """Return what a broker lacks on this machine."""
    try:
        find_java()
    except RuntimeError as error:
        return str(error)
    return None if any(JARS_DIR.glob("kafka_*.jar")) else "Kafka's jars are not there: run deploy/setup"


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The session's broker. A test that stops or kills one starts its own."""
    if why := why_no_broker():
        cannot_run(why)
    with Broker(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture(scope="session")
def secure_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One with TLS, users and access control lists; started when the first test asks for it."""
    if why := why_no_broker():
        cannot_run(why)
    with Broker(tmp_path_factory.mktemp("secure-kafka"), secure=True) as running:
        yield running


@pytest.fixture(scope="session")
def xgboost() -> None:
    """What only benches of model quality need: the extra `dev` has it."""
    if find_spec("xgboost") is None:
        cannot_run("xgboost is not installed: run deploy/setup")


@pytest.fixture(scope="session")
def grafana_sdk() -> None:
    """What only the making of dashboards needs: the extra `dev` has it."""
    if find_spec("grafana_foundation_sdk") is None:
        cannot_run("grafana-foundation-sdk is not installed: run deploy/setup")


@pytest.fixture(scope="session")
def mlflow() -> None:
    """What only exports and mirrors to MLflow need: the extra `mlflow`, which `dev` includes."""
    if find_spec("mlflow") is None or find_spec("sqlalchemy") is None:
        cannot_run("mlflow-skinny is not installed: run deploy/setup")


@pytest.fixture
def topic_prefix() -> str:
    """A name before topics, groups and transactional ids that no other test has."""
    return f"t-{uuid.uuid4().hex[:12]}."


@pytest.fixture
def kafka(broker: Broker, topic_prefix: str, tmp_path: Path) -> Settings:
    """A deployment of this test's own on the session's broker, its topics created."""
    settings = Settings(
        kafka_bootstrap=broker.bootstrap,
        application_id=topic_prefix.rstrip("."),
        topic_prefix=topic_prefix,
        partitions=PARTITIONS,
        session_timeout_ms=6_000,
        data_dir=tmp_path / "store",
    )
    create_topics(settings)
    return settings
