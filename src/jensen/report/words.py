"""What the record proves, in sentences: never more than its orders say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jensen.report.numbers import Shown, show

Record = Mapping[str, Any]


def listing(names: Sequence[str], last: str = "and") -> str:
    """Names as a sentence lists them.

    >>> listing(["a", "b", "c"])
    'a, b and c'
    """
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {last} {names[-1]}"


def split_orders(record: Record) -> tuple[list[Record], list[Record]]:
    """The proven orders and the undecided ones."""
    proven = [order for order in record["orders"] if order["answer"] == "proven"]
    return proven, [order for order in record["orders"] if order["answer"] != "proven"]


def summary(record: Record) -> str:
    """One sentence: which model is proven best, or that none is."""
    scored = [model["name"] for model in record["models"] if model["log_likelihood"] is not None]
    where = f"on the held-out rows of {record['data']['name']}"
    if len(scored) < 2:
        return _too_few(scored, where)
    proven, undecided = split_orders(record)
    if not proven:
        return f"No order between {listing(scored)} is proven {where}."
    left = ""
    if undecided:
        left = f" {len(undecided)} of {len(record['orders'])} pairs {'is' if len(undecided) == 1 else 'are'} undecided."
    beaten_by = {name: {order["worse"] for order in proven if order["better"] == name} for name in scored}
    for name in scored:
        others = [other for other in scored if other != name]
        if beaten_by[name] >= set(others):
            return f"{name} is proven better than {listing(others)} {where}.{left}"
    return _no_winner(scored, proven, where) + left


def undecided_reason(order: Record, record: Record) -> str:
    """Why a pair has no proven order, read off the kind of its difference and its interval."""
    difference = order["difference"]
    if difference is None:
        return "there is no paired difference of these two"
    contains_zero = _contains_zero(difference["interval"])
    if difference["kind"] in ("exact", "lower"):
        return "the interval contains zero" if contains_zero else "its interval proves nothing at this level"
    reason = _bound_reason(order, record)
    return f"{reason}, and the interval contains zero" if contains_zero else reason


def order_line(order: Record, record: Record) -> str:
    """One line for a pair; only a proven one gets a `>` between the names."""
    shown = None if order["difference"] is None else show(order["difference"])
    if order["answer"] == "proven":
        return f"{order['better']} > {order['worse']} {by(shown)}".rstrip()
    what = f"difference {shown}; " if shown else ""
    return f"undecided: {order['better']} and {order['worse']}: {what}{undecided_reason(order, record)}"


def separation_line(found: Record) -> str:
    """Whose samples are told apart more easily, or that this is undecided; never a `>` between the names."""
    shown = show(found["difference"])
    size = f"{shown.value} {shown.unit} {shown.interval}".rstrip()
    if found["decided"]:
        return f"{found['farther']} is told apart more easily than {found['closer']}: its bound is larger by {size}"
    return f"undecided: {found['closer']} and {found['farther']}: bounds differ by {size}"


def by(shown: Shown | None) -> str:
    """The difference of a proven pair, such as `by 12.3 nats [10.1, 14.5]`."""
    if shown is None:
        return ""
    least = "at least " if shown.sign == ">=" else ""
    return f"by {least}{shown.value} {shown.unit} {shown.interval}".rstrip()


def sure(record: Record) -> str:
    """How sure the orders are, and of what."""
    return f"At level {record['order_level']:g}: {record['orders_note']}."


def _too_few(scored: Sequence[str], where: str) -> str:
    if not scored:
        return f"No model has a log-likelihood {where}, so no order is proven."
    return f"Only {scored[0]} has a log-likelihood {where}, so there is nothing to order."


def _no_winner(scored: Sequence[str], proven: Sequence[Record], where: str) -> str:
    beaten = {order["worse"] for order in proven}
    open_names = [name for name in scored if name not in beaten]
    losers = [name for name in scored if name in beaten]
    each = "is" if len(losers) == 1 else "are each"
    if not open_names:  # orders that contradict each other: possible only when some interval missed its truth
        return f"No model is proven best {where}."
    return (
        f"No model is proven best {where}: {listing(open_names)} {'is' if len(open_names) == 1 else 'are'} "
        f"not proven worse than any other, while {listing(losers)} {each} proven worse than another."
    )


def _contains_zero(interval: Sequence[float | None] | None) -> bool:
    if interval is None:
        return False
    low, high = interval
    return (low is None or low <= 0) and (high is None or high >= 0)


def _bound_reason(order: Record, record: Record) -> str:
    kinds = {
        model["name"]: model["log_likelihood"]["kind"]
        for model in record["models"]
        if model["log_likelihood"] is not None
    }
    better, worse = kinds.get(order["better"]), kinds.get(order["worse"])
    if better == worse == "lower":
        return "two lower bounds do not order two models"
    if "estimate" in (better, worse):
        return "an estimate proves no order"
    if worse == "lower":
        return f"{order['worse']} has only a lower bound, its truth may be higher"
    if better == "upper":
        return f"{order['better']} has only an upper bound, its truth may be lower"
    return "the difference is not a lower bound"
