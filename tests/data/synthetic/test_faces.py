from dataclasses import astuple, replace
from time import process_time
from typing import Any

import numpy as np
import pytest

from lrsms.data.synthetic import faces, film
from lrsms.data.synthetic.contactsheet import contact_sheet
from lrsms.data.synthetic.faces import Face
from lrsms.data.synthetic.visemes import VISEMES, trajectories


def poses(*names: str) -> np.ndarray:
    """``(T, 6)``: one frame of each viseme."""
    return np.clip(np.array([astuple(VISEMES[name].pose) for name in names], np.float32), 0, 1)


def still(seed: int = 1, **changes: Any) -> Face:
    """A face that neither moves nor is seen through noise."""
    return replace(faces.face(seed), motion=0.0, noise=0.0, **changes)


def mouth_window(face: Face, frames: np.ndarray) -> np.ndarray:
    """The middle of the mouth: 6 columns, from the upper lip to below the lower one."""
    return frames[:, int(face.y) - 12 : int(face.y) + 24, int(face.x) - 3 : int(face.x) + 3].astype(float)


def test_a_film_is_a_function_of_face_trajectory_and_seed() -> None:
    path = trajectories([("b", 0.2), ("'I", 0.3), ("n", 0.4)], 0.5, 20)
    first = film.draw(faces.face(1), path, 5)
    assert first.shape == (20, 96, 96) and first.dtype == np.uint8
    assert np.array_equal(first, film.draw(faces.face(1), path, 5))
    assert not np.array_equal(first, film.draw(faces.face(1), path, 6))
    assert np.abs(first.astype(float) - film.draw(faces.face(2), path, 5)).mean() > 5


def test_a_film_is_the_same_however_long_it_goes_on_but_for_its_noise() -> None:
    path = np.tile(poses("open back", "rest", "sibilant"), (14, 1))
    face = still()
    assert np.array_equal(film.draw(face, path, 1)[:20], film.draw(face, path[:20], 1))


def test_an_open_mouth_shows_the_dark_and_the_teeth_and_a_closed_one_neither() -> None:
    for seed in range(10):
        face = still(seed)
        opened, closed = mouth_window(face, film.draw(face, poses("open back", "bilabial"), 1))
        assert opened.min() < 0.2 * face.skin and opened.max() > 0.7 * face.teeth
        assert closed.min() > 0.2 * face.skin and closed.max() < 1.15 * face.skin


def test_upper_teeth_stay_where_they_are_when_the_jaw_drops() -> None:
    face = still()
    films = mouth_window(face, film.draw(face, poses("mid front", "open front", "open back"), 1))
    teeth = films[:, 12:14]  # the rows just below where the lips meet
    assert np.ptp(teeth.mean((1, 2))) < 0.2 * teeth.mean()
    assert teeth.mean() > 1.3 * films[:, 0:4].mean() or teeth.mean() > 120


def test_rounding_narrows_the_mouth_and_spreading_widens_it() -> None:
    face = still(beard=0.0)
    rounded, spread = film.draw(face, poses("close rounded", "close front"), 1).astype(float)
    changed = np.abs(rounded - spread)[int(face.y) - 3 : int(face.y) + 4]
    corner = int(face.x + 0.95 * face.half_width)
    assert changed[:, corner - 2 : corner + 3].max() > 20  # lip or the corner's shadow in one, skin in the other


def test_the_head_moves_slowly_and_little() -> None:
    face = replace(faces.face(1), noise=0.0)
    frames = film.draw(face, np.tile(poses("rest"), (75, 1)), 1).astype(float)
    steps = np.abs(np.diff(frames, axis=0)).mean((1, 2))
    assert 0 < steps.max() < 5 < np.abs(frames - frames[0]).max()


def test_noise_has_the_standard_deviation_of_the_face() -> None:
    face = replace(faces.face(1), motion=0.0, noise=2.5)
    path = np.tile(poses("rest"), (40, 1))
    noise = film.draw(face, path, 1) - film.draw(replace(face, noise=0.0), path, 1).astype(float)
    assert noise.std() == pytest.approx(np.sqrt(2.5**2 + 1 / 6), rel=0.03)  # and rounding, twice
    assert abs(noise.mean()) < 0.1 and abs((noise[1:] * noise[:-1]).mean()) < 0.1


def test_no_face_leaves_the_picture_at_any_pose() -> None:
    path = np.tile(poses(*VISEMES), (2, 1))
    for seed in range(40):
        frames = film.draw(faces.face(seed), path, seed)
        assert 20 < frames.mean() < 235
        bottom = frames[:, 88:, 20:76].astype(float).mean()
        assert bottom > 15, "no lip and no mouth reaches the lower edge"


def test_mouths_tell_visemes_apart_across_faces_that_were_never_seen() -> None:
    """A nearest class mean over coarse pictures, without the face's own mean: the least that a network can do."""
    names = [
        "bilabial",
        "labiodental",
        "dental",
        "sibilant",
        "postalveolar",
        "labial-velar",
        "close front",
        "open back",
    ]
    around = [("mid central", name, "alveolar") for name in names]

    def pictures(seed: int) -> np.ndarray:
        path = np.concatenate([poses(*group) for group in around])
        frames = film.draw(faces.face(seed), path, seed).astype(float)
        coarse = frames[:, 24:92, 8:88].reshape(len(frames), 17, 4, 20, 4).mean((2, 4)).reshape(len(frames), -1)
        coarse = (coarse - coarse.mean(0)) / coarse.std()
        return coarse[1::3]

    known = np.mean([pictures(seed) for seed in range(30)], axis=0)
    unseen = np.stack([pictures(seed) for seed in range(100, 115)])
    distance = np.square(unseen[:, :, None] - known[None, None]).sum(-1)
    right = distance.argmin(-1) == np.arange(len(names))
    assert right.mean() > 0.75  # by chance 1 in 8


def test_200_frames_a_second_on_one_core() -> None:
    path = np.tile(poses("open back", "rest", "sibilant", "close rounded"), (15, 1))
    film.draw(faces.face(1), path, 1)
    began = process_time()
    for seed in range(3):
        film.draw(faces.face(seed), path, seed)
    assert 3 * len(path) / (process_time() - began) > 200


def test_a_contact_sheet_has_every_frame_and_its_caption() -> None:
    figure = contact_sheet(np.zeros((14, 96, 96), np.uint8), [f"$p{index}" for index in range(14)], columns=5)
    assert [axes.texts[0].get_text() for axes in figure.axes] == [f"$p{index}" for index in range(14)]
    positions = [axes.get_position() for axes in figure.axes]
    assert positions[5].x0 == positions[0].x0 and positions[5].y1 < positions[0].y0
    assert len({(round(p.x0, 3), round(p.y0, 3)) for p in positions}) == 14
