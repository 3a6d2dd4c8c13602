"""`python -m streams retrain`: start what alerts, the calendar and failed criteria ask for, as a person would.

What is due is read from topics, and what is done are commands: signed, carried out once by the learner, and in the
audit log with the row of the table that started them. So this process keeps nothing. One at a time: a second one at its
side would see the first one's command without its answer, and wait.
"""

import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing

from confluent_kafka import KafkaException

from schemas.codec import decode
from schemas.connection import said
from schemas.key_files import KeyFileError, signer_of, trusted_of
from schemas.registry import Alert, Audit, Control
from schemas.settings import Settings
from schemas.topics import ALERTS, AUDIT, CONTROLS, MODELS, TRAINING, Topic
from streams.commands_to_kafka import CommandNotSentError, command
from streams.detector.admission import Admission, NotAdmittedError
from streams.detector.challengers import TABLE
from streams.detector.stage import Record
from streams.detector.triggers import Docket, Due
from streams.experiments import log_ranges, recorded
from streams.kafka_logs import KafkaLogs, ReadError
from streams.kafka_signed import NotWrittenError
from streams.models.flags import DAYS, WAIT_S
from streams.models.gating import Gating, answered, judged, promote
from streams.recompute.logs import Logs
from streams.stopping import stop_on_signals

logger = logging.getLogger(__name__)

READER = "retrain"
LOOK_S = 2.0
"""How often the topics are looked at: what starts anything takes hours to be known."""
NAP_S = 0.2
STOPPED, KAFKA, WRONG = 0, 1, 2


def promotable(settings: Settings) -> tuple[str, ...]:
    """Return the challengers in the shadow whose snapshots the deciders can load.

    >>> promotable(Settings())
    ('cells', 'leaves', 'adaptive')
    """
    named = settings.shadow_models.split(",")
    return tuple(name for name in named if name in TABLE and TABLE[name].promotable)


class Retraining:
    """One run: how far the topics are read, and what was done.

    Parameters
    ----------
    author : whose key our commands are signed with: what another has pinned stays.
    """

    def __init__(self, settings: Settings, logs: Logs, admission: Admission, docket: Docket, author: str) -> None:
        self._settings, self._logs, self._admission = settings, logs, admission
        self._docket, self._author = docket, author
        self._next = dict[Topic, int]()
        self._actions: dict[str, Callable[[Due], None]] = {"rebuild": self._rebuild, "gate": self._gate}
        self.counters: Counter[str] = Counter()
        self._caught_up = False
        self.stopping = False

    def run(self) -> None:
        """Go on until told to stop: what was begun is ended first."""
        self._look()
        self._caught_up = True
        logger.info("read %d alerts and %d answers", self.counters["alerts"], self.counters["answers"])
        while not self.stopping:
            if due := self._docket.due(time.time_ns() // 1_000_000):
                self._start(due)
            self._rest()
            self._look()

    def _look(self) -> None:
        """Take note of what is new. From the beginning, at first: an alert of last year may fire still."""
        takes: dict[Topic, Callable[[Record], None]] = {ALERTS: self._alert, CONTROLS: self._sent, AUDIT: self._answer}
        for topic, take in takes.items():
            for record in self._logs.read(topic, 0, self._next.get(topic, 0)):
                self._next[topic] = record.offset + 1
                take(record)
        if self._docket.first_snapshot_ms is None:
            first = next(self._logs.read(MODELS, 0), None)
            self._docket.first_snapshot_ms = first.timestamp_ms if first else None

    def _alert(self, record: Record) -> None:
        alert = decode(Alert, record.value)
        if isinstance(alert, Alert):
            self._docket.alert(alert)
            self.counters["alerts"] += 1

    def _sent(self, record: Record) -> None:
        try:
            owner = self._admission.signed(record).owner
        except NotAdmittedError:
            return  # the learner answers that it is refused, and alerts
        control = decode(Control, record.value)
        if isinstance(control, Control) and control.author == owner:
            self._docket.sent(record.offset, control)

    def _answer(self, record: Record) -> None:
        audit = decode(Audit, record.value)
        if isinstance(audit, Audit):
            self._docket.answered(audit)
            self.counters["answers"] += 1
            if self._caught_up and audit.author == self._author:
                _tell(audit)

    def _start(self, due: Due) -> None:
        logger.info("%s starts %s: %s", due.trigger, due.action, ", ".join(due.because) or "it is time")
        self.counters["started"] += 1
        try:
            self._actions[due.action](due)
        except CommandNotSentError as error:
            # It is carried out when the learner is there; until then nothing else is started.
            logger.warning("%s: %s", due.trigger, error)

    def _rebuild(self, due: Due) -> None:
        with recorded(self._settings, "rebuild", due.why) as run_:
            run_.log = log_ranges(self._logs, (TRAINING,))
            answered(run_, command(self._settings, self._logs, "rebuild", due.why, WAIT_S))

    def _gate(self, due: Due) -> None:
        """Judge all, and promote the best of those that pass; none where a person has pinned what decides."""
        passed = list[Gating]()
        for challenger in due.targets:
            if self.stopping:
                break  # who was not judged is due still
            with recorded(self._settings, "gate", {**due.why, "challenger": challenger, "days": DAYS}) as run_:
                asked = self._settings, self._logs, self._admission, challenger
                gating = judged(*asked, run_=run_, days=DAYS, wait_s=WAIT_S, why=due.why)
            passed += [gating] if gating.passes else []
        self._look()  # judging takes minutes, in which somebody may have said what is to decide
        if not passed:
            return
        best = max(passed, key=lambda each: float(each.verdict.figures["ap_difference"]))
        if self._docket.pinned_by_another(self._author):
            logger.warning("%s passes, and is not promoted: a person has pinned the champion", best.challenger)
            return
        self.counters["promoted"] += 1
        configuration = {**due.why, "challenger": best.challenger, "days": DAYS}
        promote(self._settings, self._logs, best, configuration=configuration, wait_s=WAIT_S, why=due.why)

    def _rest(self) -> None:
        until_s = time.monotonic() + LOOK_S
        while not self.stopping and time.monotonic() < until_s:
            time.sleep(NAP_S)


def _tell(audit: Audit) -> None:
    arguments = " ".join(f"{name}={value}" for name, value in audit.arguments.items())
    logger.info("%s %s is %s: %s %s", audit.control_id, audit.kind, audit.outcome, audit.text, arguments)


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; say what was done. Return the exit status: 0 stopped, 1 Kafka, 2 keys."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        trusted = trusted_of(settings)
        key_id = signer_of(settings).key_id
    except KeyFileError as error:
        sys.stderr.write(f"retrain: {error}\n")
        return WRONG
    if (author := trusted.owner_of("operator", key_id)) is None:
        sys.stderr.write(f"retrain: key {key_id} is of no trusted operator: nobody would believe our commands\n")
        return WRONG
    try:
        with closing(KafkaLogs(settings, READER)) as logs:
            going = Retraining(settings, logs, Admission(trusted), Docket(promotable(settings)), author)
            stop_on_signals(going)
            going.run()
    except (KafkaException, KeyFileError, NotWrittenError, ReadError) as error:
        sys.stderr.write(f"retrain: {said(error)}\n")
        return KAFKA
    sys.stdout.write(json.dumps(going.counters) + "\n")
    return STOPPED
