"""The CUDA card in use, as CuPy sees it: its identity, its limits, the versions of its libraries, and overrides."""

import ctypes
import os
import sys
import uuid

#: Variables that NVIDIA's libraries read themselves, and that make another computation of a product.
OVERRIDES = (
    "NVIDIA_TF32_OVERRIDE",
    "CUBLAS_EMULATE_SINGLE_PRECISION",
    "CUBLAS_EMULATE_DOUBLE_PRECISION",
    "CUBLAS_EMULATION_STRATEGY",
)
#: CUDA's compute modes: in an exclusive one, a second process finds no device.
_MODES = {0: "shared", 1: "exclusive", 2: "prohibited", 3: "exclusive"}


def overrides() -> str | None:
    """Return the variables that are set and change the arithmetic of libraries, as ``NAME=value``; None without any.

    A value of 0 switches off what is off.
    """
    settings = [f"{name}={value}" for name in OVERRIDES if (value := os.environ.get(name)) not in (None, "", "0")]
    return ", ".join(settings) or None


def identity() -> dict[str, str | int | bool | None]:
    """Return what tells the current card from others, and what its memory and cache hold.

    A slice of a card (MIG) is named so by its driver, and has its own UUID.
    """
    import cupy

    runtime, device = cupy.cuda.runtime, cupy.cuda.Device()
    properties = runtime.getDeviceProperties(device.id)
    name = properties["name"].decode()
    uuid_bytes = _uuid(device.id) or bytes(properties.get("uuid", b""))[:16]
    mode = runtime.deviceGetAttribute(runtime.cudaDevAttrComputeMode, device.id)
    return {
        "device_name": name,
        "device_uuid": as_nvml(name, uuid.UUID(bytes=uuid_bytes)) if len(uuid_bytes) == 16 else None,
        "pci_bus": runtime.deviceGetPCIBusId(device.id),
        "mig": is_slice(name),
        "compute_capability": device.compute_capability,
        "compute_mode": _MODES.get(mode, str(mode)),
        "multiprocessors": int(properties.get("multiProcessorCount", 0)),
        "l2_bytes": int(properties.get("l2CacheSize", 0)),
        "memory_bytes": int(properties.get("totalGlobalMem", 0)),
    }


def is_slice(name: str) -> bool:
    """Return whether the name of a device is that of a slice of a card (MIG)."""
    return "MIG" in name.split()


def as_nvml(name: str, uuid_: object) -> str:
    """Return the UUID of a device as NVML writes it, which depends on what the device is."""
    return f"{'MIG' if is_slice(name) else 'GPU'}-{uuid_}"


def _uuid(ordinal: int) -> bytes | None:
    """Return the UUID of a device as its driver tells it; None where there is no driver.

    CuPy's properties cut it at a byte that is zero, as if it were text. Of a slice they may have that of the card.
    """
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        ask = driver.cuDeviceGetUuid_v2
    except (OSError, AttributeError):
        return None
    device, found = ctypes.c_int(), ctypes.create_string_buffer(16)
    if driver.cuDeviceGet(ctypes.byref(device), ordinal) or ask(found, device):
        return None
    return found.raw


def cublas() -> str | None:
    """Return the version of cuBLAS that products use, which is not the one that CuPy was built with. Loads it."""
    import cupy

    version: int = cupy.cuda.cublas.getVersion(cupy.cuda.device.get_cublas_handle())
    return f"{version // 10000}.{version % 10000 // 100}.{version % 100}"


def nvrtc() -> str | None:
    """Return the version of NVRTC, which compiles what CuPy runs. Loads it."""
    import cupy

    numbers: tuple[int, ...] = cupy.cuda.nvrtc.getVersion()
    return ".".join(map(str, numbers))
