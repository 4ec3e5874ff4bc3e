"""What happens in a portal when a record is made, changed, moved, merged or deleted.

Laws: values are storage values (see `tables`), times are handed in. Every change moves DATE_MODIFY; a stage move writes
MOVED_*, CLOSED, the semantics and a row of stage history (1 creation, 2 intermediate, 3 final, 5 pipeline change); a
deletion takes history, product rows, bindings and orphaned activities along. A pipeline change fires its own event and
no update. Source: vendor, "crm.stagehistory.list", "Deal events", "crm.item.*".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from b24metrics.sim import tables
from b24metrics.sim.data import Data
from b24metrics.sim.events import Events
from b24metrics.sim.tables import EntityType

CREATION, INTERMEDIATE, FINAL, PIPELINE = 1, 2, 3, 5

_TOLD_OF_CALLS = (
    "CALL_ID", "CALL_TYPE", "PHONE_NUMBER", "PORTAL_USER_ID", "CALL_DURATION", "CALL_FAILED_CODE", "CRM_ACTIVITY_ID",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hand:
    """Who does it, and when."""

    now: float
    user_id: int = 1
    connector: str = ""  # auth_connector of the writing application


class Records:
    """All writes to CRM objects, activities and telephone calls of one portal."""

    def __init__(self, data: Data, events: Events) -> None:
        self.data = data
        self.events = events

    # ------------------------------------------------------------ lookups

    def entity(self, entity_type_id: int) -> EntityType | None:
        """The kind of object with this type id, smart processes included."""
        if entity_type_id in tables.ENTITY_TYPES:
            return tables.ENTITY_TYPES[entity_type_id]
        title = self.data.value("SELECT TITLE FROM smart_type WHERE ENTITY_TYPE_ID = ?", [entity_type_id])
        return None if title is None else tables.dynamic(entity_type_id, str(title))

    def semantics(self, entity: EntityType, category_id: int, stage_id: str) -> str:
        """P, S or F of a stage; P when the directory does not know it."""
        found = self.data.rows(
            "SELECT SEMANTICS, EXTRA_SEMANTICS FROM status WHERE ENTITY_ID = ? AND STATUS_ID = ?",
            [entity.directory(category_id), stage_id],
        )
        if not found:
            return "P"
        own, extra = found[0]
        return str(own or {"success": "S", "failure": "F", "apology": "F"}.get(str(extra), "P"))

    def stages(self, entity: EntityType, category_id: int) -> list[str]:
        """Stage codes of a pipeline in their order."""
        rows = self.data.rows(
            "SELECT STATUS_ID FROM status WHERE ENTITY_ID = ? ORDER BY SORT, ID", [entity.directory(category_id)]
        )
        return [str(row[0]) for row in rows]

    def default_category(self, entity: EntityType) -> int:
        """The default pipeline; 0 where there are none."""
        found = self.data.value(
            "SELECT ID FROM category WHERE ENTITY_TYPE_ID = ? ORDER BY IS_DEFAULT DESC, SORT, ID LIMIT 1", [entity.id]
        )
        return found if isinstance(found, int) else 0

    def zone(self) -> ZoneInfo:
        return ZoneInfo(str(self.data.value("SELECT ZONE FROM settings")))

    def _today(self, hand: Hand) -> date:
        return datetime.fromtimestamp(hand.now, self.zone()).date()

    # ------------------------------------------------------------ CRM objects

    def create(self, entity: EntityType, fields: Mapping[str, object], hand: Hand) -> int:
        """A new object; returns its id."""
        known = entity.table.by_name
        number = self.data.next_id(entity.table.name)
        record: dict[str, object] = {
            "ID": number,
            "DATE_CREATE": int(hand.now),
            "DATE_MODIFY": int(hand.now),
            "LAST_ACTIVITY_TIME": int(hand.now),
            "LAST_ACTIVITY_BY": hand.user_id,
            "CREATED_BY_ID": hand.user_id,
            "MODIFY_BY_ID": hand.user_id,
            "ASSIGNED_BY_ID": hand.user_id,
            "TITLE": f"{entity.name} #{number}",
            "MOVED_BY_ID": hand.user_id,
            "MOVED_TIME": int(hand.now),
        }
        if entity.id == 2:
            record |= {"BEGINDATE": self._today(hand), "IS_NEW": True}
        record |= {name: value for name, value in fields.items() if name in known}
        if entity.stage_field:
            self._put_in_stage(entity, record, hand)
        record = {name: value for name, value in record.items() if name in known and known[name].stored}
        user_fields = _user_fields(fields)
        if user_fields:
            record["UF"] = json.dumps(user_fields)
        self.data.insert(entity.table.name, record)
        self._put_multifields(entity, number, fields)
        if entity.has_history:
            self._history(entity, number, record, CREATION, hand)
        self._emit(entity, "ADD", number, hand)
        return number

    def _put_in_stage(self, entity: EntityType, record: dict[str, object], hand: Hand) -> None:
        """Fill pipeline, stage, semantics and what follows from them."""
        field = entity.stage_field
        if "CATEGORY_ID" in entity.table.by_name and "CATEGORY_ID" not in record:
            record["CATEGORY_ID"] = self.default_category(entity)
        category = _category(record)
        if not record.get(field):
            record[field] = next(iter(self.stages(entity, category)), "NEW")
        semantics = self.semantics(entity, category, str(record[field]))
        record |= self._closing(entity, semantics, hand)

    def _closing(self, entity: EntityType, semantics: str, hand: Hand) -> dict[str, object]:
        """Columns that follow from the semantics of the stage."""
        final = semantics != "P"
        changes: dict[str, object] = {}
        if entity.semantic_field:
            changes[entity.semantic_field] = semantics
        if "CLOSED" in entity.table.by_name:
            changes["CLOSED"] = final
        if entity.id == 1:
            changes["DATE_CLOSED"] = int(hand.now) if final else None
        if entity.id == 2 and final:
            changes["CLOSEDATE"] = self._today(hand)  # the portal puts the closing day over the expected one
        return changes

    def update(self, entity: EntityType, number: int, fields: Mapping[str, object], hand: Hand) -> bool:
        """Change an object; False when there is none."""
        known = entity.table.by_name
        before = self.data.record(entity.table, number)
        if before is None:
            return False
        changes = {name: value for name, value in fields.items() if name in known and known[name].stored}
        changes.pop("ID", None)
        stage = entity.stage_field
        moved = "CATEGORY_ID" in changes and changes["CATEGORY_ID"] != before["CATEGORY_ID"]
        if moved and stage and stage not in changes:
            changes[stage] = next(iter(self.stages(entity, _category(changes))), "NEW")
        staged = bool(stage) and (moved or (stage in changes and changes[stage] != before[stage]))
        if staged:
            changes |= self._stage_change(entity, before, changes, hand)
        user_fields = _user_fields(fields)
        if user_fields:
            changes["UF"] = json.dumps({**json.loads(str(before["UF"] or "{}")), **user_fields})
        changes |= {"DATE_MODIFY": int(hand.now), "MODIFY_BY_ID": hand.user_id}
        self.data.update(entity.table.name, "ID = ?", [number], changes)
        self._put_multifields(entity, number, fields)
        after = {**before, **changes}
        if staged and entity.has_history:
            final = self.semantics(entity, _category(after), str(after[stage])) != "P"
            self._history(entity, number, after, PIPELINE if moved else FINAL if final else INTERMEDIATE, hand)
        if moved and entity.id == 2:
            self.events.emit(
                "ONCRMDEALMOVETOCATEGORY",
                {"FIELDS": {"ID": str(number), "CATEGORY_ID": str(_category(after)), "STAGE_ID": str(after[stage])}},
                now=hand.now,
                connector=hand.connector,
            )
        else:
            self._emit(entity, "UPDATE", number, hand)
        return True

    def _stage_change(
        self, entity: EntityType, before: Mapping[str, object], changes: Mapping[str, object], hand: Hand
    ) -> dict[str, object]:
        known = entity.table.by_name
        stage = entity.stage_field
        semantics = self.semantics(entity, _category({**before, **changes}), str(changes[stage]))
        more: dict[str, object] = {"MOVED_BY_ID": hand.user_id, "MOVED_TIME": int(hand.now)}
        if "PREVIOUS_STAGE_ID" in known:
            more["PREVIOUS_STAGE_ID"] = before[stage]
        if entity.id == 2:
            more["IS_NEW"] = False
        more = {name: value for name, value in more.items() if name in known}
        return more | self._closing(entity, semantics, hand)

    def _history(self, entity: EntityType, number: int, record: Mapping[str, object], kind: int, hand: Hand) -> None:
        category = _category(record)
        stage = str(record[entity.stage_field])
        self.data.insert(
            "stage_history",
            {
                "ENTITY_TYPE_ID": entity.id,
                "ID": self.data.next_id("stage_history", f"ENTITY_TYPE_ID = {entity.id}"),
                "TYPE_ID": kind,
                "OWNER_ID": number,
                "CREATED_TIME": int(hand.now),
                "CATEGORY_ID": category,
                "STAGE_ID": stage,
                "STAGE_SEMANTIC_ID": self.semantics(entity, category, stage),
            },
        )

    def _put_multifields(self, entity: EntityType, number: int, fields: Mapping[str, object]) -> None:
        """Phones, mails ... given as lists of ``{VALUE, VALUE_TYPE}`` replace those of their type."""
        for kind in ("PHONE", "EMAIL", "WEB", "IM", "LINK"):
            given = fields.get(kind)
            if not isinstance(given, list):
                continue
            place = "ENTITY_TYPE_ID = ? AND ELEMENT_ID = ? AND TYPE_ID = ?"
            self.data.delete("multifield", place, [entity.id, number, kind])
            for value in given:
                self.data.insert(
                    "multifield",
                    {
                        "ID": self.data.next_id("multifield"),
                        "ENTITY_TYPE_ID": entity.id,
                        "ELEMENT_ID": number,
                        "TYPE_ID": kind,
                        "VALUE_TYPE": value.get("VALUE_TYPE", "WORK"),
                        "VALUE": value["VALUE"],
                    },
                )
            if kind in {"PHONE", "EMAIL"} and f"HAS_{kind}" in entity.table.by_name:
                self.data.update(entity.table.name, "ID = ?", [number], {f"HAS_{kind}": bool(given)})

    def delete(self, entity: EntityType, number: int, hand: Hand) -> bool:
        """Remove an object with everything that hangs on it; False when there is none."""
        if self.data.record(entity.table, number) is None:
            return False
        own = "OWNER_TYPE_ID = ? AND OWNER_ID = ?"
        self.data.delete(entity.table.name, "ID = ?", [number])
        self.data.delete("stage_history", "ENTITY_TYPE_ID = ? AND OWNER_ID = ?", [entity.id, number])
        self.data.delete("product_row", "OWNER_TYPE = ? AND OWNER_ID = ?", [entity.short, number])
        self.data.delete("multifield", "ENTITY_TYPE_ID = ? AND ELEMENT_ID = ?", [entity.id, number])
        bound = [
            row[0]
            for row in self.data.rows(f"SELECT ACTIVITY_ID FROM activity_binding WHERE {own}", [entity.id, number])
        ]
        self.data.delete("activity_binding", own, [entity.id, number])
        for activity in bound:
            self._after_unbinding(activity, entity.id, number, hand)
        self._emit(entity, "DELETE", number, hand)
        return True

    def _after_unbinding(self, activity: object, entity_type_id: int, number: int, hand: Hand) -> None:
        """An activity without objects vanishes; one that lost its owner belongs to another of its objects."""
        left = self.data.rows(
            "SELECT OWNER_TYPE_ID, OWNER_ID FROM activity_binding WHERE ACTIVITY_ID = ? LIMIT 1", [activity]
        )
        if not left:
            self.data.delete("activity", "ID = ?", [activity])
            self.events.emit("ONCRMACTIVITYDELETE", {"FIELDS": {"ID": str(activity)}}, now=hand.now)
        else:
            self.data.update(
                "activity",
                "ID = ? AND OWNER_TYPE_ID = ? AND OWNER_ID = ?",
                [activity, entity_type_id, number],
                {"OWNER_TYPE_ID": left[0][0], "OWNER_ID": left[0][1]},
            )

    def merge(self, entity: EntityType, survivor: int, duplicates: Iterable[int], hand: Hand) -> None:
        """Give everything of the duplicates to the survivor and remove them; re-bound records keep their DATE_MODIFY."""
        column = {1: "LEAD_ID", 3: "CONTACT_ID", 4: "COMPANY_ID"}.get(entity.id, "")
        for duplicate in duplicates:
            own = "OWNER_TYPE_ID = ? AND OWNER_ID = ?"
            values = [entity.id, duplicate]
            for table in ("activity_binding", "activity"):
                self.data.update(table, own, values, {"OWNER_ID": survivor})
            for other in tables.ENTITY_TYPES.values():
                if column and column in other.table.by_name:
                    self.data.update(other.table.name, f"{column} = ?", [duplicate], {column: survivor})
            self.data.update(
                "multifield", "ENTITY_TYPE_ID = ? AND ELEMENT_ID = ?", [entity.id, duplicate], {"ELEMENT_ID": survivor}
            )
            self.delete(entity, duplicate, hand)
        self.update(entity, survivor, {}, hand)

    def _emit(self, entity: EntityType, what: str, number: int, hand: Hand) -> None:
        fields: dict[str, object] = {"ID": str(number)}
        if entity.events:
            self.events.emit(f"ONCRM{entity.events}{what}", {"FIELDS": fields}, now=hand.now, connector=hand.connector)
            return
        fields["ENTITY_TYPE_ID"] = str(entity.id)
        for event in (f"ONCRMDYNAMICITEM{what}", f"ONCRMDYNAMICITEM{what}_{entity.id}"):
            self.events.emit(event, {"FIELDS": fields}, now=hand.now, connector=hand.connector)

    # ------------------------------------------------------------ activities

    def create_activity(
        self, fields: Mapping[str, object], hand: Hand, bindings: Iterable[tuple[int, int]] = ()
    ) -> int:
        """A new activity bound to its owner and to ``bindings`` (type, id); moves LAST_ACTIVITY_TIME of all of them."""
        number = self.data.next_id("activity")
        record: dict[str, object] = {
            "ID": number,
            "CREATED": int(hand.now),
            "LAST_UPDATED": int(hand.now),
            "RESPONSIBLE_ID": hand.user_id,
            "AUTHOR_ID": hand.user_id,
            "EDITOR_ID": hand.user_id,
            **{name: value for name, value in fields.items() if name in tables.ACTIVITY.by_name},
        }
        record["STATUS"] = fields.get("STATUS", 2 if record.get("COMPLETED") else 1)
        self.data.insert("activity", record)
        owner = (record.get("OWNER_TYPE_ID"), record.get("OWNER_ID"))
        bound = dict.fromkeys([*([owner] if all(owner) else []), *bindings])
        for type_id, owner_id in bound:
            self.data.insert(
                "activity_binding", {"ACTIVITY_ID": number, "OWNER_TYPE_ID": type_id, "OWNER_ID": owner_id}
            )
            assert isinstance(type_id, int)
            if entity := self.entity(type_id):
                changes = {"LAST_ACTIVITY_TIME": int(hand.now), "LAST_ACTIVITY_BY": hand.user_id}
                self.data.update(entity.table.name, "ID = ?", [owner_id], changes)
        self.events.emit("ONCRMACTIVITYADD", {"FIELDS": {"ID": str(number)}}, now=hand.now, connector=hand.connector)
        return number

    def update_activity(self, number: int, fields: Mapping[str, object], hand: Hand) -> bool:
        """Change an activity; completing it sets its status. False when there is none."""
        if self.data.record(tables.ACTIVITY, number) is None:
            return False
        changes = {name: value for name, value in fields.items() if name in tables.ACTIVITY.by_name and name != "ID"}
        if "COMPLETED" in changes and "STATUS" not in changes:
            changes["STATUS"] = 2 if changes["COMPLETED"] else 1
        changes |= {"LAST_UPDATED": int(hand.now), "EDITOR_ID": hand.user_id}
        self.data.update("activity", "ID = ?", [number], changes)
        self.events.emit("ONCRMACTIVITYUPDATE", {"FIELDS": {"ID": str(number)}}, now=hand.now)
        return True

    def delete_activity(self, number: int, hand: Hand) -> bool:
        if self.data.record(tables.ACTIVITY, number) is None:
            return False
        self.data.delete("activity", "ID = ?", [number])
        self.data.delete("activity_binding", "ACTIVITY_ID = ?", [number])
        self.events.emit("ONCRMACTIVITYDELETE", {"FIELDS": {"ID": str(number)}}, now=hand.now)
        return True

    # ------------------------------------------------------------ telephony

    def add_phone_call(self, fields: Mapping[str, object], hand: Hand) -> int:
        """A finished call enters the statistics."""
        number = self.data.next_id("phone_call")
        record = {"CALL_ID": f"practice.{number}", "CALL_START_DATE": int(hand.now), **fields, "ID": number}
        self.data.insert("phone_call", record)
        self.announce("ADD", "phone_call", number, hand)
        return number

    # ------------------------------------------------------------ written elsewhere

    def announce(self, what: str, table: str, number: int, hand: Hand) -> None:
        """Fire the event of a record that somebody wrote straight into the database; tables without events are silent.

        ``what`` is ADD, UPDATE or DELETE.
        """
        fields = {"FIELDS": {"ID": str(number)}}
        if entity := next((e for e in tables.ENTITY_TYPES.values() if e.table.name == table), None):
            self._emit(entity, what, number, hand)
        elif table == "activity":
            self.events.emit(f"ONCRMACTIVITY{what}", fields, now=hand.now)
        elif table == "timeline_comment":
            self.events.emit(f"ONCRMTIMELINECOMMENT{what}", fields, now=hand.now)
        elif table == "task":
            name = "FIELDS_BEFORE" if what == "DELETE" else "FIELDS_AFTER"
            self.events.emit(f"ONTASK{what}", {name: {"ID": str(number)}}, now=hand.now)
        elif table == "phone_call" and what == "ADD":
            record = self.data.record(tables.PHONE_CALL, number) or {}
            told = {name: str(record[name]) for name in _TOLD_OF_CALLS if record.get(name) is not None}
            self.events.emit("ONVOXIMPLANTCALLEND", told, now=hand.now)


def _category(record: Mapping[str, object]) -> int:
    found = record.get("CATEGORY_ID")
    return found if isinstance(found, int) else 0


def _user_fields(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if name.startswith("UF_")}
