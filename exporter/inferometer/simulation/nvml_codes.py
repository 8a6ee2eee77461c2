# SPDX-License-Identifier: Apache-2.0
"""NVML's constants and errors, with pynvml's names and values, as far as the stand-in needs them."""
# ruff: noqa: N801, N818  # the names are NVML's

NVML_SUCCESS = 0
NVML_ERROR_UNINITIALIZED = 1
NVML_ERROR_INVALID_ARGUMENT = 2
NVML_ERROR_NOT_SUPPORTED = 3
NVML_ERROR_NO_PERMISSION = 4
NVML_ERROR_NOT_FOUND = 6
NVML_ERROR_DRIVER_NOT_LOADED = 9
NVML_ERROR_TIMEOUT = 10
NVML_ERROR_LIBRARY_NOT_FOUND = 12
NVML_ERROR_FUNCTION_NOT_FOUND = 13
NVML_ERROR_GPU_IS_LOST = 15
NVML_ERROR_RESET_REQUIRED = 16
NVML_ERROR_LIB_RM_VERSION_MISMATCH = 18
NVML_ERROR_ARGUMENT_VERSION_MISMATCH = 25
NVML_ERROR_GPU_NOT_FOUND = 28
NVML_ERROR_UNKNOWN = 999

NVML_INIT_FLAG_NO_GPUS = 1
NVML_INIT_FLAG_NO_ATTACH = 2
NVML_CLOCK_GRAPHICS = 0
NVML_CLOCK_SM = 1
NVML_CLOCK_MEM = 2
NVML_CLOCK_VIDEO = 3
NVML_TEMPERATURE_GPU = 0
NVML_TEMPERATURE_THRESHOLD_SHUTDOWN = 0
NVML_TEMPERATURE_THRESHOLD_SLOWDOWN = 1
NVML_TEMPERATURE_THRESHOLD_MEM_MAX = 2
NVML_TEMPERATURE_THRESHOLD_GPU_MAX = 3
NVML_TOTAL_POWER_SAMPLES = 0
NVML_GPU_UTILIZATION_SAMPLES = 1
NVML_MEMORY_ERROR_TYPE_CORRECTED = 0
NVML_MEMORY_ERROR_TYPE_UNCORRECTED = 1
NVML_VOLATILE_ECC = 0
NVML_AGGREGATE_ECC = 1
NVML_MEMORY_LOCATION_L1_CACHE = 0
NVML_MEMORY_LOCATION_L2_CACHE = 1
NVML_MEMORY_LOCATION_DRAM = 2
NVML_MEMORY_LOCATION_REGISTER_FILE = 3
NVML_MEMORY_LOCATION_TEXTURE_MEMORY = 4
NVML_MEMORY_LOCATION_TEXTURE_SHM = 5
NVML_MEMORY_LOCATION_CBU = 6
NVML_MEMORY_LOCATION_SRAM = 7
NVML_PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS = 0
NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR = 1
NVML_NVLINK_ERROR_DL_REPLAY = 0
NVML_NVLINK_ERROR_DL_RECOVERY = 1
NVML_NVLINK_ERROR_DL_CRC_FLIT = 2
NVML_NVLINK_ERROR_DL_CRC_DATA = 3
NVML_NVLINK_ERROR_DL_ECC_DATA = 4
NVML_GPU_FABRIC_STATE_COMPLETED = 3
NVML_GPM_METRICS_GET_VERSION = 1
NVML_DEVICE_MIG_DISABLE = 0
NVML_DEVICE_MIG_ENABLE = 1
NVML_DEVICE_ARCH_HOPPER = 9
NVML_AFFINITY_SCOPE_NODE = 0
NVML_VALUE_TYPE_UNSIGNED_INT = 1
NVML_VALUE_TYPE_UNSIGNED_LONG_LONG = 3
NVML_FI_DEV_MEMORY_TEMP = 82
NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION = 83
NVML_FI_DEV_POWER_AVERAGE = 185
NVML_FI_DEV_POWER_INSTANT = 186
nvmlEventTypeXidCriticalError = 8  # noqa: N816  # NVML's own name
nvmlSystemEventTypeGpuDriverUnbind = 1  # noqa: N816  # NVML's own name
nvmlSystemEventSetCreateRequest_v1 = 0x01000010  # noqa: N816  # NVML's own name
nvmlSystemEventSetFreeRequest_v1 = 0x01000010  # noqa: N816  # NVML's own name
nvmlSystemEventSetWaitRequest_v1 = 0x01000020  # noqa: N816  # NVML's own name
nvmlSystemRegisterEventRequest_v1 = 0x01000018  # noqa: N816  # NVML's own name
nvmlGpuFabricInfo_v2 = 0x02000024  # noqa: N816  # NVML's own name
nvmlEccSramErrorStatus_v1 = 0x01000068  # noqa: N816  # NVML's own name
nvmlMemory_v2 = 0x02000028  # noqa: N816  # NVML's own name
nvmlTemperature_v1 = 0x0100000C  # noqa: N816  # NVML's own name

TEXT = {
    NVML_ERROR_UNINITIALIZED: "Uninitialized",
    NVML_ERROR_INVALID_ARGUMENT: "Invalid Argument",
    NVML_ERROR_NOT_SUPPORTED: "Not Supported",
    NVML_ERROR_NO_PERMISSION: "Insufficient Permissions",
    NVML_ERROR_NOT_FOUND: "Not Found",
    NVML_ERROR_DRIVER_NOT_LOADED: "Driver Not Loaded",
    NVML_ERROR_TIMEOUT: "Timeout",
    NVML_ERROR_LIBRARY_NOT_FOUND: "NVML Shared Library Not Found",
    NVML_ERROR_FUNCTION_NOT_FOUND: "Function Not Found",
    NVML_ERROR_GPU_IS_LOST: "GPU is lost",
    NVML_ERROR_RESET_REQUIRED: "GPU requires restart",
    NVML_ERROR_LIB_RM_VERSION_MISMATCH: "RM has detected an NVML/RM version mismatch.",
    NVML_ERROR_ARGUMENT_VERSION_MISMATCH: "The provided version is invalid/unsupported",
    NVML_ERROR_GPU_NOT_FOUND: "GPU Not Found",
}


class NVMLError(Exception):
    """An NVML call failed; `value` is its return code. Raising it gives the subclass of that code, as in pynvml."""

    value: int

    def __new__(cls, value: int | None = None) -> "NVMLError":  # noqa: PYI034  # it gives the subclass of the code
        """Choose the subclass by the code."""
        kind = _CLASSES.get(value, cls) if cls is NVMLError else cls
        error = Exception.__new__(kind)
        error.value = _CODES[kind] if kind in _CODES else int(value or NVML_ERROR_UNKNOWN)
        return error

    def __str__(self) -> str:
        return TEXT.get(self.value, f"NVML Error with code {self.value}")


class NVMLError_Uninitialized(NVMLError):
    """nvmlInit was not called."""


class NVMLError_InvalidArgument(NVMLError):
    """An argument makes no sense."""


class NVMLError_NotSupported(NVMLError):
    """The device cannot do that."""


class NVMLError_NotFound(NVMLError):
    """There is no such thing."""


class NVMLError_DriverNotLoaded(NVMLError):
    """There is no driver."""


class NVMLError_LibraryNotFound(NVMLError):
    """There is no library."""


class NVMLError_FunctionNotFound(NVMLError):
    """The library lacks the function."""


class NVMLError_GpuIsLost(NVMLError):
    """The GPU fell off the bus."""


_CODES: dict[type[NVMLError], int] = {
    NVMLError_Uninitialized: NVML_ERROR_UNINITIALIZED,
    NVMLError_InvalidArgument: NVML_ERROR_INVALID_ARGUMENT,
    NVMLError_NotSupported: NVML_ERROR_NOT_SUPPORTED,
    NVMLError_NotFound: NVML_ERROR_NOT_FOUND,
    NVMLError_DriverNotLoaded: NVML_ERROR_DRIVER_NOT_LOADED,
    NVMLError_LibraryNotFound: NVML_ERROR_LIBRARY_NOT_FOUND,
    NVMLError_FunctionNotFound: NVML_ERROR_FUNCTION_NOT_FOUND,
    NVMLError_GpuIsLost: NVML_ERROR_GPU_IS_LOST,
}
_CLASSES: dict[int | None, type[NVMLError]] = {code: kind for kind, code in _CODES.items()}
