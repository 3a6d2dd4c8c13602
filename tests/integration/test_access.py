"""A broker with TLS, users and rights: who is refused what, and a system that runs all the same."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, Producer

from deploy.broker import Broker, find_java
from deploy.read_back import each_record
from deploy.security import Security
from deploy.system import System
from schemas.access import PRINCIPALS, Binding, bindings
from schemas.access_to_kafka import acl_of, difference, filter_of
from schemas.connection import connection, reached
from schemas.history import is_history
from schemas.settings import Settings
from schemas.topics import DECISIONS, TRANSACTIONS
from streams.__main__ import main
from tests.access_matrix import Tried, deployed, tried
from tests.bench.bad_records import payment

pytestmark = pytest.mark.kafka

READY_S_MAX = 120.0
COUNT = """SELECT (SELECT count() FROM v_predictions WHERE mode != 'history') AS stored,
    (SELECT count() FROM v_training) AS learned"""
HISTORY = "TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_FRAUD\n" + "".join(
    f"{n},2018-04-01 00:00:{n:02},{n % 5},{n % 3},{n}.05,{int(n % 5 == 0)}\n" for n in range(40)
)


@pytest.fixture(scope="module")
def matrix(secure_broker: Broker) -> list[Tried]:
    """Every cell of the table, tried once."""
    return tried(deployed(secure_broker))


@pytest.mark.parametrize("principal", PRINCIPALS)
def test_what_is_allowed_works_and_what_is_not_is_refused(principal: str, matrix: list[Tried]) -> None:
    """Law: of every cell of a principal's the broker does what the table says."""
    cells = [each for each in matrix if each.cell.principal == principal]
    assert [each for each in cells if each.wrong] == []
    assert {each.allowed for each in cells} == {True, False}


def env(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """Give these settings to the commands that are run from now on in this process."""
    chosen = settings.model_dump(mode="json", exclude={"kafka_password"}, exclude_defaults=True)
    for name, value in chosen.items():
        monkeypatch.setenv(f"FRAUD_{name.upper()}", str(value))


def test_rights_are_given_once_and_the_surplus_is_told(
    secure_broker: Broker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law: the command adds what is missing once, tells what is beside the table, and takes that away if asked."""
    own = {"application_id": "acl", "topic_prefix": "acl."}
    settings = Settings.model_validate({**secure_broker.client(), **own})
    env(monkeypatch, settings)
    wanted = bindings("acl", "acl.")

    def run(*arguments: str) -> tuple[int, str]:
        code = main(["access", *arguments])
        return code, capsys.readouterr().out

    assert run("check")[0] == 1
    assert f"{len(wanted)} of {len(wanted)} rights were missing" in run("apply")[1]
    assert f"0 of {len(wanted)} rights were missing" in run("apply")[1]
    assert run("check") == (0, "")
    admin, planted = (
        reached(settings),
        Binding("User:acl-gateway", "topic", f"acl.{DECISIONS.name}", "literal", "write"),
    )
    admin.create_acls([acl_of(planted)])[acl_of(planted)].result(30)
    admin.delete_acls([filter_of(wanted[0])])[filter_of(wanted[0])].result(30)
    while difference(settings).missing != wanted[:1]:
        time.sleep(0.05)
    code, told = run("check")
    assert (code, told.count("\n")) == (1, 2)
    assert f"missing: User:acl-gateway write topic acl.{TRANSACTIONS.name}" in told
    assert f"not in the table: User:acl-gateway write topic acl.{DECISIONS.name}" in told
    assert run("apply")[0] == 0
    assert difference(settings).surplus == (planted,)
    assert "taken away: " in run("apply", "--prune")[1]
    assert run("check") == (0, "")


def test_wrong_password_is_refused_in_one_line(
    secure_broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: whoever does not know the password ends at once, with a line that says so and not what was tried."""
    guess = tmp_path / "guess"
    guess.write_text("not-the-password")
    wrong = {**secure_broker.client("worker"), "kafka_password_file": str(guess)}
    env(monkeypatch, Settings.model_validate(wrong))
    started = time.monotonic()
    with pytest.raises(SystemExit) as stopped:
        main(["worker"])
    line = str(stopped.value.code)
    assert "uthentication failed" in line
    assert "\n" not in line
    assert "not-the-password" not in line
    assert time.monotonic() - started < 10


def test_plaintext_is_refused(secure_broker: Broker) -> None:
    """Law: a client without TLS is told that this may be what is missing."""
    with pytest.raises(KafkaException, match="another FRAUD_KAFKA_SECURITY_PROTOCOL than plaintext"):
        reached(Settings(kafka_bootstrap=secure_broker.bootstrap), timeout_s=2.0)


def test_foreign_certificate_is_refused(secure_broker: Broker, tmp_path: Path) -> None:
    """Law: a broker whose certificate we do not trust gets no password from us."""
    foreign = Security(tmp_path / "foreign")
    foreign.prepare(find_java())
    settings = Settings.model_validate({**secure_broker.client("worker"), "kafka_ca_file": str(foreign.certificate)})
    with pytest.raises(KafkaException, match="certificate"):
        reached(settings)


def test_a_process_without_its_rights_says_so(secure_broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: a worker that is started as somebody else ends in one line that names the topic and what to do."""
    env(monkeypatch, Settings.model_validate({**secure_broker.client("gateway"), "topic_prefix": "nowhere."}))
    with pytest.raises(SystemExit, match=r"topics: topic nowhere\.\S+ is not there, or not for the user fraud-gateway"):
        main(["worker"])


@pytest.fixture(scope="module")
def system(secure_broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A worker, a learner and a store, each as its own user."""
    with System(
        tmp_path_factory.mktemp("secure"), broker=secure_broker, topic_prefix="system.", partitions=2
    ) as running:
        running.start_workers()
        running.start_learner()
        running.start_store()
        assert running.wait_until_ready(READY_S_MAX)
        yield running


def test_a_history_is_imported_with_its_own_rights(system: System, tmp_path: Path) -> None:
    """Law: who imports may read back what is published, and ask every part how far it is."""
    recorded = tmp_path / "recorded.csv"
    recorded.write_text(HISTORY)
    command = ["producers", "import", str(recorded), "--mapping", "handbook", "--label-delay", "5s", "--json"]
    first, again = (
        json.loads(system.run("import", [*command, *flags]).splitlines()[-1])
        for flags in (("--limit", "10", "--no-wait"), ())
    )
    assert (first["transactions"], first["skipped"]) == (10, 0)
    assert (again["transactions"], again["skipped"]) == (40, 10 + first["labels"])
    assert (again["learned"], again["labels_waiting"]) == (True, 0)


def test_every_process_works_with_its_own_rights(system: System) -> None:
    """Law: a payment of the source's is decided by the worker, stored by the store, and its label learned."""
    published = ["--seconds", "1", "--rate", "50", "--flat-out", "--labels-to-the-end", "--legitimate-one-in", "1"]
    system.run("source", ["producers", "simulate", *published, "--json"])
    assert system.wait_until_drained(60)
    system.stop_store()
    assert system.wait_until_learned(60)
    decided = sum(1 for _ in each_record(system.settings, f"system.{DECISIONS.name}"))
    sent = each_record(system.settings, f"system.{TRANSACTIONS.name}")
    asked = sum(not is_history(message.headers() or ()) for message in sent)
    assert decided == asked > 20
    (found,) = system.query(COUNT)
    assert found["stored"] == asked
    assert found["learned"] > 0
    hosts = (*system.workers, system.learner)
    assert [host.restarts for host in hosts if host] == [0, 0]


def test_a_dead_letter_is_replayed_and_its_decision_looked_up(
    system: System, secure_broker: Broker, tmp_path: Path
) -> None:
    """Law: an auditor sees what a gateway sent wrong, whoever replays mends it, and a reader finds its decision."""
    repaired = tmp_path / "repaired.json"
    repaired.write_bytes(payment(time.time_ns() // 1_000_000, "tx-mended"))
    card = json.loads(repaired.read_bytes())["card"]
    gateway = connection(Settings.model_validate(secure_broker.client("gateway")))
    producer = Producer({**gateway, "partitioner": "murmur2_random"})
    producer.produce(f"system.{TRANSACTIONS.name}", b"{", card)
    assert producer.flush(30) == 0
    assert system.wait_until_drained(60)
    (listed,) = system.run("letters", ["consumers", "dead-letters", "list", "--json"]).splitlines()
    place = [str(json.loads(listed)[name]) for name in ("partition", "offset")]
    system.run("letters", ["consumers", "dead-letters", "show", *place])
    mended = ["--value", str(repaired), "--author", "ada"]
    assert "replayed to" in system.run("replay", ["consumers", "dead-letters", "replay", *place, *mended])
    asked = ["--card", card, "--transaction", "tx-mended", "--wait", "30", "--json"]
    decision = json.loads(system.run("decision", ["consumers", "decision", *asked]))
    assert (decision["transaction_id"], decision["card"]) == ("tx-mended", card)


def test_an_auditor_may_recompute_and_archive(system: System, tmp_path: Path) -> None:
    """Law: all that recomputing looks at, state included, can be read by who changes nothing."""
    assert system.wait_until_drained(60)
    found = json.loads(system.run("recompute", ["streams", "recompute", "--all", "--json"]))
    assert found["equal"]
    system.run("archive", ["streams", "archive", str(tmp_path / "states")])
    assert (tmp_path / "states" / "manifest.json").exists()


def test_no_password_is_in_a_log_or_a_command_line(system: System, secure_broker: Broker) -> None:
    """Law: what is written and what the machine's other users can see holds no password."""
    directory = secure_broker.data_dir
    passwords = [path.read_text() for path in (directory / "security").glob("*.password")]
    assert len(passwords) == len(PRINCIPALS) + 3
    logs = [*system.logs_dir.glob("*.log"), *directory.glob("**/*.log")]
    shown = {str(path): path.read_text(errors="replace") for path in logs if path.parent.name != "topics"}
    processes = [process for process in (*system.workers, system.learner, secure_broker) if process and process.pid]
    shown |= {str(each.pid): Path(f"/proc/{each.pid}/cmdline").read_text() for each in processes}
    shown |= {f"{each.pid} environ": Path(f"/proc/{each.pid}/environ").read_text() for each in processes}
    assert len(shown) > 8
    assert [name for name, text in shown.items() if any(password in text for password in passwords)] == []


def test_files_with_passwords_are_for_their_owner(secure_broker: Broker) -> None:
    """Law: nobody else on the machine can read a password."""
    files = [path for path in secure_broker.data_dir.rglob("*") if path.suffix in {".password", ".properties"}]
    secret = [path for path in files if re.search("password", path.read_text() + path.name)]
    assert len(secret) > len(PRINCIPALS)
    assert [path for path in secret if path.stat().st_mode & 0o077] == []
    assert not list(secure_broker.data_dir.glob("*.arguments"))
