// SPDX-License-Identifier: Apache-2.0
// Memory: how much of it is used, and what is wrong with it.
#include "fakenvml.h"

typedef struct { UL total, free, used; } Memory;
typedef struct { U version; UL total, reserved, free, used; } Memory2;
int nvmlDeviceGetMemoryInfo(Subject *d, Memory *m) {
    ENTER(d, WORDS(*m));
    if (!get(d, "memory_total")) return NOT_SUPPORTED;
    m->total = big(d, "memory_total"), m->used = big(d, "memory_used") + big(d, "memory_reserved"), m->free = m->total - m->used;
    return OK;
}
int nvmlDeviceGetMemoryInfo_v2(Subject *d, Memory2 *m) {
    ENTER(d, VERSIONED(*m));
    if (m->version != (sizeof *m | 2 << 24)) return VERSION;
    if (!get(d, "memory_total")) return NOT_SUPPORTED;
    m->total = big(d, "memory_total"), m->used = big(d, "memory_used"), m->reserved = big(d, "memory_reserved");
    m->free = m->total - m->used - m->reserved;
    return OK;
}
int nvmlDeviceGetBAR1MemoryInfo(Subject *d, Memory *m) {
    ENTER(d, WORDS(*m));
    m->used = big(d, "bar1_used"), m->free = big(d, "bar1_total") - m->used;
    return whole(d, &m->total, "bar1_total");
}
int nvmlDeviceGetConfComputeProtectedMemoryUsage(Subject *d, Memory *m) {
    ENTER(d, WORDS(*m));
    m->used = big(d, "cc_memory_used"), m->free = big(d, "cc_memory_total") - m->used;
    return whole(d, &m->total, "cc_memory_total");
}

// --- errors ---------------------------------------------------------------------------------------------------------

TWO_NUMBERS(nvmlDeviceGetEccMode, "ecc_mode", "ecc_pending")
int nvmlDeviceGetMemoryErrorCounter(Subject *d, U type, U counter, U location, UL *count) {
    ENTER(d, WORDS(*count));
    return type > 1 || counter > 1 || location > 7 ? INVALID_ARGUMENT : whole(d, count, "ecc.%u.%u.%u", type, counter, location);
}
int nvmlDeviceGetTotalEccErrors(Subject *d, U type, U counter, UL *count) {
    ENTER(d, WORDS(*count));
    return type > 1 || counter > 1 ? INVALID_ARGUMENT : whole(d, count, "ecc.%u.%u", type, counter);
}
typedef struct { U version; UL counts[11]; U threshold_exceeded; } Sram;
int nvmlDeviceGetSramEccErrorStatus(Subject *d, Sram *sram) {
    ENTER(d, VERSIONED(*sram));
    UL said[12];
    if (sram->version != (sizeof *sram | 1 << 24)) return VERSION;
    if (listed(get(d, "sram"), said, 12) < 12) return NOT_SUPPORTED;
    memcpy(sram->counts, said, sizeof sram->counts);
    sram->threshold_exceeded = said[11];
    return OK;
}

// --- pages and rows taken out of use --------------------------------------------------------------------------------

static int retired(const char *call, Subject *d, U cause, U *count, UL *addresses, UL *times) {
    UL said[MAX_LIST];
    if (cause > 1) return INVALID_ARGUMENT;
    int found = listed(get(d, "retired.%u", cause), said, MAX_LIST), room = *count;
    if (found < 0) return NOT_SUPPORTED;
    *count = found;
    if (room < found) return INSUFFICIENT_SIZE;
    for (int i = 0; addresses && i < found; i++) {
        addresses[i] = said[i];
        if (times) times[i] = 1700000000000000ULL + i;  // microseconds
    }
    if (addresses) spoil(call, d, times ? OUTS(ARRAY(addresses, found), ARRAY(times, found)) : OUTS(ARRAY(addresses, found)));
    return OK;
}
int nvmlDeviceGetRetiredPages(Subject *d, U cause, U *count, UL *addresses) {
    ENTER(d);
    return retired(__func__, d, cause, count, addresses, NULL);
}
int nvmlDeviceGetRetiredPages_v2(Subject *d, U cause, U *count, UL *addresses, UL *times) {
    ENTER(d);
    return retired(__func__, d, cause, count, addresses, addresses ? times : NULL);  // pynvml gives no times where it gives no addresses
}
NUMBER(nvmlDeviceGetRetiredPagesPendingStatus, "retired_pending")

static int has_instances(const Subject *d) {
    int found = 0;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < MAX_MIGS; i++) found |= migs[d->gpu][i].count;
    pthread_mutex_unlock(&lock);
    return found && mig_is_on(d);
}
// The rows cannot be asked for while instances are active.
static int numbers_of(const Subject *d, const char *key, U *out, int count) {
    UL said[8];
    if (has_instances(d) || listed(get(d, "%s", key), said, 8) < count) return NOT_SUPPORTED;
    for (int i = 0; i < count; i++) out[i] = said[i];
    return OK;
}
int nvmlDeviceGetRemappedRows(Subject *d, U *corrected, U *uncorrected, U *pending, U *failure) {
    ENTER(d, WORDS(*corrected), WORDS(*uncorrected), WORDS(*pending), WORDS(*failure));
    U said[4];
    int result = numbers_of(d, "remapped", said, 4);
    if (!result) *corrected = said[0], *uncorrected = said[1], *pending = said[2], *failure = said[3];
    return result;
}
typedef struct { U numbers[6]; } RemappedRows;  // corrected active, inactive; uncorrected active, inactive; pending; failure
int nvmlDeviceGetRemappedRows_v2(Subject *d, RemappedRows *rows) { ENTER(d, WORDS(*rows)); return numbers_of(d, "remapped_v2", rows->numbers, 6); }
typedef struct { U numbers[5]; } RowHistogram;  // banks with max, high, partial, low, no availability
int nvmlDeviceGetRowRemapperHistogram(Subject *d, RowHistogram *h) { ENTER(d, WORDS(*h)); return numbers_of(d, "row_histogram", h->numbers, 5); }
