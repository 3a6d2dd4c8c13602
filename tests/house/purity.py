"""Nouns are pure, arrows do input and output; time, chance and the environment are arguments."""

from tests.house.tree import ROOMS, Tree, calls, imports, is_in, modules, uses

HOSTS = {
    "producers/kafka_writer.py": "the producer client",
    "producers/kafka_history.py": "looks up what of a history is published, and goes on behind it",
    "producers/flags.py": "names the files of the command line",
    "schemas/recordings/file_to_rows.py": "reads the recording that the user names",
    "consumers/kafka_reader.py": "the consumer client",
    "consumers/kafka_scan.py": "reads topics from place to place",
    "consumers/decisions.py": "looks a decision up, and waits for it",
    "consumers/catalogue.py": "reads the shipped catalogue",
    "consumers/commands.py": "reads the repaired value, and says what was found",
    "consumers/handing_over.py": "says what the store holds, and reads the clock",
    "consumers/kafka_labels.py": "publishes the labels of silence",
    "consumers/kafka_alerts.py": "the transactional client of the monitors",
    "consumers/kafka_label_log.py": "the transactional client of the label join",
    "consumers/parts.py": "runs the parts of a process in threads",
    "consumers/clickhouse_embedded.py": "the store in this process",
    "consumers/clickhouse_native.py": "the store over the network",
    "consumers/warehouse.py": "opens one of the two stores",
    "consumers/page/app.py": "reads the page's templates and the clock",
    "consumers/page/kept.py": "asks the store in a thread",
    "consumers/page/serve.py": "the page's port",
    "streams/kafka_task_log.py": "a task's transactional producer",
    "streams/kafka_consumer.py": "Faust's consumer",
    "streams/opening.py": "opens tasks in threads, and tells how far they are",
    "streams/progress.py": "the exchange of watermarks",
    "streams/slot.py": "a task's place on the event loop",
    "streams/tasks.py": "hosts tasks on an event loop, with threads that wait for Kafka",
    "streams/app.py": "puts Faust, tasks and Kafka together",
    "streams/code_version.py": "hashes its own source",
    "streams/documents.py": "reads the shipped documents",
    "streams/evaluate.py": "puts an evaluation, its file and stdout together",
    "streams/experiments.py": "appends to the log of experiments, and measures what a run took",
    "streams/shadow.py": "reads what was decided and learned, and writes what challengers say",
    "streams/retrain.py": "reads alerts, commands and answers, and starts what is due",
    "streams/stopping.py": "listens to signals",
    "streams/published.py": "follows what is published",
    "streams/models/gating.py": "puts the gate, Kafka and stdout together",
    "streams/models/tuning.py": "puts a grid, a recording and stdout together",
    "streams/models/experimenting.py": "puts the log of experiments and stdout together",
    "streams/models/mirroring.py": "the client of MLflow's tracking stores",
    "streams/models/mlflow_model.py": "writes a model directory",
    "streams/models/pyfunc.py": "reads a model directory",
    "streams/models/command.py": "puts the registry, Kafka and stdout together",
    "schemas/observer.py": "asks Kafka how far the parts are",
    "streams/kafka_logs.py": "reads topics back",
    "streams/kafka_signed.py": "writes a signed record",
    "streams/archive.py": "the files of an archived state",
    "streams/recompute/command.py": "puts a recomputation, Kafka and stdout together",
    "schemas/settings.py": "the environment",
    "schemas/key_files.py": "reads the files of keys that settings name",
    "schemas/connection.py": "how every client reaches Kafka",
}
"""The named thin clients and hosts: every other module of a room is an arrow, a `__main__`, or pure."""

ENTRIES = {"streams/models/pyfunc.py": "MLflow imports it in a process that has no `__main__` of ours"}
"""What else is the first of us that a process meets, and so reads the environment."""

PLACES = frozenset(
    [
        "access",
        "alerts",
        "clickhouse",
        "commands",
        "documents",
        "events",
        "file",
        "hours",
        "kafka",
        "labels",
        "letters",
        "migrations",
        "parquet",
        "predictions",
        "quality",
        "rows",
        "topics",
        "training",
        "webhook",
    ]
)
"""Where arrows begin and end."""

WORLDLY_MODULES = frozenset(
    [
        "aiohttp",
        "aiokafka",
        "asyncio",
        "builtins",
        "chdb",
        "clickhouse_connect",
        "clickhouse_driver",
        "concurrent",
        "confluent_kafka",
        "ctypes",
        "fcntl",
        "faust",
        "glob",
        "http",
        "importlib",
        "io",
        "logging",
        "mlflow",
        "mmap",
        "mode",
        "multiprocessing",
        "os",
        "pathlib",
        "requests",
        "secrets",
        "select",
        "selectors",
        "shutil",
        "signal",
        "socket",
        "socketserver",
        "sqlite3",
        "ssl",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
        "urllib",
        "urllib3",
    ]
)
HARMLESS_IN_THEM = frozenset(["pathlib.PurePath", "pathlib.PurePosixPath", "urllib.parse"])
WORLDLY_NAMES = frozenset(
    [
        "datetime.datetime.now",
        "datetime.datetime.utcnow",
        "datetime.datetime.today",
        "datetime.date.today",
        "pandas.Timestamp.now",
        "pandas.Timestamp.today",
        "pandas.Timestamp.utcnow",
        "uuid.uuid1",
        "uuid.uuid4",
        "open",
        "input",
        "print",
        "breakpoint",
        "__import__",
        "eval",
        "exec",
    ]
)
SEEDED = frozenset(["random.Random", "numpy.random.default_rng", "numpy.random.Generator"])
ENVIRONMENT = frozenset(["os.environ", "os.environb", "os.getenv", "os.getenvb", "schemas.settings.settings_or_exit"])


def is_pure(path: str) -> bool:
    """Return whether a module of a room or of schemas must do no input or output."""
    name = path.rsplit("/", maxsplit=1)[-1].removesuffix(".py")
    return path not in HOSTS and "_to_" not in name and name != "__main__"


def nouns_do_no_input_or_output(tree: Tree) -> list[str]:
    """A pure module imports nothing that reaches the world, calls no clock and no ambient chance, opens nothing."""
    found = []
    for path, source in modules(tree, *ROOMS, "schemas"):
        if not is_pure(path):
            continue
        found += [
            f"{path}:{line}: imports {name}"
            for line, name in imports(source)
            if (is_in(name, WORLDLY_MODULES) and not is_in(name, HARMLESS_IN_THEM)) or not _is_pure_of_ours(name)
        ]
        found += [
            f"{path}:{line}: uses {name}"
            for line, name in sorted({*uses(source), *imports(source)})
            if is_in(name, WORLDLY_NAMES) or name.startswith("pandas.read_") or _is_ambient_chance(name)
        ]
        found += [
            f"{path}:{call.lineno}: {name} without a seed"
            for call, name in calls(source)
            if name in SEEDED and not call.args and not call.keywords
        ]
    return found


def _is_pure_of_ours(name: str) -> bool:
    """Return whether an imported name is not ours, or lies in a pure module of ours."""
    parts = name.split(".")
    if parts[0] not in {*ROOMS, "schemas"}:
        return True
    return all(is_pure("/".join(parts[:end]) + ".py") for end in range(2, len(parts) + 1))


def _is_ambient_chance(name: str) -> bool:
    return name.startswith(("random.", "numpy.random.")) and not is_in(name, SEEDED)


def only_main_reads_the_environment(tree: Tree) -> list[str]:
    """In the rooms the environment is read in `__main__` and by ENTRIES, by way of schemas/settings.py alone."""
    found = []
    for path, source in modules(tree, *ROOMS, "schemas"):
        if path.endswith("/__main__.py") or path in {"schemas/settings.py", *ENTRIES}:
            continue
        seen = {*uses(source), *imports(source)}
        found += [f"{path}:{line}: reads {name}" for line, name in sorted(seen) if is_in(name, ENVIRONMENT)]
        found += [
            f"{path}:{call.lineno}: makes Settings, which reads the environment"
            for call, name in calls(source)
            if name == "schemas.settings.Settings"
        ]
    return found


def arrows_join_known_places(tree: Tree) -> list[str]:
    """A module that moves messages is called `<source>_to_<target>`, and both are places of the table."""
    found = []
    for path, _ in modules(tree, *ROOMS, "schemas"):
        name = path.rsplit("/", maxsplit=1)[-1].removesuffix(".py")
        if "_to_" in name and not (len(ends := name.split("_to_")) == 2 and PLACES.issuperset(ends)):
            found.append(f"{path}: joins what is no place")
    return found
