"""The data check for a terminal."""

import datetime
from collections.abc import Iterator

from rich.console import Group
from rich.table import Table
from rich.text import Text

from tfmm.onboarding.check import CheckReport


def render(report: CheckReport) -> Group:
    """Lays the report out with `rich`."""
    facts = Table(
        title=f"Data check of {report.name}",
        title_justify="left",
        show_header=False,
        show_edge=False,
        box=None,
        pad_edge=False,
    )
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column()
    for name, value in _facts(report):
        facts.add_row(name, value)
    parts: list[Table | Text] = [facts, Text(""), _splits(report)]
    if report.warnings:
        parts.append(Text(""))
    for warning in report.warnings:
        parts.append(Text(f"! {warning}", "yellow"))
    if not report.warnings:
        parts.append(Text("\nNothing odd was found.", "green"))
    return Group(*parts)


def _facts(report: CheckReport) -> Iterator[tuple[str, str]]:
    log = report.log
    yield "rows", ", ".join(f"{table} {n:,}" for table, n in report.rows.items())
    yield "in the log", f"{report.users:,} users, {report.items:,} items"
    yield "time", f"{_moment(log.first)} to {_moment(log.last)} UTC"
    rates = (f"{name} {rate:.4f}" for name, rate in report.label_rate.items())
    yield "label rate", ", ".join(rates)
    if report.in_items is not None:
        yield "joins", f"{report.in_items:.1%} of the impressions show a listed item"
    media = [
        f"{share:.1%} with {what}"
        for what, share in (
            ("title", report.with_title),
            ("picture", report.with_image),
        )
        if share is not None
    ]
    if media:
        yield "items", ", ".join(media)
    mean, most = log.candidates
    yield (
        "requests",
        f"{log.requests:,}, of {mean:.1f} items on average, {most} at most",
    )
    mean, median, longest = log.history
    yield (
        "history",
        f"{mean:.1f} behaviours before a request on average, median {median:.0f}, "
        f"longest {longest:,}; {log.no_history:.1%} of the requests have none",
    )
    letters = [
        f"{table} {reason} {n:,}"
        for table, reasons in report.dead_letters.items()
        for reason, n in reasons.items()
    ]
    yield "dead letters", "; ".join(letters) or "none"


def _splits(report: CheckReport) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    for name in ("split", "requests", "impressions", "label rate", "users"):
        table.add_column(name, justify="left" if name == "split" else "right")
    table.add_column("users with both classes", justify="right")
    for name, part in report.log.parts.items():
        rate = part.positives / part.impressions if part.impressions else None
        table.add_row(
            name,
            f"{part.requests:,}",
            f"{part.impressions:,}",
            "–" if rate is None else f"{rate:.4f}",
            f"{part.users:,}",
            f"{part.both_classes:,}",
        )
    return table


def _moment(microseconds: int) -> str:
    start = datetime.datetime(1970, 1, 1)
    try:
        moment = start + datetime.timedelta(microseconds=microseconds)
    except OverflowError:
        return f"{microseconds / 1e6:.0f} s"
    return moment.isoformat(" ", "seconds")
