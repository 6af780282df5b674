"""Photographs are cropped to their fields of view, with all that is known of each."""

import pytest
import torch
from PIL import Image

from models.data.augmentation import Geometry, photometric, random_views
from models.data.photographs import DARK, DISC, VESSELS, load_set, read_unlabelled, save_set
from models.pairs import PairError


def test_labels_lie_on_their_photographs(labelled):
    assert labelled.names[0] == "eye_00.png" and set(labelled.sources) == {"pairs"}
    assert labelled.known.tolist() == [[True, False, False, False]] * 4
    vessels, green = labelled.maps[:, VESSELS] > 200, labelled.photographs[:, 1].float()
    inside = (labelled.fields[:, 0] > 0) & (labelled.maps[:, VESSELS] == 0)
    assert green[vessels].mean() < green[inside].mean() - 30
    # The crop is the field of view and a hundredth around it.
    assert labelled.fields.any(3).sum(2).min() >= 61
    assert not labelled.photographs[(labelled.fields == 0).expand(-1, 3, -1, -1)].any()


def test_annotations_beside_a_folder_of_photographs_are_read(unlabelled):
    assert unlabelled.known.tolist()[:3] == [[False, True, True, True]] * 3
    assert not unlabelled.known[3:].any() and not unlabelled.traced.any()
    assert unlabelled.maps[0, DISC].sum() > 255 * 40
    assert unlabelled.maps[0, DARK].any() and not unlabelled.maps[0, 3].any()


def test_a_set_is_read_as_it_was_written(unlabelled, tmp_path):
    save_set(tmp_path / "set.safetensors", unlabelled)
    again = load_set(tmp_path / "set.safetensors")
    assert (again.names, again.sources) == (unlabelled.names, unlabelled.sources)
    assert torch.equal(again.maps, unlabelled.maps)


def test_subsets_and_sums_keep_what_belongs_together(labelled, unlabelled):
    both = labelled + unlabelled
    chosen = both.subset(both.known[:, DISC])
    assert chosen.names == ("A_04.png", "A_05.png", "A_06.png")
    assert torch.equal(chosen.maps, unlabelled.maps[:3])
    assert both.at_size(32).size == 32


def test_what_cannot_be_read_is_named(tmp_path):
    (tmp_path / "photographs").mkdir()
    with pytest.raises(PairError, match="no photographs found"):
        read_unlabelled(tmp_path / "photographs", 64, "none")
    Image.new("RGB", (50, 50)).save(tmp_path / "photographs" / "black.png")
    with pytest.raises(PairError, match=r"black\.png: no field of view"):
        read_unlabelled(tmp_path / "photographs", 64, "none")
    (tmp_path / "photographs" / "black.png").write_bytes(b"not a picture")
    with pytest.raises(PairError, match=r"black\.png: not a picture"):
        read_unlabelled(tmp_path / "photographs", 64, "none")


def test_photographs_and_maps_move_together(labelled):
    generator = torch.Generator().manual_seed(0)
    geometry = Geometry(rotation=180, scale=(0.5, 1.0), shift=0.3, upside_down=True)
    places = torch.arange(4).repeat(4)
    photographs, maps, fields = random_views(labelled, places, 48, geometry, generator)
    assert photographs.shape == (16, 3, 48, 48) and maps.shape == (16, 4, 48, 48)
    vessels, inside = maps[:, VESSELS] > 0.8, (fields[:, 0] > 0) & (maps[:, VESSELS] == 0)
    assert photographs[:, 1][vessels].mean() < photographs[:, 1][inside].mean() - 0.1
    assert not maps[(fields == 0).expand_as(maps)].any()


def test_photometric_changes_stay_in_range_and_pass_gradients(labelled):
    photographs = labelled.stack(torch.arange(4))[:, :3].requires_grad_()
    changed = photometric(photographs, torch.Generator().manual_seed(0))
    assert changed.min() >= 0 and changed.max() <= 1
    assert (changed - photographs).abs().mean() > 0.02
    changed.sum().backward()
    assert photographs.grad.isfinite().all() and photographs.grad.any()
