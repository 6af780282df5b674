"""Colour, contrast and sharpness of a photograph, and whether it shows its label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.data.field_of_view import away_from_edge
from models.metrics import Label, shifted_contrast, vessel_contrast

# Of the side: the rim of the field of view, which is left out where neighbours are looked at.
RIM = 0.03
NEIGHBOURHOOD = 0.03  # side of the window of local contrast
# Of the highest frequency: where the spectrum of a photograph falls off evenly.
BAND = (0.08, 0.6)


def photo_measures(photo: NDArray[np.uint8], label: Label, field: Label) -> dict[str, float]:
    """Of one photograph [H, W, 3] with its label and field of view [H, W].

    red, green, blue: mean grey level in the field, of 255. red_spread, green_spread, blue_spread:
    deviation within the photograph. saturation: mean of (largest - least channel) / largest.
    local_contrast: mean deviation of green within a window of 3 % of the side. sharpness: mean step
    of green between pixels next to each other. spectrum_slope: how the power of green falls with
    frequency, both as logarithms; the lower, the smoother. fine_detail: deviation in grey levels of what
    green has above a quarter of a cycle a pixel. vessel_contrast and shifted_contrast: grey
    levels by which the vessels of the label are darker than their rim, and the same for the label
    moved aside.
    """
    inside = photo[field].astype(np.float64)
    green = photo[:, :, 1].astype(np.float64)
    side = len(photo)
    inner = away_from_edge(field, max(1, round(RIM * side)))
    inner = inner if inner.any() else field
    window = max(3, round(NEIGHBOURHOOD * side))
    mean = ndimage.uniform_filter(green, window)
    variance = ndimage.uniform_filter(green**2, window) - mean**2
    steps = np.hypot(*np.gradient(green))
    largest, least = inside.max(axis=1), inside.min(axis=1)
    names = ("red", "green", "blue")
    return {
        **dict(zip(names, inside.mean(axis=0).tolist(), strict=True)),
        **dict(zip((f"{n}_spread" for n in names), inside.std(axis=0).tolist(), strict=True)),
        "saturation": float(((largest - least) / np.maximum(largest, 1)).mean()),
        "local_contrast": float(np.sqrt(np.maximum(variance[inner], 0)).mean()),
        "sharpness": float(steps[inner].mean()),
        "spectrum_slope": spectrum_slope(green, field),
        "fine_detail": fine_detail(green, field),
        "vessel_contrast": vessel_contrast(photo, label, field),
        "shifted_contrast": shifted_contrast(photo, label, field),
    }


def spectrum_slope(grey: NDArray[np.float64], field: Label) -> float:
    """Slope of log power over log frequency of a plane [H, H], its field of view faded out to the rim."""
    power, frequency = _spectrum(grey, _fade(field))
    bins = np.geomspace(*BAND, 13)
    place = np.digitize(frequency, bins)
    means = np.array([power[place == i].mean() for i in range(1, len(bins)) if (place == i).any()])
    middles = [frequency[place == i].mean() for i in range(1, len(bins)) if (place == i).any()]
    return float(np.polyfit(np.log(middles), np.log(means + 1e-6), 1)[0])


def fine_detail(grey: NDArray[np.float64], field: Label) -> float:
    """Deviation of what a plane [H, H] has above a quarter of a cycle a pixel, in its field of view."""
    fade = _fade(field)
    power, frequency = _spectrum(grey, fade)
    # Parseval: the transform's power over the number of pixels is the sum of squares.
    energy = power[frequency > 0.5].sum() / grey.size
    return float(np.sqrt(energy / np.square(fade).sum()))


def _fade(field: Label) -> NDArray[np.float64]:
    """1 in the middle of a field of view [H, H], falling to 0 at its rim."""
    side = len(field)
    ys, xs = np.nonzero(field)
    radius = np.sqrt(field.sum() / np.pi)
    y, x = np.ogrid[:side, :side]
    away = np.hypot(y - ys.mean(), x - xs.mean()) / radius
    return np.where(away < 1, np.cos(np.minimum(away, 1) * np.pi / 2) ** 2, 0) * field


def _spectrum(
    grey: NDArray[np.float64], fade: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Power of a plane [H, H] times ``fade``, and frequencies as fractions of the highest along an axis."""
    side = len(grey)
    flat = (grey - grey[fade > 0].mean()) * fade
    power = np.abs(np.fft.fft2(flat)) ** 2
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None, :]) * 2
    return power, frequency
