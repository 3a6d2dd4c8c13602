"""The flags of `python -m streams models`. Pure."""

from typing import Any, get_args

from schemas.experiment import RunKind
from streams.recording_flags import add_recording_flags

LISTED = 20
WAIT_S = 30.0
DAYS = 60
KIND_OF = {"promote": "promote", "rollback": "roll_back", "follow": "follow", "rebuild": "rebuild"}
"""Actions that change what is in force or learned, and what the command is called on the topic."""


def add_flags(commands: Any) -> None:
    """Add the command, with its actions, to those of a parser."""
    parser = commands.add_parser("models", help="the model registry: list, show, promote, gate, rebuild; experiments")
    actions = parser.add_subparsers(dest="action", required=True)
    listing = actions.add_parser("list", help="the last snapshots, and which is in force")
    listing.add_argument("--last", type=int, default=LISTED, metavar="N", help=f"so many (default {LISTED})")
    show = actions.add_parser("show", help="a snapshot without its coefficients")
    export = actions.add_parser("export", help="write a snapshot to a file, as JSON, or as an MLflow model")
    promote = actions.add_parser("promote", help="put a snapshot in force, and keep it there")
    back = actions.add_parser("rollback", help="put the champion before this one in force again, and keep it there")
    follow = actions.add_parser("follow", help="let each new snapshot come in force, from the newest on")
    again = actions.add_parser("rebuild", help="learn the log again without what was taken back, and cut a snapshot")
    gate = actions.add_parser("gate", help="whether a challenger may take the champion's place; noted in the audit log")
    gate.add_argument("challenger", metavar="CHALLENGER")
    gate.add_argument("--days", type=int, default=DAYS, metavar="N", help=f"of labelled payments (default {DAYS})")
    gate.add_argument("--promote", action="store_true", help="where it passes, put its newest snapshot in force")
    tune = actions.add_parser("tune", help="the learner by other settings, over a recording; changes nothing in force")
    add_recording_flags(tune)
    tune.add_argument("--grid", action="append", default=[], metavar="NAME=V,V", help="values to try; repeatable")
    tune.add_argument("--by", choices=("log_loss", "ap"), default="log_loss", help="order (default log_loss)")
    _add_experiments(actions.add_parser("experiments", help="recorded runs of evaluate, tune and these actions"))
    for each in (show, export, promote):
        each.add_argument("version", metavar="VERSION")
    back.add_argument("version", metavar="VERSION", nargs="?", help="an earlier champion (default: the last)")
    export.add_argument("file", metavar="FILE", help="with --format mlflow a folder that is not there yet")
    export.add_argument("--format", choices=("json", "mlflow"), default="json", help="default json")
    for each in (promote, back, follow, again, gate):
        each.add_argument("--wait", type=float, default=WAIT_S, metavar="SECONDS", help="for the answer (default 30)")
    for each in (listing, show, promote, back, follow, again, gate, tune):
        each.add_argument("--json", action="store_true", help="print one JSON object")


def _add_experiments(parser: Any) -> None:
    looks = parser.add_subparsers(dest="looking", required=True)
    listing = looks.add_parser("list", help="the last runs, a line each")
    listing.add_argument("--kind", choices=get_args(RunKind), help="only these")
    listing.add_argument("--last", type=int, default=LISTED, metavar="N", help=f"so many (default {LISTED})")
    compare = looks.add_parser("compare", help="what differs between runs; the others beside the first")
    compare.add_argument("first", metavar="ID")
    compare.add_argument("others", metavar="ID", nargs="+")
    mirror = looks.add_parser("mirror", help="write what was recorded to an MLflow tracking store, each run once")
    mirror.add_argument("--tracking-uri", metavar="URI", help="default: as MLflow has it (MLFLOW_TRACKING_URI)")
    mirror.add_argument("--experiment", metavar="NAME", help="there (default: FRAUD_APPLICATION_ID)")
    for each in (listing, compare, mirror):
        each.add_argument("--json", action="store_true", help="print one JSON object")
