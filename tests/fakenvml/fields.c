// SPDX-License-Identifier: Apache-2.0
// Field values, many in one call, and the buffers of recent samples.
#include "fakenvml.h"

typedef struct { U id, scope; int64_t timestamp, latency; U type, result; Value value; } Field;

// A field that is not given may be another property.
static const struct { U id, type; const char *key; } also[] = {
    {82, UNSIGNED_INT, "memory_temperature"}, {83, UNSIGNED_LONG_LONG, "energy"},
    {94, UNSIGNED_INT, "pcie_replay"},        {185, UNSIGNED_INT, "power"},
    {186, UNSIGNED_INT, "power_instant"},     {187, UNSIGNED_INT, "power_min_limit"},
    {188, UNSIGNED_INT, "power_max_limit"},   {189, UNSIGNED_INT, "power_default_limit"},
    {190, UNSIGNED_INT, "power_limit"},       {192, UNSIGNED_INT, "power_management_limit"},
};

static const char *said(const Subject *d, Field *f) {
    const char *value = get(d, "field.%u.%u", f->id, f->scope);
    if (!value && !f->scope) value = get(d, "field.%u", f->id);
    if (value) {
        int natural = value[strspn(value, "-0123456789")] ? DOUBLE : *value == '-' ? SIGNED_LONG_LONG : UNSIGNED_LONG_LONG;
        if (number(d, &f->type, "field.%u.type", f->id)) f->type = natural;
    }
    for (size_t i = 0; !value && !f->scope && i < sizeof also / sizeof *also; i++)
        if (also[i].id == f->id && (value = get(d, "%s", also[i].key))) f->type = also[i].type;
    return value;
}

static void put(Field *f, const char *value) {
    if (f->type == DOUBLE) f->value.d = strtod(value, NULL);
    else if (f->type == UNSIGNED_INT || f->type == SIGNED_INT) f->value.u = strtoll(value, NULL, 10);
    else if (f->type == UNSIGNED_SHORT) f->value.us = strtoul(value, NULL, 10);
    else f->value.ull = strtoull(value, NULL, 10);
}

static int failure(const char *name, const Subject *d) {
    if (!fault_count) return OK;
    pthread_mutex_lock(&lock);
    const Fault *fault = fault_of(name, d);
    int code = fault && fault->kind == 'e' ? fault->number : OK;
    pthread_mutex_unlock(&lock);
    return code;
}

static void read_field(const char *call, Subject *d, Field *f, U newest) {
    char name[24];
    snprintf(name, sizeof name, "field.%u", f->id);
    f->value.ull = 0, f->type = UNSIGNED_LONG_LONG;
    const char *value = said(d, f);
    f->result = failure(name, d);
    if (!f->result && !value) f->result = f->id && f->id <= newest ? NOT_SUPPORTED : INVALID_ARGUMENT;
    if (!f->result) put(f, value);
    Field garbage = {0};
    const Out outs[] = {WORDS(garbage.timestamp), WORDS(garbage.latency), {&garbage.value, sizeof garbage.value, 'd'}, {0}};
    if (!spoil(call, d, outs) && !spoil(name, d, outs)) return;
    f->timestamp = garbage.timestamp, f->latency = garbage.latency, f->value = garbage.value, f->result = OK;
    f->type = garbage.value.ull + 1 ? DOUBLE : UNSIGNED_LONG_LONG;
}

int nvmlDeviceGetFieldValues(Subject *d, int count, Field *fields) {
    ENTER(d);
    U newest = 307, latency = 3;
    if (count <= 0 || !fields) return INVALID_ARGUMENT;
    number(d, &newest, "field_newest");
    number(d, &latency, "field_latency");
    for (int i = 0; i < count; i++) {
        fields[i].timestamp = microseconds(), fields[i].latency = latency;
        read_field(__func__, d, &fields[i], newest);
    }
    return OK;
}

// Each value has the time of `sampled`, a microsecond after the value before it; a buffer without anything newer than what was
// seen is NOT_FOUND. Asked without a buffer it tells the size of its own.
typedef struct { UL timestamp; Value value; } Sample;
int nvmlDeviceGetSamples(Subject *d, U type, UL last, U *value_type, U *count, Sample *samples) {
    enum { UTILIZATIONS = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 8 | 1 << 9 };
    ENTER(d);
    UL values[MAX_LIST];
    if (type > 9) return INVALID_ARGUMENT;
    if (mig_is_on(d) && UTILIZATIONS >> type & 1) return NOT_SUPPORTED;
    int found = listed(get(d, "samples.%u", type), values, MAX_LIST);
    if (found < 0) return NOT_SUPPORTED;
    U room = *count, given = 0;
    *value_type = UNSIGNED_INT;
    *count = found;
    if (!samples) return OK;
    UL at = sampled();
    for (int i = 0; i < found && given < room; i++)
        if (at + i > last) samples[given++] = (Sample){at + i, {.ull = values[i]}};
    *count = given;
    spoil(__func__, d, OUTS(ARRAY(samples, given)));
    return given ? OK : NOT_FOUND;
}
