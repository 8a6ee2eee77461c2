// SPDX-License-Identifier: Apache-2.0
// MIG: the mode, and the instances of a GPU.
#include "fakenvml.h"

int nvmlDeviceGetMigMode(Subject *d, U *current, U *pending) {
    ENTER(d, WORDS(*current), WORDS(*pending));
    int result = number(d, current, "mig");
    if (number(d, pending, "mig_pending")) *pending = *current;
    return result;
}
int nvmlDeviceGetMaxMigDeviceCount(Subject *d, U *count) { ENTER(d, WORDS(*count)); if (number(d, count, "mig_max")) *count = 7; return OK; }
int nvmlDeviceGetMigDeviceHandleByIndex(Subject *d, U index, Subject **handle) {
    ENTER(d, WORDS(*handle));
    if (index >= MAX_MIGS) return INVALID_ARGUMENT;
    if (!big(d, "mig") || !get(&migs[d->gpu][index], "uuid")) return NOT_FOUND;
    *handle = &migs[d->gpu][index];
    return OK;
}
int nvmlDeviceIsMigDeviceHandle(Subject *d, U *is) { ENTER(d, WORDS(*is)); *is = d->mig >= 0; return OK; }
NUMBER(nvmlDeviceGetGpuInstanceId, "gi")
NUMBER(nvmlDeviceGetComputeInstanceId, "ci")
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(Subject *d, Subject **parent) {
    ENTER(d, WORDS(*parent));
    *parent = &gpus[d->gpu];
    return OK;
}
int nvmlDeviceGetGpuInstanceById(Subject *d, U id, Subject **instance) {
    ENTER(d, WORDS(*instance));
    for (int i = 0; i < MAX_MIGS; i++) {
        U gi;
        if (!number(&migs[d->gpu][i], &gi, "gi") && gi == id) { *instance = &migs[d->gpu][i]; return OK; }
    }
    return NOT_FOUND;
}
typedef struct { Subject *device; U id, profile_id, start, size; } InstanceInfo;
int nvmlGpuInstanceGetInfo(Subject *instance, InstanceInfo *info) {
    ENTER(instance, WORDS(*info));
    info->device = &gpus[instance->gpu];
    info->id = big(instance, "gi"), info->profile_id = big(instance, "profile_id");
    info->start = big(instance, "placement"), info->size = big(instance, "placement_size");
    return get(instance, "profile_id") ? OK : NOT_SUPPORTED;
}
typedef struct { U sms, copy_engines, decoders, encoders, jpegs, ofas, slices, compute_slices; UL memory_mb; } Attributes;
int nvmlDeviceGetAttributes_v2(Subject *d, Attributes *a) {
    ENTER(d, WORDS(*a));
    if (d->mig < 0 || !get(d, "memory_mb")) return NOT_SUPPORTED;
    *a = (Attributes){
        big(d, "sms"), big(d, "copy_engines"), big(d, "decoders"), big(d, "encoders"), big(d, "jpegs"), big(d, "ofas"),
        big(d, "slices"), big(d, "compute_slices"), big(d, "memory_mb")};
    return OK;
}
