"""The door for people: say what you want in words, leave out what is obvious.

Laws: nothing is computed here; every default is stated. ``evaluate`` finds the only portal of a mirror and the present
instant by itself; ``evaluate_entities`` needs no mirror: typed records are poured into one in memory, column by column as
a sync would, so that the very same declarations and the very same SQL answer. (It asks ``mirror.feeds`` which table an
entity belongs to; nothing here knows a portal or a method.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from b24metrics.clock import SystemClock
from b24metrics.errors import ConfigError, NothingMirrored
from b24metrics.kpi.catalogue import KPIS
from b24metrics.kpi.dimensions import PeopleFilter
from b24metrics.kpi.evaluate import evaluate as compute
from b24metrics.kpi.model import Grain, Kpi, WindowId
from b24metrics.kpi.options import KpiOptions
from b24metrics.kpi.results import Snapshot

if TYPE_CHECKING:
    from b24metrics.mirror.feed import Feed
    from b24metrics.mirror.stores import Store

#: KPIs by declaration or id; windows and grains as objects or as written (``"mtd"``, ``"M×P"``).
Kpis: TypeAlias = Iterable[Kpi | str]
Windows: TypeAlias = Collection[WindowId | str]
Grains: TypeAlias = Collection[Grain | str]


@overload
def evaluate(
    store: Store,
    portal: str,
    kpis: Kpis | None = None,
    windows: Windows | None = None,
    grains: Grains | None = None,
    *,
    now: datetime | None = None,
    options: KpiOptions | None = None,
    people: PeopleFilter | None = None,
) -> Snapshot: ...
@overload
def evaluate(
    store: Store,
    kpis: Kpis | None = None,
    windows: Windows | None = None,
    grains: Grains | None = None,
    /,
    *,
    portal: str | None = None,
    now: datetime | None = None,
    options: KpiOptions | None = None,
    people: PeopleFilter | None = None,
) -> Snapshot: ...
@overload
def evaluate(
    store: Store,
    *,
    portal: str | None = None,
    kpis: Kpis | None = None,
    windows: Windows | None = None,
    grains: Grains | None = None,
    now: datetime | None = None,
    options: KpiOptions | None = None,
    people: PeopleFilter | None = None,
) -> Snapshot: ...
def evaluate(
    store: Store,
    *told: Any,
    portal: str | None = None,
    now: datetime | None = None,
    options: KpiOptions | None = None,
    people: PeopleFilter | None = None,
    **named: Any,
) -> Snapshot:
    """Compute KPIs from a mirror as of one instant.

    ::

        evaluate(store, ["revenue_won", "win_rate"], ["mtd"], ["M", "T"]).to_pandas()
        evaluate(store, "my-portal", now=last_friday)                     # everything, as of then

    Args:
        store: the mirror; it must not be inside a transaction.
        *told: portal (may be left out), KPIs, windows, grains, in this order.
        **named: the same by name.
        portal: name of the portal in the mirror; may be left out where there is only one.
        kpis: what to compute, declarations or ids; None: everything declared.
        windows: only these, of those that each KPI has; None: all.
        grains: only these, of those that each KPI has (and the exporter's O); None: all.
        now: evaluation instant, aware; None: the present.
        options: the company's decisions.
        people: restricts everything to records of the people it accepts.

    Raises:
        NothingMirrored: the mirror is empty, or does not know the portal.
        ConfigError: several portals and none named; the options cannot be meant for this portal.
        LookupError: an id that no KPI has. ValueError: a window or grain that does not exist.
    """
    if told and isinstance(told[0], str):
        portal, told = told[0], told[1:]
    asked = dict(zip(("kpis", "windows", "grains"), told, strict=False)) | named
    if len(told) > 3 or asked.keys() - {"kpis", "windows", "grains"}:
        raise TypeError("evaluate takes a store, a portal, KPIs, windows and grains")
    return compute(
        store,
        portal or _only_portal(store),
        _kpis(asked.get("kpis")),
        _windows(asked.get("windows")),
        _grains(asked.get("grains")),
        now=now or _present(),
        options=options,
        people=people,
    )


def evaluate_entities(
    entities: Iterable[object],
    kpis: Kpis | None = None,
    windows: Windows | None = None,
    grains: Grains | None = None,
    *,
    now: datetime | None = None,
    options: KpiOptions | None = None,
    base_currency: str = "RUB",
    zone: str | None = None,
) -> Snapshot:
    """The same KPIs on a handful of records in memory: no file, no portal.

    ::

        evaluate_entities(portal.each(sales.deals()), ["revenue_won"], ["mtd"])

    Args:
        entities: records of ``b24metrics.crm`` (Deal, StageMove, PhoneCall, User, …), in any order. What no record of is
            handed in is not known: a KPI that needs it has no sample and is named in ``Snapshot.absent``; managers are
            known by their User and Department records, amounts in a foreign currency by its Currency record.
        kpis: what to compute, declarations or ids; None: everything declared.
        windows: only these; None: all.
        grains: only these; None: all.
        now: evaluation instant, aware; None: the present.
        options: the company's decisions.
        base_currency: in which rates of ``Currency`` records are given.
        zone: reporting zone; None: that of the options, else of the people, else UTC.

    Raises:
        TypeError: something that is no record which a mirror keeps.
    """
    # Opened only when it is asked for: declarations must be readable where no database is installed.
    from b24metrics.mirror import schema  # noqa: PLC0415
    from b24metrics.mirror.feeds import standard  # noqa: PLC0415
    from b24metrics.mirror.stores import DuckStore  # noqa: PLC0415

    at = now or _present()
    name = "entities"
    known = standard()
    given: dict[Feed, list[Any]] = {}
    for entity in entities:
        given.setdefault(_feed_of(entity, known), []).append(entity)
    store = DuckStore(threads=1)
    try:
        store.upsert(schema.PORTALS, [{"portal": name, "zone": zone, "base_currency": base_currency}])
        for feed, records in given.items():
            store.upsert(feed.table, feed.page(name, records, at))
            for part, _, page in feed.part_pages(name, records):
                store.upsert(part.table, page)
            store.upsert(schema.FEED_STATE, [{"portal": name, "feed": feed.name, "backfilled_at": at}])
        return compute(store, name, _kpis(kpis), _windows(windows), _grains(grains), now=at, options=options)
    finally:
        store.close()


def _feed_of(entity: object, feeds: Sequence[Feed]) -> Feed:
    for feed in feeds:
        if isinstance(entity, feed.entity) and all(
            getattr(entity, column, value) == value for column, value in feed.within.items()
        ):
            return feed
    known = ", ".join(sorted({feed.entity.__name__ for feed in feeds}))
    raise TypeError(f"{type(entity).__name__} is no record that a mirror keeps; those are: {known}")


def _present() -> datetime:
    return datetime.fromtimestamp(SystemClock().now(), UTC)


def _only_portal(store: Store) -> str:
    portals = [str(name) for (name,) in store.rows("SELECT portal FROM portals ORDER BY portal")]
    if not portals:
        raise NothingMirrored("the mirror is empty: run b24metrics sync first")
    if len(portals) > 1:
        raise ConfigError(f"the mirror holds {len(portals)} portals: say which one (portal=…): {', '.join(portals)}")
    return portals[0]


def _kpis(told: Kpis | None) -> tuple[Kpi, ...] | None:
    if told is None:
        return None
    found = []
    for one in told:
        if isinstance(one, Kpi):
            found.append(one)
        elif one in KPIS:
            found.append(KPIS[one])
        else:
            raise LookupError(f"there is no KPI {one!r}; a list is wanted: b24metrics kpi --list shows all of them")
    return tuple(found)


def _windows(told: Windows | None) -> tuple[WindowId, ...] | None:
    if told is None:
        return None
    if unknown := [one for one in told if one not in set(WindowId)]:
        raise ValueError(f"there is no window {unknown[0]!r}; a list is wanted of {', '.join(WindowId)}")
    return tuple(WindowId(one) for one in told)


def _grains(told: Grains | None) -> tuple[Grain, ...] | None:
    return None if told is None else tuple(one if isinstance(one, Grain) else _grain(one) for one in told)


def _grain(written: str) -> Grain:
    try:
        return Grain.parse(written.replace("x", "×"))
    except ValueError:
        raise ValueError(f"there is no grain {written!r}; a list is wanted of T, M, D, P, S, R, C, M×P") from None
