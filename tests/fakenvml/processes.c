// SPDX-License-Identifier: Apache-2.0
// Who is on a device: its processes, and how much of it each uses.
#include "fakenvml.h"

typedef struct { char kind[12]; U pid; UL memory; U use[6]; } Process;  // use: SM, memory, encoder, decoder, JPEG, OFA
typedef struct { U pid; UL memory; U gi, ci; } ProcessInfo;

static int process_at(const Subject *d, int index, Process *p) {
    char memory[24];
    const char *value = get(d, "process.%d", index);
    if (!value) return 0;
    *p = (Process){0};
    sscanf(value, "%11s %u %23s %u %u %u %u %u %u", p->kind, &p->pid, memory, &p->use[0], &p->use[1], &p->use[2], &p->use[3], &p->use[4], &p->use[5]);
    p->memory = *memory == '-' ? ~0ULL : strtoull(memory, NULL, 10);  // all bits set: not available
    return 1;
}

static int list_of(const Subject *d, const char *kind, ProcessInfo *out, int found) {
    Process p;
    for (int i = 0; found < MAX_LIST && process_at(d, i, &p); i++) {
        if (strcmp(p.kind, kind)) continue;
        ProcessInfo info = {p.pid, p.memory, ~0U, ~0U};
        if (d->mig >= 0) info.gi = big(d, "gi"), info.ci = big(d, "ci");
        out[found++] = info;
    }
    return found;
}

static int list_processes(const char *call, const Subject *d, const char *kind, U *count, ProcessInfo *out) {
    ProcessInfo list[MAX_LIST];
    U room = *count;
    int whole_gpu = d->mig < 0 && mig_is_on(d), found = 0;
    // In MIG mode the list of a GPU is its instances', and for privileged callers only.
    if (whole_gpu && !big(d, "parent_processes")) return NO_PERMISSION;
    if (whole_gpu)
        for (int i = 0; i < MAX_MIGS; i++) found = list_of(&migs[d->gpu][i], kind, list, found);
    else found = list_of(d, kind, list, found);
    *count = found;
    if (room < (U)found) return INSUFFICIENT_SIZE;
    if (!out || !found) return OK;
    memcpy(out, list, found * sizeof *list);
    spoil(call, d, OUTS(ARRAY(out, found)));
    return OK;
}
#define PROCESSES(call, kind) \
    int call(Subject *d, U *count, ProcessInfo *out) { ENTER(d); return list_processes(__func__, d, kind, count, out); }
PROCESSES(nvmlDeviceGetComputeRunningProcesses_v3, "compute")
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v3, "graphics")
PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v3, "mps")

// --- what each used -------------------------------------------------------------------------------------------------

// One sample for each process that used anything, see `sampled`; NOT_FOUND where none is newer than what was seen.
typedef struct { Process process; UL at; } Use;

static int uses_of(const Subject *d, UL last, Use *out) {
    int found = 0;
    Process p;
    UL at = sampled();
    for (int i = 0; found < MAX_LIST && process_at(d, i, &p); i++)
        if (at + i > last && (p.use[0] || p.use[1] || p.use[2] || p.use[3] || p.use[4] || p.use[5])) out[found++] = (Use){p, at + i};
    return found;
}

typedef struct { U pid; UL at; U use[4]; } UseSample;
int nvmlDeviceGetProcessUtilization(Subject *d, UseSample *out, U *count, UL last) {
    ENTER(d);
    static __thread Use uses[MAX_LIST];
    if (mig_is_on(d)) return NOT_SUPPORTED;
    U room = *count, found = uses_of(d, last, uses);
    *count = found;
    if (!found) return NOT_FOUND;
    if (!out || room < found) return INSUFFICIENT_SIZE;
    for (U i = 0; i < found; i++) {
        out[i].pid = uses[i].process.pid, out[i].at = uses[i].at;
        memcpy(out[i].use, uses[i].process.use, sizeof out[i].use);
    }
    spoil(__func__, d, OUTS(ARRAY(out, found)));
    return OK;
}

typedef struct { UL at; U pid, use[6]; } UseInfo;
typedef struct { U version, count; UL last; UseInfo *out; } UseInfos;
int nvmlDeviceGetProcessesUtilizationInfo(Subject *d, UseInfos *infos) {
    ENTER(d);
    static __thread Use uses[MAX_LIST];
    if (infos->version != (sizeof *infos | 1 << 24)) return VERSION;
    if (mig_is_on(d)) return NOT_SUPPORTED;
    U room = infos->count, found = uses_of(d, infos->last, uses);
    infos->count = found;
    if (!found) return NOT_FOUND;
    if (!infos->out || room < found) return INSUFFICIENT_SIZE;
    for (U i = 0; i < found; i++) {
        infos->out[i].at = uses[i].at, infos->out[i].pid = uses[i].process.pid;
        memcpy(infos->out[i].use, uses[i].process.use, sizeof infos->out[i].use);
    }
    spoil(__func__, d, OUTS(ARRAY(infos->out, found)));
    return OK;
}
