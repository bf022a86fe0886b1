"""How well a text answers what was typed: words in any order, beginnings of words, initials."""

from __future__ import annotations

import re

NO_MATCH = 0.0
_WORD = re.compile(r"[^\W_]+")


def score(query: str, text: str) -> float:
    """How well a text fits a query; 0 if it doesn't. An empty query fits everything.

    Parameters
    ----------
    query : words in any order. Each must begin a word of the text, lie inside of it, be the initials
        of words that follow each other, or have its letters in the text in this order.
    text : what is searched.
    """
    wanted = query.lower().split()
    plain = text.lower()
    words = _WORD.findall(plain)
    if not wanted:
        return 1.0
    initials = "".join(word[0] for word in words)
    total = 0.0
    for part in wanted:
        one = _score_of_word(part, plain, words, initials)
        if one == NO_MATCH:
            return NO_MATCH
        total += one
    # Of two texts that fit alike, the shorter says more precisely what was asked for.
    return total / len(wanted) + 0.5 / (1 + len(words))


def _score_of_word(part: str, plain: str, words: list[str], initials: str) -> float:
    if part in words:
        return 10.0
    for place, word in enumerate(words):
        if word.startswith(part):
            return 8.0 - min(place, 10) * 0.1
    if len(part) > 1 and part in initials:
        return 7.0 if initials.startswith(part) else 6.0
    if part in plain:
        return 4.0
    return 1.0 if len(part) > 2 and _in_order(part, plain) else NO_MATCH


def _in_order(part: str, plain: str) -> bool:
    """Whether the letters of ``part`` occur in this order, the first of them at the start of a word."""
    for start in re.finditer(rf"\b{re.escape(part[0])}", plain):
        rest = iter(plain[start.start() :])
        if all(letter in rest for letter in part):
            return True
    return False
