"""The density of a camera's styles: a mixture of Gaussians fitted to the encodings of its photographs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Of a component's covariance: what is left of the covariance of all encodings, so that one of few stays
# invertible.
SHRINKAGE = 0.05


@dataclass(frozen=True)
class StyleDensity:
    """weights: [K], sum 1. means: [K, style]. factors: [K, style, style], Cholesky factors of covariances."""

    weights: Tensor
    means: Tensor
    factors: Tensor

    @classmethod
    def fit(
        cls, encodings: Tensor, components: int, generator: torch.Generator, iterations: int = 30
    ) -> StyleDensity:
        """Expectation maximisation on [N, style], from centres that are drawn apart (k-means++)."""
        x = encodings.double()
        count, size = x.shape
        components = max(1, min(components, count // 4))
        centred = x - x.mean(0)
        whole = centred.T @ centred / count + 1e-4 * torch.eye(size, dtype=x.dtype)
        chosen = [int(torch.randint(count, (1,), generator=generator))]
        while len(chosen) < components:
            distance = torch.cdist(x, x[chosen]).amin(1).square() + 1e-12
            chosen.append(int(torch.multinomial(distance, 1, generator=generator)))
        weights = torch.full((components,), 1 / components, dtype=x.dtype)
        means = x[chosen].clone()
        covariances = whole.expand(components, size, size).clone() / components
        for _ in range(iterations):
            density = torch.distributions.MultivariateNormal(means, covariances)
            joint = density.log_prob(x[:, None]) + weights.log()
            responsibility = joint.softmax(1)
            total = responsibility.sum(0) + 1e-6
            weights = total / total.sum()
            means = responsibility.T @ x / total[:, None]
            away = x[:, None] - means
            covariances = torch.einsum("nk,nki,nkj->kij", responsibility, away, away)
            covariances = covariances / total[:, None, None]
            covariances = (1 - SHRINKAGE) * covariances + SHRINKAGE * whole
        return cls(weights.float(), means.float(), torch.linalg.cholesky(covariances).float())

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw styles, [count, style], on the CPU."""
        component = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        normal = torch.randn(count, self.means.shape[1], generator=generator)
        moved = torch.einsum("nij,nj->ni", self.factors[component], normal)
        return self.means[component] + moved
