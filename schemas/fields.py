"""Field types shared by the messages: tokens, money, times, countries.

Times are milliseconds since the Unix epoch, UTC. Money is integer minor units beside an ISO 4217 code.
A token stands for something that must not be stored (a card, a person, a device); it starts with letters and an
underscore, and no field of text may hold a run of digits that could be a card number (ISO/IEC 7812: 13 to 19 digits
that pass the Luhn check).
"""

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from iso4217 import Currency
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SerializeAsAny, StringConstraints

DAY_MS = 86_400_000
HOUR_MS = 3_600_000

# Lengths and first digits that the card schemes issue: Visa, Mastercard, American Express, Diners, JCB, and the
# 6-series of Discover, UnionPay and Maestro. Without them one numeric id in ten would pass for a card.
_CARD_NUMBER = re.compile(
    r"4\d{12}(?:\d{3}(?:\d{3})?)?|5\d{15}|2[2-7]\d{14}|3[47]\d{13}|3[0689]\d{12}|35\d{14}|6\d{15,18}"
)
_DIGIT_GROUPS = re.compile(r"\d+(?:[ -]\d+)*")
_MAYBE_CARD_NUMBER = re.compile(r"\d[\d -]{11,}\d")
_GROUP_DIGITS = range(3, 8)
"""Digits of one group where a card number is written in groups: 4-4-4-4, 4-6-5, 4-6-4, 6-7."""
_LUHN_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_CURRENCIES = frozenset(currency.code for currency in Currency)


class Message(BaseModel):
    """A frozen record of one topic. Unknown fields are dropped, so that a newer writer can add optional ones.

    >>> class Ping(Message):
    ...     at_ms: int
    >>> Ping.model_validate_json(b'{"at_ms": 1, "added_later": true}')
    Ping(at_ms=1)
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", protected_namespaces=(), allow_inf_nan=False)
    _template: ClassVar[dict[str, Any]]
    _names: ClassVar[set[str]]

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        # In the order of the fields, which is the order of the JSON.
        cls._template = {name: field.default for name, field in cls.model_fields.items()}
        cls._names = set(cls._template)

    @classmethod
    def of_valid(cls, **fields: Any) -> Self:
        """Return a message of fields that this process made itself, unchecked: whoever reads it checks it.

        Every field without a plain default must be given.

        >>> class Pong(Message):
        ...     at_ms: int
        ...     note: str | None = None
        >>> Pong.of_valid(at_ms=1) == Pong(at_ms=1)
        True
        """
        message, put = cls.__new__(cls), object.__setattr__
        put(message, "__dict__", {**cls._template, **fields})
        # One set for all messages of a kind: frozen ones never change it, and a copy gets its own.
        put(message, "__pydantic_fields_set__", cls._names)
        put(message, "__pydantic_extra__", None)
        put(message, "__pydantic_private__", None)
        return message


def passes_luhn(digits: str) -> bool:
    """Return whether a run of digits has a valid Luhn check digit (ISO/IEC 7812-1, annex B).

    >>> passes_luhn("4111111111111111"), passes_luhn("4111111111111112")
    (True, False)
    """
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit)
        total += _LUHN_DOUBLED[value] if index % 2 else value
    return total % 10 == 0


def _card_number_spans(text: str) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    for run in _DIGIT_GROUPS.finditer(text):
        groups = [(run.start() + group.start(), group.group()) for group in re.finditer(r"\d+", run.group())]
        first = 0
        while first < len(groups):
            start, digits = groups[first]
            last = first
            while not (_CARD_NUMBER.fullmatch(digits) and passes_luhn(digits)):
                last += 1
                if last == len(groups) or not {len(groups[first][1]), len(groups[last][1])} <= set(_GROUP_DIGITS):
                    last = -1
                    break
                digits += groups[last][1]
            if last >= 0:
                spans.append((start, groups[last][0] + len(groups[last][1])))
            first = max(first, last) + 1
    return spans


def holds_card_number(text: str) -> bool:
    """Return whether some digits have the length, the first digits and the check digit of a card number.

    >>> [holds_card_number(text) for text in ("card_4111111111111111", "card_8f14e45f", "1522540800000")]
    [True, False, False]
    """
    return len(text) >= 13 and _MAYBE_CARD_NUMBER.search(text) is not None and bool(_card_number_spans(text))


MASK = b"[card number removed]"
"""What stands in a dead letter where a card number was."""


def without_card_numbers(text: bytes) -> bytes:
    """Return the bytes with every card number masked, also one written in groups: a dead letter keeps what was sent.

    >>> without_card_numbers(b'{"card": "4111-1111-1111-1111", "at": 1522540800000}')
    b'{"card": "[card number removed]", "at": 1522540800000}'
    """
    kept, at, characters = [], 0, text.decode("latin-1")
    for start, end in _card_number_spans(characters):
        kept.append(characters[at:start])
        at = end
    return MASK.decode().join([*kept, characters[at:]]).encode("latin-1")


def _not_a_card_number(text: str) -> str:
    if holds_card_number(text):
        raise ValueError("holds what could be a card number; send a token instead")
    return text


def _known_currency(code: str) -> str:
    if code not in _CURRENCIES:
        raise ValueError("is not an ISO 4217 currency code")
    return code


def _token(prefix: str) -> Any:
    return Annotated[
        str,
        StringConstraints(pattern=rf"^{prefix}_[A-Za-z0-9.~-]{{1,56}}$"),
        AfterValidator(_not_a_card_number),
    ]


Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:~-]{1,64}$"), AfterValidator(_not_a_card_number)]
CardToken = _token("card")
CustomerToken = _token("cus")
MerchantToken = _token("mer")
TerminalToken = _token("ter")
DeviceToken = _token("dev")
IpToken = _token("ip")
EmailToken = _token("eml")

AmountMinor = Annotated[int, Field(ge=0, le=10**13, description="Minor units of the currency (cents, yen, fils).")]
CurrencyCode = Annotated[str, AfterValidator(_known_currency)]
TimeMs = Annotated[
    int, Field(ge=946_684_800_000, lt=4_102_444_800_000, description="UTC, ms since 1970; 2000 to 2099.")
]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Text = Annotated[str, StringConstraints(max_length=500), AfterValidator(_not_a_card_number)]
Number = int | float
#: Written by what each number is, in half the time that trying the union's members takes. Read with float first, which
#: most are: the union tries no further where one fits exactly, and a whole number never does.
Features = SerializeAsAny[dict[str, float | int]]
#: topic name -> (partition, offset). For the record's own topic the offset is its own; for every other input it is
#: the first offset that had not been applied yet.
Positions = dict[str, tuple[int, int]]
Action = Literal["approve", "step_up", "review", "block", "invalid"]
Mode = Literal["normal", "rules_only", "fallback", "history"]
FraudVerdict = Literal["fraud", "legitimate"]
Verdict = FraudVerdict | Literal["service_dispute", "withdrawn"]
