"""One run that judged, made or chose a model: what was asked, over which data, by which code, what came out, its cost.

It is no record of a topic: runs are kept as lines of a file (`streams/experiments.py`).
"""

from typing import Annotated, Literal

from pydantic import Field

from schemas.fields import Identifier, Message, Text, TimeMs

RunKind = Literal["evaluate", "tune", "rebuild", "gate", "promote", "rollback", "follow"]
RunStatus = Literal["done", "refused", "failed"]
Setting = bool | int | float | Text | tuple[Text, ...]
"""What one part of a configuration may be."""
Count = Annotated[int, Field(ge=0)]


class FileRange(Message):
    """A recorded file, by its content, and what was read of it."""

    name: Text = Field(description="Its name without folders: the content is named by the hash.")
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    file_bytes: Count
    rows: Count = Field(default=0, description="Payments read, repeated ones included.")
    first_event_ms: TimeMs | None = Field(default=None, description="Event time of the first payment read.")
    last_event_ms: TimeMs | None = None


class LogRange(Message):
    """A part of one partition of a topic: what is behind the last offset had not been written yet, or was not asked."""

    topic: Text = Field(description="Its name without the deployment's prefix.")
    partition: Count
    first_offset: Count
    last_offset: Annotated[int, Field(ge=-1)] = Field(description="Inclusive; before the first where there is none.")


class Cost(Message):
    """What a run took."""

    wall_s: Annotated[float, Field(ge=0)]
    peak_memory_bytes: Count = Field(description="Most that the process has had resident, from its start on.")


class Experiment(Message):
    """One run. Nothing in it is a secret: a configuration names each part that it holds."""

    experiment_id: Identifier
    kind: RunKind
    started_at_ms: TimeMs
    status: RunStatus = Field(description="refused: it ran, and the answer was no; failed: it did not come to an end.")
    reason: Text | None = Field(default=None, description="Why it was refused or failed, in one line.")
    configuration: dict[str, Setting] = Field(default_factory=dict, description="Flags and learner settings, by name.")
    file: FileRange | None = None
    log: tuple[LogRange, ...] = ()
    code_version: str = Field(description="Hash of the detector's and the messages' source.")
    libraries: dict[str, str] = Field(description="Versions of the packages whose arithmetic a model depends on.")
    metrics: dict[str, float] = Field(default_factory=dict, description="Figures, parts of a group behind a dot.")
    answer: dict[str, Text] = Field(default_factory=dict, description="What was answered beside figures, by name.")
    cost: Cost

    @property
    def data(self) -> str:
        """What tells whether two runs were over the same data; empty where neither file nor log was read."""
        ranges = [f"{each.topic}-{each.partition}:{each.first_offset}-{each.last_offset}" for each in self.log]
        return " ".join(([self.file.sha256] if self.file else []) + ranges)
