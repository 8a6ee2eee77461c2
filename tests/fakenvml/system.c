// SPDX-License-Identifier: Apache-2.0
// The library itself: its start and end, the driver, the devices that it lists or leaves out, confidential computing.
#include "fakenvml.h"
#include "pci.h"
#include <unistd.h>

int free_gpm_samples(void);  // gpm.c: how many were alive

int nvmlInitWithFlags(U flags) {
    (void)flags;
    if (!text_path() || (!getenv("FAKENVML") && access(text_path(), R_OK))) return NOT_LOADED;
    ENTER(&machine);
    initialized++;  // NVML counts: what was begun twice ends with the second end
    return OK;
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) {
    ENTER(&machine);
    if (--initialized) return OK;
    char alive[16];
    snprintf(alive, sizeof alive, "%d", free_gpm_samples());
    if (strcmp(alive, "0")) say("gpm_samples_alive", alive);
    return OK;
}
const char *nvmlErrorString(int code) { static char text[32]; snprintf(text, sizeof text, "fake error %d", code); return text; }

#define SYSTEM_TEXT(call, key) \
    int call(char *buffer, U size) { ENTER(&machine, STRING(buffer, size)); return copy(get(&machine, key), buffer, size); }
#define SYSTEM_NUMBER(call, key) \
    int call(U *value) { ENTER(&machine, WORDS(*value)); return number(&machine, value, key); }
SYSTEM_TEXT(nvmlSystemGetDriverVersion, "driver")
SYSTEM_TEXT(nvmlSystemGetNVMLVersion, "driver")
SYSTEM_NUMBER(nvmlSystemGetCudaDriverVersion_v2, "cuda")
SYSTEM_NUMBER(nvmlSystemGetCudaDriverVersion, "cuda")

int nvmlDeviceGetCount_v2(U *count) { ENTER(&machine, WORDS(*count)); *count = gpu_count; return OK; }
int nvmlDeviceGetHandleByIndex_v2(U index, Subject **handle) {
    if (index >= (U)gpu_count) return INVALID_ARGUMENT;
    ENTER(&gpus[index], WORDS(*handle));
    *handle = &gpus[index];
    return OK;
}

// --- devices that the driver was told to leave out ------------------------------------------------------------------

typedef struct { Pci pci; char uuid[80]; } Excluded;
int nvmlGetExcludedDeviceCount(U *count) {
    ENTER(&machine, WORDS(*count));
    for (*count = 0; get(&machine, "excluded.%u", *count);) ++*count;
    return OK;
}
int nvmlGetExcludedDeviceInfoByIndex(U index, Excluded *info) {
    ENTER(&machine, WORDS(*info));
    char address[32];
    const char *value = get(&machine, "excluded.%u", index);
    if (!value) return INVALID_ARGUMENT;
    memset(info, 0, sizeof *info);
    sscanf(value, "%31s %79s", address, info->uuid);
    return pci_of(address, &info->pci);
}

// --- confidential computing -----------------------------------------------------------------------------------------

typedef struct { U environment, feature, devtools; } ConfState;
typedef struct { U version; U numbers[4]; } ConfSettings;  // environment, feature, devtools, multi-GPU mode
int nvmlSystemGetConfComputeState(ConfState *state) {
    ENTER(&machine, WORDS(*state));
    UL said[4] = {0};
    if (listed(get(&machine, "conf_compute"), said, 4) < 3) return NOT_SUPPORTED;
    *state = (ConfState){said[0], said[1], said[2]};
    return OK;
}
int nvmlSystemGetConfComputeSettings(ConfSettings *settings) {
    ENTER(&machine, VERSIONED(*settings));
    UL said[4] = {0};
    if (settings->version != (sizeof *settings | 1 << 24)) return VERSION;
    if (listed(get(&machine, "conf_compute"), said, 4) < 4) return NOT_SUPPORTED;
    for (int i = 0; i < 4; i++) settings->numbers[i] = said[i];
    return OK;
}
