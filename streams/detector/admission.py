"""What may come in force: signed by the one who may write it, of a size that is read, readable, of this code, sane.

In this order, so that not a byte of what nobody signed is parsed. Whoever reads a record is told why it is refused, and
people are told by an alert.
"""

import hashlib
from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeVar

from schemas.codec import VALUE_BYTES_MAX, DecodeFailure, decode
from schemas.fields import TimeMs, without_card_numbers
from schemas.learning import ModelVersion, PolicyVersion, RateTable
from schemas.registry import Alert, Alias, Severity
from schemas.signing import Distrust, Signed, TrustedKeys, UntrustedError
from schemas.topics import BY_NAME, MODELS, POLICIES
from streams.detector.encode import ENCODER, Encoder
from streams.detector.policy import problems_of
from streams.detector.scorer import RefusedError, Scorer, scorer_of
from streams.detector.stage import Record

CHAMPION = "champion"
"""The alias of the model that decides."""

AdmissionKind = Literal[
    Distrust, "too_large", "unreadable", "misnamed", "wrong_schema", "unsound", "replayed", "implausible", "missing"
]
SEVERITY: Mapping[str, Severity] = {
    "unsigned": "critical",
    "unknown_key": "critical",
    "forged": "critical",
    "replayed": "critical",
}
"""What only somebody who should not be there can have written; anything else is a warning."""
TIME_MS_MIN, TIME_MS_MAX = 946_684_800_000, 4_102_444_799_999
TEXT_CHARACTERS_MAX = 500

Document = TypeVar("Document", ModelVersion, Alias, PolicyVersion, RateTable)


class NotAdmittedError(Exception):
    """A record must not come in force."""

    def __init__(self, kind: AdmissionKind, text: str) -> None:
        super().__init__(text)
        self.kind: AdmissionKind = kind


class Snapshot(NamedTuple):
    """A snapshot that may come in force: ready to decide, and as it was written."""

    scorer: Scorer
    model: ModelVersion


class Admission:
    """The checks of one process.

    Parameters
    ----------
    trusted : whose signatures are believed.
    """

    def __init__(self, trusted: TrustedKeys, encoder: Encoder = ENCODER) -> None:
        self._trusted = trusted
        self._encoder = encoder

    def snapshot(self, record: Record) -> Snapshot:
        """Return the model in a record of the models' topic, ready to decide. Raises NotAdmittedError."""
        _, model = self._read(ModelVersion, record, MODELS.value_bytes_max)
        _named(record, model.version)
        if model.feature_schema != self._encoder.schema:
            raise NotAdmittedError("wrong_schema", "it was made for other inputs than this code has")
        try:
            return Snapshot(scorer_of(model, self._encoder), model)
        except RefusedError as error:
            raise NotAdmittedError("unsound", str(error)) from None

    def alias(self, record: Record) -> Alias:
        """Return the alias in a record. Raises NotAdmittedError."""
        _, alias = self._read(Alias, record)
        _named(record, alias.name)
        return alias

    def document(self, record: Record) -> tuple[Signed, PolicyVersion | RateTable]:
        """Return the policy or rate table in a record, and who signed it when. Raises NotAdmittedError."""
        document: PolicyVersion | RateTable
        if record.topic == POLICIES.name:
            signed, policy = self._read(PolicyVersion, record)
            if problems := problems_of(policy):
                raise NotAdmittedError("unsound", "; ".join(problems))
            document = policy
        else:
            signed, document = self._read(RateTable, record)
        _named(record, document.version)
        return signed, document

    def signed(self, record: Record) -> Signed:
        """Return who signed a record of any signed topic. Raises NotAdmittedError."""
        try:
            return self._trusted.check(BY_NAME[record.topic], record.key, record.value, record.headers)
        except UntrustedError as error:
            raise NotAdmittedError(error.kind, str(error)) from None

    def _read(self, kind: type[Document], record: Record, bytes_max: int = VALUE_BYTES_MAX) -> tuple[Signed, Document]:
        if len(record.value or b"") > bytes_max:
            raise NotAdmittedError("too_large", f"{len(record.value or b'')} bytes; at most {bytes_max} are read")
        signed = self.signed(record)
        document = decode(kind, record.value, bytes_max=bytes_max)
        if isinstance(document, DecodeFailure):
            raise NotAdmittedError("unreadable", document.detail)
        return signed, document


def _named(record: Record, version: str) -> None:
    if record.key != version.encode():
        raise NotAdmittedError("misnamed", "its key is not the name that it has")


def place_of(record: Record) -> str:
    """Return the name of a record's place.

    >>> place_of(Record(MODELS.name, 0, 7, 0, None, None))
    'fraud.models.v1:0:7'
    """
    return f"{record.topic}:{record.partition}:{record.offset}"


def moment_of(record: Record) -> TimeMs:
    """Return a record's timestamp, within what a message may hold: its writer chose it."""
    return min(max(record.timestamp_ms, TIME_MS_MIN), TIME_MS_MAX)


def words(text: str) -> str:
    """Return a text as a message may hold it, whoever wrote what it quotes.

    >>> words("4111111111111111 " + "x" * 600)[:25], len(words("x" * 600))
    ('[card number removed] xxx', 500)
    """
    return without_card_numbers(text.encode("utf-8", "replace")).decode("utf-8", "replace")[:TEXT_CHARACTERS_MAX]


def alert_of(kind: str, subject: str, text: str, at_ms: TimeMs) -> Alert:
    """Return an alert; the same kind about the same subject is the same alert, whoever raises it how often.

    >>> alert_of("forged", "fraud.models.v1:0:31", "no", 1_522_540_800_000).severity
    'critical'
    """
    return Alert(
        alert_id=hashlib.sha256(f"{kind} {subject}".encode()).hexdigest()[:16],
        kind=kind,
        severity=SEVERITY.get(kind, "warning"),
        subject=subject,
        text=words(text),
        at_ms=at_ms,
    )
