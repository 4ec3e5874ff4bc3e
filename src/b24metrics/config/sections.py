"""The sections of the settings, in the order of the file: each a record that checks itself.

Laws: as those of the package; a section hands a room the room's own option class and knows nothing of files but those that
it names.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from b24metrics.errors import ConfigError
from b24metrics.kpi.custom import Custom
from b24metrics.kpi.model import Title
from b24metrics.kpi.options import (
    MOST_GROWTH_PERIODS,
    PARTICLES,
    PIECES,
    RANKABLE,
    TEST_PATTERN,
    ActivityKind,
    Answer,
    AnswerField,
    BonusBasis,
    ClosedAtSource,
    Criterion,
    Flaw,
    LeadMode,
    PurchaseBasis,
    QuoteSource,
    SegmentBy,
)
from b24metrics.mirror.options import PHONE_PATTERN, MirrorOptions, SweepOptions
from b24metrics.mirror.place import is_address, shown
from b24metrics.portal.address import Secret, Webhook
from b24metrics.portal.keyfile import Application, read_application
from b24metrics.portal.oauth import OAuth


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{name!r} is not an IANA time zone such as Europe/Moscow") from None
    return name


def _listen_address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"{text!r} is not HOST:PORT such as 127.0.0.1:9724 or [::1]:9724")
    return text if host else f"0.0.0.0:{port}"


def _place(value: object) -> object:
    """A file, or an address that nobody must see."""
    if not isinstance(value, str):
        return value
    return SecretStr(value) if is_address(value) else Path(value)


Place = Annotated[Path | SecretStr, BeforeValidator(_place)]
Zone = Annotated[str, AfterValidator(_known_zone)]
Listen = Annotated[str, AfterValidator(_listen_address)]


#: Characters that a token of the portal has at least; it makes them of 32.
SHORTEST_TOKEN = 16


def _read_secret(path: Path, key: str, what: str) -> str:
    """What a file holds that holds nothing else.

    Raises:
        ConfigError: it cannot be read or is empty.
    """
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(
            f"{key}: cannot read {path} ({error.strerror}). Check the path and its permissions."
        ) from None
    if not text:
        raise ConfigError(f"{key}: {path} is empty. Put {what} into it.")
    return text


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, validate_default=True)


class PortalSettings(_Section):
    """``[portal]``: whom to ask. The webhook is a secret: keep it in the environment or in a file of its own."""

    webhook: SecretStr | None = Field(
        default=None, description="address of an inbound webhook; a secret: better in `B24_WEBHOOK` or in a file"
    )
    webhook_file: Path | None = Field(default=None, description="a file that holds nothing but that address")
    application_file: Path | None = Field(
        default=None,
        description="instead of a webhook: a JSON file with the secrets of a local application (`client_id`, `client_secret`, "
        "`refresh_token`, `client_endpoint`); new tokens are written into it; several programs may share it",
    )
    plan: Literal["standard", "enterprise", "self-hosted"] = Field(
        default="standard",
        description="what the portal allows: 2 requests a second after a burst of 50; 5 after 250; no limit of requests",
    )
    ca_file: Path | None = Field(
        default=None, description="PEM bundle or directory of certificates to trust instead of the usual authorities"
    )

    def address(self) -> str | None:
        """The webhook's address, from wherever it was put; None when there is none.

        Raises:
            ConfigError: the file cannot be read or is empty.
        """
        if self.webhook is not None:
            return self.webhook.get_secret_value()
        if self.webhook_file is None:
            return None
        return _read_secret(self.webhook_file, "portal.webhook_file", "the webhook's address")

    def application(self) -> Application | None:
        """The application to act as; None where a webhook is used.

        Raises:
            ConfigError: the file cannot be read or lacks something, or there is a webhook as well.
        """
        if self.application_file is None:
            return None
        if self.webhook is not None or self.webhook_file is not None:
            raise ConfigError("portal.application_file and a webhook are both set. Keep one of them.")
        return read_application(self.application_file)

    def credential(self) -> Webhook | OAuth:
        """As whom the portal is asked.

        Raises:
            ConfigError: nobody is named, or what names them cannot be read.
        """
        application = self.application()
        if application is not None:
            return application.credential
        address = self.address()
        if address is None:
            raise ConfigError(
                "No portal is named. Put the address of an inbound webhook into the environment variable B24_WEBHOOK "
                "(in the portal: Developer resources, Other, Inbound webhook)."
            )
        return Webhook.parse(address)


class MirrorSettings(_Section):
    """``[mirror]``: where the copy lives and what of it is kept."""

    path: Place = Field(
        default=Path("b24metrics.duckdb"),
        description="the database file, or `postgresql://user:password@host/database`; such an address is a secret: "
        "better in `B24_MIRROR__PATH` or in a file",
    )
    path_file: Path | None = Field(
        default=None, description="a file that holds nothing but that address; counts where no `path` is given"
    )
    user_fields: Mapping[Literal["deal", "lead", "contact", "company", "invoice"], tuple[str, ...]] = Field(
        default={}, description='user fields to copy, by their names in the portal: `{ deal = ["UF_CRM_1700000000"] }`'
    )
    skip: frozenset[str] = Field(
        default=frozenset(),
        description='what is not copied, by the names that `b24metrics status` shows: `["tasks", "product_rows"]`; '
        "KPIs that need it have no values",
    )
    personal: bool = Field(
        default=True,
        description="whether names of contacts are copied, and keys by which equal phones and e-mails are found",
    )
    phone_pattern: str = Field(
        default=PHONE_PATTERN,
        description="what a phone looks like that was typed into the comment of a contact; comments are searched and "
        "not kept. Empty: they are not read",
    )
    memory_limit: str | None = Field(
        default=None,
        pattern=r"^\d+(\.\d+)? ?[KMGT]i?B$",
        description="what a mirror in a file may use of the machine's memory, such as `512MB`; the rest of a large computation "
        "goes to the disk. Default: 80 % of the machine for the exporter, 192MB for `b24metrics sync`",
    )
    schedules: tuple[int, ...] = Field(
        default=(), description="ids of work schedules to copy; they show in the address of their pages in the portal"
    )

    compare_newest_minutes: int = Field(
        default=60,
        ge=0,
        description="how often the newest records are counted against the portal's, to find deletions; 0: never",
    )
    compare_all_hours: int = Field(
        default=24, ge=1, description="how often all of them are, at night where that is possible"
    )
    believed_share: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="when a larger share of an entity is gone at once, it is not taken for deleted before a second look "
        "by an administrator's webhook",
    )

    def sweeps(self) -> SweepOptions:
        """When the search for deletions takes place."""
        return SweepOptions(
            newest_every=timedelta(minutes=self.compare_newest_minutes),
            newest_rows=2000 if self.compare_newest_minutes else 0,
            whole_every=timedelta(hours=self.compare_all_hours),
            believed_share=self.believed_share,
        )

    def options(self) -> MirrorOptions:
        """What the mirror wants to know.

        Raises:
            ConfigError: the pattern is none.
        """
        return MirrorOptions(
            user_fields={str(kind): names for kind, names in self.user_fields.items()},
            skip=self.skip,
            personal=self.personal,
            phone_pattern=self.phone_pattern,
            schedules=self.schedules,
        )

    def where(self) -> str | Path:
        """What ``open_store`` opens: a file or an address. The address is a secret.

        Raises:
            ConfigError: the file that holds it cannot be read, or holds something else.
        """
        if isinstance(self.path, SecretStr):
            return self.path.get_secret_value()
        if "path" in self.model_fields_set or self.path_file is None:
            return self.path
        try:
            text = self.path_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(
                f"mirror.path_file: cannot read {self.path_file} ({error.strerror}). Check the path and its permissions."
            ) from None
        if not is_address(text):
            raise ConfigError(
                f"mirror.path_file: {self.path_file} holds no address such as postgresql://user:password@host/database."
            )
        return text

    @property
    def shown(self) -> str:
        """The same for people: without user and password."""
        return shown(self.where())


class ReportingSettings(_Section):
    """``[reporting]``: zone, currency, language and the weeks of the numbers."""

    zone: Zone | None = Field(
        default=None, description="zone in which days and months begin; default: the portal's, else that of most people"
    )
    currency: str | None = Field(
        default=None,
        pattern=r"^[A-Z]{3}$",
        description="currency of amounts; default: the portal's base currency. The portal must have a rate for it",
    )
    language: Literal["ru", "en"] = Field(
        default="ru", description="of tables in the terminal, and of the page for browsers that ask for neither"
    )
    first_weekday: int = Field(default=1, ge=1, le=7, description="first day of the week: 1 Monday … 7 Sunday")
    fiscal_month: int = Field(default=1, ge=1, le=12, description="month with which the fiscal year begins")
    align: Literal["wall", "working"] = Field(
        default="wall",
        description="where an earlier week, month or quarter is cut to compare it with the current one: "
        "at the same wall time, or after the same share of working time",
    )


class ScopeSettings(_Section):
    """``[scope]``: whose records count, and which are not real."""

    departments: frozenset[int] = Field(
        default=frozenset(), description="ids of the sales departments, sub-departments included; empty: all"
    )
    primary_departments: Mapping[int, int] = Field(
        default={}, description="user id = id of the department that counts, where it is not the user's first one"
    )
    pipelines: frozenset[int] | None = Field(default=None, description="ids of the pipelines that count; default: all")
    exclude_pipelines: frozenset[int] = Field(
        default=frozenset(), description="ids of pipelines whose deals do not count"
    )
    exclude_sources: frozenset[str] = Field(
        default=frozenset(), description="ids of sources whose deals and leads do not count"
    )
    exclude_users: frozenset[int] = Field(
        default=frozenset(), description="ids of users whose deals and leads do not count"
    )
    test_pattern: str = Field(
        default=TEST_PATTERN,
        description="deals and leads whose title matches are tests and do not count (RE2; empty: no such filter)",
    )
    go_live: date | None = Field(
        default=None, description="records created before this date were imported: they are neither new nor reacted to"
    )
    migration_origins: frozenset[str] = Field(
        default=frozenset(), description="`ORIGINATOR_ID` or `ORIGIN_ID` values of imported records"
    )


class KpiSettings(_Section):
    """``[kpi]``: thresholds and choices that are part of definitions."""

    sla_seconds: int = Field(
        default=1800,
        gt=0,
        description="working time within which a request is to be answered; published as a threshold",
    )
    grace_seconds: int = Field(
        default=3600, ge=0, description="working time during which a new deal may lack a planned activity"
    )
    effective_call_seconds: int = Field(
        default=30, ge=0, description="talk from which a connected call is effective; published as a threshold"
    )
    call_success_days: int = Field(
        default=30, ge=1, description="days of 24 hours after a call within which a won deal makes it successful"
    )
    unrecorded_lines: frozenset[str] = Field(
        default=frozenset(),
        description="numbers of the portal (`PORTAL_NUMBER`) whose calls the law forbids to record: left out of coverage",
    )
    proposal_stages: frozenset[str] = Field(
        default=frozenset(), description='deal stages in which a client has a proposal: `["PREPARATION", "C3:OFFER"]`'
    )
    qualified_stages: frozenset[str] = Field(
        default=frozenset(),
        description="deal stages from which on a client is qualified, as is every lead that was converted",
    )
    agreement_stages: frozenset[str] = Field(
        default=frozenset(),
        description="deal stages from which on there is a deal on the way from lead to sale; default: every deal is one",
    )
    junk_statuses: frozenset[str] = Field(
        default=frozenset({"JUNK"}), description="statuses of leads that turned out to be none"
    )
    freeze_grace_days: int = Field(
        default=3, ge=0, le=27, description="days after the end of a month before its closing is written down for good"
    )
    stale_days: int = Field(
        default=5, ge=1, description="working days of the company without contact after which a deal is forgotten"
    )
    stage_limits: Mapping[str, Annotated[int, Field(gt=0)]] = Field(
        default={},
        description="working seconds after which a deal may be stuck at a stage: `{ NEW = 14400 }`; it is where most others "
        "were faster, too",
    )
    loss_reason_field: str | None = Field(
        default=None,
        pattern=r"^UF_[A-Z0-9_]+$",
        description="user field that says why a deal was lost; it has to be copied (`mirror.user_fields`). A list of "
        "choices shows the numbers of its choices. Default: the name of the final stage",
    )
    answer_field: AnswerField | None = Field(
        default=None, description="result field of a call's activity in which people note what the client answered"
    )
    answer_values: Mapping[str, Answer] = Field(
        default={}, description='what its values mean: `{ 2 = "positive", 1 = "negative" }`'
    )
    answer_tags: Mapping[str, Answer] = Field(
        default={}, description='what tags in the comment of a call mean: `{ "#yes" = "positive", "#no" = "negative" }`'
    )
    chat_bots: frozenset[int] = Field(
        default=frozenset(), description="ids of users who are bots: a chat that nobody else answered is not counted"
    )
    quote_source: QuoteSource = Field(
        default=QuoteSource.QUOTES,
        description="what tells that a client got a proposal: quotes of the portal, or a deal's first entry into one of "
        "`proposal_stages`",
    )
    quote_sent_stages: frozenset[str] = Field(
        default=frozenset({"SENT"}), description="statuses of quotes that mean that it was sent; later ones do so too"
    )
    invoice_draft_stages: frozenset[str] | None = Field(
        default=None,
        description="stages of invoices that are not issued yet; default: the first open stage, where there are at least two",
    )
    web_sources: frozenset[str] = Field(
        default=frozenset({"WEB", "WEBFORM"}), description="ids of the sources of leads that come from the website"
    )
    required_fields: Mapping[Literal["deal", "lead", "contact"], tuple[str, ...]] = Field(
        default={},
        description="fields that are to be filled, by their names in the portal; user fields have to be copied "
        '(`mirror.user_fields`): `{ deal = ["OPPORTUNITY", "CLOSEDATE"], contact = ["PHONE"] }`',
    )
    name_particles: frozenset[str] = Field(
        default=PARTICLES, description="words with which a family name may begin in lower case"
    )
    idle_seconds: int = Field(
        default=14_400, gt=0, description="scheduled time today after which a manager without any trace of work is idle"
    )
    flaw_weights: Mapping[Flaw, Annotated[float, Field(ge=0)]] = Field(
        default={}, description="what weighs how much in the index of cleanliness; 1 unless said: `{ phone = 2 }`"
    )
    growth_periods: int = Field(
        default=3,
        ge=1,
        le=MOST_GROWTH_PERIODS,
        description="over how many earlier periods sales are averaged for growth",
    )
    seasonal_curve: tuple[tuple[float, float], ...] = Field(
        default=(),
        description="where sales are not even: pairs of (share of the period's working time, share of its sales usual by "
        "then): `[[0.5, 0.3], [0.9, 0.7]]`",
    )
    margin: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="share of revenue that is left after the cost of goods: payback, client value",
    )
    headline_unit: int = Field(
        default=PIECES, description="code of the unit of measure whose quantities `units_sold` counts; 796 is pieces"
    )
    stage_probabilities: Mapping[str, Annotated[float, Field(ge=0, le=1)]] = Field(
        default={},
        description="chance of winning at a stage, where neither its past nor the deal says one: `{ NEW = 0.1, FINAL = 0.8 }`",
    )
    segment_by: SegmentBy = Field(
        default=SegmentBy.INDUSTRY,
        description="what segments sales: the client's industry, the client's type, or the deal's type",
    )
    rank_by: tuple[str, ...] = Field(
        default=("revenue_won",), description=f"KPIs by which managers are ranked: {', '.join(RANKABLE)}"
    )
    closed_at_source: ClosedAtSource = Field(
        default=ClosedAtSource.HISTORY,
        description="when a deal was won or lost: by its stage history, or by the closing date that people may edit",
    )
    lead_mode: LeadMode = Field(
        default=LeadMode.AUTO,
        description="where new requests appear: as the portal says, always leads, or always deals without a lead",
    )
    count_by_hand: bool = Field(
        default=False, description="whether requests that the person responsible typed in take part in reaction times"
    )
    edits_react: bool = Field(default=True, description="whether a stage move or a field edit counts as a reaction")
    activity_kinds: Mapping[str, ActivityKind] = Field(
        default={}, description='what activities of a provider count as: `{ MY_PROVIDER = "meeting" }`'
    )


class ScorecardSettings(_Section):
    """``[scorecard]``: what is expected of a manager; a criterion without a norm does not count."""

    norms: Mapping[Criterion, Annotated[float, Field(gt=0)]] = Field(
        default={},
        description="what earns four points of five a period: outgoing calls a worked day, seconds of a median talk, "
        "successful calls, call conversion (0 … 1), average check, repeat purchases, positive reviews: "
        "`{ calls = 40, talk_time = 120, average_check = 90000 }`",
    )
    department_norms: Mapping[int, Mapping[Criterion, Annotated[float, Field(gt=0)]]] = Field(
        default={}, description="department id = its own norms: `{ 12 = { calls = 60 } }`"
    )
    weights: Mapping[Criterion, Annotated[float, Field(ge=0)]] = Field(
        default={}, description="weight of a criterion; 1 unless said, 0 switches it off"
    )


class BonusTierSettings(_Section):
    """One tier of a percentage: up to an amount, up to a share of the plan, or without an end."""

    rate: float = Field(ge=0, le=1, description="share of the part of sales inside the tier")
    up_to: float | None = Field(default=None, gt=0, description="where the tier ends, an amount")
    up_to_plan: float | None = Field(default=None, gt=0, description="where the tier ends, as a share of the plan")


class BonusSettings(_Section):
    """``[bonus]``: schemes of the closed month; each is off until it has a tier or an amount."""

    tiers: tuple[BonusTierSettings, ...] = Field(
        default=(),
        description="percent of sales, tier by tier: `[{ rate = 0.02, up_to_plan = 1.0 }, { rate = 0.03 }]`",
    )
    basis: BonusBasis = Field(default=BonusBasis.WON, description="percent of deals won, or of invoices paid")
    premium: float = Field(default=0.0, ge=0, description="for reaching the plan")
    premium_from: float = Field(default=1.0, ge=0, description="share of the plan from which the premium is paid")
    new_customer: float = Field(default=0.0, ge=0, description="for every first purchase of a client")
    prize: float = Field(default=0.0, ge=0, description="for the best result; those who tie share it")
    prize_by: str = Field(default="revenue_won", description="KPI of the best result: one of those of `kpi.rank_by`")
    prize_above: float = Field(default=0.0, description="value above which there is a prize at all")


class CustomerSettings(_Section):
    """``[customers]``: who is a client, and what one is worth."""

    active_days: int = Field(
        default=365, ge=1, description="a client is active for as many calendar days after a purchase"
    )
    basis: PurchaseBasis = Field(
        default=PurchaseBasis.DEALS,
        description="what a purchase is: a won deal, or a paid invoice; its amount is above 0",
    )
    lifetime_years: float | None = Field(
        default=None, gt=0, description="how long a client stays, for the simple value; default: by churn"
    )
    lifetime_cap_years: float = Field(default=10.0, gt=0, description="the longest that churn may say")
    discount: float | None = Field(
        default=None,
        ge=0,
        description="yearly discount: `0.12`; without it there is no discounted value, and predicted ones take that",
    )
    retention: float | None = Field(
        default=None, ge=0, le=1, description="share of clients that stay a year, for the discounted value"
    )
    horizon_years: float | None = Field(
        default=None, ge=1, description="years of the discounted value, a whole number or `inf`"
    )
    predicted_months: int = Field(default=12, ge=1, description="how many months ahead purchases are predicted")


class SaidSettings(_Section):
    """A text in both languages."""

    ru: str = ""
    en: str = ""

    def both(self) -> Title:
        """What is said in one language only stands for both."""
        return Title(self.ru or self.en, self.en or self.ru)


class CustomSettings(_Section):
    """``[[custom]]``: one KPI of your own; write the section once for each."""

    id: str = Field(description="its name, in lower-case words: `large_deals_won`; also that of its metrics")
    title: SaidSettings | str = Field(description='what it is called: `{ ru = "Крупные сделки", en = "Large deals" }`')
    fact: str = Field(description="what is counted: one of the facts below")
    measure: str = Field(
        description="`count`, `distinct` (different values), `sum`, `mean`, `median`, `quantile`, or `share` of the rows"
    )
    column: str = Field(default="", description="what is summed, averaged or told apart: a column or an expression")
    q: float | None = Field(default=None, description="which quantile, from 0 to 1")
    where: str = Field(default="", description="a condition on the columns: which rows count; default: all of them")
    among: str = Field(default="", description="of a share: among which rows; default: all of them")
    by: tuple[str, ...] = Field(
        default=("T", "D", "M"), description="cuts: T company, D department, M manager, P, S, R, C, L, MxP"
    )
    windows: tuple[str, ...] = Field(default=(), description="windows; default: those of most KPIs")
    unit: str = Field(default="", description="what it counts, as the cards of KPIs say: `deals`, `money`, `seconds`")
    better: Literal["higher", "lower", "neither", "band"] = Field(default="neither", description="which way is good")
    definition: SaidSettings | str = Field(default="", description="a sentence that explains it, as `title`")

    def written(self) -> Custom:
        """What the KPI room reads."""

        def both(text: SaidSettings | str) -> Title:
            return Title(text, text) if isinstance(text, str) else text.both()

        told = self.model_dump(exclude={"title", "definition"})
        return Custom(title=both(self.title), definition=both(self.definition), **told)


class ExporterSettings(_Section):
    """``[exporter]``: the daemon."""

    listen: Listen = Field(
        default="127.0.0.1:9724", description="where to answer; `:9724` is every network: set TLS and users first"
    )
    interval_seconds: float = Field(
        default=60.0, ge=5, le=86_400, description="from the beginning of one round to that of the next"
    )
    pages: bool = Field(default=True, description="the page and `/api/v1/`, which show figures and names of people")
    max_series: int = Field(
        default=500_000, ge=1000, description="above it whole metric families are left out, the largest first"
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(), description="further names to answer to on loopback, such as a reverse proxy's"
    )
    push_token: SecretStr | None = Field(
        default=None,
        description="token of the portal's outgoing webhook, several separated by spaces; a secret: better in "
        "`B24_EXPORTER__PUSH_TOKEN` or in a file. With it `/push` takes notices, which begin the next round early",
    )
    push_token_file: Path | None = Field(default=None, description="a file that holds nothing but those tokens")
    push_rest_seconds: float = Field(
        default=2.0, ge=1, le=3600, description="least seconds between two rounds that notices begin"
    )
    queue_seconds: float = Field(
        default=20.0,
        ge=0,
        description="how often the queue of events is looked at that the portal keeps for an application, a request each time; "
        "what is in it begins the next round early. 0: never. Only with `portal.application_file`",
    )
    web_config_file: Path | None = Field(
        default=None, description="TLS, client certificates and users, in the format of Prometheus's exporters"
    )

    def push_tokens(self) -> tuple[Secret, ...]:
        """The tokens that notices may carry; none: there is no endpoint for them.

        Raises:
            ConfigError: the file cannot be read or is empty, or a token is too short to be one.
        """
        if self.push_token is not None:
            told = self.push_token.get_secret_value()
        elif self.push_token_file is not None:
            told = _read_secret(self.push_token_file, "exporter.push_token_file", "the outgoing webhook's token")
        else:
            return ()
        tokens = tuple(map(Secret, told.split()))
        if not tokens or any(len(token.reveal()) < SHORTEST_TOKEN for token in tokens):
            raise ConfigError(
                f"exporter.push_token: a token has at least {SHORTEST_TOKEN} characters. Copy it from the portal "
                "(Developer resources, Other, Outgoing webhook)."
            )
        return tokens
