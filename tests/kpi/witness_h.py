"""A second reading of the catalogue's chapter on feedback: reviews, and what clients answered to offers.

Like ``witness_b``, whose company, clock and cuts it stands on: loops over rows, nothing shared with the evaluator.
"""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction

from b24metrics.kpi.options import ActivityKind, Answer, AnswerField
from b24metrics.mirror import schema
from tests.kpi.witness_b import Communication
from tests.kpi.witness_b_calls import Call, talked
from tests.kpi.witness_b_firm import ALL, DEAL, Answers, Measure, Row, Said, Thing, share

GRAINS = "M D T"


class Feedback(Communication):
    """§12."""

    def answers(self) -> Answers:
        found: Answers = {}
        self.reviews(found)
        self.replies(found)
        return found

    # ------------------------------------------------------------ reviews

    def reviews(self, found: Answers) -> None:
        """Facts of each thing: ``mark`` is +1, 0 or -1, None where nobody rated; ``session`` counts for coverage."""
        phone = []
        for call in self.calls():
            for leg in call.legs:
                vote = leg.get("vote") or 0
                mark = None if vote <= 0 else 1 if vote >= 4 else -1 if vote <= 2 else 0
                # Talked in the scope, or rated there while somebody talked.
                facts = {"mark": mark, "session": talked(leg) > 0 or (mark is not None and call.connected)}
                phone.append(Thing(call.start, leg["user_id"], key=("call", call.key), facts=facts))
        chats = []
        for row in self.of_kind(ActivityKind.CHAT):  # what clients think of bots counts, too
            mark = self._mark(row)
            finished = self.done_at(row) is not None or mark is not None
            chats.append(
                Thing(row["ends_at"], row["responsible_id"], key=row["id"], facts={"mark": mark, "session": finished})
            )
        forms = [
            Thing(
                row["ends_at"], row["responsible_id"], key=row["id"], facts={"mark": self._mark(row), "session": True}
            )
            for row in self.of_kind(ActivityKind.REVIEW)
        ]
        things = [*phone, *chats, *forms]
        self.tell(found, "reviews_positive_count", GRAINS, ALL, things, self._marked(1))
        self.tell(found, "reviews_negative_count", GRAINS, ALL, things, self._marked(-1))
        self.tell(found, "review_positive_share", GRAINS, ALL, things, self._positive)
        # A form is not a session that could have been rated or not.
        self.tell(found, "review_coverage_ratio", GRAINS, ALL, [*phone, *chats], self._coverage_of)

    @staticmethod
    def _mark(row: Row) -> int | None:
        """Of an activity: 2 good, 1 bad, 0 none; whatever else there is counts as neutral."""
        mark = row.get("result_mark") or 0
        return None if mark == 0 else {2: 1, 1: -1}.get(mark, 0)

    @staticmethod
    def _marked(wanted: int) -> Measure:
        def measured(cell: list[Thing]) -> Said:
            n = len({thing.key for thing in cell if thing.facts["mark"] == wanted})
            return Said(Fraction(n), n)

        return measured

    @staticmethod
    def _positive(cell: list[Thing]) -> Said:
        rated = {thing.key for thing in cell if thing.facts["mark"] is not None}
        return share(len({thing.key for thing in cell if thing.facts["mark"] == 1}), len(rated))

    @staticmethod
    def _coverage_of(cell: list[Thing]) -> Said:
        sessions = {thing.key for thing in cell if thing.facts["session"]}
        rated = {thing.key for thing in cell if thing.facts["mark"] is not None}
        return share(len(rated & sessions), len(sessions))

    # ------------------------------------------------------------ answers to offers

    def replies(self, found: Answers) -> None:
        self._order = {
            (row["pipeline_id"], row["status_id"]): (row["semantics"] == "S", row["sort"])
            for row in self.rows(schema.STATUSES)
            if row.get("entity_type_id") == DEAL and row["semantics"] != "F"
        }
        self._activities_by_id = {row["id"]: row for row in self.rows(schema.ACTIVITIES)}
        things = []
        for call in self.calls():
            method, answer = self._answer(call)
            if method:
                things += [
                    Thing(
                        call.start, leg["user_id"], key=call.key, facts={"method": method, "answer": answer, "leg": leg}
                    )
                    for leg in call.legs
                ]
        for method in ("field", "tag", "derived"):
            mine = [
                thing
                for thing in things
                if thing.facts["method"] == method and (method != "derived" or talked(thing.facts["leg"]))
            ]

            def number(wanted: Answer) -> Measure:
                def measured(cell: list[Thing]) -> Said:
                    n = len({thing.key for thing in cell if thing.facts["answer"] is wanted})
                    return Said(Fraction(n), n)

                return measured

            def positive(cell: list[Thing]) -> Said:
                good = {thing.key for thing in cell if thing.facts["answer"] is Answer.POSITIVE}
                return share(len(good), len({thing.key for thing in cell}))

            self.tell(found, "call_answers_positive_count", GRAINS, ALL, mine, number(Answer.POSITIVE), method=method)
            self.tell(found, "call_answers_negative_count", GRAINS, ALL, mine, number(Answer.NEGATIVE), method=method)
            self.tell(found, "call_answer_positive_share", GRAINS, ALL, mine, positive, method=method)

    def _answer(self, call: Call) -> tuple[str, Answer | None]:
        """By the field, else by the tags, else by what became of the client's deals; noted both ways it is no."""
        options = self.options
        noted: list[Answer] = []
        if options.answer_field is not None:
            for leg in call.legs:
                activity = self._activities_by_id.get(leg.get("crm_activity_id"))
                value = activity and activity.get(
                    {AnswerField.MARK: "result_mark", AnswerField.STATUS: "result_status"}.get(
                        options.answer_field, "result_stream"
                    )
                )
                if value is not None and str(value) in options.answer_values:
                    noted.append(options.answer_values[str(value)])
        if noted:
            return "field", min(noted, key=lambda answer: answer is not Answer.NEGATIVE)
        for leg in call.legs:
            noted += [options.answer_tags[tag] for tag in (leg.get("tags") or "").split() if tag in options.answer_tags]
        if noted:
            return "tag", min(noted, key=lambda answer: answer is not Answer.NEGATIVE)
        derived = self._derived(call)
        return ("derived", derived) if derived else ("", None)

    def _derived(self, call: Call) -> Answer | None:
        if not (call.is_dial and call.connected):
            return None
        clients, events = self.entities(call), []
        for deal in self.deals():
            if not self.clients(deal) & clients or deal["created_at"] > call.start:
                continue
            history = [row for row in self.history(deal["id"]) if row["created_at"] <= self.now]
            past = [row for row in history if row["created_at"] <= call.start]
            if not past or past[-1]["semantics"] != "P":
                continue
            if len(past) < len(history):
                events.append(
                    (history[len(past)]["created_at"], history[len(past)]["id"], past[-1], history[len(past)])
                )
        events = [event for event in events if self._soon(call.start, event[0])]
        if not events:
            return None
        _, _, last, row = min(events, key=lambda event: event[:2])
        if row["semantics"] == "F":
            return Answer.NEGATIVE
        if row["semantics"] == "S" or self.forward(self._order, last, row):
            return Answer.POSITIVE
        return None

    def _soon(self, start: datetime, at: datetime) -> bool:
        """Within the next three working dates of the company."""
        return self.clock.dates(self.local_date(start), self.local_date(at)) <= 3
