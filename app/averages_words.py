"""What the window says about a set of class averages: how much is selected, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from app.averages_session import AveragesSession

FEWEST = 2  # images; one alone says nothing about other directions


def are_shares(counts: np.ndarray | None) -> bool:
    """Whether a file gives shares of the particles, not their number."""
    return counts is not None and bool(counts.sum() <= 1.5)


def selection_sentence(session: AveragesSession) -> str:
    """How much is selected."""
    if session.loaded is None:
        return ""
    text = f"Selected {session.count:,} of {len(session.selected):,}"
    particles = session.particles
    if particles is None:
        return text
    if are_shares(session.loaded.averages.counts):
        return f"{text} ({100 * particles:.3g} % of the particles)"
    return f"{text} ({particles:,.0f} particles)"


def missing(session: AveragesSession) -> str:
    """What stands in the way of a run; empty if nothing does."""
    if session.state == "empty" or session.path is None:
        return "Add class averages first."
    if session.state == "reading":
        return f"{session.path.name} is being read."
    if session.state == "problem":
        return f"{session.path.name} can't be used. {session.problem}"
    if session.option_problem:
        return session.option_problem
    if session.asks_pixel_size:
        return "The file doesn't say how large a pixel is. Enter the pixel size."
    if session.count < FEWEST:
        return f"Select at least {FEWEST} class averages."
    return session.preparation_problem
