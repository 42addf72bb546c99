"""What is in a device's memory: tests look at it, the engine never does."""

from __future__ import annotations

from sotto.device import Device
from sotto.devices.cpu import CpuDevice
from sotto.devices.reference.device import NumpyDevice
from sotto.native.dawn import NativeDevice


def read(device: Device, buffer: int, offset: int, nbytes: int) -> bytes:
    """A copy of a part of a buffer; offset and length are multiples of 4."""
    if isinstance(device, NumpyDevice):
        return device._buffers[buffer][offset : offset + nbytes].tobytes()
    if isinstance(device, CpuDevice):
        return device.machine.read(buffer + offset, nbytes)
    assert isinstance(device, NativeDevice)
    return bytes(device._queue.read_buffer(device._buffers[buffer], offset, nbytes))
