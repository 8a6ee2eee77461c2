// SPDX-License-Identifier: Apache-2.0
// A profile of GPU instances, as the text gives it: `mig_profile.PROFILE`, by NVML_GPU_INSTANCE_PROFILE_*.
#include "fakenvml.h"

enum { PROFILES = 18, COMPUTE_PROFILES = 9, MAX_STARTS = 8 };
enum { ID, SLICES, INSTANCES, SMS, COPY_ENGINES, DECODERS, ENCODERS, JPEGS, OFAS, MEMORY_MB, SIZE, PROFILE_NUMBERS };

typedef struct { U numbers[PROFILE_NUMBERS], places, starts[MAX_STARTS]; } Profile;

int profile_at(const Subject *d, U profile, Profile *out);  // a code
int profile_by_id(const Subject *d, U id, Profile *out);  // a code
