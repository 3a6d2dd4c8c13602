"""Commands that need Kafka alone: `dead-letters list|show|replay` and `decision`."""

import argparse
import heapq
import json
import sys
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from consumers.decisions import WITHIN_MS, decision_of
from consumers.handing_over import time_ms
from consumers.letters import Asked, Letter, fields_of, page, table, whole_fields_of
from consumers.letters_to_topics import LettersToTopics, letter_at, letters, markers
from consumers.replay import Landing, Refusal, Repair, landing_of
from schemas.codec import DecodeFailure
from schemas.fields import Identifier
from schemas.settings import Settings
from schemas.topics import DEAD_LETTERS, DEAD_LETTERS_REPLAYED
from schemas.topics_to_kafka import create_topics

LIST_MAX = 50
BATCH = 100
"""Most dead letters in one transaction."""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to a parser."""
    dead_letters = commands.add_parser("dead-letters", help="records that could not be processed: look, repair, replay")
    acts = dead_letters.add_subparsers(dest="act", required=True)
    listing = acts.add_parser("list", help="the newest, by the time when they were sent")
    _add_filters(listing)
    listing.add_argument("--limit", type=int, default=LIST_MAX, metavar="N", help=f"so many at most; {LIST_MAX}")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    show = acts.add_parser("show", help="everything that is known of one")
    show.add_argument("place", type=int, nargs=2, metavar=("PARTITION", "OFFSET"))
    show.add_argument("--json", action="store_true", help="one JSON object")
    replay = acts.add_parser("replay", help="write records to the topics they came from, each once")
    replay.add_argument("place", type=int, nargs="*", metavar="PARTITION OFFSET", help="one; without, by filter")
    _add_filters(replay)
    replay.add_argument("--value", type=_file, metavar="FILE", help="the repaired value of one")
    replay.add_argument("--key", help="the repaired key of one")
    replay.add_argument("--author", type=_identifier, help="who replays: kept with each")
    replay.add_argument("--dry-run", action="store_true", help="say what would happen, and write nothing")
    decision = commands.add_parser("decision", help="the decision of one payment, from Kafka")
    decision.add_argument("--card", required=True)
    decision.add_argument("--transaction", required=True, metavar="ID")
    decision.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="for one that is not there yet")
    decision.add_argument(
        "--within", type=float, default=WITHIN_MS / 1_000, metavar="SECONDS", help="how long ago it may be; an hour"
    )
    decision.add_argument("--json", action="store_true", help="the record as it is")


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", help="such as invalid or core_exception")
    parser.add_argument("--stage", help="card, merchant, label-join or learning")
    parser.add_argument("--topic", help="that they came from")
    parser.add_argument("--since", type=time_ms, metavar="TIME", help="sent at this time or later; ISO 8601, UTC")
    parser.add_argument("--until", type=time_ms, metavar="TIME", help="sent before this time")


def _identifier(text: str) -> str:
    try:
        return TypeAdapter[str](Identifier).validate_python(text)
    except ValidationError:
        raise argparse.ArgumentTypeError("letters, digits and . _ : ~ - only, 64 at most") from None


def _file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Run one command and return the exit code: 0 done, 1 refused or not found, 2 wrong usage."""
    if flags.command == "decision":
        return _decision(settings, flags)
    create_topics(settings, [DEAD_LETTERS, DEAD_LETTERS_REPLAYED])
    return _ACTS[flags.act](settings, flags)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _asked(flags: argparse.Namespace) -> Asked:
    return Asked(flags.reason, flags.stage, flags.topic, flags.since, flags.until)


def _list(settings: Settings, flags: argparse.Namespace) -> int:
    found = letters(settings, _asked(flags), markers(settings, settled=False))

    def age(letter: Letter) -> tuple[int, int, int]:
        return letter.content.origin.timestamp_ms, letter.partition, letter.offset

    newest = heapq.nlargest(max(0, flags.limit), found, key=age)
    if flags.json:
        for letter in newest:
            _say(json.dumps(fields_of(letter), ensure_ascii=False))
    else:
        sys.stdout.write(table(newest))
    return 0


def _show(settings: Settings, flags: argparse.Namespace) -> int:
    letter = letter_at(settings, markers(settings, settled=False), *flags.place)
    if isinstance(letter, DecodeFailure):
        sys.stderr.write(f"{letter.detail}\n")
        return 1
    if flags.json:
        _say(json.dumps(whole_fields_of(letter), ensure_ascii=False))
        return 0
    would = _landing_of(settings, letter, Repair(), author="anybody")
    sys.stdout.write(page(letter, would.why if isinstance(would, Refusal) else "can be replayed as it is"))
    return 0


def _landing_of(settings: Settings, letter: Letter, repair: Repair, *, author: str) -> Landing | Refusal:
    now_ms = time.time_ns() // 1_000_000
    return landing_of(letter, repair, author=author, now_ms=now_ms, future_ms_max=settings.future_ms_max)


def _replay(settings: Settings, flags: argparse.Namespace) -> int:
    wrong = _usage_problem(flags)
    if wrong:
        sys.stderr.write(f"{wrong}\n")
        return 2
    repair = Repair(None if flags.key is None else flags.key.encode(), flags.value)
    # In this order: after the fence nobody adds a marker, and what is marked is not written.
    topics = None if flags.dry_run else LettersToTopics(settings)
    replayed = markers(settings, settled=not flags.dry_run)
    chosen: Iterable[Letter | DecodeFailure] = (
        [letter_at(settings, replayed, *flags.place)] if flags.place else letters(settings, _asked(flags), replayed)
    )
    refused, left = 0, iter(chosen)
    while batch := list(islice(left, BATCH)):
        ends = [_end_of(settings, letter, repair, flags.author or "nobody") for letter in batch]
        landings = [end for end in ends if isinstance(end, Landing)]
        if topics and landings:
            topics.replay(landings)
        for letter, end in zip(batch, ends, strict=True):
            _say(_told(letter, end, done=topics is not None))
            refused += isinstance(end, Refusal) and not end.done
    return 1 if refused else 0


def _end_of(settings: Settings, letter: Letter | DecodeFailure, repair: Repair, author: str) -> Landing | Refusal:
    if isinstance(letter, DecodeFailure):
        return Refusal(letter.detail)
    return _landing_of(settings, letter, repair, author=author)


def _told(letter: Letter | DecodeFailure, end: Landing | Refusal, *, done: bool) -> str:
    place = f"{letter.place} " if isinstance(letter, Letter) else ""
    if isinstance(end, Refusal):
        return place + end.why
    repaired = ", repaired" if end.marker.repaired else ""
    return f"{place}{'replayed' if done else 'would be replayed'} to {end.topic.name}{repaired}"


def _usage_problem(flags: argparse.Namespace) -> str | None:
    by_filter = _asked(flags) != Asked()
    if len(flags.place) not in (0, 2):
        return "one dead letter is named by its partition and its offset"
    if bool(flags.place) == by_filter:
        return "name one dead letter, or filter by reason, stage, topic or time"
    if not flags.place and (flags.value or flags.key):
        return "a repair is of one dead letter: name it"
    if not flags.dry_run and not flags.author:
        return "say who replays, with --author"
    return None


def _decision(settings: Settings, flags: argparse.Namespace) -> int:
    within_ms = int(flags.within * 1_000)
    decision = decision_of(settings, flags.card, flags.transaction, within_ms=within_ms, wait_s=flags.wait)
    if decision is None:
        sys.stderr.write("no decision yet, or an older one: see --wait and --within\n")
        return 1
    if flags.json:
        _say(decision.model_dump_json(exclude_none=True))
    else:
        score = "" if decision.score is None else f", score {decision.score}"
        _say(f"{decision.action} ({decision.mode}{score})")
        for reason in decision.reasons:
            _say(f"  {reason.code}: {reason.text}")
    return 0


_ACTS: dict[str, Callable[[Settings, argparse.Namespace], int]] = {"list": _list, "show": _show, "replay": _replay}
