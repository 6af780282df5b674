"""Order synthetic pairs and train a vessel segmenter on them, in a page of code to make your own.

fundusmith up                                    # in another terminal
python examples/train_segmenter.py               # 200 pairs, 300 steps: minutes on two cores
python examples/train_segmenter.py --real mine   # tests it on real pairs, too: mine/images, mine/labels
"""

import argparse
import os
from itertools import pairwise
from pathlib import Path

# Before torch is loaded: threads that wait for each other leave the cores to what else runs here.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "30000")

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate, max_pool2d

from app.client import Client
from models.dataset import LabelledPair, PairDataset
from models.pairs import find_pairs, load_pairs

BATCH, CROP = 8, 128  # eight crops hold more layouts than two whole photographs


def block(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.GroupNorm(8, outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Photographs [N, 3, H, W] to logits of vessel [N, 1, H, W]; H and W are multiples of 8."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 96)) -> None:
        super().__init__()
        self.down = nn.ModuleList(map(block, (3, *widths[:-1]), widths))
        levels = list(pairwise(widths))
        self.up = nn.ModuleList(block(fine + coarse, fine) for fine, coarse in reversed(levels))
        self.head = nn.Conv2d(widths[0], 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        kept = []
        for level, layer in enumerate(self.down):
            image = layer(max_pool2d(image, 2) if level else image)
            kept.append(image)
        for layer, finer in zip(self.up, reversed(kept[:-1]), strict=True):
            image = layer(torch.cat([interpolate(image, scale_factor=2.0), finer], dim=1))
        return self.head(image)


def planes_of(pair: LabelledPair) -> Tensor:
    """[5, H, W]: the photograph with mean 0 and deviation 1 in its field of view, label, mask.

    Cameras differ in exposure and colour, synthetic and real photographs too: this takes that away.
    """
    image, label, mask = pair
    inside = image[:, mask[0] > 0]
    mean, spread = inside.mean(1)[:, None, None], inside.std(1)[:, None, None]
    return torch.cat([(image - mean) / (spread + 1e-3) * mask, label * mask, mask])


def batch_of(pairs: Tensor) -> Tensor:
    """Crops at random places of random pairs [N, 5, H, W], turned and mirrored: [BATCH, 5, CROP, CROP]."""
    crops = []
    for index in torch.randint(len(pairs), (BATCH,)):
        side = min(CROP, pairs.shape[-1])
        y, x = torch.randint(pairs.shape[-1] - side + 1, (2,))
        crop = torch.rot90(
            pairs[index, :, y : y + side, x : x + side], int(torch.randint(4, ())), (1, 2)
        )
        crops.append(crop.flip(2) if torch.rand(()) < 0.5 else crop)
    return torch.stack(crops)


def loss_of(logits: Tensor, label: Tensor, mask: Tensor) -> Tensor:
    """Cross entropy plus Dice within the field of view: vessels are few, and Dice minds that."""
    found = torch.sigmoid(logits) * mask
    dice = (2 * (found * label).sum() + 1) / ((found + label).sum() + 1)
    return binary_cross_entropy_with_logits(logits, label, weight=mask) + 1 - dice


@torch.no_grad()
def f1(net: UNet, pairs: Tensor) -> float:
    """Twice the vessel pixels found, over those found and those there, within the fields of view."""
    hits = both = 0.0
    for image, label, mask in (planes[None].split([3, 1, 1], 1) for planes in pairs):
        found = (net(image) > 0) * mask
        hits, both = hits + float(2 * (found * label).sum()), both + float((found + label).sum())
    return hits / both


def real_pairs(folder: Path, size: int) -> Tensor:
    """Real pairs in any layout that an upload may have, at the size of the synthetic ones."""
    real = load_pairs(find_pairs(folder), size)
    masks = torch.stack([torch.from_numpy(field.draw(size)) for field in real.fields])[
        :, None
    ].float()
    labels = (real.vessels > 127).float()  # at least half of the pixel
    pairs = zip(real.photos / 255, labels, masks, strict=True)
    return torch.stack([planes_of(LabelledPair(*pair)) for pair in pairs])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--count", type=int, default=200, help="pairs to order (200)")
    options.add_argument("--steps", type=int, default=300, help="batches to train on (300)")
    options.add_argument(
        "--folder", type=Path, default=Path("data"), help="for zip and network (data)"
    )
    options.add_argument("--real", type=Path, help="a folder of real pairs to test on as well")
    given = options.parse_args()

    with Client() as client:
        order = client.datasets.order(given.count, seed=7, splits={"train": 0.8, "val": 0.2})
        print(f"{order.id}: {given.count} pairs of {order.request['model']} are being made")
        zips = order.wait().download(given.folder)
    train, val = (
        torch.stack(list(PairDataset(zips, split, planes_of))) for split in ("train", "val")
    )

    torch.manual_seed(0)
    net = UNet()
    optimiser = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, given.steps, pct_start=0.05)
    for step in range(1, given.steps + 1):
        image, label, mask = batch_of(train).split([3, 1, 1], 1)
        loss = loss_of(net(image), label, mask)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 50 == 0 or step == given.steps:
            print(f"step {step} of {given.steps}: loss {loss.item():.3f}")
    torch.save(net.state_dict(), given.folder / "segmenter.pt")
    print(f"F1 on {len(val)} synthetic pairs held out: {f1(net, val):.3f}")
    if given.real:
        real = real_pairs(given.real, train.shape[-1])
        print(f"F1 on {len(real)} real pairs: {f1(net, real):.3f}")


if __name__ == "__main__":
    main()
