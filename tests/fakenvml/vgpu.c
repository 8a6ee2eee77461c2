// SPDX-License-Identifier: Apache-2.0
// The host of virtual GPUs. A vGPU's calls have the GPU that carries it as their subject.
#include "fakenvml.h"

enum { HOST = 3 };  // the virtualization mode in which a GPU has vGPUs
typedef struct { U id; char uuid[80], vm[80]; U type; UL memory; U use[6]; } Vgpu;  // use: SM, memory, encoder, decoder, JPEG, OFA

static int vgpu_at(const Subject *d, int index, Vgpu *v) {
    const char *value = get(d, "vgpu.%d", index);
    if (!value) return 0;
    *v = (Vgpu){0};
    sscanf(
        value, "%u %79s %79s %u %llu %u %u %u %u %u %u", &v->id, v->uuid, v->vm, &v->type, &v->memory, &v->use[0], &v->use[1], &v->use[2],
        &v->use[3], &v->use[4], &v->use[5]);
    return 1;
}

static Subject *carrier_of(U id, Vgpu *v) {
    for (int i = 0; i < MAX_GPUS; i++)
        for (int j = 0; gpus[i].count && vgpu_at(&gpus[i], j, v); j++)
            if (v->id == id) return &gpus[i];
    return NULL;
}

static int count_of(const Subject *d) {
    Vgpu v;
    int count = 0;
    while (count < MAX_LIST && vgpu_at(d, count, &v)) count++;
    return count;
}

int nvmlDeviceGetActiveVgpus(Subject *d, U *count, U *ids) {
    ENTER(d);
    Vgpu v;
    U room = *count, found = count_of(d);
    if (big(d, "virtualization") != HOST) return NOT_SUPPORTED;
    *count = found;
    if (room < found) return INSUFFICIENT_SIZE;
    for (U i = 0; ids && i < found; i++) vgpu_at(d, i, &v), ids[i] = v.id;
    if (ids) spoil(__func__, d, OUTS(ARRAY(ids, found)));
    return OK;
}

// --- what each uses: a sample of each, see `sampled` -------------------------------------------------------------------

typedef struct { U id; UL at; Value use[4]; } UseSample;
int nvmlDeviceGetVgpuUtilization(Subject *d, UL last, U *type, U *count, UseSample *out) {
    ENTER(d);
    Vgpu v;
    U room = *count, found = count_of(d);
    if (big(d, "virtualization") != HOST) return NOT_SUPPORTED;
    *type = UNSIGNED_INT;
    *count = found;
    if (!found) return OK;
    if (!out || room < found) return INSUFFICIENT_SIZE;
    UL at = sampled();
    if (at <= last) return NOT_FOUND;
    for (U i = 0; i < found; i++) {
        vgpu_at(d, i, &v);
        out[i] = (UseSample){.id = v.id, .at = at};
        for (int j = 0; j < 4; j++) out[i].use[j].ull = v.use[j];
    }
    spoil(__func__, d, OUTS(ARRAY(out, found)));
    return OK;
}
typedef struct { UL at; U id; Value use[6]; } UseInfo;
typedef struct { U version, type, count; UL last; UseInfo *out; } UseInfos;
int nvmlDeviceGetVgpuInstancesUtilizationInfo(Subject *d, UseInfos *infos) {
    ENTER(d);
    Vgpu v;
    U room = infos->count, found = count_of(d);
    if (infos->version != (sizeof *infos | 1 << 24)) return VERSION;
    if (big(d, "virtualization") != HOST) return NOT_SUPPORTED;
    infos->type = UNSIGNED_INT;
    infos->count = found;
    if (!found) return OK;
    if (!infos->out || room < found) return INSUFFICIENT_SIZE;
    UL at = sampled();
    if (at <= infos->last) return NOT_FOUND;
    for (U i = 0; i < found; i++) {
        vgpu_at(d, i, &v);
        infos->out[i] = (UseInfo){.at = at, .id = v.id};
        for (int j = 0; j < 6; j++) infos->out[i].use[j].ull = v.use[j];
    }
    spoil(__func__, d, OUTS(ARRAY(infos->out, found)));
    return OK;
}

// --- what each is ---------------------------------------------------------------------------------------------------

#define OF_VGPU(id, v, ...) \
    Vgpu v; \
    Subject *d = carrier_of(id, &v); \
    if (!d) return initialized ? INVALID_ARGUMENT : UNINITIALIZED; \
    ENTER(d, __VA_ARGS__)

int nvmlVgpuInstanceGetUUID(U id, char *uuid, U size) { OF_VGPU(id, v, STRING(uuid, size)); return copy(v.uuid, uuid, size); }
int nvmlVgpuInstanceGetVmID(U id, char *vm, U size, U *kind) {
    OF_VGPU(id, v, STRING(vm, size), WORDS(*kind));
    *kind = 1;  // a UUID
    return copy(v.vm, vm, size);
}
int nvmlVgpuInstanceGetType(U id, U *type) { OF_VGPU(id, v, WORDS(*type)); *type = v.type; return OK; }
int nvmlVgpuInstanceGetFbUsage(U id, UL *bytes) { OF_VGPU(id, v, WORDS(*bytes)); *bytes = v.memory; return OK; }

static Subject *having(U type) {
    for (int i = 0; i < MAX_GPUS; i++)
        if (gpus[i].count && get(&gpus[i], "vgpu_type.%u.name", type)) return &gpus[i];
    return NULL;
}
#define OF_TYPE(type, ...) \
    Subject *d = having(type); \
    if (!d) return initialized ? INVALID_ARGUMENT : UNINITIALIZED; \
    ENTER(d, __VA_ARGS__)

int nvmlVgpuTypeGetName(U type, char *name, U *size) {
    OF_TYPE(type, STRING(name, *size));
    const char *value = get(d, "vgpu_type.%u.name", type);
    int result = copy(value, name, *size);
    if (value) *size = strlen(value) + 1;
    return result;
}
int nvmlVgpuTypeGetFramebufferSize(U type, UL *bytes) { OF_TYPE(type, WORDS(*bytes)); return whole(d, bytes, "vgpu_type.%u.memory", type); }
