"""Training of the vessel map generator."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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
    layout_loss,
    patch_r1_penalty,
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
from models.training.transfer import (
    Origin,
    first_enlargement,
    shared_resolution,
    take_over_vessel,
)
from models.vessel_gan import (
    Enlarger,
    PartDiscriminator,
    VesselConfig,
    VesselDiscriminator,
    VesselGenerator,
)

# Relative time given to each resolution: the small ones only lay the ground, and the shape of a tree
# is settled by 64 pixels.
SHARES = {4: 0.5, 8: 1.5, 16: 6, 32: 26, 64: 28, 128: 22, 256: 16, 512: 6, 1024: 6}

PART = 128  # pixels a side of the parts that refining and enlarging are learned from
DEVIATION_GROUP = 4  # samples in a group of the minibatch deviation, which no process may split


Work = Literal["drawing", "refining", "enlarging"]


@dataclass(frozen=True)
class Phase:
    """What is learned at a point of the budget: which networks, at which resolution, with which fade, and
    how much of the time for this work is over, from 0 to 1."""

    work: Work
    resolution: int
    fade: float
    progress: float


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
        self.part_discriminator = device.place(PartDiscriminator())
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.first_resolution = config.resolutions[0]
        rate, betas = settings.learning_rate, (0.0, 0.99)
        self.optimisers = {
            "generator": torch.optim.Adam(self.generator.parameters(), rate, betas),
            "discriminator": torch.optim.Adam(self.discriminator.parameters(), rate, betas),
            "part discriminator": torch.optim.Adam(
                self.part_discriminator.parameters(), rate, betas
            ),
        }
        self.networks: dict[str, nn.Module] = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "part discriminator": self.part_discriminator,
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
        networks = networks_of(checkpoint)
        known = take_over(self.discriminator, networks["discriminator"])
        take_over(self.part_discriminator, networks.get("part discriminator", {}))
        if known and self.reached < self.config.resolution:
            # What was reached is judged already: the next size grows in.
            self.first_resolution = 2 * self.reached
            self.growing = True

    def only_enlarge(self) -> None:
        self.first_resolution = first_enlargement(
            self.reached, self.config.drawn, self.config.resolution
        )

    def schedule(self) -> Phase:
        """What to learn with the budget spent so far."""
        ahead = [r for r in self.config.resolutions if r >= self.first_resolution]
        drawn = {r: SHARES[r] for r in ahead if r <= self.config.drawn}
        refining = self.settings.refining if self.config.refined else 0.0
        shares: dict[Work, dict[int, float]] = {
            "drawing": {r: (1 - refining) * share for r, share in drawn.items()},
            "refining": {self.config.drawn: refining * sum(drawn.values())},
            "enlarging": {r: SHARES[r] for r in ahead if r > self.config.drawn},
        }
        phases = [(w, r, share) for w in shares for r, share in shares[w].items() if share]
        place = self.budget.progress * sum(share for _, _, share in phases)
        for work, resolution, share in phases:
            if place < share or (work, resolution, share) == phases[-1]:
                begun = resolution == self.first_resolution and not self.growing
                whole = work == "refining" or begun
                fade = 1.0 if whole else min(1.0, place / share / self.settings.fade)
                before = sum(s for r, s in shares[work].items() if r < resolution)
                progress = (before + place) / sum(shares[work].values())
                return Phase(work, resolution, fade, progress)
            place -= share
        raise AssertionError("the last phase always returns")

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

    def _fake(self, generator: VesselGenerator, count: int, resolution: int, fade: float) -> Tensor:
        noise = self.team.share(torch.randn(count, self.config.latent, generator=self.random))
        return generator.draw(noise.to(self.device.name), resolution, fade)

    def _score(self, maps: Tensor, fade: float) -> Tensor:
        return self.discriminator(self._augment(maps.float()), fade).float()

    def _augment(self, maps: Tensor) -> Tensor:
        count, probability = len(maps) * self.team.size, self.strength.probability
        matrices = random_affine_for_some(count, DISCRIMINATOR, probability, self.random)
        return move(maps, self.team.share(matrices), outside=-1.0)

    def update(self) -> tuple[int, dict[str, float]]:
        now = self.schedule()
        # Learning slows down at the end, so that the last averages are of like weights.
        rate = self.settings.learning_rate * min(1.0, 0.2 + 4 * (1 - now.progress))
        for optimiser in self.optimisers:
            self.set_learning_rate(optimiser, rate)
        learn = {
            "drawing": self._update_gan,
            "refining": self._update_refiner,
            "enlarging": self._update_enlarger,
        }
        count, values = learn[now.work](now)
        return count, values | {"resolution": now.resolution}

    def _update_gan(self, now: Phase) -> tuple[int, dict[str, float]]:
        resolution, fade = now.resolution, now.fade
        count = self.batch(resolution)
        # A new discriminator's first opinions would undo what the generator brought along.
        if self.origin and not self.growing and now.progress < self.settings.catch_up:
            self.set_learning_rate("generator", 0.0)
        real = self._real(count, resolution, fade)
        with self.device.autocast():
            fake = self._fake(self.generator, count, resolution, fade)
        values = self._update_discriminator(real, fake.detach(), fade)
        values |= self._update_generator(real, fake, fade)
        average_into(self.average, self.generator, 0.5 ** (count / self.settings.average_images))
        if values["spread lacking"] < self.settings.collapse_lacking:
            self.collapsed_images = 0
        else:
            self.collapsed_images += count
        return count, values | {"augmentation": self.strength.probability}

    def _update_refiner(self, now: Phase) -> tuple[int, dict[str, float]]:
        """Teach the refiner and its discriminator by parts of what is drawn; no other changes."""
        refiner, average = self.generator.refiner, self.average.refiner
        assert refiner and average
        count, whole = self.settings.batch, self.batch(now.resolution)
        with torch.no_grad(), self.device.autocast():
            drawn = self._fake(self.average, whole, now.resolution, now.fade).float()
        real = self._real(whole, now.resolution, now.fade)
        drawn, real = (
            self.team.share(random_parts(self.team.gather(maps), count, PART, self.random))
            for maps in (drawn, real)
        )
        with self.device.autocast():
            refined = refiner(drawn)
        values = self._update_part_discriminator(real, refined.detach())
        self.part_discriminator.requires_grad_(False)
        with self.device.autocast():
            loss = generator_loss(self.part_discriminator(refined).float())
        moved = layout_loss(refined, drawn)
        self.descend("generator", loss + self.settings.layout_weight * moved)
        self.part_discriminator.requires_grad_(True)
        average_into(average, refiner, 0.5 ** (count / self.settings.average_images))
        return count, values | {"generator loss": loss.item(), "layout moved": moved.item()}

    def _update_part_discriminator(self, real: Tensor, refined: Tensor) -> dict[str, float]:
        judge, every = self.part_discriminator, self.settings.r1_every
        with self.device.autocast():
            loss = discriminator_loss(judge(real).float(), judge(refined).float())

        def penalty() -> Tensor:
            shown = real.clone().requires_grad_()
            weight = self.settings.refining_r1 / 2 * every
            return weight * patch_r1_penalty(shown, [[judge(shown)]])

        self.descend("part discriminator", loss, None if self.steps % every else penalty)
        return {"discriminator loss": loss.item()}

    def _update_enlarger(self, now: Phase) -> tuple[int, dict[str, float]]:
        """Teach the network that doubles maps to this resolution; no other changes."""
        resolution = now.resolution
        which = (resolution // self.config.drawn).bit_length() - 2
        enlarger, average = self.generator.enlargers[which], self.average.enlargers[which]
        assert isinstance(enlarger, Enlarger)
        count = self.settings.batch
        parts = random_parts(self.maps[resolution], count, 2 * PART, self.random)
        maps = F.avg_pool2d(self.team.share(parts), 2)
        small = enlarging_flaws(F.avg_pool2d(maps, 2), self.random)
        with self.device.autocast():
            loss = enlarging_loss(enlarger.half_log_odds(small), maps)
        self.descend("generator", loss)
        average_into(average, enlarger, 0.5 ** (count / self.settings.average_images))
        return count, {"enlarging loss": loss.item()}

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
                f"at {self.schedule().resolution} px the drawn maps have been alike for "
                f"{self.collapsed_images} images, with less than "
                f"{1 - self.settings.collapse_lacking:.0%} of the spread of the real ones",
                "a larger spread or r1_per_pixel, or a lower learning_rate",
            )

    def _update_discriminator(self, real: Tensor, fake: Tensor, fade: float) -> dict[str, float]:
        with self.device.autocast():
            real_scores, fake_scores = self._score(real, fade), self._score(fake, fade)
            loss = discriminator_loss(real_scores, fake_scores)
        every = self.settings.r1_every

        def penalty() -> Tensor:
            # Second derivatives are taken in single precision.
            shown = self._augment(real).requires_grad_()
            side = max(real.shape[-1], self.settings.r1_smallest)
            gamma = self.settings.r1_per_pixel * side**2
            return gamma / 2 * every * r1_penalty(shown, self.discriminator(shown, fade))

        self.descend("discriminator", loss, None if self.steps % every else penalty)
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
        now, noise = self.schedule(), self.fixed_noise.to(self.device.name)
        draw = self.average.draw if now.work == "drawing" else self.average
        with torch.inference_mode():
            return draw(noise, now.resolution, now.fade)

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
