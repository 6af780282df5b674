"""The training command, from a folder of photographs to a package that draws pairs."""

import json

import pytest

from models.generator_package import load_generator_package
from models.pair_generator import PairGenerator
from models.training.generators import main


def command(data_folder, run, *more):
    about = {"name": "drawn", "licence": "CC0-1.0", "attribution": "nobody", "url": ""}
    for name in ("pairs", "other"):
        (run.parent / f"{name}.json").write_text(json.dumps(about | {"name": f"drawn {name}"}))
    return [
        *("--pairs", f"{data_folder}/pairs:3", "--photographs", f"{data_folder}/other/photographs"),
        *("--about", f"{run.parent}/pairs.json", "--about", f"{run.parent}/other.json"),
        *("--run", str(run), "--size", "64", "--images", "8", "--leave-out", "A_09*", *more),
    ]


def test_from_photographs_to_a_package(data_folder, tmp_path):
    folder = tmp_path / "own-model"
    main(command(data_folder, tmp_path / "run", "--finer", "--package", str(folder)))
    package = load_generator_package(folder)
    data = package.manifest["training_data"]
    assert (data["expert_labels"], data["traced_labels"]) == (
        3,
        4,
    )  # of five the least sure is left out
    assert [one["name"] for one in data["data_sets"]] == ["drawn pairs", "drawn other"]
    assert "A_09.png" not in data["images"]
    assert {camera.name for camera in package.sampling.cameras} == {"pairs", "other"}
    for size in (64, 128):
        (pair,) = PairGenerator(package, "cpu", size).sample([1])
        assert pair.image.shape == (size, size, 3)
    card = (folder / "CARD.md").read_text()
    assert "3 photographs with vessel labels by experts, 4 with vessel" in card
    assert (tmp_path / "run" / "translator-last.png").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--stage", "vessel"], "stage trace"),
        (["--size", "48"], "--size: 48"),
        (["--about", "nowhere.json"], r"nowhere\.json: not readable"),
        (["--photographs", "nowhere"], "--about: name one file for each"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(data_folder, tmp_path, more, message):
    with pytest.raises(SystemExit, match=message):
        main(command(data_folder, tmp_path / "run", *more))
