// SPDX-License-Identifier: Apache-2.0
// Events: the XIDs of GPUs, and what the system says of its driver. A past event is not delivered again.
#include "fakenvml.h"
#include <time.h>

enum { MAX_SETS = 256 };
typedef struct { int used, seen; UL types; unsigned char has[MAX_GPUS]; } EventSet;  // of the GPUs that were registered

static EventSet sets[MAX_SETS], system_sets[MAX_SETS];

static EventSet *fresh(EventSet *from) {
    for (int i = 0; i < MAX_SETS; i++)
        if (!from[i].used) {
            from[i] = (EventSet){.used = 1};
            return &from[i];
        }
    return NULL;
}
static int known_set(const EventSet *set, const EventSet *from) {
    return set >= from && set < from + MAX_SETS && ((const char *)set - (const char *)from) % sizeof *set == 0 && set->used;
}

// --- of a GPU -------------------------------------------------------------------------------------------------------

typedef struct { Subject *device; UL type, data; U gi, ci; } Event;
WHOLE(nvmlDeviceGetSupportedEventTypes, "event_types")
int nvmlEventSetCreate(EventSet **set) {
    ENTER(&machine, WORDS(*set));
    *set = fresh(sets);
    return *set ? OK : INSUFFICIENT_SIZE;
}
int nvmlDeviceRegisterEvents(Subject *d, UL types, EventSet *set) {
    ENTER(d);
    if (!known_set(set, sets) || types & ~big(d, "event_types")) return INVALID_ARGUMENT;
    set->has[d->gpu] = 1, set->types = types;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < xid_count; i++)
        if (xids[i].gpu == d->gpu && xids[i].number > set->seen) set->seen = xids[i].number;
    pthread_mutex_unlock(&lock);
    return OK;
}
static int take(EventSet *set, Event *event) {
    const Xid *next = NULL;
    pthread_mutex_lock(&lock);
    reload();
    for (int i = 0; i < xid_count; i++)
        if (set->has[xids[i].gpu] && xids[i].number > set->seen && (!next || xids[i].number < next->number)) next = &xids[i];
    int taken = next && set->types & 8;
    if (taken) {
        *event = (Event){&gpus[next->gpu], 8, next->code, next->gi, next->ci};
        set->seen = next->number;
    }
    pthread_mutex_unlock(&lock);
    return taken;
}
int nvmlEventSetWait_v2(EventSet *set, Event *event, U wait) {
    ENTER(&machine, WORDS(*event));
    if (!known_set(set, sets)) return INVALID_ARGUMENT;
    for (UL end = milliseconds() + wait; !take(set, event);) {
        if (milliseconds() >= end) return TIMEOUT;
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    return OK;
}
int nvmlEventSetFree(EventSet *set) {
    ENTER(&machine);
    if (!known_set(set, sets)) return INVALID_ARGUMENT;
    set->used = 0;
    return OK;
}

// --- of the system --------------------------------------------------------------------------------------------------

typedef struct { U version; EventSet *set; } SystemSet;  // to create, and to free
typedef struct { U version; UL types; EventSet *set; } SystemRegister;
typedef struct { UL type; U gpu; } SystemData;
typedef struct { U version, wait; EventSet *set; SystemData *data; U room, count; } SystemWait;

int nvmlSystemEventSetCreate(SystemSet *request) {
    ENTER(&machine, WORDS(request->set));
    if (request->version != (sizeof *request | 1 << 24)) return VERSION;
    request->set = fresh(system_sets);
    return request->set ? OK : INSUFFICIENT_SIZE;
}
int nvmlSystemRegisterEvents(SystemRegister *request) {
    ENTER(&machine);
    EventSet *set = request->set;
    if (request->version != (sizeof *request | 1 << 24)) return VERSION;
    if (!known_set(set, system_sets) || !request->types || request->types & ~3ULL) return INVALID_ARGUMENT;
    set->types = request->types;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < system_event_count; i++)
        if (system_events[i].number > set->seen) set->seen = system_events[i].number;
    pthread_mutex_unlock(&lock);
    return OK;
}

static U take_events(EventSet *set, SystemData *data, U room) {
    U given = 0;
    pthread_mutex_lock(&lock);
    reload();
    for (int i = 0; i < system_event_count && given < room; i++) {
        const SystemEvent *event = &system_events[i];
        if (event->number <= set->seen) continue;
        set->seen = event->number;
        if (event->type & set->types) data[given++] = (SystemData){event->type, event->gpu};
    }
    pthread_mutex_unlock(&lock);
    return given;
}

int nvmlSystemEventSetWait(SystemWait *request) {
    ENTER(&machine);
    if (request->version != (sizeof *request | 1 << 24)) return VERSION;
    if (!known_set(request->set, system_sets) || !request->data || !request->room) return INVALID_ARGUMENT;
    if (spoil(__func__, &machine, OUTS(ARRAY(request->data, 1)))) { request->count = 1; return OK; }
    for (UL end = milliseconds() + request->wait;;) {
        request->count = take_events(request->set, request->data, request->room);
        if (request->count) return OK;
        if (milliseconds() >= end) return TIMEOUT;
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
}
int nvmlSystemEventSetFree(SystemSet *request) {
    ENTER(&machine);
    if (request->version != (sizeof *request | 1 << 24)) return VERSION;
    if (!known_set(request->set, system_sets)) return INVALID_ARGUMENT;
    request->set->used = 0;
    return OK;
}
