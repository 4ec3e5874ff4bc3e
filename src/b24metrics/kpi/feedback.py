"""Chapter H of the catalogue: customer feedback."""

from __future__ import annotations

from functools import partial

from b24metrics.kpi.facts.feedback import ANSWER_DAYS, CALL_ANSWERS, SESSIONS
from b24metrics.kpi.model import ALL, Better, Chapter, Kpi, Number, Ratio, Title, Unit, grains

_reviews = partial(Number, SESSIONS, distinct="session_key")
_reviewed = partial(Kpi, grains=grains("M D T"), windows=ALL, chapter=Chapter.FEEDBACK)
_answered = partial(Kpi, grains=grains("M D T"), windows=ALL, labels=("method",), chapter=Chapter.FEEDBACK)


def _answers(*answers: str) -> Number:
    listed = ", ".join(f"'{answer}'" for answer in answers)
    return Number(CALL_ANSWERS, f"answer IN ({listed}) AND days <= {ANSWER_DAYS}", distinct="call_key")


REVIEWS_POSITIVE_COUNT = _reviewed(
    id="reviews_positive_count",
    title=Title(ru="Положительные отзывы", en="Positive reviews"),
    measure=_reviews("mark = 'positive'"),
    unit=Unit.REVIEWS,
    better=Better.HIGHER,
    source="catalogue H: reviews_positive_count",
    definition=Title(
        ru="Оценки клиентов 4 и 5 за разговоры, чаты и формы отзывов; оценка начальника — не отзыв клиента.",
        en="Ratings 4 and 5 by clients of talks, chats and review forms; a supervisor's vote is no client's review.",
    ),
    formula="|{rated sessions ∩ w: vote ∈ 4…5 or mark positive}|",
)
REVIEWS_NEGATIVE_COUNT = _reviewed(
    id="reviews_negative_count",
    title=Title(ru="Отрицательные отзывы", en="Negative reviews"),
    measure=_reviews("mark = 'negative'"),
    unit=Unit.REVIEWS,
    better=Better.LOWER,
    source="catalogue H: reviews_negative_count",
    definition=Title(
        ru="Оценки клиентов 1 и 2 за разговоры, чаты и формы отзывов; 3 — нейтральная.",
        en="Ratings 1 and 2 by clients of talks, chats and review forms; 3 is neutral.",
    ),
    formula="|{rated sessions ∩ w: vote ∈ 1…2 or mark negative}|",
)
REVIEW_POSITIVE_SHARE = _reviewed(
    id="review_positive_share",
    title=Title(ru="Доля положительных отзывов", en="Positive share of reviews"),
    measure=Ratio(_reviews("mark = 'positive'"), _reviews("mark IS NOT NULL")),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    source="catalogue H: review_positive_share",
    definition=Title(
        ru="Какая часть оценок положительна; нейтральные остаются в знаменателе.",
        en="The share of ratings that are positive; neutral ones stay in the denominator.",
    ),
    formula="positive / rated",
)
REVIEW_COVERAGE_RATIO = _reviewed(
    id="review_coverage_ratio",
    title=Title(ru="Охват отзывами", en="Review coverage"),
    measure=Ratio(_reviews("mark IS NOT NULL AND finished"), _reviews("finished")),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    source="catalogue H: review_coverage_ratio",
    definition=Title(
        ru="Какую часть завершённых разговоров и чатов клиенты оценили: без охвата доля положительных мало что значит.",
        en="The share of finished talks and chats that clients rated: without it the positive share means little.",
    ),
    formula="rated / (connected calls + finished chats)",
)
CALL_ANSWERS_POSITIVE_COUNT = _answered(
    id="call_answers_positive_count",
    title=Title(ru="Положительные ответы на предложения", en="Positive answers to offers"),
    measure=_answers("positive"),
    unit=Unit.CALLS,
    better=Better.HIGHER,
    source="catalogue H: call_answers_positive_count",
    definition=Title(
        ru="Звонки, на которые клиент ответил согласием: по отметке сотрудника, а без неё — если за 3 рабочих дня после дозвона "
        "открытая сделка клиента продвинулась.",
        en="Calls that the client answered with yes: as people noted it, else where an open deal of the client moved forward "
        "within 3 working days after an answered dial.",
    ),
    formula="|{c: noted positive, or first stage row of an open deal of its client within 3 working dates is forward or won}|",
)
CALL_ANSWERS_NEGATIVE_COUNT = _answered(
    id="call_answers_negative_count",
    title=Title(ru="Отрицательные ответы на предложения", en="Negative answers to offers"),
    measure=_answers("negative"),
    unit=Unit.CALLS,
    better=Better.LOWER,
    source="catalogue H: call_answers_negative_count",
    definition=Title(
        ru="Звонки, на которые клиент ответил отказом: по отметке сотрудника, а без неё — если за 3 рабочих дня после дозвона "
        "открытая сделка клиента проиграна.",
        en="Calls that the client answered with no: as people noted it, else where an open deal of the client was lost within "
        "3 working days after an answered dial.",
    ),
    formula="|{c: noted negative, or first stage row of an open deal of its client within 3 working dates is a loss}|",
)
CALL_ANSWER_POSITIVE_SHARE = _answered(
    id="call_answer_positive_share",
    title=Title(ru="Доля положительных ответов", en="Positive share of answers"),
    measure=Ratio(_answers("positive"), _answers("positive", "negative")),
    unit=Unit.RATIO,
    better=Better.HIGHER,
    source="catalogue H: call_answer_positive_share",
    definition=Title(
        ru="Какая часть ответов на предложения положительна; звонки без ответа не считаются.",
        en="The share of answers to offers that are positive; calls without an answer do not count.",
    ),
    formula="positive / (positive + negative)",
)

CHAPTER = (
    REVIEWS_POSITIVE_COUNT, REVIEWS_NEGATIVE_COUNT, REVIEW_POSITIVE_SHARE, REVIEW_COVERAGE_RATIO,
    CALL_ANSWERS_POSITIVE_COUNT, CALL_ANSWERS_NEGATIVE_COUNT, CALL_ANSWER_POSITIVE_SHARE,
)  # fmt: skip
