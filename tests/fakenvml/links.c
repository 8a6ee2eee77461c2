// SPDX-License-Identifier: Apache-2.0
// PCIe, NVLink, the fabric and chip-to-chip links.
#include "fakenvml.h"
#include <time.h>

NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, "pcie_generation")
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, "pcie_generation_max")
NUMBER(nvmlDeviceGetGpuMaxPcieLinkGeneration, "pcie_generation_gpu_max")
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, "pcie_width")
NUMBER(nvmlDeviceGetMaxPcieLinkWidth, "pcie_width_max")
NUMBER(nvmlDeviceGetPcieReplayCounter, "pcie_replay")
NUMBER(nvmlDeviceGetC2cModeInfoV, "c2c")  // a structure of one number

int nvmlDeviceGetPcieThroughput(Subject *d, U counter, U *kilobytes) {
    ENTER(d, WORDS(*kilobytes));
    nanosleep(&(struct timespec){0, 20000000}, NULL);  // nvml.h: the value is of a window of 20 ms, and the call blocks as long
    return counter > 1 ? INVALID_ARGUMENT : number(d, kilobytes, counter ? "pcie_rx" : "pcie_tx");
}

// --- NVLink: a link beyond the device's own is INVALID_ARGUMENT; a device without any does not support the calls ------

static int link_of(const Subject *d, U link) {
    U count = 0;
    if (number(d, &count, "nvlinks") || !count) return NOT_SUPPORTED;
    return link < count ? OK : INVALID_ARGUMENT;
}
int nvmlDeviceGetNvLinkState(Subject *d, U link, U *active) {
    ENTER(d, WORDS(*active));
    int result = link_of(d, link);
    if (!result && number(d, active, "nvlink.%u.state", link)) *active = 1;
    return result;
}
int nvmlDeviceGetNvLinkVersion(Subject *d, U link, U *version) {
    ENTER(d, WORDS(*version));
    int result = link_of(d, link);
    if (!result && number(d, version, "nvlink.%u.version", link)) result = number(d, version, "nvlink_version");
    return result;
}
int nvmlDeviceGetNvLinkErrorCounter(Subject *d, U link, U counter, UL *count) {
    ENTER(d, WORDS(*count));
    int result = counter > 4 ? INVALID_ARGUMENT : link_of(d, link);
    if (!result) *count = big(d, "nvlink.%u.error.%u", link, counter);
    return result;
}

// --- the fabric -----------------------------------------------------------------------------------------------------

typedef struct { U version; unsigned char uuid[16]; U status, clique; unsigned char state; U health; unsigned char summary; } Fabric3;
typedef struct { U version; unsigned char uuid[16]; U status, clique; unsigned char state; U health; } Fabric2;
int nvmlDeviceGetGpuFabricInfoV(Subject *d, Fabric3 *f) {
    size_t size = f->version == (sizeof(Fabric3) | 3 << 24) ? sizeof(Fabric3) : sizeof(Fabric2);
    ENTER(d, ((Out){(char *)f + sizeof(U), size - sizeof(U), 'w'}));
    const char *value = get(d, "fabric");
    U state, summary;
    char uuid[33] = "";
    if (f->version != (sizeof(Fabric3) | 3 << 24) && f->version != (sizeof(Fabric2) | 2 << 24)) return VERSION;
    if (!value || sscanf(value, "%u %u %u %u %u %32s", &state, &f->status, &f->clique, &f->health, &summary, uuid) != 6) return NOT_SUPPORTED;
    f->state = state;
    if (size == sizeof(Fabric3)) f->summary = summary;
    for (int i = 0; i < 16; i++) {
        U byte = 0;
        sscanf(uuid + 2 * i, "%2x", &byte);
        f->uuid[i] = byte;
    }
    return OK;
}
