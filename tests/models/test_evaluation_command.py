"""The commands, from a folder of pairs to a report."""

import io
import json
import os
import signal
import zipfile
from dataclasses import asdict

import numpy as np
import pytest
from PIL import Image

from models.evaluation import command
from models.evaluation.blind import blind_sheets
from models.evaluation.gather import split
from models.evaluation.pair_arrays import EvaluationData
from models.evaluation.run_folder import RunFolder
from models.evaluation.settings import EvaluationSettings, Network
from tests.models.made_pairs import made_pairs, save_pairs

ASKED = {"settings": asdict(EvaluationSettings())}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_pairs(made_pairs(range(9)), tmp_path_factory.mktemp("real") / "pairs")


@pytest.fixture(scope="module")
def order(tmp_path_factory):
    """16 pairs as an order's zip has them."""
    pairs = made_pairs(range(50, 66))
    path = tmp_path_factory.mktemp("order") / "dataset.zip"
    lines = []
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(len(pairs)):
            line = {"index": i}
            for part, key in (("photos", ""), ("labels", "label_"), ("fields", "mask_")):
                file, plane = io.BytesIO(), getattr(pairs, part)[i]
                plane = plane if part == "photos" else plane * np.uint8(255)
                Image.fromarray(plane).save(file, "png")
                line[f"{key}file_name"] = f"{part}/{i}.png"
                archive.writestr(f"train/{part}/{i}.png", file.getvalue())
            lines.append(json.dumps(line))
        archive.writestr("train/metadata.jsonl", "\n".join(lines))
        package = {"name": "elsewhere", "version": "2.0.0", "digest": "d1"}
        archive.writestr("manifest.json", json.dumps({"order": {"count": 16}, "package": package}))
    return path


def arguments(folder, order, run, *more):
    paths = ["--pairs", str(folder), "--order", str(order), "--run", str(run)]
    return [*paths, "--train", "5", "--pairs-count", "16", "--only", "measures", *more]


def test_an_order_is_evaluated_stopped_and_gone_on_with(
    folder, order, tmp_path, monkeypatch, capsys
):
    taken, real_step = [], command.run_step

    def stopped_at_first(step, data, settings, report):
        taken.append(step)
        if len(taken) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return real_step(step, data, settings, report)

    monkeypatch.setattr(command, "run_step", stopped_at_first)
    some = ("--only", "measures", "real", "--steps", "10", "--seeds", "1")
    asked = arguments(folder, order, tmp_path, *some)
    with pytest.raises(SystemExit) as stopped:
        command.main(asked)
    assert stopped.value.code == 3 and not (tmp_path / "report.json").exists()
    command.main(asked)
    command.main([*asked, "--without-pictures"])  # what is finished is not taken again
    assert taken == ["measures", "measures", "fit:real:0"]

    report = json.loads((tmp_path / "report.json").read_text())
    assert report["facts"]["model"]["name"] == "elsewhere"
    assert report["facts"]["pairs"]["test"] == [f"eye_{i:03d}.png" for i in range(5, 9)]
    assert report["real"]["counts"]["looked_at"] == 16
    assert report["private"]["maps"]["copies"] == []
    assert "<img" not in (tmp_path / "report.html").read_text()
    assert "elsewhere@2.0.0" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="another settings"):
        command.main([*asked, "--seed", "1"])


def test_pairs_are_kept_as_they_were(tmp_path):
    sets = [made_pairs(range(i, i + 2), 32) for i in range(3)]
    run = RunFolder(tmp_path, ASKED)
    run.keep_pairs(EvaluationData(*sets, None))
    kept = run.pairs()
    assert kept.rendered is None and kept.test.names == sets[1].names
    assert np.array_equal(kept.synthetic.labels, sets[2].labels)


def test_a_step_is_taken_by_one_process_at_a_time(tmp_path):
    ours, theirs = RunFolder(tmp_path, ASKED), RunFolder(tmp_path, ASKED)
    with ours.taken("fit:real:0") as first, theirs.taken("fit:real:0") as second:
        assert first and not second
        with theirs.taken("fit:real:1") as other:
            assert other
    with theirs.taken("fit:real:0") as second:
        assert second


def test_a_run_that_an_older_version_began_goes_on(tmp_path):
    settings = {name: value for name, value in ASKED["settings"].items() if name != "network"}
    (tmp_path / "asked.json").write_text(json.dumps({"settings": settings}))
    RunFolder(tmp_path, ASKED)
    with pytest.raises(ValueError, match="another settings"):
        RunFolder(tmp_path, {"settings": ASKED["settings"] | {"network": Network.ATTENTION}})


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--train", "7"], "7 are ones that the model learned from and 2 are held out"),
        (
            ["--package", "models/packages/chase-256"],
            "drawn by elsewhere@2.0.0, not by this package",
        ),
        (["--only", "real", "rendered"], "--only rendered: needs --package"),
        (["--pairs-count", "3"], "pairs: must lie within 16 and 10000"),
    ],
)
def test_bad_input_is_named(folder, order, tmp_path, more, words):
    with pytest.raises(SystemExit, match=words):
        command.main(arguments(folder, order, tmp_path, *more))


def test_what_the_model_learned_from_is_known_by_name():
    names = [f"Image_{i:02d}.png" for i in range(10)]
    learned = [f"Image_{i:02d}.jpg" for i in range(1, 6)]  # an upload keeps another format
    assert split(names, learned, None) == ([1, 2, 3, 4, 5], [0, 6, 7, 8, 9])
    with pytest.raises(ValueError, match="train: say how many"):
        split(names, None, None)


def test_a_blind_sheet_and_its_key_agree():
    real, generated = made_pairs(range(4), 64), made_pairs(range(30, 34), 64)
    real.photos[:], generated.photos[:] = 200, 100
    sheets, key = blind_sheets(real, generated, seed=1)
    assert blind_sheets(real, generated, seed=1) == (sheets, key)
    assert list(key["photographs"].values()) != list(key["maps"].values())
    page = np.asarray(Image.open(io.BytesIO(sheets["blind-photographs.png"])))
    for number, what in key["photographs"].items():
        row, column = divmod(int(number) - 1, 6)
        tile = page[8 + row * 264 + 200, 8 + column * 264 + 128]
        assert tile[0] == (200 if what.startswith("real") else 100)
    assert sorted(key["maps"].values()) == sorted(key["photographs"].values())
