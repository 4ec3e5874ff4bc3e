"""BG/NBD and Gamma-Gamma written down anew from catalogue §10 (Fader, Hardie, Lee 2005; notes 021 and 025).

Laws: time as it is given (days); nothing of the product's model is used. The expectation sums the hypergeometric series
term by term.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import gammaln

Floats = npt.NDArray[np.float64]
MONTH = 30.4375
CLIENTS, REPEATERS, WEEKS, CORRELATED = 200, 50, 26, 0.3


@dataclass(frozen=True)
class Client:
    """``x`` repeat occasions, the last of them ``t_x`` after the first, seen for ``age``; ``z``: their mean amount."""

    x: int
    t_x: float
    age: float
    z: float


@dataclass(frozen=True)
class Values:
    """Chance to be alive; discounted value of the purchases to come, before margin."""

    alive: float
    worth: float


def prepared(clients: Sequence[Client]) -> bool:
    """Whether there is enough to learn from."""
    again = [client for client in clients if client.x > 0]
    if len(clients) < CLIENTS or len(again) < REPEATERS or max(client.age for client in clients) < 7 * WEEKS:
        return False
    return abs(float(np.corrcoef([client.x for client in again], [client.z for client in again])[0, 1])) < CORRELATED


def _columns(clients: Sequence[Client]) -> tuple[Floats, Floats, Floats, Floats]:
    rows = [(client.x, client.t_x, client.age, client.z) for client in clients]
    x, t_x, age, z = np.array(rows, dtype=np.float64).T
    return x, t_x, age, z


def purchases_likelihood(parameters: Sequence[float] | Floats, clients: Sequence[Client]) -> float:
    """Log-likelihood of (r, α, a, b)."""
    r, alpha, a, b = parameters
    x, t_x, age, _ = _columns(clients)
    alive = -(r + x) * np.log(alpha + age)
    dead = np.full_like(x, -np.inf)
    some = x > 0
    dead[some] = np.log(a) - np.log(b + x[some] - 1) - (r + x[some]) * np.log(alpha + t_x[some])
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    common += gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
    return float(np.sum(common + np.logaddexp(alive, dead)))


def money_likelihood(parameters: Sequence[float] | Floats, clients: Sequence[Client]) -> float:
    """Log-likelihood of (p, q, v) over those who came again."""
    p, q, v = parameters
    x, _, _, z = _columns([client for client in clients if client.x > 0])
    found = gammaln(p * x + q) - gammaln(p * x) - gammaln(q) + q * np.log(v)
    return float(np.sum(found + (p * x - 1) * np.log(z) + p * x * np.log(x) - (p * x + q) * np.log(v + x * z)))


def _best(likelihood: Callable[[Floats], float], starts: Sequence[Sequence[float]]) -> Floats | None:
    """Where it is highest, on the logarithms of the parameters."""

    def loss(logs: Floats) -> float:
        with np.errstate(all="ignore"):
            found = -likelihood(np.exp(np.clip(logs, -30, 30)))
        return found if np.isfinite(found) else 1e300

    tops = []
    for start in starts:
        at = np.log(np.array(start, dtype=np.float64))
        for _ in range(3):
            at = minimize(
                loss, at, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-11, "maxiter": 8000, "maxfev": 8000}
            ).x
        tops.append((loss(at), at))
    tops.sort(key=lambda top: top[0])
    return np.exp(tops[0][1])


@dataclass(frozen=True)
class Model:
    r: float
    alpha: float
    a: float
    b: float
    p: float
    q: float
    v: float

    @classmethod
    def fitted(cls, clients: Sequence[Client]) -> Model | None:
        """None where money has no mean."""
        scale = max(client.age for client in clients)
        inside = [Client(client.x, client.t_x / scale, client.age / scale, client.z) for client in clients]
        buys = _best(lambda at: purchases_likelihood(at, inside), ((1, 0.1, 1, 1), (0.3, 0.05, 0.5, 3)))
        usual = float(np.mean([client.z for client in clients if client.x > 0]))
        spends = _best(lambda at: money_likelihood(at, clients), ((2, 3, usual), (6, 4, usual / 2)))
        if buys is None or spends is None or spends[1] <= 1:
            return None
        r, alpha, a, b = map(float, buys)
        p, q, v = map(float, spends)
        return cls(r, alpha * scale, a, b, p, q, v)

    @property
    def settled(self) -> bool:
        """Whether the data tell every parameter: none of them ran away, as they do where nobody ever left."""
        return all(1e-2 < one < 1e2 for one in self._shapes)

    @property
    def clear(self) -> bool:
        """Whether that is beyond doubt."""
        return self.settled or not all(1e-4 < one < 1e4 for one in self._shapes)

    @property
    def _shapes(self) -> tuple[float, ...]:
        return (self.r, self.a, self.b, self.p, self.q - 1)

    def alive(self, clients: Sequence[Client]) -> Floats:
        x, t_x, age, _ = _columns(clients)
        odds = self.a / np.where(x > 0, self.b + x - 1, 1.0) * ((self.alpha + age) / (self.alpha + t_x)) ** (self.r + x)
        return np.asarray(1 / (1 + np.where(x > 0, odds, 0.0)))

    def expected(self, clients: Sequence[Client], t: float) -> Floats:
        """Repeat occasions in the next ``t``."""
        x, _, age, _ = _columns(clients)
        a = self.a if abs(self.a - 1) > 1e-6 else 1 + 1e-6
        z = t / (self.alpha + age + t)
        one, two, three = self.r + x, self.b + x, a + self.b + x - 1
        term = np.ones_like(z)
        series = np.ones_like(z)
        for n in range(100_000):
            term = term * (one + n) * (two + n) / (three + n) / (n + 1) * z
            series += term
            if np.all(np.abs(term) < 1e-16 * np.abs(series)) and n > 50:
                break
        shrink = ((self.alpha + age) / (self.alpha + age + t)) ** one
        return np.asarray((a + self.b + x - 1) / (a - 1) * (1 - shrink * series) * self.alive(clients))

    def spending(self, clients: Sequence[Client]) -> Floats:
        """Mean amount of the occasions to come."""
        x, _, _, z = _columns(clients)
        return np.asarray(self.p * (self.v + x * z) / (self.p * x + self.q - 1))

    def values(self, clients: Sequence[Client], months: int, discount: float, month: float = MONTH) -> list[Values]:
        """``discount``: by month; ``month``: how long one is."""
        worth = np.zeros(len(clients))
        before = np.zeros(len(clients))
        for number in range(1, months + 1):
            by_then = self.expected(clients, number * month)
            worth += (by_then - before) / (1 + discount) ** number
            before = by_then
        worth *= self.spending(clients)
        return [Values(float(alive), float(value)) for alive, value in zip(self.alive(clients), worth, strict=True)]
