"""Order synthetic pairs and train a vessel segmenter on them, in a page of code.

fundusmith up                            # in another terminal
python examples/train_segmenter.py --count 200 --epochs 6
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader

from app.client import Client
from models.dataset import LabelledPair, PairDataset


def block(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.GroupNorm(4, outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Photographs [N, 3, H, W] to logits of vessel [N, 1, H, W]; H and W are multiples of 8."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width]
        self.down = nn.ModuleList(map(block, [3, *widths[:-1]], widths))
        self.up = nn.ModuleList(block(3 * width, width) for width in reversed(widths[:-1]))
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        kept = []
        for level, layer in enumerate(self.down):
            image = layer(nn.functional.max_pool2d(image, 2) if level else image)
            kept.append(image)
        for layer, finer in zip(self.up, reversed(kept[:-1]), strict=True):
            larger = nn.functional.interpolate(image, scale_factor=2.0)
            image = layer(torch.cat([larger, finer], dim=1))
        return self.head(image)


def mirrored(pair: LabelledPair) -> LabelledPair:
    axes = [axis for axis in (1, 2) if torch.rand(()) < 0.5]
    return LabelledPair(*(picture.flip(axes) for picture in pair))


def loss_of(logits: Tensor, label: Tensor, mask: Tensor) -> Tensor:
    """Cross entropy plus Dice within the field of view: vessels are few, and Dice minds that."""
    found = torch.sigmoid(logits) * mask
    dice = 2 * (found * label).sum() / (found + label).sum()
    return binary_cross_entropy_with_logits(logits, label, weight=mask) + 1 - dice


def f1(net: UNet, loader: DataLoader) -> float:
    """Twice the vessel pixels found, over those found or there, within the fields of view."""
    net.eval()
    with torch.no_grad():
        counts = [
            (2 * (found * label).sum(), (found + label).sum())
            for image, label, mask in loader
            for found in [(net(image) > 0).float() * mask]
        ]
    hits, all_ = map(sum, zip(*counts, strict=True))
    return float(hits / all_)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--count", type=int, default=200, help="pairs to order (200)")
    options.add_argument("--epochs", type=int, default=6)
    options.add_argument("--folder", type=Path, default=Path("data"), help="for the zip (data)")
    given = options.parse_args()

    with Client() as client:
        shares = {"train": 0.8, "val": 0.2}
        order = client.datasets.order(given.count, seed=7, splits=shares).wait()
        zips = order.download(given.folder)

    torch.manual_seed(0)
    train = DataLoader(PairDataset(zips, "train", mirrored), batch_size=8, shuffle=True)
    val = DataLoader(PairDataset(zips, "val"), batch_size=8)
    net = UNet()
    optimiser = torch.optim.Adam(net.parameters(), 0.005)
    for epoch in range(given.epochs):
        net.train()
        for image, label, mask in train:
            loss = loss_of(net(image), label, mask)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        print(f"epoch {epoch + 1}: F1 on pairs not trained on {f1(net, val):.3f}")
    torch.save(net.state_dict(), given.folder / "segmenter.pt")


if __name__ == "__main__":
    main()
