"""Training of the vessel map generator."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.augment import (
    ANATOMICAL,
    DISCRIMINATOR,
    AdaptiveStrength,
    enlarging_flaws,
    mirrors_to_one_eye,
    move,
    random_affine,
    random_affine_for_some,
    random_bend,
    random_parts,
)
from models.devices import Device
from models.losses import (
    discriminator_loss,
    enlarging_loss,
    generator_loss,
    r1_penalty,
    spread_loss,
)
from models.package import ModelPackage
from models.pairs import PairSet
from models.training.budget import Budget
from models.training.checkpoint import average_into
from models.training.divergence import Diverged
from models.training.growth import networks_of, take_over
from models.training.run import Run
from models.training.settings import SettingsError, StageOneSettings
from models.training.team import ALONE, Team
from models.training.transfer import Origin, shared_resolution, take_over_vessel
from models.vessel_gan import Enlarger, VesselConfig, VesselDiscriminator, VesselGenerator

# Relative time given to each resolution: the small ones only lay the ground, and the shape of a tree
# is settled by 64 pixels.
SHARES = {4: 0.5, 8: 1.5, 16: 6, 32: 26, 64: 28, 128: 22, 256: 16, 512: 6, 1024: 6}

PART = 128  # pixels a side of the parts of maps that enlarging is learned from
DEVIATION_GROUP = 4  # samples in a group of the minibatch deviation, which no process may split


class StageOne(Run):
    """A run of stage one; trains on the ``vessels`` of the pairs, whose size is twice the
    resolution or a multiple of that."""

    stage = "vessel"
    sheet_columns = 8
    settings: StageOneSettings

    def __init__(
        self,
        pairs: PairSet,
        config: VesselConfig,
        settings: StageOneSettings,
        budget: Budget,
        device: Device,
        seed: int = 0,
        team: Team = ALONE,
    ):
        super().__init__(budget, device, seed, team)
        self.config, self.settings = config, settings
        for resolution in config.resolutions:
            if team.size > 1 and self.batch(resolution) % (DEVIATION_GROUP * team.size):
                raise SettingsError(
                    f"vessel.batch: {self.batch(resolution)} at {resolution} px cannot be shared by "
                    f"{team.size} processes: batch and smallest_batch must be multiples of "
                    f"{DEVIATION_GROUP * team.size}"
                )
        self.generator = device.place(VesselGenerator(config))
        self.discriminator = device.place(VesselDiscriminator(config))
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.first_resolution = config.resolutions[0]
        rate, betas = settings.learning_rate, (0.0, 0.99)
        self.optimisers = {
            "generator": torch.optim.Adam(self.generator.parameters(), rate, betas),
            "discriminator": torch.optim.Adam(self.discriminator.parameters(), rate, betas),
        }
        self.networks: dict[str, nn.Module] = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "average": self.average,
        }
        self.reached = self.first_resolution  # the largest that has come from a package
        self.growing = False  # whether the first resolution fades in, as the later ones do
        self.collapsed_images = 0  # since drawings last varied enough
        self.strength = AdaptiveStrength(
            probability=min(max(0.5, settings.augmentation_least), settings.augmentation_most),
            target=settings.augmentation_target,
            images_to_one=settings.augmentation_images,
            least=settings.augmentation_least,
            most=settings.augmentation_most,
        )
        maps = pairs.vessels.float().to(device.name) / 127.5 - 1
        mirrored = mirrors_to_one_eye(maps.cpu()).to(device.name)
        maps = torch.where(mirrored[:, None, None, None], maps.flip(-1), maps)
        # At twice each size: moves are made there, then halved, which costs less than at full size.
        self.maps = {
            resolution: F.avg_pool2d(maps, maps.shape[-1] // (2 * resolution))
            for resolution in config.resolutions
        }
        self.fixed_noise = torch.randn(
            16, config.latent, generator=torch.Generator().manual_seed(1)
        )

    def start_from(self, package: ModelPackage) -> None:
        """Take over the package's generator, up to the largest resolution that both have.

        The schedule begins there, with a discriminator that has learned nothing yet.

        Raises:
            TransferError: if the networks have nothing in common.
        """
        self.first_resolution = shared_resolution(self.config, package.vessel_config)
        self.reached = self.first_resolution
        if self.reached == self.config.drawn == package.vessel_config.drawn:
            self.reached = min(package.resolution, self.config.resolution)
        weights = package.vessel_generator()
        for network in (self.generator, self.average):
            take_over_vessel(network, weights, self.first_resolution)
        self.origin = Origin.of(package)

    def judge_as(self, checkpoint: Path) -> None:
        known = take_over(self.discriminator, networks_of(checkpoint)["discriminator"])
        if known and self.reached < self.config.resolution:
            # What was reached is judged already: the next size grows in.
            self.first_resolution = 2 * self.reached
            self.growing = True

    def schedule(self) -> tuple[int, float]:
        """Resolution and fade for the budget spent so far."""
        resolutions = [r for r in self.config.resolutions if r >= self.first_resolution]
        shares = [SHARES[r] for r in resolutions]
        place = self.budget.progress * sum(shares)
        for resolution, share in zip(resolutions, shares, strict=True):
            if place < share or resolution == self.config.resolution:
                fade = min(1.0, place / share / self.settings.fade)
                begun = resolution == self.first_resolution and not self.growing
                return resolution, 1.0 if begun else fade
            place -= share
        raise AssertionError("the last resolution always returns")

    def batch(self, resolution: int) -> int:
        """Maps in a batch; smaller where one map is dear."""
        settings = self.settings
        halvings = max(1, resolution // settings.largest_batch_at).bit_length() - 1
        return min(settings.batch, max(settings.smallest_batch, settings.batch >> halvings))

    def _real(self, count: int, resolution: int, fade: float) -> Tensor:
        maps = self.maps[resolution]
        share = self.team.share
        chosen = share(torch.randint(len(maps), (count,), generator=self.random))
        maps = maps[chosen.to(maps.device)]
        affine = share(random_affine(count, ANATOMICAL, self.random))
        bend = share(random_bend(count, ANATOMICAL, self.random))
        maps = move(maps, affine, outside=-1.0, bend=bend)
        maps = F.avg_pool2d(maps, 2)
        if fade < 1.0 and resolution > 4:
            # Reals are blended as the drawings are, or sharpness alone would tell them apart.
            old = F.interpolate(F.avg_pool2d(maps, 2), scale_factor=2, mode="nearest")
            maps = old.lerp(maps, fade)
        return maps

    def _fake(self, count: int, resolution: int, fade: float) -> Tensor:
        noise = self.team.share(torch.randn(count, self.config.latent, generator=self.random))
        return self.generator(noise.to(self.device.name), resolution, fade)

    def _score(self, maps: Tensor, fade: float) -> Tensor:
        return self.discriminator(self._augment(maps.float()), fade).float()

    def _augment(self, maps: Tensor) -> Tensor:
        count, probability = len(maps) * self.team.size, self.strength.probability
        matrices = random_affine_for_some(count, DISCRIMINATOR, probability, self.random)
        return move(maps, self.team.share(matrices), outside=-1.0)

    def update(self) -> tuple[int, dict[str, float]]:
        resolution, fade = self.schedule()
        if resolution > self.config.drawn:
            return self._update_enlarger(resolution)
        count = self.batch(resolution)
        rate = self._falling_rate()
        # A new discriminator's first opinions would undo what the generator brought along.
        new = self.origin and not self.growing
        catching_up = new and self.budget.progress < self.settings.catch_up
        self.set_learning_rate("generator", 0.0 if catching_up else rate)
        self.set_learning_rate("discriminator", rate)
        real = self._real(count, resolution, fade)
        with self.device.autocast():
            fake = self._fake(count, resolution, fade)
        values = self._update_discriminator(real, fake.detach(), fade)
        values |= self._update_generator(real, fake, fade)
        average_into(self.average, self.generator, 0.5 ** (count / self.settings.average_images))
        if values["spread lacking"] < self.settings.collapse_lacking:
            self.collapsed_images = 0
        else:
            self.collapsed_images += count
        values |= {"resolution": resolution, "augmentation": self.strength.probability}
        return count, values

    def _falling_rate(self) -> float:
        """Learning slows down at the end, so that the last averages are of like weights."""
        return self.settings.learning_rate * min(1.0, 0.2 + 4 * (1 - self.budget.progress))

    def _update_enlarger(self, resolution: int) -> tuple[int, dict[str, float]]:
        """Teach the network that doubles maps to this resolution; no other changes."""
        which = (resolution // self.config.drawn).bit_length() - 2
        enlarger, average = self.generator.enlargers[which], self.average.enlargers[which]
        assert isinstance(enlarger, Enlarger)
        count = self.settings.batch
        parts = random_parts(self.maps[resolution], count, 2 * PART, self.random)
        maps = F.avg_pool2d(self.team.share(parts), 2)
        self.set_learning_rate("generator", self._falling_rate())
        small = enlarging_flaws(F.avg_pool2d(maps, 2), self.random)
        with self.device.autocast():
            loss = enlarging_loss(enlarger.half_log_odds(small), maps)
        self.descend("generator", loss)
        average_into(average, enlarger, 0.5 ** (count / self.settings.average_images))
        return count, {"enlarging loss": loss.item(), "resolution": resolution}

    @property
    def complete(self) -> bool:
        return super().complete and self.reached == self.config.resolution

    @property
    def sound(self) -> bool:
        return self.collapsed_images == 0

    def refuse_collapse(self) -> None:
        if self.collapsed_images >= self.settings.collapse_images:
            raise Diverged(
                self.stage,
                self.budget.images_spent,
                f"at {self.schedule()[0]} px the drawn maps have been alike for "
                f"{self.collapsed_images} images, with less than "
                f"{1 - self.settings.collapse_lacking:.0%} of the spread of the real ones",
                "a larger spread or r1_per_pixel, or a lower learning_rate",
            )

    def _update_discriminator(self, real: Tensor, fake: Tensor, fade: float) -> dict[str, float]:
        with self.device.autocast():
            real_scores, fake_scores = self._score(real, fade), self._score(fake, fade)
            loss = discriminator_loss(real_scores, fake_scores)
        self.optimisers["discriminator"].zero_grad(set_to_none=True)
        loss.backward()
        every = self.settings.r1_every
        if self.steps % every == 0:
            # Second derivatives are taken in single precision.
            shown = self._augment(real).requires_grad_()
            penalty = r1_penalty(shown, self.discriminator(shown, fade))
            side = max(real.shape[-1], self.settings.r1_smallest)
            gamma = self.settings.r1_per_pixel * side**2
            (penalty * (gamma / 2 * every)).backward()
        self.team.average_gradients(self.optimisers["discriminator"])
        self.optimisers["discriminator"].step()
        self.strength.update(self.team.gather(real_scores.detach()))
        return {"discriminator loss": loss.item(), "overfitting signal": self.strength.signal}

    def _update_generator(self, real: Tensor, fake: Tensor, fade: float) -> dict[str, float]:
        self.discriminator.requires_grad_(False)
        with self.device.autocast():
            loss = generator_loss(self._score(fake, fade))
        lacking = spread_loss(self.team.gather(fake), self.team.gather(real))
        # Each process has the whole spread loss, but only its own samples' part of the gradient.
        self.descend("generator", loss + self.settings.spread * self.team.size * lacking)
        self.discriminator.requires_grad_(True)
        return {"generator loss": loss.item(), "spread lacking": lacking.item()}

    def samples(self) -> Tensor:
        """Sixteen maps of the averaged generator from fixed noise."""
        resolution, fade = self.schedule()
        with torch.inference_mode():
            return self.average(self.fixed_noise.to(self.device.name), resolution, fade)

    def extra_state(self) -> dict[str, Any]:
        return {
            "probability": self.strength.probability,
            "signal": self.strength.signal,
            "first_resolution": self.first_resolution,
            "growing": self.growing,
            "collapsed_images": self.collapsed_images,
        }

    def restore_extra_state(self, state: dict[str, Any]) -> None:
        self.strength.probability, self.strength.signal = state["probability"], state["signal"]
        self.first_resolution = state.get("first_resolution", 4)  # older checkpoints lack these
        self.growing = state.get("growing", False)
        self.collapsed_images = state.get("collapsed_images", 0)
