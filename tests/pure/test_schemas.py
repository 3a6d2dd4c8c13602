"""The messages: golden examples of every topic, what each field refuses, and settings that explain themselves."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas import fields
from schemas.codec import DecodeFailure, decode, encode
from schemas.decision import Probability, Score
from schemas.registry import Control
from schemas.settings import Settings, settings_or_exit
from schemas.topics import BY_NAME, TOPICS, Topic
from schemas.transaction import Transaction

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"
FILES = sorted(EXAMPLES.glob("*/*.json"))
CARD_NUMBER = "4111111111111111"


def _name(file: Path) -> str:
    return f"{file.parent.name}/{file.stem}"


def _topic(file: Path) -> Topic:
    return BY_NAME[file.parent.name]


def _holds(whole: Any, part: Any, added: Sequence[str]) -> bool:
    """Return whether everything in `part` is in `whole`, but for fields that a newer writer added."""
    if isinstance(part, Mapping):
        return all(name in added or (name in whole and _holds(whole[name], part[name], added)) for name in part)
    if isinstance(part, list):
        return len(whole) == len(part) and all(_holds(*pair, added) for pair in zip(whole, part, strict=True))
    return bool(whole == part and isinstance(whole, bool) == isinstance(part, bool))


def test_every_topic_with_a_message_has_examples() -> None:
    """Law: each topic with a message has at least two examples, and there are none of other topics."""
    messages = {topic.name for topic in TOPICS if topic.message}
    assert {name for name in messages if len([file for file in FILES if file.parent.name == name]) < 2} == set()
    assert {file.parent.name for file in FILES} == messages


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_example_survives_decode_and_encode(file: Path) -> None:
    """Law: an example is a message, and is the same after decode and encode; the bytes are always the same."""
    kind = _topic(file).message
    assert kind is not None
    message = decode(kind, file.read_bytes())
    assert not isinstance(message, DecodeFailure), message.detail
    encoded = encode(message)
    assert _holds(json.loads(encoded), json.loads(file.read_bytes()), added=["wallet"])
    assert decode(kind, encoded) == message
    assert encode(kind.model_validate_json(encoded)) == encoded


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_required_field_is_required(file: Path) -> None:
    """Law: without any one of its required fields no example is a message."""
    kind = _topic(file).message
    assert kind is not None
    content = json.loads(file.read_bytes())
    required = [name for name, field in kind.model_fields.items() if field.is_required()]
    for name in required:
        rest = {key: value for key, value in content.items() if key != name}
        failure = decode(kind, json.dumps(rest).encode())
        assert isinstance(failure, DecodeFailure)
        assert failure.detail == f"{name}: Field required"


def test_unknown_fields_are_dropped() -> None:
    """Law: what a newer writer adds is no reason to refuse, and is not passed on."""
    file = EXAMPLES / "payments.transactions.v1" / "free_of_charge_from_a_newer_gateway.json"
    message = decode(Transaction, file.read_bytes())
    assert isinstance(message, Transaction)
    assert "wallet" in file.read_text()
    assert b"wallet" not in encode(message)


REFUSED: dict[str, tuple[Any, list[Any]]] = {
    "Identifier": (fields.Identifier, ["", "a b", "a/b", "x" * 65, "é", "tx\n", 7, None, CARD_NUMBER]),
    "CardToken": (
        fields.CardToken,
        ["", "card_", "a", "mer_a", "card_a/b", "card_a_b", "card_" + "x" * 57, f"card_{CARD_NUMBER}", CARD_NUMBER, 1],
    ),
    "CustomerToken": (fields.CustomerToken, ["card_a", "cus_", f"cus_{CARD_NUMBER}"]),
    "MerchantToken": (fields.MerchantToken, ["card_a", "mer_", f"mer_{CARD_NUMBER}"]),
    "TerminalToken": (fields.TerminalToken, ["card_a", "ter_", f"ter_{CARD_NUMBER}"]),
    "DeviceToken": (fields.DeviceToken, ["card_a", "dev_", f"dev_{CARD_NUMBER}"]),
    "IpToken": (fields.IpToken, ["192.0.2.1", "ip_", f"ip_{CARD_NUMBER}"]),
    "EmailToken": (fields.EmailToken, ["a@example.org", "eml_", f"eml_{CARD_NUMBER}"]),
    "AmountMinor": (fields.AmountMinor, [-1, 10**13 + 1, 1.5, 1.0, "1", True, None, float("nan")]),
    "CurrencyCode": (fields.CurrencyCode, ["", "eur", "EURO", "XXZ", 978]),
    "TimeMs": (fields.TimeMs, [1_600_000_000, -1, 4_102_444_800_000, 946_684_799_999, 1.6e12, "1600000000000"]),
    "Country": (fields.Country, ["", "D", "de", "DEU", 49]),
    "Text": (fields.Text, ["x" * 501, f"paid with {CARD_NUMBER}", 1]),
    "Score": (Score, [-1, 1001, 1.5, "600"]),
    "Probability": (Probability, [-0.1, 1.1, float("nan"), float("inf"), "0.5"]),
    "Number": (fields.Number, [float("nan"), float("inf"), "1", None]),
    "Action": (fields.Action, ["", "decline", "Approve", None]),
    "Mode": (fields.Mode, ["", "shadow", None]),
    "Verdict": (fields.Verdict, ["", "chargeback", True]),
    "Positions": (fields.Positions, [{"t": 1}, {"t": [1]}, {"t": [1, 2, 3]}, {"t": ["1", 2]}, []]),
    "Features": (
        fields.Features,
        [{"f": "1"}, {"f": None}, {"f": True}, {"f": float("nan")}, {"f": 1.5, "g": float("-inf")}, []],
    ),
}


def _adapter(kind: Any) -> TypeAdapter[Any]:
    config = fields.Message.model_config
    return TypeAdapter(kind, config={"strict": config["strict"], "allow_inf_nan": config["allow_inf_nan"]})


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, case in REFUSED.items() for value in case[1]])
def test_field_refuses(name: str, value: object) -> None:
    """Law: each kind of field refuses what is not one, from JSON as it comes."""
    with pytest.raises(ValidationError):
        _adapter(REFUSED[name][0]).validate_json(json.dumps(value))


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.floats(allow_nan=False, allow_infinity=False)))
def test_features_stay_the_numbers_that_they_are(features: dict[str, float]) -> None:
    """Law: a whole number is read as one and a fraction as one, 1 and 1.0 apart, from JSON and as they are."""
    adapter = _adapter(fields.Features)
    sent = json.dumps(features, ensure_ascii=False, separators=(",", ":"))
    for read in (adapter.validate_json(sent), adapter.validate_python(features)):
        assert [(name, type(value), value) for name, value in read.items()] == [
            (name, type(value), value) for name, value in features.items()
        ]
    assert json.loads(adapter.dump_json(features)) == json.loads(sent)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (fields.CardToken, "card_4111-1111-1111-1111"),
        (fields.Identifier, "4111-1111-1111-1111"),
        (fields.Text, "paid with 4111 1111 1111 1111"),
    ],
)
def test_grouped_card_number_is_refused(kind: Any, value: str) -> None:
    """Law: a card number in groups of digits is a card number; a dead letter masks it, so a message may not hold it."""
    with pytest.raises(ValidationError):
        _adapter(kind).validate_python(value)


@pytest.mark.parametrize("value", [b"", b"{", b"nul", b"\xff", b"[" * 5_000, None])
def test_what_is_no_json_says_so(value: bytes | None) -> None:
    """Law: any bytes give a message or a reason, never an exception."""
    failure = decode(Control, value)
    assert isinstance(failure, DecodeFailure)
    assert failure.reason == "not_json"


def test_detail_never_holds_values() -> None:
    """Law: a failure names fields and rules, not what the sender wrote."""
    failure = decode(Transaction, json.dumps({"card": "card_secret!", "amount_minor": "secret"}).encode())
    assert isinstance(failure, DecodeFailure)
    assert "card" in failure.detail
    assert "secret" not in failure.detail


WRONG_SETTINGS = {
    "FRAUD_PARTITIONS": ["0", "many", "513"],
    "FRAUD_APPLICATION_ID": ["", "Fraud", "a b"],
    "FRAUD_TOPIC_PREFIX": ["test", "Test."],
    "FRAUD_REPLICATION_FACTOR": ["0", "6"],
    "FRAUD_TRANSACTION_TIMEOUT_MS": ["999", "900001"],
    "FRAUD_SESSION_TIMEOUT_MS": ["999", "60001"],
    "FRAUD_STEP_INTERVAL_MS": ["-1", "1001", "1.5"],
    "FRAUD_STEP_RECORDS_MAX": ["0", "10001"],
    "FRAUD_AHEAD_MS_MAX": ["-1"],
    "FRAUD_FUTURE_MS_MAX": ["-1"],
    "FRAUD_SNAPSHOT_RECORDS": ["9", "1000001"],
    "FRAUD_LEGITIMATE_KEPT_ONE_IN": ["0", "1001"],
    "FRAUD_LABEL_WAIT_MS_MAX": ["-1"],
    "FRAUD_WORKER_ID": ["a b", "x" * 65],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG_SETTINGS.items() for value in values]
)
def test_wrong_setting_is_one_line_that_names_it(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law: a wrong variable stops the process with one line: its name, what is wrong, what it is for."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as stopped:
        settings_or_exit()
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    described = Settings.model_fields[name.removeprefix("FRAUD_").lower()].description
    assert len(lines) == 1
    assert lines[0].startswith(f"{name}: ")
    assert lines[0].endswith(f". {described}")


def test_two_wrong_settings_are_two_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Law: all that is wrong is said at once, and unknown variables are none of our business."""
    monkeypatch.setenv("FRAUD_PARTITIONS", "0")
    monkeypatch.setenv("FRAUD_SESSION_TIMEOUT_MS", "soon")
    monkeypatch.setenv("FRAUD_UNKNOWN", "x")
    with pytest.raises(SystemExit):
        settings_or_exit()
    names = [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()]
    assert names == ["FRAUD_PARTITIONS", "FRAUD_SESSION_TIMEOUT_MS"]
