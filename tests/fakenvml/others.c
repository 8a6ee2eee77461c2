// SPDX-License-Identifier: Apache-2.0
// What NVIDIA's device plugin asks besides: a device by its UUID, how near two devices are, where a link ends.
#include "fakenvml.h"
#include "pci.h"

enum { SAME_HOST_BRIDGE = 30, SAME_BOARD = 0 };  // nvmlGpuTopologyLevel_t

int nvmlDeviceGetHandleByUUID(const char *uuid, Subject **handle) {
    ENTER(&machine, WORDS(*handle));
    for (int gpu = 0; gpu < gpu_count; gpu++) {
        for (int mig = -1; mig < MAX_MIGS; mig++) {
            Subject *subject = mig < 0 ? &gpus[gpu] : &migs[gpu][mig];
            const char *value = get(subject, "uuid");
            if (value && !strcmp(value, uuid)) { *handle = subject; return OK; }
        }
    }
    return NOT_FOUND;
}
int nvmlDeviceGetTopologyCommonAncestor(Subject *one, Subject *other, U *level) {
    ENTER(one, WORDS(*level));
    *level = one == other ? SAME_BOARD : SAME_HOST_BRIDGE;
    return OK;
}
int nvmlDeviceGetNvLinkRemotePciInfo_v2(Subject *d, U link, Pci *pci) {
    ENTER(d, WORDS(*pci));
    if (link >= big(d, "nvlinks")) return INVALID_ARGUMENT;
    return pci_of("00000000:F0:00.0", pci);  // a switch
}
