"""Training of the translator, from map to photograph, and of the tracer."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.augment import (
    PHOTOGRAPHIC,
    change_light,
    move,
    random_affine,
    random_bend,
    random_light,
    random_parts,
    soften,
)
from models.devices import Device
from models.losses import (
    feature_difference,
    feature_matching,
    kl_to_normal,
    patch_discriminator_loss,
    patch_generator_loss,
    patch_r1_penalty,
    vessel_weight,
    weighted_l1,
)
from models.package import ModelPackage
from models.pairs import PairSet
from models.segmenter import Segmenter, SegmenterConfig
from models.training.budget import Budget
from models.training.checkpoint import average_into
from models.training.growth import networks_of, take_over
from models.training.phases import phase_of
from models.training.run import Run
from models.training.settings import SettingsError, StageTwoSettings
from models.training.stage_one import PART
from models.training.team import ALONE, Team
from models.training.tracing import OPTIMISER, Tracing, pairs_to_trace
from models.training.transfer import Origin, first_enlargement, take_over_translator, whole
from models.translator import MultiScaleDiscriminator, StyleEncoder, Translator, TranslatorConfig

SMALLEST = 64  # below this there are no vessels to see
ENLARGING_RATE = 1e-3  # of Adam
BARE = 0.25  # of the batches are told which pixels are vessel only, as maps of others may be
PARTS = 4  # of pictures to enlarge or trace, per pair of a batch


class StageTwo(Run):
    """A run of stage two at one resolution, of which the pairs' size is a multiple.

    Photographs of ``drawn`` pixels are learned first, then each doubling of their size, then to trace.
    """

    stage = "photo"
    sheet_columns = 6
    settings: StageTwoSettings

    def __init__(
        self,
        pairs: PairSet,
        resolution: int,
        config: TranslatorConfig,
        settings: StageTwoSettings,
        budget: Budget,
        device: Device,
        seed: int = 0,
        team: Team = ALONE,
    ):
        if resolution < SMALLEST:
            raise ValueError(f"resolution {resolution}: stage two trains at {SMALLEST} px or more")
        if settings.batch % team.size:
            raise SettingsError(
                f"photo.batch: {settings.batch} cannot be shared by {team.size} processes"
            )
        super().__init__(budget, device, seed, team)
        self.config, self.settings = config, settings
        self.resolution, self.drawn = resolution, resolution >> config.enlargements
        self.translator = device.place(Translator(config))
        self.encoder = device.place(StyleEncoder(config.style))
        self.discriminator = device.place(MultiScaleDiscriminator())
        # One learns from each half of the pairs, and judges photographs drawn of the other half's maps;
        # the third, the pupil, learns from drawn pairs.
        self.readers = [device.place(Segmenter(SegmenterConfig())) for _ in range(3)]
        self.pupil = self.readers[2]
        readers = nn.ModuleList(self.readers)
        self.tracing = Tracing(device, resolution)
        self.average = copy.deepcopy(self.translator).requires_grad_(False)
        painters = [*self.translator.parameters(), *self.encoder.parameters()]
        judges = self.discriminator.parameters()
        self.optimisers = {
            "painters": torch.optim.Adam(painters, settings.learning_rate, (0.5, 0.999)),
            "discriminator": torch.optim.Adam(judges, settings.discriminator_rate, (0.0, 0.99)),
            "readers": torch.optim.Adam(readers.parameters(), settings.reading_rate),
            OPTIMISER: self.tracing.optimiser,
        }
        self.networks = {
            "translator": self.translator,
            "encoder": self.encoder,
            "discriminator": self.discriminator,
            "readers": readers,
            "average": self.average,
            "tracer": self.tracing.tracer,
            "tracer_average": self.tracing.average,
        }
        self.reached = 0  # the largest size that has come from a package
        self.package_style: tuple[Tensor, Tensor] | None = None
        size = pairs.photos.shape[-1]
        fields = torch.stack([torch.from_numpy(f.draw(size)) for f in pairs.fields])[
            :, None
        ].float()
        # One stack, so that photograph, vessels and field always move together.
        stacks = torch.cat([pairs.photos / 127.5 - 1, pairs.vessels / 255, fields], dim=1)
        stacks = stacks.to(device.name)
        pooled = F.avg_pool2d(stacks, resolution // self.drawn)
        self.stacks = {self.resolution: stacks, self.drawn: pooled}  # by the size they are shown at
        self.first_size = self.drawn  # smaller ones are known already

    def start_from(self, package: ModelPackage) -> None:
        """Take over the package's translator; the encoder and the discriminator begin anew.

        Raises:
            TransferError: if the translator is of another shape.
        """
        take_over_translator((self.translator, self.average), package.translator())
        if tracer := package.tracer():
            self.tracing.start_from(tracer)
        self.reached = self.drawn << package.translator_config.enlargements
        self.origin, self.package_style = Origin.of(package), package.style_statistics()

    def judge_as(self, checkpoint: Path) -> None:
        states = networks_of(checkpoint)
        take_over(self.encoder, states["encoder"])  # it sees every photograph at one size
        known = take_over(self.discriminator, states["discriminator"])
        if known and self.reached < self.resolution:
            self.first_size = 2 * self.reached

    def only_enlarge(self) -> None:
        self.first_size = first_enlargement(self.reached, self.drawn, self.resolution)

    def only_trace(self) -> None:
        """Leave what the package draws, and learn to trace it.

        Raises:
            TransferError: if the package draws less.
        """
        self.first_size = 2 * whole(self.reached, self.resolution)

    @property
    def complete(self) -> bool:
        return super().complete and self.reached == self.resolution

    def phase(self) -> tuple[int | None, float]:
        """What is learned now, see :func:`phase_of`."""
        sizes = [self.drawn << i for i in range(self.config.enlargements + 1)]
        sizes = [size for size in sizes if size >= self.first_size]
        return phase_of(self.budget.progress, sizes, self.drawn)

    def batch(
        self,
        count: int,
        team: Team = ALONE,
        size: int | None = None,
        half: int | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Moved pairs at a size (``drawn`` if None): photographs, shares of vessel, fields in {0, 1}.

        ``count`` are drawn, of all pairs or of a half; returned is this process's share of them.
        """
        size = size or self.drawn
        stacks = self.stacks[size]
        first, end = (0, len(stacks)) if half is None else _half(len(stacks), half)
        chosen = team.share(torch.randint(first, end, (count,), generator=self.random))
        stacks = stacks[chosen.to(stacks.device)]
        stacks[:, :3] += 1  # black is what lies beyond the edge: let it be zero in every channel
        affine = team.share(random_affine(count, PHOTOGRAPHIC, self.random))
        bend = team.share(random_bend(count, PHOTOGRAPHIC, self.random))
        stacks = move(stacks, affine, outside=0.0, bend=bend)
        stacks[:, :3] -= 1
        return self._pairs_of(F.avg_pool2d(stacks, stacks.shape[-1] // size), team)

    def _pairs_of(self, stacks: Tensor, team: Team) -> tuple[Tensor, Tensor, Tensor]:
        """Photographs in changed light, shares of vessel and fields of this process's share of stacks."""
        field = (stacks[:, 4:] > 0.5).float()
        shares = stacks[:, 3:4] * field
        gamma, gain = random_light(len(stacks) * team.size, self.random)
        photos = change_light(stacks[:, :3], team.share(gamma), team.share(gain))
        return (photos + 1) * field - 1, shares, field

    @cached_property
    def _traced(self) -> Tensor:
        size = self.resolution
        return pairs_to_trace(self.stacks[size], size, self.settings.threshold)

    def _vessels(self, shares: Tensor) -> Tensor:
        """1 where a pixel counts as vessel, else 0."""
        return (shares > self.settings.threshold).float()

    def update(self) -> tuple[int, dict[str, float]]:
        size, progress = self.phase()
        if size is None:
            count = PARTS * self.settings.batch
            return count, self.tracing.update(self, self._traced, count, progress)
        # Constant for the first half, then down to zero, as in pix2pixHD.
        fall = min(1.0, max(0.02, 2 * (1 - progress)))
        if size > self.drawn:
            return self._update_enlarger(size, ENLARGING_RATE * fall)
        self.set_learning_rate("painters", self.settings.learning_rate * fall)
        self.set_learning_rate("discriminator", self.settings.discriminator_rate * fall)
        self.set_learning_rate("readers", self.settings.reading_rate * fall)
        count = self.settings.batch
        half = int(torch.randint(2, (), generator=self.random))
        learner, judge = self.readers[half], self.readers[1 - half]
        photos, shares, field = self.batch(count, self.team, half=half)
        vessels = self._vessels(shares)
        if float(torch.rand((), generator=self.random)) < BARE or not self.config.shares:
            shares = vessels
        foreign = self.steps % self.settings.foreign_style_every == 0
        code = self.team.share(torch.randn(count, self.config.style, generator=self.random))
        noise = self.team.share(self._noise(count))
        with self.device.autocast():
            mean, log_variance = self.encoder(photos, field)
            code = code.to(mean.device)
            style = code if foreign else mean + code * (log_variance / 2).exp()
            fake = self.translator.drawn(shares, field, style, noise).float()
        parts = self._window(photos, fake, shares, vessels, field)
        real, drawn, told, labels, fields = parts
        values = self._update_discriminator(real, told, fields, drawn.detach())
        values["reading loss"] = self._update_reader(learner, real, labels, fields)
        values["pupil's loss"] = self._update_reader(self.pupil, drawn.detach(), labels, fields)
        self.discriminator.requires_grad_(False)
        self.networks["readers"].requires_grad_(False)
        with self.device.autocast():
            features = self._judged(told, fields, drawn)
            loss = values["translator loss"] = patch_generator_loss(features)
            if not foreign:
                with torch.no_grad():
                    real_features = self._judged(told, fields, real)
                    real_readings = judge.features(real)
                matching = values["feature matching"] = feature_matching(features, real_features)
                difference = values["photo difference"] = self._difference(
                    fake, photos, vessels, max(1, self.drawn // self.settings.photo_cells)
                )
                reading = values["reading difference"] = feature_difference(
                    judge.features(drawn), real_readings
                )
                divergence = values["style divergence"] = kl_to_normal(mean, log_variance)
                loss = (
                    loss
                    + self.settings.feature_weight * matching
                    + self.settings.photo_weight * difference
                    + self.settings.reading_weight * reading
                    + self.settings.kl_weight * divergence
                )
        self.descend("painters", loss)
        self.discriminator.requires_grad_(True)
        self.networks["readers"].requires_grad_(True)
        average_into(self.average, self.translator, 0.5 ** (count / self.settings.average_images))
        # All at once: each look at a number waits for a GPU.
        numbers = torch.stack([value.detach().float() for value in values.values()]).tolist()
        return count, dict(zip(values, numbers, strict=True))

    def _update_enlarger(self, size: int, rate: float) -> tuple[int, dict[str, float]]:
        """Teach the network that doubles photographs to this size; no other changes."""
        which = (size // self.drawn).bit_length() - 2
        enlarger, average = self.translator.enlargers[which], self.average.enlargers[which]
        count = PARTS * self.settings.batch
        whole = self.stacks[self.resolution]
        factor = whole.shape[-1] // size
        parts = random_parts(whole, count, factor * PART, self.random)
        stacks = F.avg_pool2d(self.team.share(parts), factor)
        photos, shares, _ = self._pairs_of(stacks, self.team)
        vessels = self._vessels(shares)
        small = F.avg_pool2d(photos, 2)
        # Drawn photographs are not all as sharp as halved ones.
        unsharp = self.team.share(torch.rand(count, 1, 1, 1, generator=self.random)) / 2
        small = soften(small, unsharp.to(small))
        with self.device.autocast():
            enlarged = enlarger(small, vessels)
        loss = self._difference(enlarged, photos, vessels, cell=1)
        self.set_learning_rate("painters", rate)
        self.descend("painters", loss)
        average_into(average, enlarger, 0.5 ** (count / self.settings.average_images))
        return count, {"enlarging difference": loss.item(), "size": size}

    def _window(self, *planes: Tensor) -> Iterator[Tensor]:
        """The same part of each for the discriminator, turned: to a patch all directions are one, and
        eight times as much is hard to learn by heart."""
        side = min(self.drawn, self.settings.window)
        top, left = torch.randint(self.drawn - side + 1, (2,), generator=self.random).tolist()
        turns = int(torch.randint(4, (), generator=self.random))
        for each in planes:
            part = each[:, :, top : top + side, left : left + side]
            yield torch.rot90(part, turns, (2, 3)).contiguous(memory_format=torch.channels_last)

    def _noise(self, count: int) -> Tensor:
        """Planes for a batch, drawn where they are used: there are many numbers."""
        seed = int(torch.randint(2**62, (), generator=self.random))
        random = torch.Generator(self.device.name).manual_seed(seed)
        shape = (count, self.config.noise, self.drawn, self.drawn)
        return torch.randn(shape, generator=random, device=self.device.name)

    def _difference(self, fake: Tensor, photos: Tensor, vessels: Tensor, cell: int) -> Tensor:
        weight = vessel_weight(vessels, self.settings.vessel_emphasis)
        return weighted_l1(fake, photos, weight, self.team.average(weight.mean()), cell)

    def _judged(self, vessels: Tensor, field: Tensor, photos: Tensor) -> list[list[Tensor]]:
        """The discriminator's features of photographs, beside which it is shown what the pupil finds.

        Where the pupil errs in real photographs alone, they have something that drawn ones lack.
        """
        return self.discriminator(vessels, field, photos, self.pupil(photos).sigmoid())

    def _update_reader(
        self, reader: Segmenter, photos: Tensor, vessels: Tensor, field: Tensor
    ) -> Tensor:
        """Teach a segmenter to find the vessels of photographs."""
        with self.device.autocast():
            logits = reader(photos)
        # Of the pixels in the field of view of the whole batch, of which this may be a share.
        entropy = F.binary_cross_entropy_with_logits(logits.float(), vessels, weight=field)
        loss = entropy / self.team.average(field.mean())
        self.descend("readers", loss)
        return loss

    def _update_discriminator(
        self, photos: Tensor, vessels: Tensor, field: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        with self.device.autocast():
            with torch.no_grad():
                found = self.pupil(photos).sigmoid()
                found_in_fake = self.pupil(fake).sigmoid()
            real_features = self.discriminator(vessels, field, photos, found)
            fake_features = self.discriminator(vessels, field, fake, found_in_fake)
            loss = patch_discriminator_loss(real_features, fake_features)
        every = self.settings.r1_every

        def penalty() -> Tensor:
            # Second derivatives are taken in single precision.
            shown = photos.clone().requires_grad_()
            features = self.discriminator(vessels, field, shown, found)
            return self.settings.r1 / 2 * every * patch_r1_penalty(shown, features)

        due = self.settings.r1 and self.steps % every == 0
        self.descend("discriminator", loss, penalty if due else None)
        told_apart = [
            ((real[-1] > 0).float().mean() + (drawn[-1] < 0).float().mean()) / 2
            for real, drawn in zip(real_features, fake_features, strict=True)
        ]
        return {"discriminator loss": loss, "patches told apart": torch.stack(told_apart).mean()}

    def style_statistics(self, batches: int = 64) -> tuple[Tensor, Tensor]:
        """Mean [S] and Cholesky factor [S, S] of the codes of 8 photographs a batch, moved anew.

        An order draws its styles from this Gaussian, which lies where the translator has been taught,
        and not from the standard normal that the codes were only drawn towards.
        """
        if self.package_style and (not self.steps or self.first_size > self.drawn):
            return self.package_style  # what draws learned nothing since
        state = self.random.get_state()
        means, variances = [], []
        with torch.inference_mode():
            for _ in range(batches):
                photos, _, field = self.batch(8)
                mean, log_variance = self.encoder(photos, field)
                means.append(mean.cpu())
                variances.append(log_variance.exp().cpu())
        self.random.set_state(state)
        codes = torch.cat(means).double()
        covariance = codes.T.cov() + torch.diag(torch.cat(variances).double().mean(0))
        return codes.mean(0).float(), torch.linalg.cholesky(covariance).float()

    def samples(self) -> Tensor:
        """Four maps: drawn with a photograph's own style, the photograph, and in two drawn styles."""
        state = self.random.get_state()
        self.random.manual_seed(1)
        mean, factor = self.style_statistics(batches=8)  # only to be looked at
        with torch.inference_mode():
            photos, shares, field = self.batch(4, size=self.resolution)
            shares = shares if self.config.shares else self._vessels(shares)
            own, _ = self.encoder(photos, field)
            drawn = [
                (mean + torch.randn(4, len(mean), generator=self.random) @ factor.T).to(own.device)
                for _ in range(3)
            ]
            rows = [shares.expand(-1, 3, -1, -1) * 2 - 1, photos]
            noise = self._noise(4)
            rows += [self.average(shares, field, style, noise) for style in [own, *drawn]]
        self.random.set_state(state)
        return torch.stack(rows, dim=1).flatten(0, 1)

    def extra_state(self) -> dict[str, Any]:
        return {"first_size": self.first_size}

    def restore_extra_state(self, state: dict[str, Any]) -> None:
        self.first_size = state.get("first_size", self.drawn)


def _half(count: int, which: int) -> tuple[int, int]:
    """First and end of one half of so many pairs, in their order: the two eyes of a patient follow each
    other. A single pair is both."""
    return (which * count // 2, (which + 1) * count // 2) if count > 1 else (0, 1)
