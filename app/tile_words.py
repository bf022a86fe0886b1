"""What is written over the tiles: what is known of each, how it was moved, how many agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.aligning import THRESHOLD
from app.compare_sources import facts_of, split, stored_agreement

if TYPE_CHECKING:
    from app.compare import Compare


class TileWords:
    """Words for the tiles of a comparison.

    Parameters
    ----------
    compare : what is compared.
    """

    def __init__(self, compare: Compare) -> None:
        self._compare = compare

    def of(self, key: str) -> tuple[str, str, str, str]:
        """Second line, badge, its state, and everything in whole sentences, of a tile."""
        compare, alignment = self._compare, self._compare.alignment
        member, run = compare.growing(key), compare.run_of(key)
        _, what, number = split(key)
        known = ""
        if member is not None:
            known = member.caption if member.growing else "finished"
        elif run is not None:
            known = facts_of(run, what, number)
        moved = how = ""
        if compare.aligned and alignment.words(key):
            moved = "aligned to no. 1" + (" (mirrored)" if alignment.motion(key).mirrored else "")
            how = f"Aligned to no. 1: {alignment.words(key)}."
        badge, state, why = self.badge(key)
        sentence = f"{known[:1].upper()}{known[1:]}." if known else ""
        # Of a start its turn says more than its score; of a sample it is the other way round.
        order = (moved, known) if what == "start" else (known, moved)
        return (
            " · ".join(part for part in order if part),
            badge,
            state,
            "\n".join(part for part in (sentence, how, why) if part),
        )

    def badge(self, key: str) -> tuple[str, str, str]:
        """``7 of 10 agree``, how that is to be taken, and what it rests on."""
        compare, (_, what, number) = self._compare, split(key)
        run = compare.run_of(key)
        stored = stored_agreement(run, number) if run is not None and what == "start" else None
        if stored is not None:
            size, total, threshold = stored
        else:
            same, total = compare.alignment.agreement()
            if not compare.alignment.knows(key) or not total:
                return "", "muted", ""
            size, threshold = (len(same) if key in same else 1), THRESHOLD
        why = f"Two agree if their densities correlate by {threshold:.2f} or more after alignment."
        if size == 1:
            return "stands alone", "warning", why
        return f"{size} of {total} agree", "good" if 2 * size > total else "warning", why

    def line(self, total: int) -> str:
        """How many are shown, and how many agree by which measure."""
        compare = self._compare
        text = f"{len(compare.keys)} of {total} shown"
        badges = [badge for badge in map(self.badge, compare.keys) if badge[2]]
        if badges:
            counts = [badge[0] for badge in badges if badge[0].endswith("agree")]
            most = max(counts, key=lambda words: int(words.split()[0]), default="none agree")
            from_ = badges[0][2].partition("correlate by ")[2].partition(" ")[0]
            return f"{text} · {most} (correlation {from_} or more after alignment)"
        return f"{text} · aligning…" if compare.alignment.busy else text
