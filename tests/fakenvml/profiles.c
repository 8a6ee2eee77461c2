// SPDX-License-Identifier: Apache-2.0
// What a GPU can be divided into: its profiles, where an instance of each can be placed, and what an instance is.
//
// An instance here is a GPU instance and the one compute instance that has all of it; both have its subject for a handle.
#include "fakenvml.h"
#include "profiles.h"

int profile_at(const Subject *d, U profile, Profile *out) {
    UL said[PROFILE_NUMBERS + MAX_STARTS];
    int count = listed(get(d, "mig_profile.%u", profile), said, PROFILE_NUMBERS + MAX_STARTS);
    if (count < PROFILE_NUMBERS) return NOT_SUPPORTED;
    for (int i = 0; i < PROFILE_NUMBERS; i++) out->numbers[i] = said[i];
    out->places = count - PROFILE_NUMBERS;
    for (U i = 0; i < out->places; i++) out->starts[i] = said[PROFILE_NUMBERS + i];
    return OK;
}

int profile_by_id(const Subject *d, U id, Profile *out) {
    for (U profile = 0; profile < PROFILES; profile++)
        if (!profile_at(d, profile, out) && out->numbers[ID] == id) return OK;
    return NOT_SUPPORTED;
}

// --- of the GPU -------------------------------------------------------------------------------------------------------

typedef struct { U id, p2p, slices, instances, sms, copy_engines, decoders, encoders, jpegs, ofas; UL memory_mb; } ProfileInfo;
int nvmlDeviceGetGpuInstanceProfileInfo(Subject *d, U profile, ProfileInfo *info) {
    ENTER(d, WORDS(*info));
    Profile p;
    if (profile >= PROFILES) return INVALID_ARGUMENT;
    if (profile_at(d, profile, &p)) return NOT_SUPPORTED;
    *info = (ProfileInfo){
        p.numbers[ID], 0, p.numbers[SLICES], p.numbers[INSTANCES], p.numbers[SMS], p.numbers[COPY_ENGINES], p.numbers[DECODERS],
        p.numbers[ENCODERS], p.numbers[JPEGS], p.numbers[OFAS], p.numbers[MEMORY_MB]};
    return OK;
}
typedef struct { U start, size; } Placement;
int nvmlDeviceGetGpuInstancePossiblePlacements_v2(Subject *d, U id, Placement *placements, U *count) {
    ENTER(d);
    Profile p;
    if (profile_by_id(d, id, &p)) return NOT_SUPPORTED;
    U room = *count;
    *count = p.places;
    if (!placements) return OK;
    if (room < p.places) return INSUFFICIENT_SIZE;
    for (U i = 0; i < p.places; i++) placements[i] = (Placement){p.starts[i], p.numbers[SIZE]};
    return OK;
}

// --- of an instance ---------------------------------------------------------------------------------------------------

int nvmlGpuInstanceGetComputeInstanceById(Subject *instance, U id, Subject **compute) {
    ENTER(instance, WORDS(*compute));
    U ci;
    if (number(instance, &ci, "ci") || ci != id) return NOT_FOUND;
    *compute = instance;
    return OK;
}
typedef struct { U id, slices, instances, sms, shared[5]; } ComputeProfile;
int nvmlGpuInstanceGetComputeInstanceProfileInfo(Subject *instance, U profile, U engine, ComputeProfile *info) {
    ENTER(instance, WORDS(*info));
    static const U slices_of[] = {1, 2, 3, 4, 7, 8, 6};  // NVML_COMPUTE_INSTANCE_PROFILE_*_SLICE
    if (profile >= COMPUTE_PROFILES || engine) return INVALID_ARGUMENT;
    if (profile >= sizeof slices_of / sizeof *slices_of || slices_of[profile] != big(instance, "compute_slices")) return NOT_SUPPORTED;
    *info = (ComputeProfile){profile, slices_of[profile], 1, big(instance, "sms"), {0}};
    return OK;
}
typedef struct { Subject *device, *instance; U id, profile_id; Placement placement; } ComputeInfo;
int nvmlComputeInstanceGetInfo_v2(Subject *compute, ComputeInfo *info) {
    ENTER(compute, WORDS(*info));
    ComputeProfile profile = {0};
    U slices = big(compute, "compute_slices");
    for (U i = 0; i < COMPUTE_PROFILES && nvmlGpuInstanceGetComputeInstanceProfileInfo(compute, i, 0, &profile); i++) {}
    *info = (ComputeInfo){compute, compute, big(compute, "ci"), profile.id, {0, slices}};
    return OK;
}
