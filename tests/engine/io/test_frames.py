import numpy as np
import pytest

from engine.io.frames import FOLDER, FrameFacts, FrameKeeper, kept_frames, thinned_map


def facts(step, kind="points", **more):
    return FrameFacts(kind, "", step, 500, 0.5, **more)


def test_a_bounded_and_even_choice_is_kept(tmp_path):
    keeper = FrameKeeper(tmp_path, most=10)
    for step in range(1, 501):
        keeper.points(np.full((2, 5000, 3), step, np.float32), facts(step, energies={"view": 1.0}))
    found = kept_frames(tmp_path)
    steps = np.array([f.step for f in found])
    assert 5 <= len(found) <= 10
    assert len(set(np.diff(steps))) == 1
    assert steps[-1] > 400
    assert {p.name for p in (tmp_path / FOLDER).glob("*.npy")} == {f.file for f in found}
    last = np.load(tmp_path / FOLDER / found[-1].file)
    assert last.dtype == np.float16
    assert last.shape[1] <= 4096
    assert (last == steps[-1]).all()


def test_their_size_is_bounded(tmp_path):
    keeper = FrameKeeper(tmp_path, most_bytes=500_000)
    for step in range(100):
        keeper.map(np.zeros((32, 32, 32), np.float32), facts(step, "map", voxel_A=2.0))
    assert sum(p.stat().st_size for p in (tmp_path / FOLDER).iterdir()) < 600_000


def test_a_run_that_goes_on_goes_on_keeping(tmp_path):
    for _ in range(3):
        keeper = FrameKeeper(tmp_path, most=8)
        for step in range(20):
            keeper.points(np.zeros((1, 4, 3)), facts(step))
    assert 4 <= len(kept_frames(tmp_path)) <= 8


@pytest.mark.parametrize("box", [96, 100, 128, 81])
def test_a_thinned_map_keeps_its_middle(box):
    density = np.zeros((box,) * 3, np.float32)
    density[box // 2, box // 2, box // 2] = 1
    small, factor = thinned_map(density)
    assert max(small.shape) <= 48
    at = np.argwhere(small > 0)[0]
    assert (np.abs(at - np.array(small.shape) // 2) * factor <= factor / 2).all()


def test_a_list_from_elsewhere_cant_point_out_of_the_folder(tmp_path):
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "frames.json").write_text(
        '{"frames": [{"kind": "map", "file": "../../x.npy", "step": 1, "total": 2}, 3]}'
    )
    assert kept_frames(tmp_path) == []
