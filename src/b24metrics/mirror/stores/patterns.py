r"""Regular expressions of RE2 (DuckDB's, and the configuration's) as PostgreSQL reads them.

Laws: a pattern matches the same texts on both databases, or is refused by name; letters are Unicode's, ``\w \d \s`` and
``\b`` are ASCII's, as RE2 has them. To be used with a collation that knows letters.
"""

from __future__ import annotations

import re

from b24metrics.errors import ConfigError

_TOKEN = re.compile(
    r"\\[pP](?:\{\^?\w+\}|\w)|\\Q.*?\\E|\\x\{[0-9A-Fa-f]+\}|\\.|\(\?P?<\w+>|\(\?[a-zA-Z-]*[:)]|\[\^?\]?|\]|.", re.DOTALL
)
_WORD, _DIGIT, _SPACE = "0-9A-Za-z_", "0-9", r"\t\n\f\r "
_SETS = {"w": _WORD, "d": _DIGIT, "s": _SPACE}
_CLASSES = {
    "L": "[:alpha:]",
    "N": "[:digit:]",
    "Nd": "[:digit:]",
    "Lu": "[:upper:]",
    "Ll": "[:lower:]",
    "P": "[:punct:]",
}
_EDGE = f"(?:(?<=[{_WORD}])(?![{_WORD}])|(?<![{_WORD}])(?=[{_WORD}]))"
_NO_EDGE = f"(?:(?<=[{_WORD}])(?=[{_WORD}])|(?<![{_WORD}])(?![{_WORD}]))"


def as_postgres(pattern: str) -> str:
    """The same pattern for PostgreSQL.

    Raises:
        ConfigError: it uses something that PostgreSQL has no word for; the text names it.
    """
    flags, inside, made = "", False, list[str]()
    for place, match in enumerate(_TOKEN.finditer(pattern)):
        piece = match[0]
        if piece.startswith("\\"):
            made.append(_escape(piece, pattern, inside=inside))
        elif inside:
            inside = piece != "]"
            made.append(r"\[" if piece.startswith("[") and not piece.startswith("[:") else piece)
        elif piece.startswith("["):
            inside = True
            made.append(piece.replace("]", r"\]"))
        elif piece.startswith("(?") and piece[-1] in ">:" and piece != "(?:" and piece[2] in "P<":
            made.append("(")
        elif piece.startswith("(?") and piece != "(?:":
            if place or piece.endswith(":") or not set(piece[2:-1]) <= {"i", "s"}:
                raise _unknown(piece, pattern)
            flags = "".join(letter for letter in piece[2:-1] if letter == "i")
        else:
            made.append(piece)
    return (f"(?{flags})" if flags else "") + "".join(made)


def _escape(piece: str, pattern: str, *, inside: bool) -> str:
    """One escape, as it is written inside or outside of brackets."""
    kind = piece[1]
    if kind in "pP":
        name = piece[2:].strip("{}")
        if name not in _CLASSES or (kind == "P" and inside):
            raise _unknown(piece, pattern)
        return _CLASSES[name] if inside else f"[{'^' if kind == 'P' else ''}{_CLASSES[name]}]"
    if kind in "wds":
        return _SETS[kind] if inside else f"[{_SETS[kind]}]"
    if kind in "WDS" and not inside:
        return f"[^{_SETS[kind.lower()]}]"
    match kind:
        case "b" if not inside:
            return _EDGE
        case "B" if not inside:
            return _NO_EDGE
        case "z":
            return r"\Z"
        case "A" | "t" | "n" | "f" | "r" | "v":
            return piece
        case "Q":
            return "".join(re.escape(letter) for letter in piece[2:-2])
        case "x" if piece.startswith("\\x{"):
            return f"\\U{int(piece[3:-1], 16):08X}"
        case _ if not kind.isalnum():
            return piece
        case _:
            raise _unknown(piece, pattern)


def _unknown(piece: str, pattern: str) -> ConfigError:
    return ConfigError(
        f"The pattern {pattern!r} cannot be used where the mirror is in PostgreSQL: it has no word for {piece!r}. "
        "Write it without."
    )
