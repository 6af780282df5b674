"""Runs that cannot come to any good end with the reason, and keep the last good checkpoint."""

from dataclasses import replace

import pytest
import torch

from models.training.divergence import Diverged
from models.training.loop import checkpoint_path, train
from tests.models.runs import stage_one, stage_two


def poison(network):
    next(network.parameters()).data[0] = float("nan")


@pytest.mark.parametrize(("make", "network"), [(stage_one, "generator"), (stage_two, "translator")])
def test_nan_stops_the_run_and_the_last_good_checkpoint_stays(pairs, make, network, tmp_path):
    def spoil(now):
        if now.share >= 0.5:
            poison(run.networks[network])

    run = make(pairs)
    with pytest.raises(Diverged) as diverged:
        train(run, tmp_path, report=spoil, save_seconds=1e-6)
    assert f"stage {run.stage} diverged after" in str(diverged.value)
    assert "lower learning_rate" in str(diverged.value)
    assert run.budget.images / 2 <= diverged.value.images < run.budget.images
    again = make(pairs)
    assert train(again, tmp_path)  # from before: it can go on
    assert all(value.isfinite().all() for value in again.average.state_dict().values())


def test_weights_that_no_loss_has_met_are_not_saved(pairs, tmp_path):
    run = stage_one(pairs)
    run.save(checkpoint_path(tmp_path, "vessel"))
    before = checkpoint_path(tmp_path, "vessel").read_bytes()
    poison(run.average)
    with pytest.raises(Diverged, match=r"average\.\S+ has weights that are not finite"):
        run.save(checkpoint_path(tmp_path, "vessel"))
    assert checkpoint_path(tmp_path, "vessel").read_bytes() == before


def test_a_generator_that_draws_one_map_only_is_stopped(pairs, tmp_path):
    run = stage_one(pairs, images=800)
    run.settings = replace(run.settings, collapse_images=80)
    draw = run.generator.draw
    slices = 0

    def collapse(now):
        if now.images >= 200:
            run.generator.draw = lambda z, *rest: draw(torch.ones_like(z), *rest)

    with pytest.raises(Diverged, match=r"at \d+ px the drawn maps have been alike for 80 images"):
        while not train(run, tmp_path, report=collapse, seconds=0.02, save_seconds=1e-6):
            slices += 1  # a slice does not end while this is not settled
    assert slices >= 1
    saved = stage_one(pairs)
    saved.load(checkpoint_path(tmp_path, "vessel"))
    assert 0 < saved.budget.images_spent <= 200  # nothing of the collapse was saved


def test_a_lack_that_passes_is_none_and_saving_waits_for_it(pairs, tmp_path):
    run = stage_one(pairs)
    run.collapsed_images = 8
    assert not run.sound
    run.step()
    assert run.sound
