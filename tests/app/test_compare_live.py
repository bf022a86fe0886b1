"""Members that grow in the tiles while a run goes on, and how members are brought onto each other."""

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from app.aligning import agreeing, correlations, frame_of, onto, staying
from app.compare import Compare
from app.live_members import MOST, name_of
from app.run_files import load_run
from app.surfaces import Density
from engine.events import MapSnapshot, Snapshot
from engine.io.hand import mirrored_density
from engine.io.volumes import write_start
from tests.app.conftest import spin
from tests.app.sds_run import body, write_sds
from tests.app.test_compare import feature, opened


@pytest.fixture
def running(window, tmp_path):
    """The window while it hears of a run."""
    monitor = window.monitor
    monitor.running, monitor.folder = True, tmp_path / "run"
    monitor.began.emit(monitor.folder)
    yield window
    monitor.running = False


def moved(window, label, values, step=1):
    event = MapSnapshot(step=step, total=9, sigma=0.0, path="-", voxel_size_A=4.0, label=label)
    window.monitor.map_moved.emit(event, np.asarray(values, np.float32))


def apart(tiles):
    """Å between the surfaces of the first two tiles, root mean square."""
    first, second = (cKDTree(place.surface.vertices) for place in tiles._places[:2])
    return float(np.sqrt((first.query(second.data)[0] ** 2).mean()))


def test_a_turned_and_mirrored_start_is_brought_onto_the_first():
    first = Density(body(24), 4.0)
    turned = Density(mirrored_density(np.rot90(body(24), axes=(1, 2))), 4.0)
    frame = frame_of(first)
    found = onto(turned, first, frame, either_hand=True)
    assert found.motion.mirrored
    other = Density(body(24).transpose(1, 0, 2)[::-1].copy() ** 3, 4.0)
    table = correlations([staying(first, frame).box, found.box, staying(other, frame).box])
    assert table[0, 1] > 0.95 > 0.85 > table[0, 2]
    assert agreeing(table) == [0, 1]
    assert agreeing(np.eye(3)) == []


def test_clouds_are_superposed_in_their_hand():
    points = np.random.default_rng(0).normal(size=(300, 3)) * (9, 5, 2)
    points[:80] += (12, 4, 0)
    frame = frame_of(points)
    turned = points @ Rotation.from_euler("xyz", [40, 10, 70], degrees=True).as_matrix().T + 3
    found = onto(turned, points, frame, either_hand=False)
    assert not found.motion.mirrored
    assert np.abs(found.motion(turned) - points).max() < 1.0
    assert correlations([staying(points, frame).box, found.box])[0, 1] > 0.97


def test_starts_of_a_finished_run_lie_on_the_first(window, tmp_path):
    folder = write_sds(tmp_path / "run", images=4, box=24, starts=3)
    for number, density in ((1, body(24)), (2, mirrored_density(body(24)))):
        write_start(folder / "results", number, density, 4.0, {"score": 0.8})
    opened(window, folder)
    compare = feature(window, Compare)
    compare.toggle()
    spin(lambda: compare.alignment.complete and not window.background.busy)
    tiles = compare.page.tiles
    assert "aligned to no. 1 (mirrored)" in tiles.tiles[1].caption
    near = apart(tiles)
    assert near < 1.5
    compare.page.aligned.setChecked(False)
    spin(lambda: not window.background.busy)
    assert tiles.tiles[1].caption == "score 0.8"
    assert apart(tiles) > 1.3 * near


def test_starts_grow_in_the_tiles_and_nothing_tears_them_away(running):
    window, compare = running, feature(running, Compare)
    compare.toggle()
    assert window.viewer.page == "compare"  # they are waited for
    moved(window, "start 1 of 3", body(16))
    moved(window, "start 2 of 3", mirrored_density(body(16)))
    moved(window, "start 3 of 3", 0.5 * body(16))
    spin(lambda: len(compare.keys) == 3 and not window.background.busy)
    spin(lambda: compare.alignment.complete and not window.background.busy)
    tiles = compare.page.tiles
    assert window.viewer.page == "compare"
    assert [t.title for t in tiles.tiles] == ["Start 1", "Start 2", "Start 3"]
    assert tiles.tiles[1].caption.startswith("aligned to no. 1")
    assert tiles.tiles[2].caption == "step 1 of 9"
    assert tiles.tiles[0].badge == "2 of 2 agree"
    tiles.turn(0, 40, 0)
    before = tiles._places[2].surface
    moved(window, "start 3 of 3", body(16, 0.8), step=2)
    spin(lambda: tiles._places[2].surface is not before)
    assert tiles.tiles[2].caption == "step 2 of 9"
    assert tiles.camera(2) == tiles.camera(0)
    spin(lambda: not window.background.busy)
    compare.toggle()
    assert window.viewer.page == "volume"  # what was offered meanwhile


def test_samples_grow_and_their_tiles_are_told_at_most_four_times_a_second(running):
    window, compare = running, feature(running, Compare)
    window.monitor.kind_known.emit("dps")
    told = []
    compare.live.changed.connect(told.append)
    rng = np.random.default_rng(0)
    compare.toggle()
    for step in range(20):
        event = Snapshot(step=step, total=20, sigma=0.5, path="-")
        window.monitor.moved.emit(event, rng.normal(size=(14, 50, 3)).astype(np.float32))
    spin(lambda: len(compare.keys) == MOST)
    assert len(told) == 1
    assert compare.page.tiles.tiles[0].caption == "step 19 of 20 · σ = 0.5"
    assert window.viewer.page == "compare"


def test_the_end_of_a_run_puts_its_results_in_place_of_what_grew(running, tmp_path):
    window, compare = running, feature(running, Compare)
    folder = write_sds(tmp_path / "run", images=4, box=16, starts=3)
    compare.toggle()
    for number in (1, 2, 3):
        moved(window, f"start {number} of 3", body(16))
    spin(lambda: len(compare.keys) == 3)
    window.monitor.running = False
    window.run_view.show_run(load_run(folder))
    assert compare.keys == [f"{folder}|start:{n}" for n in (1, 2, 3)]
    assert window.viewer.page == "compare"
    spin(lambda: compare.alignment.complete and not window.background.busy)


def test_what_a_map_of_a_run_is_called():
    assert name_of("start 3 of 10") == ("start:3", "Start 3")
    assert name_of("neighbours of 7") == ("volume:7", "Volume 7")
    assert name_of("refining the consensus") == ("map:Refining the consensus", "Refining the consensus")
