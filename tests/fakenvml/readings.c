// SPDX-License-Identifier: Apache-2.0
// What a device says of its work, power, heat and clocks.
#include "fakenvml.h"

typedef struct { U gpu, memory; } Utilization;
int nvmlDeviceGetUtilizationRates(Subject *d, Utilization *u) {
    ENTER(d, WORDS(*u));
    u->memory = big(d, "memory_utilization");
    return mig_is_on(d) ? NOT_SUPPORTED : number(d, &u->gpu, "utilization");
}
#define ENGINE(call, key) /* not to be asked for while MIG is on */ \
    int call(Subject *d, U *u, U *period) { \
        ENTER(d, WORDS(*u), WORDS(*period)); \
        *period = 167000; \
        return mig_is_on(d) ? NOT_SUPPORTED : number(d, u, key); \
    }
ENGINE(nvmlDeviceGetEncoderUtilization, "encoder")
ENGINE(nvmlDeviceGetDecoderUtilization, "decoder")
ENGINE(nvmlDeviceGetJpgUtilization, "jpeg")
ENGINE(nvmlDeviceGetOfaUtilization, "ofa")

// --- power ----------------------------------------------------------------------------------------------------------

NUMBER(nvmlDeviceGetPowerUsage, "power")
NUMBER(nvmlDeviceGetEnforcedPowerLimit, "power_limit")
NUMBER(nvmlDeviceGetPowerManagementLimit, "power_management_limit")
NUMBER(nvmlDeviceGetPowerManagementDefaultLimit, "power_default_limit")
TWO_NUMBERS(nvmlDeviceGetPowerManagementLimitConstraints, "power_min_limit", "power_max_limit")
WHOLE(nvmlDeviceGetTotalEnergyConsumption, "energy")
typedef struct { UL reference, violation; } Violation;  // microseconds, nanoseconds
int nvmlDeviceGetViolationStatus(Subject *d, U policy, Violation *v) {
    ENTER(d, WORDS(*v));
    v->reference = microseconds();
    return policy > 11 ? INVALID_ARGUMENT : whole(d, &v->violation, "violation.%u", policy);
}

// --- heat -----------------------------------------------------------------------------------------------------------

int nvmlDeviceGetTemperature(Subject *d, U sensor, U *temperature) {
    ENTER(d, WORDS(*temperature));
    return sensor ? INVALID_ARGUMENT : number(d, temperature, "temperature");
}
typedef struct { U version, sensor; int temperature; } Temperature;
int nvmlDeviceGetTemperatureV(Subject *d, Temperature *t) {
    ENTER(d, WORDS(t->temperature));
    if (t->version != (sizeof *t | 1 << 24)) return VERSION;
    return t->sensor ? INVALID_ARGUMENT : number(d, (U *)&t->temperature, "temperature");
}
typedef struct { U version; int margin; } Margin;
int nvmlDeviceGetMarginTemperature(Subject *d, Margin *m) {
    ENTER(d, VERSIONED(*m));
    return m->version != (sizeof *m | 1 << 24) ? VERSION : number(d, (U *)&m->margin, "margin");
}
NUMBER_OF(nvmlDeviceGetTemperatureThreshold, "threshold")
NUMBER(nvmlDeviceGetNumFans, "fans")
NUMBER(nvmlDeviceGetFanSpeed, "fan.0")
NUMBER_OF(nvmlDeviceGetFanSpeed_v2, "fan")

// --- clocks ---------------------------------------------------------------------------------------------------------

static const char *const domains[] = {"graphics", "sm", "memory", "video"};
int nvmlDeviceGetClockInfo(Subject *d, U type, U *clock) {
    ENTER(d, WORDS(*clock));
    return type < 4 ? number(d, clock, "clock_%s", domains[type]) : INVALID_ARGUMENT;
}
int nvmlDeviceGetMaxClockInfo(Subject *d, U type, U *clock) {
    ENTER(d, WORDS(*clock));
    return type < 4 ? number(d, clock, "clock_max_%s", domains[type]) : INVALID_ARGUMENT;
}
NUMBER(nvmlDeviceGetPerformanceState, "pstate")
WHOLE(nvmlDeviceGetCurrentClocksEventReasons, "clocks_event_reasons")
WHOLE(nvmlDeviceGetCurrentClocksThrottleReasons, "clocks_event_reasons")
