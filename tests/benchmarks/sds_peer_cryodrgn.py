"""cryoDRGN's ab initio reconstruction within a budget of time; run by the Python that has cryoDRGN.

``PYTHON sds_peer_cryodrgn.py FOLDER``, where FOLDER holds ``images.mrcs`` and ``task.json``; called by
``sds_peers.py``. Nothing of Verglas is imported. It drives the very class behind ``cryodrgn abinit`` and
changes no number of it but those in ``SETTINGS``; it only looks at the clock, so that pose search and
then gradient descent end when their share of the budget is spent, whatever the number of epochs.

What cryoDRGN 4.3.1 needed to run on class averages without CTF on a CPU:

* Without ``--ctf`` it stops in its first step (``apply_ctf`` of None). A CTF of +1 everywhere is given:
  amplitude contrast 1, phase shift 180°; as float32, since float64 stops in the pose search.
* Images have the object white, so their sign stays (``--uninvert-data``).
* ``--no-amp``: mixed precision is for GPUs.
* The pretraining "on 10,000 images" ends after one pass over a small stack: 5 steps for 300 images.
* Memory returned to the system after each operation took as long as the arithmetic: the caller sets
  glibc's thresholds in the environment.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

# For stacks of some hundred images; the defaults are meant for 10^5 images on a GPU.
SETTINGS: dict[str, dict[str, object]] = {
    "default": {},
    "small": {
        "batch_size_hps": 8,
        "batch_size_known_poses": 16,
        "batch_size_sgd": 16,
        "lr": 1e-3,
        "nkeptposes": 2,
        "niter": 3,
        "l_start": 6,
    },
}
SEARCH_SHARE = 0.7


class _Over(Exception):
    """The budget is spent."""


class Clock:
    """Seconds since the start: of the wall, or of this process's computing on all its threads."""

    def __init__(self, kind: str) -> None:
        self._cpu = kind == "cpu"
        self._start = time.monotonic()

    def __call__(self) -> float:
        return cpu_seconds() if self._cpu else time.monotonic() - self._start


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Train until the budget is spent, then write the volumes that were asked for."""
    folder = Path(sys.argv[1]).absolute()
    task = json.loads((folder / "task.json").read_text())
    clock, began = Clock(task["clock"]), time.monotonic()
    trainer = make_trainer(folder, task)
    steps = train(trainer, clock, float(task["seconds"]))
    spent, cpu = time.monotonic() - began, cpu_seconds()
    written = write_volumes(trainer, folder, task)
    report = {
        "seconds": spent,
        "cpu_seconds": cpu,
        "seconds_evaluating": time.monotonic() - began - spent,
        "steps": steps,
        "volumes": written,
        "settings": settings_of(task) | {"search_share": SEARCH_SHARE, "zdim": task["zdim"]},
    }
    (folder / "report.json").write_text(json.dumps(report))


def settings_of(task: dict) -> dict[str, object]:
    """Options that differ from cryoDRGN's defaults; True stands for a flag."""
    return SETTINGS[task["setting"]] | task.get("options", {})


def make_trainer(folder: Path, task: dict) -> object:
    """A ModelTrainer made from the command line's own defaults."""
    import torch
    from cryodrgn.commands import abinit

    torch.set_num_threads(int(task["threads"]))
    box, count = int(task["box"]), int(task["images"])
    ctf = np.zeros((count, 9), np.float32)
    ctf[:, 0], ctf[:, 1], ctf[:, 5] = box, task["pixel_size_A"], 300
    ctf[:, 7], ctf[:, 8] = 1, 180
    ctf.dump(folder / "ctf.pkl")
    words = f"{folder / 'images.mrcs'} -o {folder / 'cryodrgn'} --ctf {folder / 'ctf.pkl'}"
    words += f" --zdim {task['zdim']} --seed {task['seed']} --uninvert-data --no-amp --num-workers 0"
    words += f" --l-end {min(32, box // 2)} --no-analysis --epochs-pose-search 100000 -n 200000"
    words += " --checkpoint 1000000"
    if not task["shifts"]:
        words += " --no-trans"
    for name, value in settings_of(task).items():
        words += f" --{name.replace('_', '-')}" + ("" if value is True else f" {value}")
    parser = argparse.ArgumentParser()
    abinit.add_args(parser)
    made: list[object] = []

    class Captured(abinit.ModelTrainer):
        def train(self) -> None:  # `main` makes the trainer; training comes later, under the clock
            made.append(self)

    original, abinit.ModelTrainer = abinit.ModelTrainer, Captured
    try:
        abinit.main(parser.parse_args(words.split()))
    finally:
        abinit.ModelTrainer = original
    made[0].__class__ = original
    return made[0]


def train(trainer: object, clock: Clock, seconds: float) -> dict[str, int]:
    """Pose search until its share is spent (whole epochs), then gradient descent on poses and latents."""
    counts = {"pretraining": 0, "pose search": 0, "gradient descent": 0, "pose search epochs": 0}
    step, save = trainer.train_step, trainer.save_latents
    trainer.save_volume = trainer.save_model = lambda: None

    def timed(in_dict: dict, end_time: float) -> None:
        step(in_dict, end_time)
        now = clock()
        searching = "pretraining" if trainer.pretraining else "pose search"
        counts["gradient descent" if trainer.use_point_estimates else searching] += 1
        if trainer.use_point_estimates and now > seconds:
            raise _Over

    def ended() -> None:  # called at the end of every epoch of pose search
        counts["pose search epochs"] += trainer.epoch > 0
        per_epoch = clock() / max(trainer.epoch, 1)
        if trainer.epoch > 0 and clock() + per_epoch / 2 > SEARCH_SHARE * seconds:
            trainer.epochs_pose_search = trainer.epoch

    trainer.train_step, trainer.save_latents = timed, ended
    try:
        trainer.train()
    except _Over:
        pass
    trainer.save_latents = save
    return counts


def write_volumes(trainer: object, folder: Path, task: dict) -> list[int]:
    """``volume_0001.npy`` for each image asked for (counted from 1), or ``consensus.npy``; z, y, x."""
    import torch

    model = trainer.model
    model.eval()
    if not task["zdim"]:
        density = model.eval_volume(trainer.data.norm).cpu().numpy()
        np.save(folder / "consensus.npy", density.astype(np.float32))
        return []
    with torch.no_grad():
        rows = torch.arange(int(task["images"]))
        latent = model.conf_table({"index": rows})["z"].cpu().numpy()
    np.save(folder / "latent.npy", latent)
    middle = latent[np.argmin(np.linalg.norm(latent - latent.mean(0), axis=1))]
    np.save(folder / "consensus.npy", model.eval_volume(trainer.data.norm, zval=middle).cpu().numpy())
    for image in task["volumes"]:
        density = model.eval_volume(trainer.data.norm, zval=latent[image - 1]).cpu().numpy()
        np.save(folder / f"volume_{image:04d}.npy", density.astype(np.float32))
    return list(task["volumes"])


if __name__ == "__main__":
    main()
