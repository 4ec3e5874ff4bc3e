"""The door: parse, call one function, print, exit code.

The webhook's address is a secret. Give it in the environment (``B24_WEBHOOK``) or in a file of its own
(``portal.webhook_file`` in the settings): a command line can be read by everybody on the machine.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from b24metrics.arguments import CaFile, ConfigFile, MirrorFile, WebhookAddress
from b24metrics.clock import SystemClock
from b24metrics.config import Settings
from b24metrics.errors import B24Error, ConfigError, MirrorAway, MirrorError, NothingMirrored, PortalKept

if TYPE_CHECKING:
    from b24metrics.kpi.options import KpiOptions
    from b24metrics.mirror.lease import Keeper
    from b24metrics.mirror.stores import Store
    from b24metrics.mirror.sync import FeedStatus, Report

# Commands import what they need themselves: `b24metrics --help` must not ask for extras.
# ruff: noqa: PLC0415

app = typer.Typer(
    help="Bitrix24 sales KPIs: copy a portal within its limits, compute, look into the numbers.\n\n"
    "The webhook's address is a secret: give it in the environment variable B24_WEBHOOK rather than on the command "
    "line, where everybody on the machine can read it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)

_CLOSING_SECONDS = 3600.0  # between two looks for months to be closed, and for entities to be copied for the first time

#: What `sync` lets DuckDB use: it writes pages of rows, and now and then closes a month.
SYNC_MEMORY = "192MB"

_OLD = 900.0  # seconds after which nobody seems to be at work

PortalName = Annotated[
    str | None, typer.Option(help="Which portal, where the mirror holds several: its host.", show_default=False)
]


def settings_of(
    config: Path | None = None,
    webhook: str | None = None,
    mirror: str | None = None,
    ca: Path | None = None,
    plan: str | None = None,
) -> Settings:
    """What file, environment and command line say together."""
    overrides = {
        "portal": {"webhook": webhook, "ca_file": ca, "plan": plan},
        "mirror": {"path": mirror},
    }
    return Settings.load(config, overrides)


@app.callback(invoke_without_command=True)
def root(
    *, show_version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False
) -> None:
    """Options of all commands."""
    if show_version:
        typer.echo(f"b24metrics {version('b24metrics')}")
        raise typer.Exit


@app.command()
def doctor(config: ConfigFile = None, webhook: WebhookAddress = None, ca: CaFile = None) -> None:
    """Ask the portal whether all is well: reachable, whose rights, which scopes are missing, whether clocks agree."""
    from b24metrics import console
    from b24metrics.portal import Portal

    with console.doors():
        settings = settings_of(config, webhook, ca=ca)
        with Portal(settings.portal.credential(), plan=settings.portal.plan, verify=settings.portal.ca_file) as portal:
            found = portal.check_up()
    rights = "administrator" if found.admin else "not an administrator: sees only what its owner sees"
    skew = "unknown" if found.skew_seconds is None else f"{found.skew_seconds:+.1f} s against this machine"
    console.table(
        f"Portal {found.host}",
        ("", ""),
        [
            ("acts as", f"{found.name or '?'} (user {found.user_id or '?'}), {rights}"),
            ("portal's clock", f"{found.server_at.isoformat() if found.server_at else 'unknown'} ({skew})"),
            ("scopes", ", ".join(sorted(found.scopes)) if found.scopes is not None else "not told"),
            ("missing", ", ".join(found.missing) or "nothing"),
        ],
    )
    if found.missing:
        console.say(
            f"Tick {', '.join(found.missing)} on the webhook (Developer resources, Other, Inbound webhook), "
            "or live without the KPIs that need them."
        )
    if "crm" in found.missing:
        raise typer.Exit(1)


@app.command()
def sync(
    config: ConfigFile = None,
    webhook: WebhookAddress = None,
    mirror: MirrorFile = None,
    ca: CaFile = None,
    plan: Annotated[
        str | None, typer.Option(help="What the portal allows: standard, enterprise or self-hosted.")
    ] = None,
    *,
    once: Annotated[bool, typer.Option("--once", help="Bring the mirror up to date and leave.")] = False,
    interval: Annotated[float, typer.Option(help="Seconds from round to round.", min=5)] = 60.0,
) -> None:
    """Copy the portal into the mirror, then keep it in step until Ctrl-C. May be stopped and started at any moment."""
    from b24metrics import console

    with console.doors():
        settings = settings_of(config, webhook, mirror, ca, plan)
        report = asyncio.run(_sync(settings, None if once else interval))
        rows = sum(report.rows.values())
        console.say(f"The mirror {settings.mirror.shown} is in step: {console.grouped(rows)} rows written.")
        for error in report.errors.values():
            console.say(error)
    if report.errors:
        raise typer.Exit(1)


async def _sync(settings: Settings, interval: float | None) -> Report:
    from b24metrics import console
    from b24metrics.mirror.feeds import standard
    from b24metrics.mirror.forecast import budgets_of
    from b24metrics.mirror.inputs import load_inputs, read_files
    from b24metrics.mirror.lease import LEASE_SECONDS
    from b24metrics.mirror.plans import load_plans, read_plans
    from b24metrics.mirror.stores import open_store
    from b24metrics.mirror.sync import Sync
    from b24metrics.portal import AsyncPortal

    credential = settings.portal.credential()
    store = open_store(settings.mirror.where(), memory_limit=settings.mirror.memory_limit or SYNC_MEMORY)
    clock, options = SystemClock(), settings.kpi_options()
    try:
        async with AsyncPortal(credential, plan=settings.portal.plan, verify=settings.portal.ca_file) as portal:
            with console.backfill_meter(clock) as meter:
                syncing = Sync(
                    portal,
                    store,
                    portal=portal.host,
                    feeds=standard(settings.mirror.options()),
                    clock=clock,
                    on_progress=meter,
                    zone=settings.reporting.zone,
                    sweeps=settings.mirror.sweeps(),
                    lease_seconds=max(LEASE_SECONDS, 2 * (interval or 0)),  # it must outlast the rest between rounds
                )
                report = await _when_possible(syncing.catch_up, interval, clock)
            if settings.plans_file is not None:
                load_plans(store, portal.host, read_plans(settings.plans_file))
            if settings.inputs_files:
                load_inputs(store, portal.host, read_files(settings.inputs_files), replace=True)
            await asyncio.to_thread(_close_months, store, portal.host, options)
            closed_at = clock.monotonic()
            while interval is not None:
                started = clock.monotonic()
                report = await _when_possible(syncing.round, interval, clock)
                console.say(f"{report.at:%H:%M:%S}  {_news(report)}  ({console.budgets(budgets_of(portal.gate))})")
                if clock.monotonic() - closed_at >= _CLOSING_SECONDS:
                    await asyncio.to_thread(_close_months, store, portal.host, options)
                    await _when_possible(syncing.backfill, interval, clock)  # a scope may have been ticked since
                    closed_at = clock.monotonic()
                await clock.asleep(max(1.0, interval - (clock.monotonic() - started)))
            return report
    finally:
        store.close()


def _close_months(store: Store, portal: str, options: KpiOptions) -> None:
    """Write down what months that are over have come to; what goes wrong there is told and tried again."""
    from b24metrics import console
    from b24metrics.kpi.freezing import freeze

    try:
        count = freeze(store, portal, now=datetime.fromtimestamp(SystemClock().now(), UTC), options=options)
    except B24Error as error:
        console.say(f"Closed months could not be written down: {error}")
        return
    except Exception as error:  # copying goes on, whatever a formula does
        logging.getLogger(__name__).debug("Closings of months failed.", exc_info=True)
        console.say(f"Closed months could not be written down ({type(error).__name__}): please report it.")
        return
    if count:
        console.say(f"{count} values of closed months written down.")


def _news(report: Report) -> str:
    """What a round has brought, in one line."""
    found = (
        ("", {feed: rows for feed, rows in report.rows.items() if rows}),
        ("deleted: ", report.buried),
        ("was missing here: ", report.healed),
    )
    told = [
        f"{what}{', '.join(f'{feed} {count}' for feed, count in counts.items())}" for what, counts in found if counts
    ]
    return "; ".join(told) or "nothing new"


async def _when_possible(work: Callable[[], Awaitable[Report]], interval: float | None, clock: SystemClock) -> Report:
    """Do it; while another process keeps the portal, or the database server is away, say so and try again."""
    from b24metrics import console

    told: type[MirrorError] | None = None
    while True:
        try:
            return await work()
        except (PortalKept, MirrorAway) as error:
            if interval is None:
                raise
            if type(error) is not told:
                console.say(str(error))
            told = type(error)
        await clock.asleep(interval)


@app.command()
def status(config: ConfigFile = None, mirror: MirrorFile = None, portal: PortalName = None) -> None:
    """How far the mirror is: rows, freshness and failures of every entity."""
    from b24metrics import console

    with console.doors():
        settings = settings_of(config, mirror=mirror)
        name, found, kept = _status(settings, portal)
    rows = [
        (
            one.feed,
            console.grouped(one.rows),
            "complete" if one.backfilled else f"about {console.grouped(one.pending)} to go",
            "never" if one.age_seconds is None else f"{console.duration(one.age_seconds)} ago",
            _compared(one),
            one.error or one.doubt or "",
        )
        for one in found
    ]
    console.table(
        f"{settings.mirror.shown}: {name}",
        ("entity", "rows", "past", "in step", "compared", "trouble"),
        rows,
        right=(1,),
    )
    console.say(next_step(found))
    if kept is not None:
        console.say(f"{name} is kept by {kept.holder} until {kept.until:%H:%M:%S} UTC, unless it renews its lease.")


def _compared(one: FeedStatus) -> str:
    """When all ids were last compared with the portal's, and what such comparisons have found."""
    if one.reconciled_at is None:
        return ""
    found = [f"{count} {what}" for count, what in ((one.buried, "deleted"), (one.healed, "were missing")) if count]
    return ", ".join([f"{one.reconciled_at:%d.%m. %H:%M} UTC", *found])


def next_step(found: Sequence[FeedStatus]) -> str:
    """What to do now, in one sentence."""
    if any(one.error for one in found):
        return "Mend what stands under trouble; everything else goes on meanwhile."
    pending = sum(one.pending for one in found if not one.backfilled)
    if pending or not any(one.backfilled for one in found):
        return "The past is not copied yet: b24metrics sync goes on where it stood."
    latest = min((one.age_seconds for one in found if one.age_seconds is not None), default=math.inf)
    if latest > _OLD:
        return "Nobody keeps the mirror in step: start b24metrics sync, or the exporter."
    if any(one.doubt for one in found):
        return "Look whether the webhook's owner still sees what stands under trouble."
    return "All is well: nothing is to be done."


def _status(settings: Settings, wanted: str | None) -> tuple[str, Sequence[FeedStatus], Keeper | None]:
    from b24metrics.mirror.feeds import standard
    from b24metrics.mirror.lease import keeper
    from b24metrics.mirror.stores import open_store
    from b24metrics.mirror.sync import status as feed_status
    from b24metrics.mirror.sync import which_portal

    store = open_store(settings.mirror.where(), read_only=True)
    try:
        portal = which_portal(store, wanted)
        feeds = standard(settings.mirror.options())
        now = datetime.fromtimestamp(SystemClock().now(), UTC)
        return portal, feed_status(store, portal, feeds, now), keeper(store, portal)
    finally:
        store.close()


@app.command()
def plan(
    file: Annotated[Path, typer.Argument(help="CSV with the head kpi_id,level,subject_id,month,amount.")],
    config: ConfigFile = None,
    mirror: MirrorFile = None,
    portal: PortalName = None,
) -> None:
    """Load sales plans from a CSV file into the mirror, in place of those that are there."""
    from b24metrics import console
    from b24metrics.mirror.plans import load_plans, read_plans, strangers
    from b24metrics.mirror.stores import open_store
    from b24metrics.mirror.sync import which_portal

    with console.doors():
        settings = settings_of(config, mirror=mirror)
        plans, kpis = read_plans(file), settings.kpis()
        where = settings.mirror.where()
        if isinstance(where, Path) and not where.exists():  # opening it for writing would leave an empty mirror behind
            raise NothingMirrored(f"There is no mirror {settings.mirror.shown} yet: run `b24metrics sync` first.")
        store = open_store(settings.mirror.where())
        try:
            name = which_portal(store, portal)
            load_plans(store, name, plans)
            unknown = strangers(store, name, [(one.level, one.subject_id) for one in plans])
        finally:
            store.close()
        unknown += [f"KPI {one}" for one in dict.fromkeys(plan.kpi_id for plan in plans) if one not in kpis]
        _wonder(unknown)
        console.say(f"{len(plans)} plans are in {settings.mirror.shown}.")


def _wonder(unknown: Sequence[str]) -> None:
    """Tell of whom or what the mirror knows nothing, in a file that was loaded: a slip of the hand, or too early."""
    from b24metrics import console

    if unknown:
        more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
        console.say(
            f"The mirror does not know {', '.join(unknown[:10])}{more}: what is said of them counts nowhere yet."
        )


@app.command(name="input")
def load_input(
    file: Annotated[Path, typer.Argument(help="CSV of one kind, or TOML of several.")],
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind", "-k", help="visits, costs, training, score, call_points or speech; TOML says it itself."
        ),
    ] = None,
    config: ConfigFile = None,
    mirror: MirrorFile = None,
    portal: PortalName = None,
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Forget everything of that kind that the file does not say.")
    ] = False,
) -> None:
    """Load numbers that no portal has into the mirror: visits, costs, training, scores, points and speech of calls."""
    from b24metrics import console
    from b24metrics.mirror.inputs import load_inputs, read_inputs
    from b24metrics.mirror.plans import strangers
    from b24metrics.mirror.stores import open_store
    from b24metrics.mirror.sync import which_portal

    with console.doors():
        settings = settings_of(config, mirror=mirror)
        found = read_inputs(file, kind)
        where = settings.mirror.where()
        if isinstance(where, Path) and not where.exists():  # opening it for writing would leave an empty mirror behind
            raise NothingMirrored(f"There is no mirror {settings.mirror.shown} yet: run `b24metrics sync` first.")
        store = open_store(settings.mirror.where())
        try:
            name = which_portal(store, portal)
            count = load_inputs(store, name, found, replace=replace)
            told = [(one.level, one.subject_id) for numbers in found.values() for one in numbers]
            unknown = strangers(store, name, told)
        finally:
            store.close()
        _wonder(unknown)
        console.say(f"Loaded into {settings.mirror.shown}: {', '.join(found)} (numbers: {count}).")


@app.command()
def kpi(
    ids: Annotated[list[str] | None, typer.Argument(help="KPI ids; none: all of them.", show_default=False)] = None,
    config: ConfigFile = None,
    mirror: MirrorFile = None,
    portal: PortalName = None,
    window: Annotated[
        list[str] | None, typer.Option("--window", "-w", help="today, 7d, mtd …; may be repeated.")
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option("--by", "-b", help="T company, D department, M manager, P pipeline …")
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="As of this instant (ISO 8601), as far as the mirror knows it.")
    ] = None,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="All KPIs, at every grain and window of their cards.")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="Which KPIs there are; computes nothing.")] = False,
    trend: Annotated[
        bool | None,
        typer.Option(
            "--trend/--no-trend",
            help="Beside each number, what it was over the seven comparable windows before. Default: where KPIs are named "
            "and one window is asked for.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Compute KPIs from the mirror. Needs no portal."""
    from b24metrics import console, reports

    with console.doors():
        settings = settings_of(config, mirror=mirror)
        language, known = settings.reporting.language, settings.kpis()
        question = reports.asked(known, ids or [], window or [], by or [], everything=everything)
        if listed:
            if as_json:
                raise ConfigError("--list is for people: leave --json out, or --list.")
            rows = reports.listing({kpi.id: kpi for kpi in question.kpis}, language)
            console.table("", ("id", "title", "unit", "by", "windows"), rows)
            return
        at_moment = reports.instant_of(at)
        snapshot = reports.answer(settings, portal, question, at_moment)
        if as_json:
            for one in reports.objects(snapshot, question):
                typer.echo(console.line(one))
            return
        course = None
        if bool(ids) and len(question.all_windows) == 1 if trend is None else trend:

            def watched(moments: Sequence[datetime]) -> Iterable[datetime]:
                return console.counted(moments, "past instants computed")

            course = reports.trends(settings, portal, question, at_moment, watched)
    silent = []
    for kpi in question.kpis:
        head, lines, ends = reports.table_of(snapshot, kpi, question, language, course)
        if lines:
            step = 1 if course is None else 2  # a window and its trend stay together
            last = len(head) - (head[-1] == "n")
            apart = [range(number, number + step) for number in range(1, last, step)]
            apart += [range(last, len(head))]
            console.grid(f"{kpi.title.said(language)} ({kpi.id})", head, lines, apart, ends)
        elif kpi.id in snapshot.absent:
            console.say(reports.absence(kpi, snapshot))
        else:
            silent.append(kpi.id)
    if silent:
        console.say(f"Nothing to say of {', '.join(silent)}: there are no records that count.")


@app.command()
def explain(
    kpi_id: Annotated[str, typer.Argument(metavar="KPI", help="Its id, for instance revenue_won.")],
    labels: Annotated[
        list[str] | None,
        typer.Argument(
            help="Whose number: manager_id=101, department_id=3 …; none for the company.", show_default=False
        ),
    ] = None,
    config: ConfigFile = None,
    mirror: MirrorFile = None,
    portal: PortalName = None,
    window: Annotated[str | None, typer.Option("--window", "-w", help="Default: the first of the KPI's card.")] = None,
    by: Annotated[
        str | None, typer.Option("--by", "-b", help="T company, D department, M manager, P pipeline …")
    ] = None,
    at: Annotated[str | None, typer.Option(help="As of this instant (ISO 8601).")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the records behind one number: their count, sum, mean or median is the number."""
    from b24metrics import console, reports

    with console.doors():
        settings = settings_of(config, mirror=mirror)
        language = settings.reporting.language
        question = reports.asked(
            settings.kpis(), [kpi_id], [window] if window else [], [by] if by else [], everything=False
        )
        (one,) = question.kpis
        chosen = question.looks(one)[0]
        grain, told = reports.place(question, labels or [])
        found = reports.explanation(settings, portal, one, chosen, grain, told, reports.instant_of(at))
    if as_json:
        for record in found.records:
            typer.echo(console.line(reports.record_object(record)))
        return
    console.records(
        reports.title_of(one, chosen, grain, told, found, language),
        [reports.record_row(record, one, language) for record in found.records],
    )
    if one.id in found.snapshot.absent:
        console.say(reports.absence(one, found.snapshot))


@app.command()
def history(
    ids: Annotated[list[str] | None, typer.Argument(help="KPI ids; none: all of them.", show_default=False)] = None,
    config: ConfigFile = None,
    mirror: MirrorFile = None,
    portal: PortalName = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write; - is standard output.", allow_dash=True)
    ] = Path("-"),
    days: Annotated[int, typer.Option(min=1, help="How far back, in days.")] = 30,
    since: Annotated[str | None, typer.Option(help="Beginning (ISO 8601), instead of --days.")] = None,
    until: Annotated[str | None, typer.Option(help="End (ISO 8601). Default: now.")] = None,
    step: Annotated[
        str, typer.Option(help="From instant to instant: 1h, 6h, 1d. Days are taken in their last second.")
    ] = "1d",
) -> None:
    """Write what scrapes of past days would have said, as OpenMetrics text for Prometheus.

    Then: promtool tsdb create-blocks-from openmetrics FILE DATA-DIRECTORY
    """
    import sys

    from b24metrics import console, reports
    from b24metrics.exposition.history import step_of
    from b24metrics.files import replaced

    with console.doors():
        settings = settings_of(config, mirror=mirror)
        kpis = reports.asked(settings.kpis(), ids or [], [], [], everything=True).kpis
        past = reports.Past(
            step_of(step),
            days,
            None if since is None else reports.instant_of(since),
            None if until is None else reports.instant_of(until),
        )

        def watched(moments: Sequence[datetime]) -> Iterable[datetime]:
            return console.counted(moments, "past instants computed")

        if str(out) == "-":
            count = reports.history(settings, portal, kpis, past, sys.stdout, watched)
        else:
            with replaced(out) as file:
                count = reports.history(settings, portal, kpis, past, file, watched)
        console.say(f"{console.grouped(count)} samples written.")


@app.command()
def sim(
    data: Annotated[
        Path | None, typer.Option(help="File of the portal's records, kept for next time. Default: memory.")
    ] = None,
    plans: Annotated[Path | None, typer.Option(help="Write the company's sales plans into this CSV file.")] = None,
    managers: Annotated[int, typer.Option(min=1, max=5000)] = 70,
    departments: Annotated[int, typer.Option(min=1, max=500)] = 6,
    months: Annotated[int, typer.Option(min=1, max=120, help="Length of the history.")] = 12,
    seed: Annotated[int, typer.Option(help="Another seed is another company.")] = 24,
    speed: Annotated[
        float, typer.Option(min=0, max=10_000, help="How fast its day goes on: 1 is real time, 0 stands still.")
    ] = 1.0,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 is any free one.")] = 0,
    plan: Annotated[str, typer.Option(help="Whose limits to keep: standard or enterprise.")] = "standard",
    *,
    https: Annotated[bool, typer.Option("--https", help="Serve HTTPS too, with an authority of its own.")] = False,
    leashed: Annotated[bool, typer.Option("--leashed", hidden=True, help="End when standard input ends.")] = False,
) -> None:
    """A practice portal on loopback, with a believable sales department; prints the address of its webhook."""
    import sys

    from b24metrics import console
    from b24metrics.sim.company import Company
    from b24metrics.sim.practice import Practice, PracticeDataError, practise

    def announce(portal: Any) -> None:
        typer.echo(portal.webhook)
        if https:
            typer.echo(portal.https_webhook)
            console.say(f"Its authority: {portal.ca_file}")
        sys.stdout.flush()
        console.say("The practice portal answers. Ctrl-C ends it.")

    with console.doors():
        if plan not in {"standard", "enterprise"}:
            raise ConfigError(f"There is no plan {plan!r} here: standard or enterprise.")
        try:
            practise(
                Practice(
                    data=data,
                    plans=plans,
                    speed=speed,
                    port=port,
                    enterprise=plan == "enterprise",
                    https=https,
                    leash=sys.stdin if leashed else None,
                ),
                lambda now: Company(now=now, seed=seed, managers=managers, departments=departments, months=months),
                announce=announce,
                tell=console.say,
            )
        except OSError as error:
            raise ConfigError(
                f"The practice portal cannot listen on port {port} ({error.strerror}). Choose another --port."
            ) from None
        except (PracticeDataError, ValueError) as error:
            raise ConfigError(str(error)) from None


@app.command(name="config")
def check_config(config: ConfigFile = None) -> None:
    """Check the settings and tell every mistake at once; show the cards of the company's own KPIs."""
    from b24metrics import console

    with console.doors():
        settings = settings_of(config)
        settings.kpi_options()
        language, known = settings.reporting.language, settings.kpis()
        own = [known[custom.id] for custom in settings.custom]
        for kpi in own:
            console.table(
                f"{kpi.title.said(language)} ({kpi.id})",
                ("", ""),
                [
                    ("what it is", kpi.definition.said(language)),
                    ("formula", kpi.formula),
                    ("unit, good is", f"{kpi.unit}, {kpi.better.name.lower()}"),
                    ("cut by", " ".join(map(str, kpi.grains))),
                    ("windows", " ".join(kpi.windows)),
                    ("metrics", " ".join(family.name for family in kpi.families)),
                ],
            )
        console.say(
            "The settings are good." if config else "There is no settings file: defaults and environment are good."
        )


def main() -> None:
    """Entry point."""
    from b24metrics.console import enter

    enter(app)


if __name__ == "__main__":
    main()
