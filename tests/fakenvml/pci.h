// SPDX-License-Identifier: Apache-2.0
// A PCI address, as nvmlPciInfo_t.
#include "fakenvml.h"

typedef struct { char legacy[16]; U domain, bus, device, device_id, subsystem_id; char bus_id[32]; } Pci;

static inline int pci_of(const char *address, Pci *pci) {
    if (!address) return NOT_SUPPORTED;
    memset(pci, 0, sizeof *pci);
    sscanf(address, "%x:%x:%x", &pci->domain, &pci->bus, &pci->device);
    return copy(address, pci->bus_id, sizeof pci->bus_id);
}
