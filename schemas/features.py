"""What the features mean, by their names: for whoever reads them stored, without the code that works them out.

A name begins with what it is of, `card_`, `merchant_` or `payment_`, and a window over the past ends it. Counts and
sums over a window include the payment itself. Units and ranges are in `schemas/CATALOGUE.md`.
"""

import re

_WINDOWS = {"1h": "the hour", "24h": "the 24 hours", "7d": "the 7 days", "30d": "the 30 days"}
_HALF_LIVES = {"1d": "a day", "7d": "7 days", "30d": "30 days"}

_PAYMENT = {
    "amount_minor": "Amount in the base currency, by the rate table that the prediction names",
    "hour": "Hour of the day where the payment was made",
    "is_night": "Whether it was made before six in the morning",
    "is_weekend": "Whether it was made on a Saturday or Sunday",
    "channel": "By which channel it was made; absent where unknown",
    "entry_mode": "How the card was read; absent where unknown",
    "trade": "Trade of the merchant; absent where no category code was given",
    "merchant_abroad": "Whether the merchant is in another country than the issuer",
    "ip_abroad": "Whether the IP address is in another country than the issuer",
    "shipped_abroad": "Whether the goods go to another country than the issuer's",
}

_OVER_TIME: tuple[tuple[str, str], ...] = (
    (r"count_(?P<window>\w+)", "Payments of the {of} in {window} up to this one"),
    (r"amount_minor_(?P<window>\w+)", "Sum of the {of}'s payments in {window} up to this one"),
    (r"known_frauds_(?P<window>\w+)", "Frauds of the {of} that became known in {window} before"),
    (r"decayed_count_(?P<half>\w+)", "Payments of the {of} before this one, halved in weight every {half}"),
    (r"decayed_frauds_(?P<half>\w+)", "Known frauds of the {of}, halved in weight every {half}"),
    (r"amount_mean_(?P<half>\w+)", "Usual amount of the {of} before this payment, by a half-life of {half}"),
    (r"amount_times_mean_(?P<half>\w+)", "Amount over what is usual for the {of}, by a half-life of {half}"),
    (r"amount_times_cleared", "Amount over what is usual of the {of}'s payments that are known to be honest"),
    (r"amount_deviations", "Standard deviations of the amount over what is usual for the {of}"),
    (r"amount_rank", "Share of the {of}'s last 50 payments that were smaller"),
    (r"pace", "Payments of the {of} in the last hour over those of a usual hour"),
    (r"known_days", "For how long the {of} has been seen, at most what is remembered"),
    (r"seconds_since_last", "Time since the {of}'s payment before; absent for the first and for a late one"),
    (r"merchants_(?P<window>\w+)", "Different merchants of the {of} in {window} up to this payment, 16 remembered"),
    (r"merchant_is_new", "Whether this merchant is not among the {of}'s last 16"),
    (r"device_is_new", "Whether this device is not among the {of}'s last four; absent where none was given"),
    (r"fraud_rate_(?P<half>\w+)", "Known frauds over payments of the {of}, both by a half-life of {half}"),
    (r"labelled_fraud_share_(?P<half>\w+)", "Known frauds over labels of the {of}, both by a half-life of {half}"),
)


def meaning_of(feature: str) -> str | None:
    """Return what a feature means, in one line; None where this version of the code does not know it.

    >>> meaning_of("card_count_1h")
    'Payments of the card in the hour up to this one'
    >>> meaning_of("merchant_fraud_rate_7d")
    'Known frauds over payments of the merchant, both by a half-life of 7 days'
    >>> meaning_of("card_shoe_size") is None
    True
    """
    of, _, name = feature.partition("_")
    if of == "payment":
        return _PAYMENT.get(name)
    if of not in {"card", "merchant"}:
        return None
    for pattern, sentence in _OVER_TIME:
        found = re.fullmatch(pattern, name)
        if found:
            told = found.groupdict()
            window, half = _WINDOWS.get(told.get("window", "")), _HALF_LIVES.get(told.get("half", ""))
            wanted = {"window": window, "half": half}
            if all(wanted[key] for key in told):
                return sentence.format(of=of, window=window, half=half)
    return None
