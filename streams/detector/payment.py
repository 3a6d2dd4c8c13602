"""What a payment says by itself: amount, time of day where it was made, channel, countries."""

from typing import get_args

from schemas.fields import DAY_MS, HOUR_MS
from schemas.transaction import Channel, EntryMode
from streams.detector.look import Look
from streams.detector.row import Row

_CHANNELS: tuple[str, ...] = get_args(Channel)
_ENTRY_MODES: tuple[str, ...] = get_args(EntryMode)
_THURSDAY = 3
"""The first of January 1970."""

AMOUNT = "payment_amount_minor"
"""The feature that holds the amount in the base currency, from the card stage on."""

_HOUR = "fraud keeps other hours than its victims"
_MEANS = "what can be done with a stolen number depends on the means"
_ABROAD = "goods and addresses away from home"


def _hour(look: Look) -> int:
    return look.local_ms // HOUR_MS % 24


def _night(look: Look) -> bool:
    return _hour(look) < 6


def _weekend(look: Look) -> bool:
    return (look.local_ms // DAY_MS + _THURSDAY) % 7 >= 5


def _amount(look: Look) -> int | None:
    return look.amount


def _channel(look: Look) -> int | None:
    channel = look.payment.channel
    return None if channel == "unknown" else _CHANNELS.index(channel)


def _entry_mode(look: Look) -> int | None:
    entry_mode = look.payment.entry_mode
    return None if entry_mode == "unknown" else _ENTRY_MODES.index(entry_mode)


def _trade(look: Look) -> int | None:
    mcc = look.payment.mcc
    return None if mcc is None else int(mcc) // 100


def _differ(one: str | None, other: str | None) -> bool | None:
    return None if one is None or other is None else one != other


def _merchant_abroad(look: Look) -> bool | None:
    return _differ(look.payment.issuer_country, look.payment.merchant_country)


def _ip_abroad(look: Look) -> bool | None:
    return _differ(look.payment.issuer_country, look.payment.ip_country)


def _shipped_abroad(look: Look) -> bool | None:
    return _differ(look.payment.issuer_country, look.payment.shipping_country)


PAYMENT_ROWS: tuple[Row, ...] = (
    Row("amount_minor", "minor units of the base currency", 0, 1e13, "thieves have favourite amounts", _amount),
    Row("hour", "hour, local; UTC where no offset was given", 0, 23, _HOUR, _hour),
    Row("is_night", "0 or 1: before six, local", 0, 1, _HOUR, _night),
    Row("is_weekend", "0 or 1: Saturday or Sunday, local", 0, 1, _HOUR, _weekend),
    Row("channel", "place in schemas.transaction.Channel", 0, len(_CHANNELS), _MEANS, _channel),
    Row("entry_mode", "place in schemas.transaction.EntryMode", 0, len(_ENTRY_MODES), _MEANS, _entry_mode),
    Row("trade", "first two digits of the merchant category code", 0, 99, "some goods are easy to sell", _trade),
    Row("merchant_abroad", "0 or 1", 0, 1, _ABROAD, _merchant_abroad),
    Row("ip_abroad", "0 or 1", 0, 1, _ABROAD, _ip_abroad),
    Row("shipped_abroad", "0 or 1", 0, 1, _ABROAD, _shipped_abroad),
)
