// SPDX-License-Identifier: Apache-2.0
// A table-driven libnvidia-ml.so.1 for tests: what it answers stands in a text file that may change while it is in use.
//
// Environment: FAKENVML names the text file, read again whenever it changes (write it anew and rename it).
//              FAKENVML_LOG, if set, names a file to which "PID CALL SUBJECT" is appended: nvmlInitWithFlags and
//              nvmlShutdown always, every call where the text says `trace`.
//
// The text, one statement a line; '#' begins a comment:
//   driver 575.57.08                   cuda 12090                      gpus 2
//   gpu0 KEY VALUE                     a property of a GPU; the value runs to the end of the line
//   gpu0.mig2 KEY VALUE                a property of the instance at MIG index 2; indexes without properties are holes
//   error SUBJECT CALL CODE            the call returns CODE;  SUBJECT is gpu0, gpu0.mig2, system, or *; CALL may be *
//   hang SUBJECT CALL                  the call does not return until this line is gone
//   crash SUBJECT CALL                 the call is a segmentation fault
//   slow SUBJECT CALL MILLISECONDS     the call takes so long
//   xid gpu0 CODE NUMBER [GI CI]       an event, delivered once to each event set that gpu0 was registered in before the
//                                      line appeared; NUMBER rises from one line of a GPU to its next
//   trace                              log every call
// CALL is the symbol's name, as nvmlDeviceGetHandleByIndex_v2. A property that is not given is NOT_SUPPORTED.
//
// Properties of both: uuid name memory_total memory_used memory_reserved (bytes)
// of a GPU: minor serial vbios pci (00000000:3B:00.0) numa architecture compute (9.0) power power_instant power_limit (mW)
//   energy (mJ) utilization encoder decoder (percent) temperature memory_temperature clock_graphics clock_sm clock_memory
//   clock_video (MHz) mig (0, 1) mig_max event_types (a mask)
// of an instance: gi ci profile_id placement placement_size slices compute_slices memory_mb
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, NOT_LOADED = 9, TIMEOUT = 10, LOST = 15, VERSION = 25 };
enum { MAX_GPUS = 128, MAX_MIGS = 16, MAX_KEYS = 40, MAX_FAULTS = 256, MAX_XIDS = 8192, MAX_SETS = 256 };
typedef unsigned int U;
typedef unsigned long long UL;

typedef struct { char *key, *value; } Property;
typedef struct { char name[16]; int gpu, mig, count; Property properties[MAX_KEYS]; } Subject;
typedef struct { char kind, subject[16], call[64]; int number; } Fault;

typedef struct { int gpu, code, number; U gi, ci; } Xid;
typedef struct { int used, gpu, seen; UL types; } EventSet;  // of one GPU, or (-1) of none yet

static Subject gpus[MAX_GPUS], migs[MAX_GPUS][MAX_MIGS];
static Fault faults[MAX_FAULTS];
static Xid xids[MAX_XIDS];
static EventSet sets[MAX_SETS];
static int gpu_count, fault_count, xid_count, initialized, trace;
static char driver[80], cuda[16];
static struct stat seen;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void set(Subject *subject, char *key, char *value) {
    if (subject->count < MAX_KEYS) subject->properties[subject->count++] = (Property){key, value};
}

static Subject *subject_of(const char *name) {
    int gpu = -1, mig = -1;
    if (sscanf(name, "gpu%d.mig%d", &gpu, &mig) < 1 || gpu < 0 || gpu >= MAX_GPUS || mig >= MAX_MIGS) return NULL;
    return mig < 0 ? &gpus[gpu] : &migs[gpu][mig];
}

static void take(char *line) {
    char *rest = line, *word = strsep(&rest, " ");
    if (!*word || *word == '#') return;
    if (!strcmp(word, "trace")) trace = 1;
    if (!rest) return;
    if (!strcmp(word, "driver")) snprintf(driver, sizeof driver, "%s", rest);
    else if (!strcmp(word, "cuda")) snprintf(cuda, sizeof cuda, "%s", rest);
    else if (!strcmp(word, "gpus")) gpu_count = atoi(rest) < MAX_GPUS ? atoi(rest) : MAX_GPUS;
    else if (!strcmp(word, "xid")) {
        if (xid_count == MAX_XIDS) return;
        Xid *xid = &xids[xid_count++];
        xid->gi = xid->ci = 0xFFFFFFFF;
        sscanf(rest, "gpu%d %d %d %u %u", &xid->gpu, &xid->code, &xid->number, &xid->gi, &xid->ci);
    } else if (!strncmp(word, "gpu", 3)) {
        char *key = strsep(&rest, " ");
        Subject *subject = subject_of(word);
        if (subject && rest) set(subject, key, rest);
    } else if (fault_count < MAX_FAULTS) {
        Fault *fault = &faults[fault_count++];
        memset(fault, 0, sizeof *fault);
        fault->kind = *word;  // e, h, c, s
        sscanf(rest, "%15s %63s %d", fault->subject, fault->call, &fault->number);
    }
}

static void reload(void) {
    struct stat now;
    const char *path = getenv("FAKENVML");
    if (!path || stat(path, &now)) return;
    if (now.st_ino == seen.st_ino && now.st_mtim.tv_sec == seen.st_mtim.tv_sec && now.st_mtim.tv_nsec == seen.st_mtim.tv_nsec) return;
    FILE *file = fopen(path, "r");
    char *text = calloc(1, now.st_size + 1);  // never freed: answers point into it
    if (!file || !text) return;
    text[fread(text, 1, now.st_size, file)] = 0;
    fclose(file);
    seen = now;
    fault_count = xid_count = gpu_count = trace = 0;
    for (int i = 0; i < MAX_GPUS; i++) {
        gpus[i].gpu = i, gpus[i].mig = -1, gpus[i].count = 0;
        snprintf(gpus[i].name, sizeof gpus[i].name, "gpu%d", i);
        for (int j = 0; j < MAX_MIGS; j++) {
            migs[i][j].gpu = i, migs[i][j].mig = j, migs[i][j].count = 0;
            snprintf(migs[i][j].name, sizeof migs[i][j].name, "gpu%d.mig%d", i, j);
        }
    }
    for (char *line; (line = strsep(&text, "\n"));) take(line);
}

static void log_call(const char *call, const char *subject) {
    const char *path = getenv("FAKENVML_LOG");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (!file) return;
    fprintf(file, "%d %s %s\n", getpid(), call, subject);
    fclose(file);
}

static const Fault *fault_of(const char *call, const Subject *subject) {
    for (int i = 0; i < fault_count; i++) {
        const Fault *fault = &faults[i];
        const char *name = subject ? subject->name : "system";
        if ((!strcmp(fault->subject, "*") || !strcmp(fault->subject, name)) && (!strcmp(fault->call, "*") || !strcmp(fault->call, call)))
            return fault;
    }
    return NULL;
}

// What every call begins with: it reads the text, and hangs, crashes, waits or fails as that says.
static int enter(const char *call, const Subject *subject) {
    int result = OK, slept = 0;
    for (;;) {
        pthread_mutex_lock(&lock);
        reload();
        int boundary = !strcmp(call, "nvmlInitWithFlags") || !strcmp(call, "nvmlShutdown");
        if (!slept && (trace || boundary)) log_call(call, subject ? subject->name : "system");
        const Fault *found = fault_of(call, subject);
        Fault fault = found ? *found : (Fault){0};
        int gone = subject && (subject->gpu >= gpu_count || !gpus[subject->gpu].count);
        int ended = subject && subject->mig >= 0 && !subject->count;
        pthread_mutex_unlock(&lock);
        if (fault.kind == 'c') *(volatile int *)0 = 0;
        if (fault.kind == 'h') {
            nanosleep(&(struct timespec){0, 10000000}, NULL);
            slept = 1;
            continue;
        }
        if (fault.kind == 's') nanosleep(&(struct timespec){fault.number / 1000, fault.number % 1000 * 1000000L}, NULL);
        if (fault.kind == 'e') result = fault.number;
        else if (!initialized && strcmp(call, "nvmlInitWithFlags")) result = UNINITIALIZED;
        else if (gone) result = LOST;
        else if (ended) result = INVALID_ARGUMENT;
        return result;
    }
}

static const char *get(const Subject *subject, const char *key) {
    const char *value = NULL;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < subject->count && !value; i++)
        if (!strcmp(subject->properties[i].key, key)) value = subject->properties[i].value;
    pthread_mutex_unlock(&lock);
    return value;
}

static int copy(const char *value, char *buffer, U size) {
    if (!value) return NOT_SUPPORTED;
    if (strlen(value) >= size) return INSUFFICIENT_SIZE;
    strcpy(buffer, value);
    return OK;
}

static int number(const Subject *subject, const char *key, U *out) {
    const char *value = get(subject, key);
    if (!value) return NOT_SUPPORTED;
    *out = strtoul(value, NULL, 10);
    return OK;
}

static UL big(const Subject *subject, const char *key) {
    const char *value = get(subject, key);
    return value ? strtoull(value, NULL, 10) : 0;
}

#define ENTER(subject) do { int r_ = enter(__func__, subject); if (r_) return r_; } while (0)

// --- the library ---------------------------------------------------------------------------------------------------

int nvmlInitWithFlags(U flags) {
    (void)flags;
    if (!getenv("FAKENVML")) return NOT_LOADED;
    ENTER(NULL);
    initialized = 1;
    return OK;
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { ENTER(NULL); initialized = 0; return OK; }
const char *nvmlErrorString(int code) { static char text[32]; snprintf(text, sizeof text, "fake error %d", code); return text; }
int nvmlSystemGetDriverVersion(char *buffer, U size) { ENTER(NULL); return copy(*driver ? driver : NULL, buffer, size); }
int nvmlSystemGetNVMLVersion(char *buffer, U size) { ENTER(NULL); return copy(*driver ? driver : NULL, buffer, size); }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { ENTER(NULL); *version = atoi(cuda); return *cuda ? OK : NOT_SUPPORTED; }
int nvmlSystemGetCudaDriverVersion(int *version) { ENTER(NULL); *version = atoi(cuda); return *cuda ? OK : NOT_SUPPORTED; }
int nvmlDeviceGetCount_v2(U *count) { ENTER(NULL); *count = gpu_count; return OK; }
int nvmlDeviceGetHandleByIndex_v2(U index, Subject **handle) {
    if (index >= (U)gpu_count) return INVALID_ARGUMENT;
    ENTER(&gpus[index]);
    *handle = &gpus[index];
    return OK;
}

// --- what a device is ----------------------------------------------------------------------------------------------

int nvmlDeviceGetUUID(Subject *d, char *buffer, U size) { ENTER(d); return copy(get(d, "uuid"), buffer, size); }
int nvmlDeviceGetName(Subject *d, char *buffer, U size) { ENTER(d); return copy(get(d, "name"), buffer, size); }
int nvmlDeviceGetSerial(Subject *d, char *buffer, U size) { ENTER(d); return copy(get(d, "serial"), buffer, size); }
int nvmlDeviceGetVbiosVersion(Subject *d, char *buffer, U size) { ENTER(d); return copy(get(d, "vbios"), buffer, size); }
int nvmlDeviceGetIndex(Subject *d, U *index) { ENTER(d); *index = d->gpu; return OK; }
int nvmlDeviceGetMinorNumber(Subject *d, U *minor) { ENTER(d); return number(d, "minor", minor); }
int nvmlDeviceGetArchitecture(Subject *d, U *architecture) { ENTER(d); return number(d, "architecture", architecture); }
int nvmlDeviceGetCudaComputeCapability(Subject *d, int *major, int *minor) {
    ENTER(d);
    const char *value = get(d, "compute");
    return value && sscanf(value, "%d.%d", major, minor) == 2 ? OK : NOT_SUPPORTED;
}
int nvmlDeviceGetMemoryAffinity(Subject *d, U size, UL *nodes, U scope) {
    (void)scope;
    ENTER(d);
    U node;
    int result = number(d, "numa", &node);
    if (result) return result;
    if (node / 64 >= size) return INSUFFICIENT_SIZE;
    memset(nodes, 0, size * sizeof *nodes);
    nodes[node / 64] = 1ULL << node % 64;
    return OK;
}
typedef struct { char legacy[16]; U domain, bus, device, device_id, subsystem_id; char bus_id[32]; } Pci;
int nvmlDeviceGetPciInfo_v3(Subject *d, Pci *pci) {
    ENTER(d);
    const char *value = get(d, "pci");
    if (!value) return NOT_SUPPORTED;
    memset(pci, 0, sizeof *pci);
    sscanf(value, "%x:%x:%x", &pci->domain, &pci->bus, &pci->device);
    return copy(value, pci->bus_id, sizeof pci->bus_id);
}

// --- what a device says --------------------------------------------------------------------------------------------

typedef struct { UL total, free, used; } Memory;
typedef struct { U version; UL total, reserved, free, used; } Memory2;
int nvmlDeviceGetMemoryInfo(Subject *d, Memory *m) {
    ENTER(d);
    if (!get(d, "memory_total")) return NOT_SUPPORTED;
    m->total = big(d, "memory_total"), m->used = big(d, "memory_used") + big(d, "memory_reserved"), m->free = m->total - m->used;
    return OK;
}
int nvmlDeviceGetMemoryInfo_v2(Subject *d, Memory2 *m) {
    ENTER(d);
    if (m->version != (sizeof *m | 2 << 24)) return VERSION;
    if (!get(d, "memory_total")) return NOT_SUPPORTED;
    m->total = big(d, "memory_total"), m->used = big(d, "memory_used"), m->reserved = big(d, "memory_reserved");
    m->free = m->total - m->used - m->reserved;
    return OK;
}
static int mig_is_on(const Subject *d) { return d->mig >= 0 || big(d, "mig"); }
typedef struct { U gpu, memory; } Utilization;
int nvmlDeviceGetUtilizationRates(Subject *d, Utilization *u) {
    ENTER(d);
    u->memory = 0;
    return mig_is_on(d) ? NOT_SUPPORTED : number(d, "utilization", &u->gpu);
}
int nvmlDeviceGetEncoderUtilization(Subject *d, U *u, U *period) { ENTER(d); *period = 167000; return mig_is_on(d) ? NOT_SUPPORTED : number(d, "encoder", u); }
int nvmlDeviceGetDecoderUtilization(Subject *d, U *u, U *period) { ENTER(d); *period = 167000; return mig_is_on(d) ? NOT_SUPPORTED : number(d, "decoder", u); }
int nvmlDeviceGetPowerUsage(Subject *d, U *power) { ENTER(d); return number(d, "power", power); }
int nvmlDeviceGetEnforcedPowerLimit(Subject *d, U *limit) { ENTER(d); return number(d, "power_limit", limit); }
int nvmlDeviceGetTotalEnergyConsumption(Subject *d, UL *energy) {
    ENTER(d);
    *energy = big(d, "energy");
    return get(d, "energy") ? OK : NOT_SUPPORTED;
}
int nvmlDeviceGetTemperature(Subject *d, U sensor, U *temperature) { ENTER(d); return sensor ? INVALID_ARGUMENT : number(d, "temperature", temperature); }
typedef struct { U version, sensor; int temperature; } Temperature;
int nvmlDeviceGetTemperatureV(Subject *d, Temperature *t) {
    ENTER(d);
    if (t->version != (sizeof *t | 1 << 24)) return VERSION;
    return t->sensor ? INVALID_ARGUMENT : number(d, "temperature", (U *)&t->temperature);
}
int nvmlDeviceGetClockInfo(Subject *d, U type, U *clock) {
    static const char *const keys[] = {"clock_graphics", "clock_sm", "clock_memory", "clock_video"};
    ENTER(d);
    return type < 4 ? number(d, keys[type], clock) : INVALID_ARGUMENT;
}
typedef struct { U id, scope; int64_t timestamp, latency; U type, result; union { double d; U u; UL ull; } value; } Field;
int nvmlDeviceGetFieldValues(Subject *d, int count, Field *fields) {
    ENTER(d);
    for (int i = 0; i < count; i++) {
        const char *key = fields[i].id == 186 ? "power_instant" : fields[i].id == 82 ? "memory_temperature" : NULL;
        fields[i].type = 1;  // unsigned int
        fields[i].value.ull = 0;
        fields[i].result = key ? number(d, key, &fields[i].value.u) : INVALID_ARGUMENT;
    }
    return OK;
}

// --- MIG -----------------------------------------------------------------------------------------------------------

int nvmlDeviceGetMigMode(Subject *d, U *current, U *pending) {
    ENTER(d);
    int result = number(d, "mig", current);
    *pending = *current;
    return result;
}
int nvmlDeviceGetMaxMigDeviceCount(Subject *d, U *count) { ENTER(d); if (number(d, "mig_max", count)) *count = 7; return OK; }
int nvmlDeviceGetMigDeviceHandleByIndex(Subject *d, U index, Subject **handle) {
    ENTER(d);
    if (index >= MAX_MIGS) return INVALID_ARGUMENT;
    if (!big(d, "mig") || !migs[d->gpu][index].count) return NOT_FOUND;
    *handle = &migs[d->gpu][index];
    return OK;
}
int nvmlDeviceIsMigDeviceHandle(Subject *d, U *is) { ENTER(d); *is = d->mig >= 0; return OK; }
int nvmlDeviceGetGpuInstanceId(Subject *d, U *id) { ENTER(d); return number(d, "gi", id); }
int nvmlDeviceGetComputeInstanceId(Subject *d, U *id) { ENTER(d); return number(d, "ci", id); }
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(Subject *d, Subject **parent) { ENTER(d); *parent = &gpus[d->gpu]; return OK; }
int nvmlDeviceGetGpuInstanceById(Subject *d, U id, Subject **instance) {
    ENTER(d);
    for (int i = 0; i < MAX_MIGS; i++) {
        U gi;
        if (!number(&migs[d->gpu][i], "gi", &gi) && gi == id) { *instance = &migs[d->gpu][i]; return OK; }
    }
    return NOT_FOUND;
}
typedef struct { Subject *device; U id, profile_id, start, size; } InstanceInfo;
int nvmlGpuInstanceGetInfo(Subject *instance, InstanceInfo *info) {
    ENTER(instance);
    info->device = &gpus[instance->gpu];
    info->id = big(instance, "gi"), info->profile_id = big(instance, "profile_id");
    info->start = big(instance, "placement"), info->size = big(instance, "placement_size");
    return get(instance, "profile_id") ? OK : NOT_SUPPORTED;
}
typedef struct { U sms, copy_engines, decoders, encoders, jpegs, ofas, slices, compute_slices; UL memory_mb; } Attributes;
int nvmlDeviceGetAttributes_v2(Subject *d, Attributes *a) {
    ENTER(d);
    if (d->mig < 0 || !get(d, "memory_mb")) return NOT_SUPPORTED;
    memset(a, 0, sizeof *a);
    a->slices = big(d, "slices"), a->compute_slices = big(d, "compute_slices"), a->memory_mb = big(d, "memory_mb");
    return OK;
}

// --- events --------------------------------------------------------------------------------------------------------

typedef struct { Subject *device; UL type, data; U gi, ci; } Event;
int nvmlDeviceGetSupportedEventTypes(Subject *d, UL *types) {
    ENTER(d);
    *types = big(d, "event_types");
    return get(d, "event_types") ? OK : NOT_SUPPORTED;
}
int nvmlEventSetCreate(EventSet **set) {
    ENTER(NULL);
    for (int i = 0; i < MAX_SETS; i++)
        if (!sets[i].used) {
            sets[i] = (EventSet){.used = 1, .gpu = -1};
            *set = &sets[i];
            return OK;
        }
    return INSUFFICIENT_SIZE;
}
int nvmlDeviceRegisterEvents(Subject *d, UL types, EventSet *set) {
    ENTER(d);
    if (!set->used || set->gpu >= 0 || types & ~big(d, "event_types")) return INVALID_ARGUMENT;
    set->gpu = d->gpu, set->types = types;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < xid_count; i++)
        if (xids[i].gpu == d->gpu && xids[i].number > set->seen) set->seen = xids[i].number;
    pthread_mutex_unlock(&lock);
    return OK;
}
int nvmlEventSetWait_v2(EventSet *set, Event *event, U milliseconds) {
    (void)milliseconds;  // nothing here comes while one waits
    ENTER(NULL);
    if (!set->used) return INVALID_ARGUMENT;
    const Xid *next = NULL;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < xid_count; i++)
        if (xids[i].gpu == set->gpu && xids[i].number > set->seen && (!next || xids[i].number < next->number)) next = &xids[i];
    if (next && set->types & 8) {
        *event = (Event){&gpus[next->gpu], 8, next->code, next->gi, next->ci};
        set->seen = next->number;
    }
    pthread_mutex_unlock(&lock);
    return next && set->types & 8 ? OK : TIMEOUT;
}
int nvmlEventSetFree(EventSet *set) { ENTER(NULL); set->used = 0; return OK; }
