"""What a deployment may choose, what it is told when that cannot be, and what is never told: the password."""

import ssl
from pathlib import Path

import faust
import pytest

from schemas.connection import RECONNECT_MS_MAX, connection
from schemas.settings import Settings, settings_or_exit
from streams.app import credentials

HIDDEN = "correct-horse-battery"
USER = {"KAFKA_SECURITY_PROTOCOL": "sasl_ssl", "KAFKA_USERNAME": "fraud-worker"}

WHERE = {"bootstrap" + ".servers": "127.0.0.1:9092", "reconnect.backoff.max.ms": RECONNECT_MS_MAX}

WRONG: list[tuple[dict[str, str], str]] = [
    ({"KAFKA_SECURITY_PROTOCOL": "sasl_plaintext"}, "FRAUD_KAFKA_SECURITY_PROTOCOL: Input should be"),
    ({**USER, "KAFKA_SASL_MECHANISM": "PLAIN"}, "FRAUD_KAFKA_SASL_MECHANISM: Input should be"),
    (USER, "set FRAUD_KAFKA_USERNAME, and FRAUD_KAFKA_PASSWORD or FRAUD_KAFKA_PASSWORD_FILE"),
    ({"KAFKA_SECURITY_PROTOCOL": "sasl_ssl", "KAFKA_PASSWORD": HIDDEN}, "set FRAUD_KAFKA_USERNAME"),
    ({"KAFKA_USERNAME": "fraud-worker", "KAFKA_PASSWORD": HIDDEN}, "set FRAUD_KAFKA_SECURITY_PROTOCOL=sasl_ssl"),
    ({"KAFKA_SECURITY_PROTOCOL": "ssl", "KAFKA_PASSWORD": HIDDEN}, "set FRAUD_KAFKA_SECURITY_PROTOCOL=sasl_ssl"),
    ({"KAFKA_CA_FILE": __file__}, "set FRAUD_KAFKA_SECURITY_PROTOCOL to ssl or sasl_ssl"),
    ({"KAFKA_SECURITY_PROTOCOL": "ssl", "KAFKA_CERTIFICATE_FILE": __file__}, "FRAUD_KAFKA_KEY_FILE go together"),
    ({"KAFKA_SECURITY_PROTOCOL": "ssl", "KAFKA_CA_FILE": HIDDEN}, "FRAUD_KAFKA_CA_FILE names no file"),
    ({**USER, "KAFKA_PASSWORD_FILE": HIDDEN}, "FRAUD_KAFKA_PASSWORD_FILE cannot be read"),
    ({**USER, "KAFKA_PASSWORD_FILE": __file__, "KAFKA_PASSWORD": HIDDEN}, "exclude one another"),
]


def give(monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"FRAUD_{name}", value)


@pytest.mark.parametrize(("given", "told"), WRONG)
def test_what_cannot_be_stops_the_process_with_one_line(
    given: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law: one line names the variables and what to change, and quotes nothing that may be the password."""
    give(monkeypatch, given)
    with pytest.raises(SystemExit) as stopped:
        settings_or_exit()
    line = capsys.readouterr().err
    assert stopped.value.code == 2
    assert told in line
    assert line.count("\n") == 1
    assert HIDDEN not in line


@pytest.mark.parametrize("given", [each for each, _ in WRONG])
def test_an_error_does_not_quote_what_was_given(given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: the error itself, as a traceback would show it, holds no password either."""
    give(monkeypatch, given)
    with pytest.raises(ValueError, match="Settings") as wrong:
        Settings()
    assert HIDDEN not in str(wrong.value)
    assert HIDDEN not in repr(wrong.value)


def test_password_is_in_no_repr_and_no_dump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: settings, and the app made of them, can be logged, wherever the password comes from."""
    password_file = tmp_path / "password"
    password_file.write_text(HIDDEN + "\n")
    give(monkeypatch, USER)
    from_file = Settings(kafka_password_file=str(password_file))
    from_variable = Settings.model_validate({"kafka_password": HIDDEN})
    for chosen in (from_file, from_variable):
        assert chosen.kafka_password.get_secret_value() == HIDDEN
        app = faust.App("shown", broker_credentials=credentials(chosen))
        shown = (chosen, chosen.model_dump(), chosen.model_dump_json(), app, app.conf, credentials(chosen))
        assert not any(HIDDEN in str(each) or HIDDEN in repr(each) for each in shown)


def test_every_client_is_told_the_same() -> None:
    """Law: what librdkafka is told is what Faust is told; neither takes a broker without looking at its certificate."""
    chosen = Settings.model_validate(
        {
            "kafka_security_protocol": "sasl_ssl",
            "kafka_sasl_mechanism": "SCRAM-SHA-256",
            "kafka_username": "fraud-worker",
            "kafka_password": HIDDEN,
        }
    )
    assert connection(chosen) == {
        **WHERE,
        "security.protocol": "sasl_ssl",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "fraud-worker",
        "sasl.password": HIDDEN,
    }
    told = credentials(chosen)
    assert isinstance(told, faust.SASLCredentials)
    assert (told.protocol.value, told.mechanism.value) == ("SASL_SSL", "SCRAM-SHA-256")
    assert (told.username, told.password) == ("fraud-worker", HIDDEN)
    assert told.ssl_context.verify_mode == ssl.CERT_REQUIRED
    assert told.ssl_context.check_hostname


def test_plaintext_has_no_credentials() -> None:
    """Law: a broker that asks nobody is told nothing."""
    assert credentials(Settings()) is None
    assert connection(Settings()) == {**WHERE, "security.protocol": "plaintext"}


def test_certificates_are_told() -> None:
    """Law: the files of a client certificate reach librdkafka under its names."""
    chosen = Settings.model_validate(
        {
            "kafka_security_protocol": "ssl",
            "kafka_ca_file": __file__,
            "kafka_certificate_file": __file__,
            "kafka_key_file": __file__,
        }
    )
    files = {name: path for name, path in connection(chosen).items() if name.startswith("ssl.")}
    assert files == dict.fromkeys(("ssl.ca.location", "ssl.certificate.location", "ssl.key.location"), __file__)
