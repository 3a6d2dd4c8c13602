"""`python -m streams recompute` and `archive` on Kafka: what they run, and what they say."""

import argparse
import json
import sys
from contextlib import closing, suppress
from pathlib import Path

from confluent_kafka import KafkaException

from schemas.key_files import KeyFileError, trusted_of
from schemas.learning import PolicyVersion
from schemas.settings import Settings
from streams.app import STAGES, stages_of
from streams.archive import ArchiveError, read_archive, write_archive
from streams.code_version import code_version
from streams.detector.admission import Admission, NotAdmittedError
from streams.detector.decide import InForce
from streams.detector.learner import libraries
from streams.detector.learning_stage import LearningStage
from streams.detector.policy import problems_of
from streams.detector.scorer import RefusedError
from streams.detector.stage import EntityStage, Record
from streams.documents import read_document, shipped_policy, shipped_rates
from streams.kafka_logs import KafkaLogs, ReadError
from streams.recompute.compare import Scope
from streams.recompute.documents import Documents
from streams.recompute.logs import DeletedError, Logs
from streams.recompute.run import Asked, NothingFoundError, Recomputation, Stages
from streams.recompute.told import figures_of, told

EQUAL, DIFFERENT, CANNOT_TELL = 0, 1, 2


class _FlagsError(Exception):
    """The flags ask for nothing that can be done."""


_TOLD = (
    _FlagsError,
    KeyFileError,
    ArchiveError,
    ReadError,
    DeletedError,
    NothingFoundError,
    RefusedError,
    KafkaException,
)
"""What ends a command with one line."""


def run(flags: argparse.Namespace, settings: Settings) -> int:
    """Run one of the commands; return the exit status: 0 equal or done, 1 different, 2 it cannot be told."""
    try:
        with closing(KafkaLogs(settings)) as logs:
            if flags.command == "archive":
                return _archive(logs, settings, Path(flags.directory))
            return _recompute(logs, settings, flags)
    except _TOLD as error:
        sys.stderr.write(f"{error}\n")
        return CANNOT_TELL


def _archive(logs: Logs, settings: Settings, directory: Path) -> int:
    manifest = write_archive(logs, stages(settings)[:2], directory, code_version())
    pieces = sum(task["pieces"] for task in manifest["tasks"])
    sys.stdout.write(f"{directory}: {len(manifest['tasks'])} tasks, {pieces:,} pieces of state\n")
    return EQUAL


def _recompute(logs: Logs, settings: Settings, flags: argparse.Namespace) -> int:
    ranged = flags.from_ms is not None or flags.to_ms is not None
    if (flags.transaction is not None) + ranged + flags.all != 1:
        raise _FlagsError("say what to recompute: --transaction ID, --from and --to, or --all")
    instead = read_document(PolicyVersion, Path(flags.policy)) if flags.policy else None
    if instead and (problems := problems_of(instead)):
        raise _FlagsError(f"{flags.policy}: {'; '.join(problems)}")
    asked = Asked(
        Scope(flags.from_ms, flags.to_ms, flags.transaction),
        read_archive(Path(flags.state)) if flags.state else {},
        settings.legitimate_kept_one_in,
        flags.list,
        counted=instead is None,
    )
    admission = Admission(trusted_of(settings))

    def is_believed(record: Record) -> bool:
        with suppress(NotAdmittedError):
            return bool(admission.signed(record))
        return False

    documents = Documents(logs, (shipped_policy(), shipped_rates()), instead, is_believed)
    found = Recomputation(logs, stages(settings), documents, asked, _say).run()
    figures = figures_of(found, code_here=code_version(), libraries_here=libraries())
    sys.stdout.write((json.dumps(figures) if flags.json else told(figures)) + "\n")
    return EQUAL if found.holds else DIFFERENT


def stages(settings: Settings) -> Stages:
    """Return the production stages, with what is shipped in force."""
    card, merchant, learning = stages_of(settings, tuple(STAGES), InForce(shipped_policy(), shipped_rates()))
    assert isinstance(card, EntityStage)
    assert isinstance(merchant, EntityStage)
    assert isinstance(learning, LearningStage)
    return Stages(card, merchant, learning)


def _say(line: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{line:20}")
