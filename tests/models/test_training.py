"""Training runs: they learn, stop and go on, and end in a package."""

import json
import math
import shutil
import signal
import subprocess
import sys

import pytest
import torch
from PIL import Image, ImageDraw

from models.devices import Device
from models.package import load_package
from models.sampling import PairSampler, pair_seed
from models.training.budget import Budget
from models.training.command import main
from models.training.journal import Journal
from models.training.loop import train
from models.training.settings import SettingsError, StageOneSettings, StageTwoSettings
from models.training.stage_one import StageOne
from models.training.stage_two import StageTwo
from models.training.stages import make_stages
from models.translator import VESSEL_FROM, TranslatorConfig
from models.vessel_gan import VesselConfig
from tests.models.runs import stage_one, stage_two, weights

CPU = Device.choose("cpu")


def test_it_grows_through_every_resolution_and_ends_faded_in(pairs):
    run = stage_one(pairs, images=1000)
    seen = []
    while run.budget.progress < 1:
        seen.append(run.schedule())
        run.budget.spend(1, 0.01)
    sizes = [now.resolution for now in seen]
    assert sorted(set(sizes)) == [4, 8, 16, 32] and sizes == sorted(sizes)
    assert {now.work for now in seen} == {"drawing"}
    progress = [now.progress for now in seen]
    assert progress == sorted(progress) and progress[0] == 0 and progress[-1] > 0.99
    fades = [now.fade for now in seen if now.resolution == 32]
    assert fades == sorted(fades) and fades[0] < 0.05 and fades[-1] == 1.0


def test_what_is_drawn_is_refined_before_it_is_enlarged(large_pairs):
    config = VesselConfig((8,) * 5, latent=8, enlargements=1, refined=True)
    settings = StageOneSettings(refining=0.5)
    run = StageOne(large_pairs, config, settings, Budget(images=1000), CPU)
    works, sizes = [], []
    while run.budget.progress < 1:
        now = run.schedule()
        works.append(now.work)
        sizes.append((now.work, now.resolution))
        run.budget.spend(1, 0.01)
    assert list(dict.fromkeys(works)) == ["drawing", "refining", "enlarging"]
    assert abs(works.count("drawing") - works.count("refining")) <= 1
    assert sizes[-1] == ("enlarging", 128) and ("refining", 64) in sizes


def test_the_refiner_learns_from_what_the_averaged_generator_draws(large_pairs):
    """Nothing else changes, it draws what looks more real to a new judge, and the layout stays."""
    config = VesselConfig((8,) * 5, latent=8, refined=True)
    settings = StageOneSettings(refining=1, average_images=50)
    run = StageOne(large_pairs, config, settings, Budget(images=10_000), CPU)
    noise = run.fixed_noise
    with torch.inference_mode():
        drawn = run.average.draw(noise, 64)
        assert torch.allclose(run.average(noise), 0.97 * drawn.clamp(-1, 1), atol=1e-5)
    before = weights(run)
    losses = [run.step() for _ in range(40)]
    changed = {k for k, v in weights(run).items() if not torch.equal(v, before[k])}
    assert {key.split(".")[0] for key in changed} == {"generator", "average", "part discriminator"}
    assert all(".refiner." in key for key in changed if not key.startswith("part"))
    with torch.inference_mode():
        assert torch.equal(run.samples(), run.average(noise))
    assert not torch.allclose(run.samples(), 0.97 * drawn.clamp(-1, 1), atol=0.01)
    assert losses[-1]["layout moved"] > 0


def test_a_refiner_needs_a_package_whose_maps_it_refines(large_pairs):
    with pytest.raises(SettingsError, match=r"vessel\.refining: 1, must be less without a package"):
        make_stages(large_pairs, 64, CPU, images=8, settings={"vessel": {"refining": 1}})


def test_stage_two_learns_where_the_vessels_are(pairs):
    run = stage_two(pairs, images=160)
    while run.budget.progress < 1:
        run.step()
    photos, shares, field = run.batch(8)
    vessels = (shares > VESSEL_FROM).float()
    with torch.inference_mode():
        style, _ = run.encoder(photos, field)
        drawn = run.average(vessels, field, style)[:, 1:2]
    background = field.bool() & ~vessels.bool()
    assert drawn[vessels.bool()].mean() < drawn[background].mean() - 0.02


def test_the_segmenters_that_judge_learn_from_real_pairs_alone(pairs):
    """Whether its judgement of drawn photographs counts changes the translator, never itself."""
    deaf, told = stage_two(pairs, reading_weight=0), stage_two(pairs, reading_weight=50)
    for name, network in deaf.networks.items():
        told.networks[name].load_state_dict(network.state_dict())
    for run in (deaf, told):
        run.step()  # in a foreign style: there is no real photograph beside it
        run.step()
    ours, theirs = weights(deaf), weights(told)
    same = {name for name in ours if torch.equal(ours[name], theirs[name])}
    assert {name for name in ours if name.startswith(("readers.0.", "readers.1."))} <= same
    assert not all(name in same for name in ours if name.startswith("translator."))


def test_each_segmenter_learns_from_its_own_half_of_the_pairs(pairs):
    run = stage_two(pairs)
    run.stacks[run.drawn][len(pairs.photos) // 2 :, :3] = torch.nan
    for _ in range(8):
        run.update()
    first, second = (
        torch.cat([p.flatten() for p in each.parameters()]) for each in run.readers[:2]
    )
    assert first.isfinite().all() and second.isnan().any()


def test_the_pupil_learns_from_drawn_photographs_alone_and_tells_the_discriminator(pairs):
    run, other = stage_two(pairs), stage_two(pairs)
    with torch.no_grad():
        other.pupil.last.bias += 1
    losses = [each.update()[1]["discriminator loss"] for each in (run, other)]
    assert losses[0] != losses[1]
    run = stage_two(pairs)
    run.stacks[run.drawn][:, :3] = torch.nan
    before = run.pupil.last.weight.clone()
    run.update()  # in a foreign style, of which the real photographs know nothing
    assert run.pupil.last.weight.isfinite().all()
    assert not torch.equal(run.pupil.last.weight, before)


def test_no_segmenter_judges_what_is_drawn_of_pairs_that_it_learns_from(pairs):
    for seed in range(6):  # either half comes first
        run = stage_two(pairs, seed=seed)
        run.steps = 1  # beside a real photograph
        for parameter in run.readers[1].parameters():
            parameter.data.fill_(torch.nan)
        _, values = run.update()
        blind_learned, blind_judged = (
            math.isnan(values[name]) for name in ("reading loss", "reading difference")
        )
        assert blind_learned != blind_judged


def test_both_stages_learn_to_enlarge_what_they_draw(large_pairs):
    """Above the drawn size only the enlargers change, and they come nearer to the real pictures."""
    one = StageOne(
        large_pairs,
        VesselConfig((8,) * 5, latent=8, enlargements=1),
        StageOneSettings(batch=16),
        Budget(images=10_000),
        CPU,
    )
    one.step()
    one.budget.images_spent = 9_500
    two = StageTwo(
        large_pairs,
        128,
        TranslatorConfig((4, 8), blocks=1, style=4, enlargements=1),
        StageTwoSettings(),
        Budget(images=10_000),
        CPU,
    )
    two.step()  # at the drawn size, which comes first
    two.budget.images_spent = 7_600
    for run, size, loss in ((one, 128, "enlarging loss"), (two, 128, "enlarging difference")):
        before = weights(run)
        losses = [run.step()[loss] for _ in range(24)]
        assert sum(losses[-6:]) < 0.8 * sum(losses[:6])
        changed = {k for k, v in weights(run).items() if not torch.equal(v, before[k])}
        assert changed and all(".enlargers.0." in key for key in changed)
        assert run.samples().shape[-1] == size


def test_samples_leave_the_run_as_it_was(pairs):
    for make in (stage_one, stage_two):
        run, twin = make(pairs), make(pairs)
        run.step(), twin.step()
        run.samples()
        run.step(), twin.step()
        expected, got = weights(twin), weights(run)
        assert all(torch.equal(expected[key], got[key]) for key in expected)


def test_a_finished_run_leaves_checkpoint_log_curves_and_sheet(pairs, tmp_path):
    assert train(stage_one(pairs), tmp_path, recorders=[Journal(tmp_path, "vessel")])
    names = {"vessel.safetensors", "vessel.jsonl", "vessel-curves.png", "vessel-last.png"}
    assert names <= {p.name for p in tmp_path.iterdir()}
    line = json.loads((tmp_path / "vessel.jsonl").read_text().splitlines()[-1])
    assert line["images"] == 256 and line["discriminator loss"] > 0
    assert line["images per second"] > 0 and line["seconds left"] == 0
    again = stage_one(pairs, images=512)
    assert train(again, tmp_path)  # a larger budget goes on from the end
    assert again.steps == 64


def test_the_command_trains_both_stages_and_writes_a_package(pair_folder, tmp_path, capsys):
    package, about = tmp_path / "own-64", tmp_path / "about.json"
    facts = {
        "name": "Drawn",
        "licence": "CC0-1.0",
        "attribution": "Tests",
        "url": "",
        "eye": "left",
    }
    about.write_text(json.dumps(facts))
    cut = shutil.copytree(pair_folder, tmp_path / "cut")
    (cut / "masks").mkdir()
    for i in range(5):  # the sixth has none, and is taken for whole
        mask = Image.new("L", (100, 96))
        ImageDraw.Draw(mask).ellipse((5, 3, 94, 92), fill=255)
        mask.paste(0, (0, 0, 100, 18)), mask.paste(0, (0, 78, 100, 96))
        mask.save(cut / "masks" / f"eye_{i:02d}_mask.png")
    main(
        f"--pairs {cut} --run {tmp_path / 'run'} --resolution 64 --images 16 --threads 1 "
        f"--device cpu --package {package} --about {about} --set photo.width=0.5 "
        "--set vessel.latent=16".split()
    )
    assert "package.json" in capsys.readouterr().out
    loaded = load_package(package)
    assert (loaded.name, loaded.version, loaded.resolution) == ("own-64", "1.0.0", 64)
    training = loaded.manifest["training"]
    assert training["photo"]["settings"]["width"] == 0.5
    assert training["vessel"]["settings"]["latent"] == loaded.vessel_config.latent == 16
    assert loaded.manifest["training_data"]["images"][0] == "eye_00.png"
    assert loaded.sampling.eye == "left" and "eye" not in loaded.manifest["training_data"]
    pair = PairSampler(loaded, "cpu").sample([pair_seed(0, 0)])[0]
    assert pair.image.shape == (64, 64, 3)
    assert loaded.tracer() is not None
    assert loaded.sampling.field_half_height == pytest.approx(0.3)
    assert loaded.sampling.most_loops == 0  # the drawn labels enclose nothing
    assert (pair.mask > 0).any(axis=1).mean() == pytest.approx(0.6, abs=0.02)
    card = (package / "CARD.md").read_text()
    assert "Not for diagnosis" in card and "drawn as left eyes" in card
    assert "Labels are traced" in card
    assert (package / "samples.png").stat().st_size > 0


def test_the_command_stops_on_a_signal_and_goes_on_later(pair_folder, tmp_path):
    command = [
        *(sys.executable, "-m", "models.training", "--pairs", str(pair_folder)),
        *("--run", str(tmp_path), "--stage", "vessel", "--resolution", "64", "--device", "cpu"),
    ]
    process = subprocess.Popen([*command, "--minutes", "10"], stderr=subprocess.PIPE, text=True)
    for line in iter(lambda: process.stderr.read(1), ""):
        if line == "|":  # the progress bar is there: training has begun
            break
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "stopped and saved" in errors
    assert (tmp_path / "vessel.safetensors").exists()
    spent = json.loads((tmp_path / "vessel.jsonl").read_text().splitlines()[-1])["images"]
    done = subprocess.run([*command, "--images", str(spent + 8)], stderr=subprocess.PIPE)
    assert done.returncode == 0
    last = json.loads((tmp_path / "vessel.jsonl").read_text().splitlines()[-1])
    assert last["images"] == spent + 8


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--images 8 --resolution 100", "resolution 100"),
        ("--images 8 --resolution 32", "stage two trains at 64 px or more"),
        ("--images 8 --minutes 1", "either minutes or images"),
        ("--images 0", "greater than zero"),
        ("--images 8 --first 50", "6 photographs found, 50 wanted"),
        ("--images 8 --about nowhere.json", "nowhere.json"),
        ("--images 8 --set vessel.batch=2", r"vessel\.batch: 2, must be a whole number within 4"),
        ("--images 8 --set photos.batch=2", "photos: no such stage"),
        ("--images 8 --from-run runs", "--from-run: needs --from-package"),
        ("--images 8 --enlarge", "--enlarge: needs --from-package"),
        ("--images 8 --trace", "--trace: needs --stage photo and --from-package"),
    ],
)
def test_bad_options_end_in_one_line(pair_folder, tmp_path, options, words):
    fixed = f"--pairs {pair_folder} --run {tmp_path / 'run'} --resolution 64 --package {tmp_path}/p"
    with pytest.raises(SystemExit, match=words):
        main([*fixed.split(), *options.split()])
