"""Of which class of personal data a field is, and in which unit it is told: both by its name.

The classes follow the General Data Protection Regulation: a pseudonym is personal data (recital 26), and so is what
stands beside one.
"""

from collections.abc import Mapping

CLASSES: Mapping[str, str] = {
    "pseudonym": "a token that stands for a person, a card, a device or an address: the vault can tell who",
    "behaviour": "what a person did or is said to have done: personal data while a pseudonym stands beside it",
    "sent": "words or bytes as somebody sent them: may hold anything but card numbers, which are masked or refused",
    "staff": "names who of the staff acted",
    "none": "says nothing of a person",
}

_NAMES: Mapping[str, str] = {
    "pseudonym": "card customer device ip email transaction_id traceparent cards transaction_ids"
    " payment_key payment_keys",
    "behaviour": "merchant terminal amount_minor currency event_time event_time_ms occurred_at occurred_at_ms"
    " utc_offset_minutes mcc channel entry_mode bin issuer_country merchant_country ip_country shipping_country"
    " features late_ms score probability action reasons reason_codes reason_texts reason_contributions rule_hits"
    " verdict fraud_type kind response_code transaction label change before before_since_ms verdict_of verdict_source"
    " conflicting state reported_at reported_at_ms learning source revision merchants event_times channels"
    " issuer_countries scores probabilities actions",
    "sent": "key value headers reason_code note text subject arguments",
    "staff": "author key_id control_id",
}
_CLASS_OF = {name: personal for personal, names in _NAMES.items() for name in names.split()}
_OF_PAYMENTS_ALONE = frozenset(["kind", "state", "change", "source", "revision", "subject", "action", "note", "text"])
"""Names that say something of a payment in one record, and of a model, a policy or a command in another."""

_UNITS: tuple[tuple[str, str], ...] = (
    ("amount_minor", "minor units of the currency"),
    ("_at_ms", "ms since 1970, UTC"),
    ("_time_ms", "ms since 1970, UTC"),
    ("_to_ms", "ms since 1970, UTC"),
    ("_since_ms", "ms since 1970, UTC"),
    ("watermarks_ms", "ms since 1970, UTC"),
    ("_ms", "ms"),
    ("_minutes", "minutes"),
    ("_bytes", "bytes"),
    ("score", "points, 0 to 1000"),
    ("probability", "0 to 1"),
    ("propensity", "0 to 1"),
    ("contribution", "log-odds"),
    ("contributions", "log-odds"),
    ("weight", "examples"),
)


def class_of(name: str, *, of_payments: bool) -> str:
    """Return the class of a field or column; of models, policies and commands only who acted is personal.

    >>> class_of("card", of_payments=True), class_of("kind", of_payments=True), class_of("kind", of_payments=False)
    ('pseudonym', 'behaviour', 'none')
    """
    if not of_payments and name in _OF_PAYMENTS_ALONE:
        return "none"
    return _CLASS_OF.get(name, "none")


def unit_of(name: str, kind: str = "") -> str:
    """Return the unit that a name and a type tell, empty where it has none.

    >>> unit_of("reported_at_ms"), unit_of("late_ms"), unit_of("decided_at", "DateTime64(3, 'UTC')"), unit_of("card")
    ('ms since 1970, UTC', 'ms', 'UTC', '')
    """
    if "DateTime" in kind:
        return "UTC"
    return next((unit for ending, unit in _UNITS if name.endswith(ending)), "")
