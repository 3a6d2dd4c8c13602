"""TLS and users of a local broker: one certificate, and a password for every principal, made once and kept.

The broker's certificate is signed by itself, so it is also what clients trust. Java's own tool makes it: nothing else
has to be installed.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Sequence
from pathlib import Path

from deploy.processes import LOOPBACK, log_tail
from schemas.access import PRINCIPALS, user_of

APPLICATION_ID = "fraud"
"""Whose users there are: the default of the setting."""
ADMIN = "admin"
"""Who owns the cluster: gives rights, and is refused nothing."""
BROKER = "broker"
MECHANISM = "SCRAM-SHA-512"
PRINCIPAL_OF: tuple[tuple[tuple[str, ...], str], ...] = (
    (("streams", "worker", "--stages", "learning"), "learner"),
    (("streams", "shadow"), "shadow"),
    (("streams", "retrain"), "retrainer"),
    (("streams", "policy"), "publisher"),
    (("streams", "rates"), "publisher"),
    (("streams", "models", "promote"), "operator"),
    (("streams", "models", "rollback"), "operator"),
    (("streams", "models", "follow"), "operator"),
    (("streams", "models", "rebuild"), "operator"),
    (("streams", "models", "gate"), "operator"),
    (("streams", "models"), "auditor"),
    (("streams", "topics"), "administrator"),
    (("streams", "access"), ADMIN),
    (("streams", "recompute"), "auditor"),
    (("streams", "archive"), "auditor"),
    (("consumers", "dead-letters", "replay"), "replayer"),
    (("consumers", "dead-letters"), "auditor"),
    (("consumers", "decision"), "reader"),
    (("consumers", "monitors"), "monitor"),
    (("consumers",), "store"),
    (("producers", "import"), "importer"),
    (("producers",), "source"),
    ((), "worker"),
)
"""How a command begins, and who runs it: the first row that fits."""
CERTIFICATE_NAME = "CN=broker"
VALID_DAYS = 3_650

SECURE_PROPERTIES = """\
listeners=SASL_SSL://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=SASL_SSL://{host}:{port}
# The controller knows its broker by the certificate: passwords are in the metadata that it has yet to read.
listener.security.protocol.map=SASL_SSL:SASL_SSL,CONTROLLER:SSL
listener.name.controller.ssl.client.auth=required
inter.broker.listener.name=SASL_SSL
sasl.enabled.mechanisms={mechanism}
sasl.mechanism.inter.broker.protocol={mechanism}
listener.name.sasl_ssl.{mechanism_lower}.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule \
required username="{broker}" password="{broker_password}";
ssl.keystore.type=PKCS12
ssl.keystore.location={keystore}
ssl.keystore.password={keystore_password}
ssl.truststore.type=PEM
ssl.truststore.location={certificate}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:{admin};User:{broker};User:{certificate_name}
"""


class Security:
    """What a secure broker and its clients need, in a folder that only its owner may read.

    Users are those of `schemas/access.py`, and besides them the one who owns the cluster and the broker itself.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.certificate = directory / "ca.pem"
        self._keystore = directory / "broker.p12"
        self._users = {each: user_of(APPLICATION_ID, each) for each in (*PRINCIPALS, ADMIN, BROKER)}

    def prepare(self, java: str) -> None:
        """Make what is not there yet; `java` is the runtime whose tool makes the certificate."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in (*self._users, "keystore"):
            if not (path := self.password_file(name)).exists():
                write_secret(path, secrets.token_urlsafe(24))
        if not self.certificate.exists():
            self._make_certificate(Path(java).resolve().with_name("keytool"))

    def _make_certificate(self, keytool: Path) -> None:
        store = ["-alias", "broker", "-keystore", str(self._keystore), "-storepass:file", self._keystore_password_file]
        key = ["-keyalg", "EC", "-groupname", "secp256r1", "-validity", str(VALID_DAYS), "-storetype", "PKCS12"]
        named = ["-dname", CERTIFICATE_NAME, "-ext", f"san=ip:{LOOPBACK},dns:localhost"]
        log_path = self._directory / "keytool.log"
        with log_path.open("wb") as log:
            for arguments in (
                ["-genkeypair", *key, *named, *store],
                ["-exportcert", "-rfc", "-file", str(self.certificate), *store],
            ):
                done = subprocess.run([str(keytool), *arguments], stdout=log, stderr=log, check=False)
                if done.returncode != 0:
                    raise RuntimeError(f"no certificate could be made: {log_tail(log_path)}")

    @property
    def _keystore_password_file(self) -> str:
        return str(self.password_file("keystore"))

    def password_file(self, principal: str) -> Path:
        """Return where a principal's password is."""
        return self._directory / f"{principal}.password"

    def _password(self, principal: str) -> str:
        return self.password_file(principal).read_text(encoding="utf-8")

    def properties(self, port: int, controller_port: int) -> str:
        """Return what a broker's configuration says of it; passwords are in it."""
        return SECURE_PROPERTIES.format(
            host=LOOPBACK,
            port=port,
            controller_port=controller_port,
            mechanism=MECHANISM,
            mechanism_lower=MECHANISM.lower(),
            admin=self._users[ADMIN],
            broker=self._users[BROKER],
            broker_password=self._password(BROKER),
            keystore=self._keystore,
            keystore_password=self._password("keystore"),
            certificate=self.certificate,
            certificate_name=CERTIFICATE_NAME,
        )

    def users(self) -> list[str]:
        """Return what formats a broker's storage with these users in it; passwords are in it."""
        pairs = ((user, self._password(principal)) for principal, user in self._users.items())
        return [word for name, key in pairs for word in ("--add-scram", f"{MECHANISM}=[name={name},password={key}]")]

    def client(self, principal: str) -> dict[str, str]:
        """Return the settings by which a principal's process reaches the broker, but for its address."""
        return {
            "kafka_security_protocol": "sasl_ssl",
            "kafka_sasl_mechanism": MECHANISM,
            "kafka_username": self._users[principal],
            "kafka_password_file": str(self.password_file(principal)),
            "kafka_ca_file": str(self.certificate),
        }


def principal_of(arguments: Sequence[str]) -> str:
    """Return as whom a command of ours is run.

    >>> principal_of(["producers", "simulate"]), principal_of(["streams", "worker"])
    ('source', 'worker')
    """
    return next(principal for beginning, principal in PRINCIPAL_OF if tuple(arguments[: len(beginning)]) == beginning)


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner may read, from its first byte on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
