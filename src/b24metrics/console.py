"""What people see in a terminal: progress, tables, failures in one sentence.

Laws: results go to standard output, everything else to standard error; where nobody watches (a pipe, a service) progress
is a line now and then instead of a bar; text from the portal is shown as text, never as markup or control codes.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, TypeVar

from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    track,
)
from rich.table import Table
from rich.text import Text

from b24metrics.clock import Clock, SystemClock
from b24metrics.errors import B24Error

if TYPE_CHECKING:  # commands that need no mirror must not ask for its database
    from b24metrics.mirror.forecast import Budgets
    from b24metrics.mirror.sync import Progress as Stretch

T = TypeVar("T")

#: Seconds between two lines of progress where there is no bar.
_QUIET_SECONDS = 10.0
_CONTROL = dict.fromkeys((*range(32), *range(127, 160), *range(8234, 8239), *range(8294, 8298)), " ")
_ESCAPED = {code: f"\\u{code:04x}" for code in _CONTROL}

out = Console()
err = Console(stderr=True)


def plain(text: object) -> str:
    """A text without control codes and direction marks: a deal's title must not steer the terminal."""
    return str(text).translate(_CONTROL)


def line(told: object) -> str:
    """An object as one line of JSON, the same marks escaped: it says what it says and steers nothing either."""
    return json.dumps(told, ensure_ascii=False).translate(_ESCAPED)


def duration(seconds: float | None) -> str:
    """``1 h 05 min``, ``3 min 20 s``, ``12 s``; a dash for unknown."""
    if seconds is None:
        return "—"
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {whole % 60:02d} s" if minutes else f"{whole} s"


def grouped(number: float) -> str:
    """Digits in groups of three, separated by narrow spaces."""
    return f"{number:,.0f}".replace(",", "\u202f")


def counted(items: Sequence[T], what: str, clock: Clock | None = None) -> Iterator[T]:
    """Hand items on and show how many are done: a bar, or a line now and then where nobody watches."""
    if err.is_terminal:
        yield from track(items, plain(what), console=err)
        return
    clock = clock or SystemClock()
    told = clock.monotonic()
    for done, item in enumerate(items):
        if clock.monotonic() - told >= _QUIET_SECONDS:
            told = clock.monotonic()
            say(f"{plain(what)}: {done} of {len(items)}")
        yield item


@contextmanager
def backfill_meter(clock: Clock | None = None) -> Iterator[Callable[[Stretch], None]]:
    """Show how a backfill gets on; hand the result to ``Sync(on_progress=…)``."""
    if not err.is_terminal:
        yield _lines(clock or SystemClock())
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("copying", total=None, pace="")

        def show(stretch: Stretch) -> None:
            bar.update(
                task,
                description=f"copying {stretch.feed}",
                total=max(stretch.all_expected, stretch.all_rows),
                completed=stretch.all_rows,
                pace=_pace(stretch),
            )

        yield show


def _pace(stretch: Stretch) -> str:
    """Rows per second, what the budgets say, and when it will be done."""
    pace = f"{grouped(stretch.rows_per_second)} rows/s, {duration(stretch.eta_seconds)} left"
    spent = budgets(stretch.budgets)
    return f"{pace}; {spent}" if spent else pace


def budgets(state: Budgets) -> str:
    """How much of a portal's limits is in use: ``requests 12 %, crm.deal.list 96 of 480 s``."""
    told = [] if state.requests is None else [f"requests {state.requests:.0%}".replace("%", " %")]
    if state.method is not None:
        told.append(f"{state.method} {state.seconds:.0f} of {state.limit:.0f} s")
    if state.rests >= 1:
        told.append(f"resting {duration(state.rests)}")
    return ", ".join(told)


def _lines(clock: Clock) -> Callable[[Stretch], None]:
    said_at = -_QUIET_SECONDS

    def show(stretch: Stretch) -> None:
        nonlocal said_at
        now = clock.monotonic()
        if now - said_at >= _QUIET_SECONDS or stretch.all_rows >= stretch.all_expected:
            said_at = now
            err.print(
                f"copied {grouped(stretch.all_rows)} of about {grouped(stretch.all_expected)} rows "
                f"({stretch.feed}), {_pace(stretch)}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )

    return show


def table(
    title: str,
    head: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    right: Sequence[int] = (),
    ends: Collection[int] = (),
) -> None:
    """Print a table; ``right``: columns that hold numbers; ``ends``: rows below which there is a line."""
    if title:  # a line of its own: a title of the table would be folded to the table's width
        out.print(Text(plain(title), style="italic"))
    made = Table(header_style="bold")
    for number, name in enumerate(head):
        made.add_column(name, justify="right" if number in right else "left", overflow="fold")
    for place, row in enumerate(rows):
        cells = (cell if isinstance(cell, Text) else Text(plain(cell)) for cell in row)
        made.add_row(*cells, end_section=place in ends)
    out.print(made)


def grid(
    title: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    apart: Sequence[Sequence[int]],
    ends: Collection[int] = (),
) -> None:
    """Print rows whose first column names them. ``apart``: the other columns, those that stay together in one group; what
    the terminal is too narrow for comes below, with the names again, because a number that is folded cannot be read.
    """
    wide = [max(cell_len(plain(row[number])) for row in (head, *rows)) + 3 for number in range(len(head))]
    pieces: list[list[int]] = []
    left = 0
    for group in apart:
        width = sum(wide[number] for number in group)
        if not pieces or width > left:
            pieces.append([0])
            left = out.width - wide[0] - 1
        pieces[-1] += group
        left -= width
    for piece in pieces:
        right = [place for place, number in enumerate(piece) if number and head[number] != "trend"]
        shown = [[row[number] for number in piece] for row in rows]
        table(title if piece is pieces[0] else "", [head[number] for number in piece], shown, right=right, ends=ends)


def records(title: str, rows: Sequence[tuple[str, ...]]) -> None:
    """Print records behind a number: part, record, title, contribution, link. What no record has is left out; where the
    terminal is narrow, the link is what the record's name leads to, or stands below it.
    """
    head = ("part", "record", "title", "contribution", "link")
    shown = [number for number in range(len(head)) if number in {1, 3} or any(row[number] for row in rows)]
    width = sum(max((len(row[number]) for row in (*rows, head)), default=0) + 3 for number in shown) + 1
    if width <= out.width or 4 not in shown:
        table(title, [head[n] for n in shown], [[row[n] for n in shown] for row in rows], right=[shown.index(3)])
        return
    shown.remove(4)
    lines = []
    for row in rows:
        name = Text(plain(row[1]), style=f"link {row[4]}" if row[4] else "")
        if row[4] and not out.is_terminal:  # a file has nothing to click at
            name.append(f"\n{plain(row[4])}")
        lines.append([name if n == 1 else row[n] for n in shown])
    table(title, [head[n] for n in shown], lines, right=[shown.index(3)])


def say(text: str) -> None:
    """One line for the person, on standard error."""
    err.print(plain(text), markup=False, highlight=False, soft_wrap=True)


@contextmanager
def doors(*, debug: bool = False) -> Iterator[None]:
    """Turn failures into one sentence and an exit code: 1 for ours, 130 for Ctrl-C.

    ``debug`` lets the traceback through, for reports of defects.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        yield
    except B24Error as error:
        if debug:
            raise
        _leave(str(error), 1)
    except KeyboardInterrupt:
        _leave("Stopped.", 130)
    except BrokenPipeError:
        # Whoever read our output has seen enough (`b24metrics kpi | head`).
        sys.stderr.close()
        raise SystemExit(0) from None


#: Packages that only extras bring, and which extra it is.
_EXTRAS = {
    "duckdb": "mirror", "pyarrow": "mirror", "sqlglot": "mirror", "pytz": "mirror",
    "psycopg": "postgres",
    "starlette": "exporter", "uvicorn": "exporter", "prometheus_client": "exporter", "bcrypt": "exporter",
    "cryptography": "sim", "python_multipart": "sim",
    "grafana_foundation_sdk": "grafana", "yaml": "grafana",
}  # fmt: skip


def enter(app: Callable[[], object]) -> None:
    """Run a command line; where a package of an extra is missing, say which extra to install."""
    try:
        app()
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        _leave(f"This needs more than the bare library: pip install 'b24metrics[{extra}]'.", 1)


def _leave(text: str, code: int) -> NoReturn:
    for line in text.splitlines() or [""]:
        err.print(plain(line), markup=False, highlight=False, soft_wrap=True)
    raise SystemExit(code) from None
