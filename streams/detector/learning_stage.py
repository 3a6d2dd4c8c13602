"""The learning stage: training records in, snapshots of the model out; and commands about which of them decides."""

from schemas.codec import DecodeFailure, decode
from schemas.learning import TrainingRecord
from schemas.topics import CONTROLS, MODELS, TRAINING
from streams.detector.stage import Event, Record, Refusal, Stage, refusal_of


class LearningStage(Stage):
    """Training records in the order of their log, and commands as they come; `streams.learning` folds them."""

    name = "learning"
    inputs = (TRAINING, CONTROLS)
    state_log = MODELS
    takes_long = True

    def read(self, record: Record) -> Event | Refusal:
        if record.topic == CONTROLS.name:
            # Nobody's time orders commands and training records: a command goes first, and is not parsed here.
            return Event(record, None, 0)
        message = decode(TrainingRecord, record.value)
        if isinstance(message, DecodeFailure):
            return refusal_of(record, message)
        return Event(record, message, message.reported_at_ms)
