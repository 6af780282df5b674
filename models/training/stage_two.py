"""Training of the translator from vessel map to photograph."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor

from models.augment import PHOTOGRAPHIC, change_light, move, random_affine, random_light
from models.devices import Device
from models.losses import feature_matching, kl_to_normal, least_squares, vessel_weight, weighted_l1
from models.package import ModelPackage
from models.pairs import PairSet
from models.training.budget import Budget
from models.training.checkpoint import average_into
from models.training.run import Run
from models.training.settings import SettingsError, StageTwoSettings
from models.training.team import ALONE, Team
from models.training.transfer import Origin, take_over_translator
from models.translator import MultiScaleDiscriminator, StyleEncoder, Translator, TranslatorConfig

# Below this the discriminator's smaller scale has no patch left to judge.
SMALLEST = 64


class StageTwo(Run):
    """A run of stage two at one resolution, of which the pairs' size is a multiple."""

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
        self.resolution = resolution
        self.translator = device.place(Translator(config))
        self.encoder = device.place(StyleEncoder(config.style))
        self.discriminator = device.place(MultiScaleDiscriminator())
        self.average = copy.deepcopy(self.translator).requires_grad_(False)
        painters = [*self.translator.parameters(), *self.encoder.parameters()]
        rate, betas = settings.learning_rate, (0.5, 0.999)
        self.optimisers = {
            "painters": torch.optim.Adam(painters, rate, betas),
            "discriminator": torch.optim.Adam(self.discriminator.parameters(), rate, betas),
        }
        self.networks = {
            "translator": self.translator,
            "encoder": self.encoder,
            "discriminator": self.discriminator,
            "average": self.average,
        }
        self.package_style: tuple[Tensor, Tensor] | None = None
        size = pairs.photos.shape[-1]
        fields = torch.stack([torch.from_numpy(f.draw(size)) for f in pairs.fields])[
            :, None
        ].float()
        # One stack, so that photograph, vessels and field always move together.
        self.stacks = torch.cat([pairs.photos / 127.5 - 1, pairs.vessels / 255, fields], dim=1)
        self.stacks = self.stacks.to(device.name)

    def start_from(self, package: ModelPackage) -> None:
        """Take over the package's translator; the encoder and the discriminator begin anew.

        Raises:
            TransferError: if the translator is of another shape.
        """
        take_over_translator((self.translator, self.average), package.translator())
        self.origin, self.package_style = Origin.of(package), package.style_statistics()

    def batch(self, count: int, team: Team = ALONE) -> tuple[Tensor, Tensor, Tensor]:
        """Moved pairs at the training resolution: photographs, vessels in {0, 1}, fields in {0, 1}.

        ``count`` are drawn; returned is this process's share of them.
        """
        chosen = team.share(torch.randint(len(self.stacks), (count,), generator=self.random))
        stacks = self.stacks[chosen.to(self.stacks.device)]
        stacks[:, :3] += 1  # black is what lies beyond the edge: let it be zero in every channel
        affine = team.share(random_affine(count, PHOTOGRAPHIC, self.random))
        stacks = move(stacks, affine, outside=0.0)
        stacks = F.avg_pool2d(stacks, stacks.shape[-1] // self.resolution)
        field = (stacks[:, 4:] > 0.5).float()
        vessels = (stacks[:, 3:4] > self.settings.threshold).float() * field
        gamma, gain = random_light(count, self.random)
        photos = change_light(stacks[:, :3] - 1, team.share(gamma), team.share(gain))
        return (photos + 1) * field - 1, vessels, field

    def update(self) -> tuple[int, dict[str, float]]:
        # Constant for the first half, then down to zero, as in pix2pixHD.
        rate = self.settings.learning_rate * min(1.0, max(0.02, 2 * (1 - self.budget.progress)))
        for name in self.optimisers:
            self.set_learning_rate(name, rate)
        count = self.settings.batch
        photos, vessels, field = self.batch(count, self.team)
        weight = vessel_weight(vessels, self.settings.vessel_emphasis)
        mean_weight = self.team.average(weight.mean())
        foreign = self.steps % self.settings.foreign_style_every == 0
        with self.device.autocast():
            mean, log_variance = self.encoder(photos, field)
            noise = torch.randn(count, self.config.style, generator=self.random)
            noise = self.team.share(noise).to(mean.device)
            style = noise if foreign else mean + noise * (log_variance / 2).exp()
            fake = self.translator(vessels, field, style).float()
        values = self._update_discriminator(photos, vessels, field, fake.detach())
        self.discriminator.requires_grad_(False)
        with self.device.autocast():
            fake_features = self.discriminator(vessels, field, fake)
            loss = adversarial = least_squares(fake_features, 1.0)
            if not foreign:
                with torch.no_grad():
                    real_features = self.discriminator(vessels, field, photos)
                matching = feature_matching(fake_features, real_features)
                difference = weighted_l1(fake, photos, weight, mean_weight)
                divergence = kl_to_normal(mean, log_variance)
                loss = (
                    adversarial
                    + self.settings.feature_weight * matching
                    + self.settings.photo_weight * difference
                    + self.settings.kl_weight * divergence
                )
                values |= {
                    "feature matching": matching.item(),
                    "photo difference": difference.item(),
                    "style divergence": divergence.item(),
                }
        self.optimisers["painters"].zero_grad(set_to_none=True)
        loss.backward()
        self.team.average_gradients(self.optimisers["painters"])
        self.optimisers["painters"].step()
        self.discriminator.requires_grad_(True)
        average_into(self.average, self.translator, 0.5 ** (count / self.settings.average_images))
        return count, {**values, "translator loss": adversarial.item()}

    def _update_discriminator(
        self, photos: Tensor, vessels: Tensor, field: Tensor, fake: Tensor
    ) -> dict[str, float]:
        with self.device.autocast():
            real_loss = least_squares(self.discriminator(vessels, field, photos), 1.0)
            fake_loss = least_squares(self.discriminator(vessels, field, fake), 0.0)
        self.optimisers["discriminator"].zero_grad(set_to_none=True)
        ((real_loss + fake_loss) / 2).backward()
        self.team.average_gradients(self.optimisers["discriminator"])
        self.optimisers["discriminator"].step()
        return {"discriminator loss": (real_loss + fake_loss).item() / 2}

    def style_statistics(self, batches: int = 64) -> tuple[Tensor, Tensor]:
        """Mean [S] and Cholesky factor [S, S] of the codes of 8 photographs a batch, moved anew.

        An order draws its styles from this Gaussian, which lies where the translator has been taught,
        and not from the standard normal that the codes were only drawn towards.
        """
        if self.package_style and not self.steps:
            return self.package_style  # the encoder has learned nothing yet
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
        mean, factor = self.style_statistics(batches=8)  # a sheet is often made, and only looked at
        with torch.inference_mode():
            photos, vessels, field = self.batch(4)
            own, _ = self.encoder(photos, field)
            drawn = [
                (mean + torch.randn(4, len(mean), generator=self.random) @ factor.T).to(own.device)
                for _ in range(3)
            ]
            rows = [vessels.expand(-1, 3, -1, -1) * 2 - 1, photos]
            rows += [self.average(vessels, field, style) for style in [own, *drawn]]
        self.random.set_state(state)
        return torch.stack(rows, dim=1).flatten(0, 1)
