"""Kill -9, again and again: a line per kill, a comparison row by row at the end of every life of a mirror, a summary.

``python -m tests.campaign.kills --kills 200`` or ``make campaign``. A life begins without a mirror, goes through its
kills while people work on the portal, is brought into step and compared. The seed, which is printed, decides what
happens on the portal and at which moments a sync dies; how far it has come by then is up to the machine.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from b24metrics.mirror.stores import Store, open_store
from b24metrics.sim.data import Data
from tests.campaign.processes import Moment, Portal, a_moment, brought_into_step, killed, killed_command
from tests.campaign.witness import unsound
from tests.mirror.conftest import MIRROR_SIDE, difference


@dataclass
class Tally:
    """What a campaign has come to."""

    kills: int = 0
    restarts: int = 0
    lives: int = 0
    rows: int = 0
    changes: int = 0
    moments: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        moments = ", ".join(f"{name} {count}" for name, count in sorted(self.moments.items()))
        return (
            f"{self.kills} kills ({moments}), {self.restarts} restarts, {self.lives} mirrors, {self.changes:,} changes on "
            f"the portal meanwhile, {self.rows:,} rows compared, {len(self.differences)} differences"
        )


@dataclass
class Campaign:
    """Kills of syncs of one portal.

    Attributes:
        folder: for everything. portal: whose records are copied. seed: decides. tell: told a line per kill.
        longest: seconds within which a moment of no name lies. lease: seconds, where several may keep a portal.
        command_every: every so many kills the command line itself; 0: never.
    """

    folder: Path
    portal: Portal
    seed: int
    tell: Callable[[str], object] = print
    longest: float = 4.0
    lease: float = 60.0
    command_every: int = 0
    tally: Tally = field(default_factory=Tally)

    @property
    def _by_command(self) -> bool:
        return self.command_every > 0 and (self.tally.lives + 1) % self.command_every == 0

    def moments(self, kills: int) -> list[Moment]:
        """So many moments of the next mirror's life, drawn by the seed."""
        dice = random.Random(f"{self.seed}.{self.tally.lives}")
        if self._by_command:
            return [Moment("any", dice.uniform(0, 2 * self.longest)) for _ in range(kills)]
        return [a_moment(dice, self.longest) for _ in range(kills)]

    def life(self, where: str, moments: Sequence[Moment]) -> None:
        """A new mirror, killed at these moments, then compared."""
        by_command = self._by_command
        self.portal.work()
        for moment in moments:
            began = time.monotonic()
            if by_command:
                how = killed_command(where, self.portal.webhook, moment.after, output=self.folder / "command.log")
            else:
                how = killed(where, self.portal.webhook, moment, lease=self.lease)
            self.tally.kills += 1
            self.tally.restarts += 1
            self.tally.moments["command" if by_command else moment.name if how != "killed late" else "any"] += 1
            with_what = self._looked_at(where)
            self.tell(
                f"kill {self.tally.kills:>3}  mirror {self.tally.lives + 1:>2}  {'command ' if by_command else ''}{moment}: "
                f"{how} after {time.monotonic() - began:.1f} s; {with_what}"
            )
        self._compare(where)
        self.tally.lives += 1

    def _looked_at(self, where: str) -> str:
        """The mirror as the kill has left it: it opens, and is sound as far as it goes."""
        if "://" not in where and not Path(where).exists():
            return "no mirror yet"
        store = open_store(where)
        try:
            self._note("after a kill", unsound(store))
            [(feeds, done)] = store.rows("SELECT count(*), count(backfilled_at) FROM feed_state")
            [(ranges,)] = store.rows("SELECT count(*) FROM sync_ranges WHERE done_id < last_id")
            rows = store.rows("SELECT sum(row_count) FROM feed_state")[0][0] or 0
        finally:
            store.close()
        return f"{done} of {feeds} feeds complete, {ranges} ranges to go, {int(rows):,} rows"

    def _compare(self, where: str) -> None:
        """Rest, catch up, compare all ids; then row by row."""
        self.tally.changes = self.portal.rest()
        attempts = brought_into_step(where, self.portal.webhook, lease=self.lease)
        self.tally.restarts += attempts
        copy = self.portal.copy(self.folder / "portal-copy.duckdb")
        data, store = Data(copy), open_store(where)
        try:
            rows = sum(_count(store, table) for table in MIRROR_SIDE)
            self.tally.rows += rows
            differing = difference(data, store)
            self._note("in step", differing)
            self._note("in step", unsound(store, in_step=True))
        finally:
            store.close()
            data.close()
            copy.unlink()
        self.tell(
            f"mirror {self.tally.lives + 1:>2}  in step after {attempts}: {rows:,} rows compared, {len(differing)} tables differ"
        )

    def _note(self, when: str, found: dict[str, object]) -> None:
        for what, rows in found.items():
            sentence = f"mirror {self.tally.lives + 1}, kill {self.tally.kills}, {when}: {what}: {rows}"
            self.tally.differences.append(sentence)
            self.tell(f"DIFFERENCE {sentence}")


def _count(store: Store, table: str) -> int:
    return int(store.rows(f"SELECT count(*) FROM ({MIRROR_SIDE[table]}) AS held")[0][0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument(
        "--per-mirror", type=int, default=10, help="kills until a mirror is compared and a new one begun"
    )
    parser.add_argument("--postgres", type=int, default=20, help="so many more kills with a mirror in PostgreSQL")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--managers", type=int, default=8)
    parser.add_argument("--months", type=int, default=4)
    parser.add_argument("--longest", type=float, default=4.0, help="seconds within which a sync is killed by hand")
    parser.add_argument(
        "--command-every", type=int, default=5, help="so many mirrors until one is kept by b24metrics sync"
    )
    parser.add_argument("--keep", action="store_true", help="leave the files where they are")
    wanted = parser.parse_args()
    print(f"seed {wanted.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="b24-campaign-"))
    began = time.monotonic()
    with ExitStack() as stack:
        if not wanted.keep:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        portal = Portal(
            folder / "portal.duckdb", wanted.seed, managers=wanted.managers, months=wanted.months, pause=0.1
        )
        stack.callback(portal.stop)
        campaign = Campaign(
            folder, portal, wanted.seed, lambda line: print(line, flush=True), longest=wanted.longest,
            command_every=wanted.command_every,
        )  # fmt: skip
        while campaign.tally.kills < wanted.kills:
            mirror = folder / f"mirror-{campaign.tally.lives + 1}.duckdb"
            campaign.life(str(mirror), campaign.moments(min(wanted.per_mirror, wanted.kills - campaign.tally.kills)))
            if not wanted.keep:
                mirror.unlink()
        if wanted.postgres:
            from tests.postgres import running, template

            server = stack.enter_context(running())
            address = server.fresh(template(server))
            campaign.lease, campaign.command_every = 2.0, 0
            while campaign.tally.kills < wanted.kills + wanted.postgres:
                left = wanted.kills + wanted.postgres - campaign.tally.kills
                campaign.life(address, campaign.moments(min(wanted.per_mirror, left)))
                address = server.fresh("mirror_template")
    print(f"{campaign.tally} in {(time.monotonic() - began) / 60:.1f} minutes; seed {wanted.seed}", flush=True)
    sys.exit(1 if campaign.tally.differences else 0)


if __name__ == "__main__":
    main()
