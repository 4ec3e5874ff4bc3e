"""Conditions and columns as people write them in the settings, read down to the last word.

Laws: nothing of a written text reaches the database. It is parsed, every node is looked up in the tables below, and what is
known is written anew from them: columns of the one fact, functions of a closed list, numbers, texts and dates. Whatever
stands in no table (a subquery, another table, a parameter, a comment) is a mistake that is named, with the words of the
text. What is written means the same on DuckDB and PostgreSQL: arithmetic is done in double precision, division by zero
is nothing, texts are compared for equality only, because databases order them differently.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlglot import exp

# Imported where it is used: declarations must be readable where no database is installed.
# ruff: noqa: PLC0415

#: Characters of one expression; a condition that is longer is a program.
LONGEST: Final = 2000
#: Digits of a number: what double precision tells apart.
_DIGITS: Final = 15
_SHOWN: Final = 60


class Kind(StrEnum):
    """What an expression is."""

    NUMBER = "number"
    TEXT = "text"
    TRUTH = "true or false"
    INSTANT = "instant"
    DATE = "date"


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the closed list.

    ``takes``: the kind of its arguments, between ``least`` and ``most`` of them; None: any, but all alike. ``gives``: the
    kind of the result; None: that of the arguments.
    """

    takes: Kind | None
    gives: Kind | None
    least: int = 1
    most: int = 1


#: The closed list, by the names that people write.
FUNCTIONS: Mapping[str, Function] = {
    "abs": Function(Kind.NUMBER, Kind.NUMBER),
    "ceil": Function(Kind.NUMBER, Kind.NUMBER),
    "coalesce": Function(None, None, 2, 16),
    "floor": Function(Kind.NUMBER, Kind.NUMBER),
    "greatest": Function(Kind.NUMBER, Kind.NUMBER, 2, 16),
    "least": Function(Kind.NUMBER, Kind.NUMBER, 2, 16),
    "length": Function(Kind.TEXT, Kind.NUMBER),
    "nullif": Function(None, None, 2, 2),
    "trim": Function(Kind.TEXT, Kind.TEXT),
}


@dataclass(frozen=True, slots=True)
class Read:
    """An expression, read.

    Attributes:
        sql: written anew; "" where there were mistakes. kind: None for a bare NULL, or where there were mistakes.
        columns: those of the fact that it names.
    """

    sql: str
    kind: Kind | None
    columns: frozenset[str] = frozenset()


def read(text: str, columns: Mapping[str, Kind], wanted: Kind | None = None) -> tuple[Read, tuple[str, ...]]:
    """Read one expression.

    Args:
        text: as it was written.
        columns: those of the fact.
        wanted: what it has to be.

    Returns:
        what is to be asked, and every mistake, each with the words that are wrong; with mistakes nothing is to be asked.
    """
    from sqlglot.errors import ParseError, SqlglotError

    if len(text) > LONGEST:
        return Read("", None), (f"it is longer than {LONGEST} characters",)
    reader = _Reader(columns)
    try:
        tree = _tree(text)
        if isinstance(tree, str):
            return Read("", None), (tree,)
        sql, kind = reader.read(tree)
    except RecursionError:
        return Read("", None), (f"{_short(text)} is too deeply nested",)
    except (SqlglotError, ValueError, ArithmeticError) as error:
        at = error.errors[0].get("highlight") if isinstance(error, ParseError) and error.errors else None
        where = f", at {_short(at)}" if at else ""
        return Read("", None), (f"{_short(text)} is no expression{where}: look at its quotes, brackets and words",)
    mistakes = list(dict.fromkeys(reader.mistakes))
    if not mistakes and wanted is not None and kind is not wanted:
        mistakes = [f"{_short(text)} is {_a(kind)}, not {_a(wanted)}"]
    if mistakes:
        return Read("", None), tuple(mistakes)
    return Read(sql, kind, frozenset(reader.met)), ()


def _tree(text: str) -> exp.Expr | str:
    """The parsed text, or what is wrong with it as a whole."""
    import sqlglot
    from sqlglot import TokenType, exp

    tokens = sqlglot.tokenize(text, read="duckdb")
    if any(token.token_type is TokenType.SEMICOLON for token in tokens):
        return f"{_short(text)} holds ';': one expression, not several statements"
    if any(token.comments for token in tokens) or (not tokens and text.strip()):
        return f"{_short(text)} holds a comment: leave it out"
    if not tokens:
        return "it is empty"
    return sqlglot.parse_one(text, read="duckdb", into=exp.Condition)


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return repr(flat if len(flat) <= _SHOWN else f"{flat[: _SHOWN - 1]}…")


def _words(node: exp.Expr) -> str:
    """A part of the text as it was meant, for a message."""
    from sqlglot import exp

    if type(node) is exp.Cast and type(node.this) is exp.Literal and node.this.args["is_string"]:
        return f"{node.args['to'].sql('duckdb')} {_short(node.this.this)}"  # nobody writes CAST('…' AS DATE)
    try:
        return _short(node.sql("duckdb", comments=False))
    except (ValueError, RecursionError):
        return repr(type(node).__name__)


def _a(kind: Kind | None) -> str:
    match kind:
        case None:
            return "nothing"
        case Kind.TRUTH:
            return "a condition"
        case Kind.INSTANT:
            return "an instant"
        case _:
            return f"a {kind}"


Piece = tuple[str, Kind | None]
#: Of what could not be read: a mistake was told already.
_UNREAD: Final[Piece] = ("NULL", None)


@dataclass
class _Reader:
    columns: Mapping[str, Kind]
    mistakes: list[str] = field(default_factory=list)
    met: set[str] = field(default_factory=set)

    def read(self, node: exp.Expr) -> Piece:
        """One node, by its exact class: a subclass may mean more than its parent says."""
        known = _readers().get(type(node))
        if known is None:
            return self._foreign(node)
        args, how = known
        # Whatever else stands in a node (ESCAPE, IGNORE NULLS, DISTINCT, a table) is not ours.
        others = [name for name, value in node.args.items() if name not in args and value not in (None, False, [])]
        if others or node.comments:
            return self._foreign(node)
        return how(self, node)

    def _wrong(self, what: str) -> Piece:
        self.mistakes.append(what)
        return _UNREAD

    def _foreign(self, node: exp.Expr) -> Piece:
        from sqlglot import exp

        if isinstance(node, exp.Column):
            return self._wrong(f"{_words(node)} is a column of another table")
        if isinstance(node, exp.Anonymous):
            return self._wrong(f"the function {node.name!r} is not known; known: {', '.join(FUNCTIONS)}")
        if isinstance(node, exp.Func):
            return self._wrong(f"{_words(node)} is not allowed; functions: {', '.join(FUNCTIONS)}")
        return self._wrong(f"{_words(node)} is not allowed in an expression")

    def of_kind(self, node: exp.Expr, kind: Kind) -> str:
        """An operand that has to be of that kind; nothing (NULL) is of any."""
        before = len(self.mistakes)
        sql, found = self.read(node)
        if found is not None and found is not kind:
            self._wrong(f"{_words(node)} is {_a(found)}, not {_a(kind)}")
        elif found is None and len(self.mistakes) == before and sql != "NULL":
            self._wrong(f"{_words(node)} is nothing")
        return sql

    def alike(self, nodes: Sequence[exp.Expr], among: Sequence[Kind] = tuple(Kind)) -> tuple[list[str], Kind | None]:
        """Operands that are all of one kind."""
        before = len(self.mistakes)
        read = [self.read(node) for node in nodes]
        kinds = list(dict.fromkeys(kind for _, kind in read if kind is not None))
        if len(self.mistakes) == before:
            if len(kinds) > 1:
                told = ", ".join(f"{_words(node)} is {_a(kind)}" for node, (_, kind) in zip(nodes, read, strict=True))
                self._wrong(f"these are of different kinds: {told}")
            elif kinds and kinds[0] not in among:
                names = " or ".join(f"{kind}s" for kind in among)
                self._wrong(f"{_words(nodes[0])} is {_a(kinds[0])}: only {names} can be compared by order")
        return [sql for sql, _ in read], (kinds[0] if kinds else None)

    # ------------------------------------------------------------ leaves

    def column(self, node: exp.Expr) -> Piece:
        name = node.name if node.this.args.get("quoted") else node.name.lower()
        kind = self.columns.get(name)
        if kind is None:
            near = get_close_matches(name, self.columns, n=1)
            hint = f"did you mean {near[0]}?" if near else f"its columns: {', '.join(self.columns)}"
            return self._wrong(f"{name!r} is no column of this fact; {hint}")
        self.met.add(name)
        return name, kind

    def literal(self, node: exp.Expr) -> Piece:
        if node.args["is_string"]:
            return self._text(node.this), Kind.TEXT
        number = Decimal(node.this)  # "1e3", "0.5": what the tokenizer takes for a number
        if len(number.as_tuple().digits) > _DIGITS or not -_DIGITS <= number.adjusted() <= _DIGITS:
            return self._wrong(f"{node.this[:_SHOWN]} has too many digits")
        return format(number, "f"), Kind.NUMBER

    def _text(self, text: str) -> str:
        if any(not letter.isprintable() for letter in text):
            self._wrong(f"{_short(repr(text))} holds a control character")
            return "''"
        return "'" + text.replace("'", "''") + "'"

    def truth(self, node: exp.Expr) -> Piece:
        return ("TRUE" if node.this else "FALSE"), Kind.TRUTH

    def null(self, _node: exp.Expr) -> Piece:
        return "NULL", None

    def moment(self, node: exp.Expr) -> Piece:
        """``DATE '2025-03-01'``, ``TIMESTAMPTZ '2025-03-01T00:00:00+03:00'``; no other cast."""
        from sqlglot import exp

        literal, wanted = node.this, node.args["to"].sql("duckdb")
        if type(literal) is not exp.Literal or not literal.args["is_string"] or wanted not in {"DATE", "TIMESTAMPTZ"}:
            return self._wrong(f"{_words(node)} is not allowed: values are not converted")
        try:
            if wanted == "DATE":
                return f"DATE '{date.fromisoformat(literal.this).isoformat()}'", Kind.DATE
            at = datetime.fromisoformat(literal.this)
        except ValueError:
            return self._wrong(
                f"{_words(node)} is no {_a(Kind.DATE if wanted == 'DATE' else Kind.INSTANT)[2:].strip()}"
            )
        if at.tzinfo is None:
            return self._wrong(f"{_words(node)} lacks its offset, such as +03:00")
        return f"TIMESTAMPTZ '{at.isoformat(sep=' ')}'", Kind.INSTANT

    # ------------------------------------------------------------ branches

    def paren(self, node: exp.Expr) -> Piece:
        sql, kind = self.read(node.this)
        return f"({sql})", kind

    def minus(self, node: exp.Expr) -> Piece:
        return f"(- {self.of_kind(node.this, Kind.NUMBER)})", Kind.NUMBER

    def negated(self, node: exp.Expr) -> Piece:
        return f"(NOT {self.of_kind(node.this, Kind.TRUTH)})", Kind.TRUTH

    def joined(self, node: exp.Expr, word: str) -> Piece:
        left, right = (self.of_kind(one, Kind.TRUTH) for one in (node.this, node.expression))
        return f"({left} {word} {right})", Kind.TRUTH

    def arithmetic(self, node: exp.Expr, sign: str) -> Piece:
        left, right = (f"CAST({self.of_kind(one, Kind.NUMBER)} AS DOUBLE)" for one in (node.this, node.expression))
        return f"({left} {sign} {f'nullif({right}, 0)' if sign == '/' else right})", Kind.NUMBER

    def equal(self, node: exp.Expr, sign: str) -> Piece:
        (left, right), _ = self.alike((node.this, node.expression))
        return f"({left} {sign} {right})", Kind.TRUTH

    def ordered(self, node: exp.Expr, sign: str) -> Piece:
        (left, right), _ = self.alike((node.this, node.expression), _ORDERED)
        return f"({left} {sign} {right})", Kind.TRUTH

    def between(self, node: exp.Expr) -> Piece:
        (one, low, high), _ = self.alike((node.this, node.args["low"], node.args["high"]), _ORDERED)
        return f"({one} BETWEEN {low} AND {high})", Kind.TRUTH

    def among(self, node: exp.Expr) -> Piece:
        (one, *values), _ = self.alike((node.this, *node.expressions))
        if not values:
            return self._wrong(f"{_words(node)} needs a list of values")
        return f"({one} IN ({', '.join(values)}))", Kind.TRUTH

    def like(self, node: exp.Expr) -> Piece:
        from sqlglot import exp

        one, pattern = self.of_kind(node.this, Kind.TEXT), node.expression
        if type(pattern) is not exp.Literal or not pattern.args["is_string"]:
            return self._wrong(f"{_words(node)}: the pattern has to be a text in quotes")
        if "\\" in pattern.this:  # an escape for one database, a letter for the other
            return self._wrong(f"{_words(node)}: a pattern holds no backslash")
        return f"({one} LIKE {self._text(pattern.this)})", Kind.TRUTH

    def tested(self, node: exp.Expr) -> Piece:
        """IS NULL, IS TRUE, IS FALSE."""
        from sqlglot import exp

        if type(node.expression) is exp.Null:
            return f"({self.read(node.this)[0]} IS NULL)", Kind.TRUTH
        if type(node.expression) is exp.Boolean:
            return f"({self.of_kind(node.this, Kind.TRUTH)} IS {self.read(node.expression)[0]})", Kind.TRUTH
        return self._foreign(node)

    def case(self, node: exp.Expr) -> Piece:
        branches = node.args["ifs"]
        if node.this is not None:
            tested, _ = self.alike((node.this, *(branch.this for branch in branches)))
            head, conditions = f" {tested[0]}", tested[1:]
        else:
            head, conditions = "", [self.of_kind(branch.this, Kind.TRUTH) for branch in branches]
        default = node.args.get("default")
        results, kind = self.alike((*(branch.args["true"] for branch in branches), *([default] if default else [])))
        otherwise = f" ELSE {results.pop()}" if default else ""
        whens = " ".join(f"WHEN {one} THEN {result}" for one, result in zip(conditions, results, strict=True))
        return f"(CASE{head} {whens}{otherwise} END)", kind

    def call(self, node: exp.Expr, name: str) -> Piece:
        known = FUNCTIONS[name]
        arguments = [one for one in (node.this, node.args.get("expression"), *node.expressions) if one is not None]
        if not known.least <= len(arguments) <= known.most:
            return self._wrong(f"{_words(node)}: {name} takes {known.least} … {known.most} values")
        if known.takes is None:
            read, kind = self.alike(arguments)
        else:
            read, kind = [self.of_kind(one, known.takes) for one in arguments], known.gives
        return f"{name}({', '.join(read)})", kind


_ORDERED: Final = (Kind.NUMBER, Kind.INSTANT, Kind.DATE)
_How = Callable[[_Reader, "exp.Expr"], Piece]
_made: dict[type, tuple[frozenset[str], _How]] = {}


def _readers() -> Mapping[type, tuple[frozenset[str], _How]]:
    """Every class of node that may stand in an expression: the arguments it may have, and how it is read."""
    if _made:
        return _made
    from sqlglot import exp

    def row(kind: type, args: str, how: _How) -> None:
        _made[kind] = frozenset(args.split()), how

    def signs(pairs: Mapping[type, str], how: Callable[[_Reader, exp.Expr, str], Piece], extra: str = "") -> None:
        for kind, sign in pairs.items():
            row(kind, f"this expression {extra}", lambda reader, node, sign=sign: how(reader, node, sign))  # type: ignore[misc]

    row(exp.Column, "this", _Reader.column)
    row(exp.Literal, "this is_string", _Reader.literal)
    row(exp.Boolean, "this", _Reader.truth)
    row(exp.Null, "", _Reader.null)
    row(exp.Cast, "this to", _Reader.moment)
    row(exp.Paren, "this", _Reader.paren)
    row(exp.Neg, "this", _Reader.minus)
    row(exp.Not, "this", _Reader.negated)
    row(exp.Between, "this low high", _Reader.between)
    row(exp.In, "this expressions", _Reader.among)
    row(exp.Like, "this expression", _Reader.like)
    row(exp.Is, "this expression", _Reader.tested)
    row(exp.Case, "this ifs default", _Reader.case)
    signs({exp.And: "AND", exp.Or: "OR"}, _Reader.joined)
    signs({exp.Add: "+", exp.Sub: "-", exp.Mul: "*"}, _Reader.arithmetic)
    signs({exp.Div: "/"}, _Reader.arithmetic, "typed safe")  # how another dialect would divide
    signs({exp.EQ: "=", exp.NEQ: "<>"}, _Reader.equal)
    signs({exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}, _Reader.ordered)
    calls = {
        exp.Abs: "abs", exp.Ceil: "ceil", exp.Coalesce: "coalesce", exp.Floor: "floor", exp.Greatest: "greatest",
        exp.Least: "least", exp.Length: "length", exp.Nullif: "nullif", exp.Trim: "trim",
    }  # fmt: skip
    for kind, name in calls.items():
        row(kind, "this expression expressions ignore_nulls", lambda reader, node, name=name: reader.call(node, name))  # type: ignore[misc]
    return _made
