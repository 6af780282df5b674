"""The device that a worker is to use."""

from models.devices import Device
from worker.model_cache import ModelUnavailable


def choose_device(wanted: str) -> Device:
    """As :meth:`models.devices.Device.choose`. Raises ModelUnavailable if it is not there."""
    try:
        return Device.choose(wanted)
    except ValueError as error:
        raise ModelUnavailable(
            "device_missing", f"The worker cannot use its device: {error}."
        ) from error
