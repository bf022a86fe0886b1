"""Does the ranking of class averages tell them from junk? Real averages mixed with junk made of them.

    python -m tests.benchmarks.average_quality FILE... [--count 25] [--seed 0]

For each file: the area under the ROC curve for each kind of junk (phases shuffled, noise, empty, edges),
what was flagged, and how far copies of the averages (turned, mirrored, moved, noisy) and different averages
correlate, which is where the limits of ``engine.io.average_quality`` come from.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, rotate

from engine.io.average_quality import rank
from engine.io.class_averages import read_class_averages
from engine.io.image_resampling import shifted
from engine.io.particle_extent import masked_radius, soft_disc
from tests.engine.io.average_files import junk
from tests.engine.io.test_averages import auc

KINDS = ("shuffled", "noise", "empty", "edge")


def copies(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each image turned, every second one mirrored, moved by up to 2 pixels, with coloured noise of 60 %."""
    turned = np.stack([rotate(i, rng.uniform(0, 360), reshape=False, mode="nearest") for i in images])
    turned[::2] = turned[::2, :, ::-1]
    moved = shifted(turned.astype(np.float32), rng.uniform(-2, 2, (len(images), 2)))
    noise = np.stack([gaussian_filter(n, 1.2) for n in rng.normal(size=moved.shape)])
    return np.asarray(moved + 0.6 * moved.std(axis=(1, 2), keepdims=True) * noise, np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    good_scores: list[float] = []
    bad_scores: list[float] = []
    for file in options.files:
        images = read_class_averages(file).images
        count, box = len(images), images.shape[-1]
        limit = masked_radius(images)
        mask = soft_disc(box, limit - 2) if limit < box / 2 - 0.6 else 1.0
        bad = [mask * junk(images, kind, options.count, options.seed + k) for k, kind in enumerate(KINDS)]
        quality = rank(np.concatenate([images, *bad]).astype(np.float32))
        good, rest = quality.score[:count], quality.score[count:].reshape(len(KINDS), -1)
        flagged = quality.junk[count:].reshape(len(KINDS), -1).sum(axis=1)
        repeats = (quality.duplicate_of >= 0).sum()
        print(f"{file.name}: {count} averages, scores {good.min():.2f} to {good.max():.2f}, "
              f"{quality.junk[:count].sum()} flagged as junk, {repeats} repeats")  # fmt: skip
        for kind, scores, found in zip(KINDS, rest, flagged, strict=True):
            print(f"  {kind:9s} AUC {auc(good, scores):.3f}, highest score {scores.max():.2f}, "
                  f"{found} of {options.count} flagged")  # fmt: skip
        both = rank(np.concatenate([images, copies(images, np.random.default_rng(options.seed))]))
        paired = sum(int(j) % count == i % count for i, j in enumerate(both.duplicate_of) if j >= 0)
        print(f"  {paired} of {count} noisy copies were found to repeat their original (or the reverse)")
        good_scores += good.tolist()
        bad_scores += rest.ravel().tolist()
    print(f"pooled AUC {auc(np.array(good_scores), np.array(bad_scores)):.4f}, "
          f"lowest average {min(good_scores):.2f}, highest junk {max(bad_scores):.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
