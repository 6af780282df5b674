"""A run that its caller drives in slices: the same bits however it is cut or killed."""

import json
import multiprocessing
import signal
from itertools import pairwise

import pytest
import torch

from models.training.checkpoint import CheckpointError
from models.training.journal import Journal
from models.training.loop import Stopped, checkpoint_path, train
from tests.models.runs import stage_one, stage_two, train_until_killed, weights


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize("make", [stage_one, stage_two])
def test_slices_of_any_length_end_with_the_same_bits(pairs, make, tmp_path):
    whole, slices = make(pairs), 0
    assert train(whole, tmp_path)
    (tmp_path / "cut").mkdir()
    finished = False
    while not finished:
        # As another process would: nothing of this start may remain but in the first slice.
        run = make(pairs, seed=slices)
        finished = train(run, tmp_path / "cut", seconds=0.05)
        slices += 1
    assert slices > 2
    assert same(weights(whole), weights(run))
    assert run.steps == whole.steps
    assert torch.equal(run.random.get_state(), whole.random.get_state())


def test_a_killed_run_goes_on_from_its_last_checkpoint_to_the_same_bits(
    pairs, pair_folder, tmp_path
):
    whole = stage_one(pairs, images=400)
    assert train(whole, tmp_path)
    folder = tmp_path / "killed"
    folder.mkdir()
    for at in (8, 248):
        process = multiprocessing.get_context("spawn").Process(
            target=train_until_killed, args=(pair_folder, folder, 400, at)
        )
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    (folder / "vessel-00000399.png").touch()
    with (folder / "vessel.jsonl").open("a") as log:
        log.write('{"images": 39')  # killed while it wrote a line
    run = stage_one(pairs, images=400, seed=99)
    assert train(run, folder, recorders=[Journal(folder, "vessel")], line_seconds=0.001)
    assert same(weights(whole), weights(run))
    lines = [json.loads(line) for line in (folder / "vessel.jsonl").read_text().splitlines()]
    assert all(a["images"] < b["images"] for a, b in pairwise(lines))
    assert lines[-1]["images"] == 400
    assert not (folder / "vessel-00000399.png").exists()


def test_a_caller_stops_a_slice_with_a_checkpoint_or_without(pairs, tmp_path):
    def stop(now):
        if now.images >= 40:
            raise Stopped

    def give_up(now):
        if now.images >= 80:
            raise ConnectionError("the lease is lost")

    run = stage_one(pairs)
    assert not train(run, tmp_path, report=stop)
    assert run.budget.images_spent == 40
    with pytest.raises(ConnectionError):
        train(stage_one(pairs), tmp_path, report=give_up)
    again = stage_one(pairs)
    again.load(checkpoint_path(tmp_path, "vessel"))
    assert again.budget.images_spent == 40


def test_progress_tells_the_share_the_pace_and_the_seconds_left(pairs, tmp_path):
    seen = []
    train(stage_one(pairs), tmp_path, report=seen.append)
    assert [now.images for now in seen] == list(range(8, 257, 8))
    assert seen[-1].share == 1 and seen[-1].seconds_left == 0
    assert all(now.images_per_second > 0 and now.stage == "vessel" for now in seen)
    assert all(a.seconds < b.seconds and a.share < b.share for a, b in pairwise(seen))


def test_training_draws_nothing_from_generators_that_no_checkpoint_holds(pairs):
    for make in (stage_one, stage_two):
        run = make(pairs)
        state = torch.get_rng_state()
        run.step(), run.samples()
        assert torch.equal(torch.get_rng_state(), state)


def test_a_damaged_checkpoint_is_named(pairs, tmp_path):
    path = checkpoint_path(tmp_path, "vessel")
    stage_one(pairs).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match=r"vessel\.safetensors: cannot be resumed"):
        train(stage_one(pairs), tmp_path)


def test_a_checkpoint_of_other_networks_is_refused(pairs, tmp_path):
    stage_two(pairs).save(checkpoint_path(tmp_path, "vessel"))
    with pytest.raises(CheckpointError, match=r"vessel\.safetensors"):
        train(stage_one(pairs), tmp_path)
