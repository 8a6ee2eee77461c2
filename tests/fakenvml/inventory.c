// SPDX-License-Identifier: Apache-2.0
// What a device is, and the modes it is in.
#include "fakenvml.h"
#include "pci.h"

TEXT(nvmlDeviceGetUUID, "uuid")
TEXT(nvmlDeviceGetName, "name")
TEXT(nvmlDeviceGetSerial, "serial")
TEXT(nvmlDeviceGetVbiosVersion, "vbios")
TEXT(nvmlDeviceGetBoardPartNumber, "board_part")
NUMBER(nvmlDeviceGetBoardId, "board_id")
NUMBER(nvmlDeviceGetBrand, "brand")
NUMBER(nvmlDeviceGetMinorNumber, "minor")
NUMBER(nvmlDeviceGetArchitecture, "architecture")
NUMBER(nvmlDeviceGetNumaNodeId, "memory_numa")
NUMBER(nvmlDeviceGetComputeMode, "compute_mode")
NUMBER(nvmlDeviceGetPersistenceMode, "persistence")
NUMBER(nvmlDeviceGetVirtualizationMode, "virtualization")

int nvmlDeviceGetIndex(Subject *d, U *index) { ENTER(d, WORDS(*index)); *index = d->gpu; return OK; }
int nvmlDeviceGetCudaComputeCapability(Subject *d, int *major, int *minor) {
    ENTER(d, WORDS(*major), WORDS(*minor));
    const char *value = get(d, "compute");
    return value && sscanf(value, "%d.%d", major, minor) == 2 ? OK : NOT_SUPPORTED;
}
int nvmlDeviceGetMemoryAffinity(Subject *d, U size, UL *nodes, U scope) {
    (void)scope;
    ENTER(d, ARRAY(nodes, size));
    U node;
    int result = number(d, &node, "numa");
    if (result) return result;
    if (node / 64 >= size) return INSUFFICIENT_SIZE;
    memset(nodes, 0, size * sizeof *nodes);
    nodes[node / 64] = 1ULL << node % 64;
    return OK;
}
int nvmlDeviceGetPciInfo_v3(Subject *d, Pci *pci) { ENTER(d, WORDS(*pci)); return pci_of(get(d, "pci"), pci); }

// Both versions have this shape; the first calls the chassis a rack.
typedef struct { U version; char guid[16], chassis[16]; unsigned char slot, tray, host, peer, module; } Platform;
int nvmlDeviceGetPlatformInfo(Subject *d, Platform *p) {
    ENTER(d, VERSIONED(*p));
    char guid[17] = "", chassis[17] = "";
    const char *value = get(d, "platform");
    if (p->version != (sizeof *p | 1 << 24) && p->version != (sizeof *p | 2 << 24)) return VERSION;
    if (!value) return NOT_SUPPORTED;
    sscanf(value, "%16s %16s %hhu %hhu %hhu %hhu %hhu", guid, chassis, &p->slot, &p->tray, &p->host, &p->peer, &p->module);
    memcpy(p->guid, guid, sizeof p->guid);
    memcpy(p->chassis, chassis, sizeof p->chassis);
    return OK;
}
