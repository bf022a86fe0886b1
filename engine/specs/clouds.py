"""How a folder of structures becomes a file of clouds: the settings of ``verglas data build``."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator, model_validator

from engine.specs.components import Model, field

SPLITS = ("train", "val", "test")
ATOMS_PER_POINT = 1.75
"""Of the smallest structures taken, unless told otherwise; the shipped prior learnt from such."""

_SPLIT_ADVICE = "give two or three shares that add up to 1, e.g. 0.9,0.05,0.05 for train, val and test."


class CloudSettings(Model):
    """From structures to normalised clouds of equal size."""

    points: int = field(1024, help="Points of each cloud.", ge=16, le=16384)
    method: Literal["kmeans", "mixture"] = field(
        "kmeans",
        help="How atoms become points: `kmeans` is quick; `mixture` is the Gaussian mixture with one shared "
        "covariance of the paper, and slow.",
    )
    min_atoms: int | None = field(
        None, help="Leave out structures with fewer heavy atoms; empty: 1.75 per point.", ge=1
    )
    max_atoms: int | None = field(None, help="Leave out structures with more heavy atoms.", ge=1)
    min_chains: int | None = field(None, help="Leave out structures with fewer chains.", ge=1)
    max_chains: int | None = field(None, help="Leave out structures with more chains.", ge=1)
    fragments: Literal["reject", "largest", "keep"] = field(
        "reject",
        help="What to do where parts don't touch: `reject` leaves out structures with a substantial loose "
        "part and drops small ones; `largest` takes the largest part; `keep` takes all.",
    )
    contact_A: float = field(
        8.0, help="Parts whose atoms come no closer than this don't touch.", unit="Å", gt=0, le=100
    )
    fragment_share: float = field(
        0.05,
        help="Loose parts are substantial if they hold more than this share of the atoms.",
        ge=0,
        lt=1,
        advanced=True,
    )
    duplicates: float = field(
        5.0,
        help="Clouds whose shapes differ by less than this are near-duplicates and form one cluster; the "
        "unit is about what another seed changes. 0: each cloud is a cluster.",
        ge=0,
        le=1000,
        advanced=True,
    )
    split: str = field(
        "",
        help="Shares of train, val and test, e.g. 0.9,0.05,0.05: each becomes a file of its own, and no "
        "cluster is in two of them. Empty: no split.",
    )
    licence: str = field(
        "unknown", help="Licence of files that are no PDB entries (these are CC0-1.0), for the index."
    )
    seed: int = field(0, help="Random seed.", ge=0, le=2**31 - 1)
    workers: int | None = field(
        None, help="Processes, one core each; empty takes all cores. The result is the same.", ge=1, le=1024
    )
    time_limit_s: float = field(
        600.0, help="Give up on a file after this time.", unit="s", gt=0, le=86400, advanced=True
    )
    keep_parts: bool = field(
        False, help="Keep the results of single files, so that a larger folder takes up from them."
    )

    @field_validator("split")
    @classmethod
    def _shares(cls, text: str) -> str:
        if text.strip():
            try:
                shares = [float(word) for word in text.split(",")]
            except ValueError:
                raise ValueError(f"`split` is {text!r}: {_SPLIT_ADVICE}") from None
            fits = 2 <= len(shares) <= len(SPLITS) and all(0 < s < 1 for s in shares)
            if not fits or abs(sum(shares) - 1) > 1e-6:
                raise ValueError(f"`split` is {text!r}: {_SPLIT_ADVICE}")
        return text.strip()

    @model_validator(mode="after")
    def _in_order(self) -> CloudSettings:
        for what, low, high in (
            ("atoms", self.fewest_atoms, self.max_atoms),
            ("chains", self.min_chains or 1, self.max_chains),
        ):
            if high is not None and high < low:
                raise ValueError(f"`max_{what}` is {high}, below the least number of {what} ({low}).")
        return self

    @property
    def fewest_atoms(self) -> int:
        """Heavy atoms that a structure needs."""
        return round(ATOMS_PER_POINT * self.points) if self.min_atoms is None else self.min_atoms

    @property
    def shares(self) -> tuple[float, ...]:
        """Of train, val and test; empty if no split is wanted."""
        return tuple(float(word) for word in self.split.split(",")) if self.split else ()
