// SPDX-License-Identifier: Apache-2.0
// What the library answers: a text file that may change while it is in use.
//
// Environment: FAKENVML names the text file, read again whenever it changes (write it anew and rename it). Without it the text
//              is node.txt in the directory from which the library was loaded, so that each of its users can have its own.
//              FAKENVML_LOG, if set, names a file to which "PID CALL SUBJECT" is appended: nvmlInitWithFlags and
//              nvmlShutdown always, every call where the text says `trace`, and "PID gpm_samples_alive COUNT" where
//              nvmlShutdown finds GPM samples that nobody freed.
//
// The text, one statement a line; '#' begins a comment:
//   gpus 2                             system KEY VALUE                trace (log every call)
//   gpu0 KEY VALUE                     a property of a GPU; the value runs to the end of the line
//   gpu0.mig2 KEY VALUE                a property of the instance at MIG index 2; indexes without properties are holes
//   error SUBJECT CALL CODE            the call returns CODE;  SUBJECT is gpu0, gpu0.mig2, system, or *; CALL may be *
//   hang SUBJECT CALL                  the call does not return until this line is gone
//   crash SUBJECT CALL                 the call is a segmentation fault
//   slow SUBJECT CALL MILLISECONDS     the call takes so long
//   absurd SUBJECT CALL PATTERN        the call succeeds, and what it gives is garbage: see enter.c
//   xid gpu0 CODE NUMBER [GI CI]       an event, delivered once to each event set that gpu0 was registered in before the
//                                      line appeared; NUMBER rises from one line of a GPU to its next
//   system_event TYPE GPU NUMBER       the same for system event sets: TYPE is 1 (unbind) or 2 (bind)
// CALL is the symbol's name, as nvmlDeviceGetHandleByIndex_v2; for one value of a batch, error and absurd also know
// field.ID and gpm.ID. A property that is not given is NOT_SUPPORTED. The first of several matching faults counts.
//
// Properties of the system: driver (575.57.08) cuda (12090) conf_compute (environment,feature,devtools,multi GPU)
//   excluded.INDEX (00000000:3B:00.0 UUID)
// of both: uuid name memory_total memory_used memory_reserved bar1_total bar1_used (bytes) compute_mode
//   ecc.TYPE.COUNTER.LOCATION ecc.TYPE.COUNTER (the total)  gpm.ID (a number, or nan)
//   field.ID field.ID.SCOPE (a whole number, a negative one, or a decimal one: ull, sll, double) field.ID.type (nvmlValueType_t)
//   process.INDEX (KIND PID MEMORY SM MEM ENC DEC JPG OFA: compute, graphics or mps; bytes or -; percent)
// of a GPU, names: minor serial vbios board_part board_id brand pci (00000000:3B:00.0) numa memory_numa architecture
//   compute (9.0) platform (GUID CHASSIS SLOT TRAY HOST PEER MODULE)
// activity: utilization memory_utilization encoder decoder jpeg ofa (percent)  samples.TYPE (1,2,3)  gpm_supported (0, 1)
// power: power power_instant power_limit power_management_limit power_default_limit power_min_limit power_max_limit (mW)
//   energy (mJ) violation.POLICY (ns) pstate clocks_event_reasons (a mask)
//   clock_DOMAIN clock_max_DOMAIN (MHz: graphics, sm, memory, video)
// heat: temperature memory_temperature margin threshold.WHICH (Celsius) fans fan.INDEX (percent)
// memory: ecc_mode ecc_pending retired.CAUSE (addresses: 1,2) retired_pending remapped (corrected,uncorrected,pending,failure)
//   remapped_v2 row_histogram sram (their structures' numbers in order)
// links: pcie_generation pcie_generation_max pcie_generation_gpu_max pcie_width pcie_width_max pcie_replay pcie_tx pcie_rx
//   nvlinks nvlink_version nvlink.LINK.state nvlink.LINK.version nvlink.LINK.error.COUNTER c2c
//   fabric (STATE STATUS CLIQUE HEALTHMASK SUMMARY UUID, in hexadecimal digits)
// modes: mig mig_pending (0, 1) mig_max persistence virtualization cc_memory_total cc_memory_used lost (1: every call says so)
//   parent_processes (1: a GPU in MIG mode lists its instances' processes, as to a privileged caller)
//   mig_profile.PROFILE (id,slices,instances,SMs,copy engines,decoders,encoders,JPEGs,OFAs,MiB,placement size,starts...)
// other: event_types (a mask) field_latency (us) field_newest (the newest field id that the driver knows)
//   vgpu.INDEX (ID UUID VM TYPE MEMORY SM MEM ENC DEC JPG OFA)  vgpu_type.ID.name vgpu_type.ID.memory (bytes)
// of an instance: gi ci profile_id placement placement_size slices compute_slices memory_mb sms copy_engines decoders
//   encoders jpegs ofas
#include "fakenvml.h"
#include <dlfcn.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>

enum { MAX_FAULTS = 256, MAX_XIDS = 8192, MAX_SYSTEM_EVENTS = 64 };

Subject gpus[MAX_GPUS], migs[MAX_GPUS][MAX_MIGS], machine = {.name = "system", .gpu = -1, .mig = -1};
int gpu_count, xid_count, system_event_count, tracing, fault_count;
UL loaded;
pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Fault faults[MAX_FAULTS];
static Xid said_xids[MAX_XIDS];
static SystemEvent said_events[MAX_SYSTEM_EVENTS];
const Xid *xids = said_xids;
const SystemEvent *system_events = said_events;
static struct stat seen;

UL microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000000ULL + now.tv_nsec / 1000;
}

UL milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
}

// --- reading it -----------------------------------------------------------------------------------------------------

static void set(Subject *subject, char *key, char *value) {
    if (subject->count == subject->room) {
        int room = subject->room ? 2 * subject->room : 32;
        Property *more = realloc(subject->properties, room * sizeof *more);
        if (!more) return;
        subject->properties = more, subject->room = room;
    }
    subject->properties[subject->count++] = (Property){key, value};
}

static Subject *subject_of(const char *name) {
    int gpu = -1, mig = -1;
    if (!strcmp(name, "system")) return &machine;
    if (sscanf(name, "gpu%d.mig%d", &gpu, &mig) < 1 || gpu < 0 || gpu >= MAX_GPUS || mig >= MAX_MIGS) return NULL;
    return mig < 0 ? &gpus[gpu] : &migs[gpu][mig];
}

static void take(char *line) {
    char *rest = line, *word = strsep(&rest, " ");
    if (!*word || *word == '#') return;
    if (!strcmp(word, "trace")) tracing = 1;
    if (!rest) return;
    if (!strcmp(word, "gpus")) gpu_count = atoi(rest) < MAX_GPUS ? atoi(rest) : MAX_GPUS;
    else if (!strcmp(word, "xid")) {
        if (xid_count == MAX_XIDS) return;
        Xid *xid = &said_xids[xid_count++];
        xid->gi = xid->ci = 0xFFFFFFFF;
        sscanf(rest, "gpu%d %d %d %u %u", &xid->gpu, &xid->code, &xid->number, &xid->gi, &xid->ci);
    } else if (!strcmp(word, "system_event")) {
        if (system_event_count == MAX_SYSTEM_EVENTS) return;
        SystemEvent *event = &said_events[system_event_count++];
        sscanf(rest, "%llu %u %d", &event->type, &event->gpu, &event->number);
    } else if (!strncmp(word, "gpu", 3) || !strcmp(word, "system")) {
        char *key = strsep(&rest, " ");
        Subject *subject = subject_of(word);
        if (subject && rest) set(subject, key, rest);
    } else if (fault_count < MAX_FAULTS) {
        Fault *fault = &faults[fault_count++];
        memset(fault, 0, sizeof *fault);
        fault->kind = *word;  // e, h, c, s, a
        sscanf(rest, "%15s %63s %d", fault->subject, fault->call, &fault->number);
    }
}

static int by_key(const void *one, const void *other) {
    return strcmp(((const Property *)one)->key, ((const Property *)other)->key);
}

static void sort(Subject *subject) {
    if (subject->count) qsort(subject->properties, subject->count, sizeof *subject->properties, by_key);
}

static void forget(void) {
    fault_count = xid_count = system_event_count = gpu_count = tracing = machine.count = 0;
    for (int i = 0; i < MAX_GPUS; i++) {
        gpus[i].gpu = i, gpus[i].mig = -1, gpus[i].count = 0;
        snprintf(gpus[i].name, sizeof gpus[i].name, "gpu%d", i);
        for (int j = 0; j < MAX_MIGS; j++) {
            migs[i][j].gpu = i, migs[i][j].mig = j, migs[i][j].count = 0;
            snprintf(migs[i][j].name, sizeof migs[i][j].name, "gpu%d.mig%d", i, j);
        }
    }
}

UL sampled(void) { return big(&machine, "flowing") ? microseconds() : loaded; }

const char *text_path(void) {
    static char beside[512];
    Dl_info self;
    const char *path = getenv("FAKENVML");
    if (path) return path;
    if (*beside || !dladdr(&machine, &self)) return *beside ? beside : NULL;
    const char *name = strrchr(self.dli_fname, '/');
    snprintf(beside, sizeof beside, "%.*s/node.txt", name ? (int)(name - self.dli_fname) : 1, name ? self.dli_fname : ".");
    return beside;
}

void reload(void) {
    struct stat now;
    const char *path = text_path();
    if (!path || stat(path, &now)) return;
    if (now.st_ino == seen.st_ino && now.st_mtim.tv_sec == seen.st_mtim.tv_sec && now.st_mtim.tv_nsec == seen.st_mtim.tv_nsec) return;
    FILE *file = fopen(path, "r");
    if (!file) return;
    char *text = calloc(1, now.st_size + 1);  // never freed: answers point into it
    if (text) text[fread(text, 1, now.st_size, file)] = 0;
    fclose(file);
    if (!text) return;
    seen = now;
    loaded = microseconds() > loaded + 1000 ? microseconds() : loaded + 1000;
    forget();
    for (char *line; (line = strsep(&text, "\n"));) take(line);
    sort(&machine);
    for (int i = 0; i < MAX_GPUS; i++) {
        sort(&gpus[i]);
        for (int j = 0; j < MAX_MIGS; j++) sort(&migs[i][j]);
    }
}

// --- asking it ------------------------------------------------------------------------------------------------------

const Fault *fault_of(const char *call, const Subject *subject) {
    for (int i = 0; i < fault_count; i++) {
        const Fault *fault = &faults[i];
        if ((!strcmp(fault->subject, "*") || !strcmp(fault->subject, subject->name)) && (!strcmp(fault->call, "*") || !strcmp(fault->call, call)))
            return fault;
    }
    return NULL;
}

const char *find(const Subject *subject, const char *key) {
    const Property wanted = {(char *)key, NULL};
    const Property *found = subject->count ? bsearch(&wanted, subject->properties, subject->count, sizeof wanted, by_key) : NULL;
    return found ? found->value : NULL;
}

static const char *look_up(const Subject *subject, const char *format, va_list parts) {
    char key[64];
    vsnprintf(key, sizeof key, format, parts);
    pthread_mutex_lock(&lock);
    const char *value = find(subject, key);
    pthread_mutex_unlock(&lock);
    return value;
}

#define LOOK_UP(value, subject, key) \
    va_list parts; \
    va_start(parts, key); \
    const char *value = look_up(subject, key, parts); \
    va_end(parts)

const char *get(const Subject *subject, const char *key, ...) {
    LOOK_UP(value, subject, key);
    return value;
}

UL big(const Subject *subject, const char *key, ...) {
    LOOK_UP(value, subject, key);
    return value ? strtoull(value, NULL, 10) : 0;
}

int number(const Subject *subject, U *out, const char *key, ...) {
    LOOK_UP(value, subject, key);
    if (!value) return NOT_SUPPORTED;
    *out = strtoul(value, NULL, 10);
    return OK;
}

int whole(const Subject *subject, UL *out, const char *key, ...) {
    LOOK_UP(value, subject, key);
    if (!value) return NOT_SUPPORTED;
    *out = strtoull(value, NULL, 10);
    return OK;
}

int copy(const char *value, char *buffer, U size) {
    if (!value) return NOT_SUPPORTED;
    if (strlen(value) >= size) return INSUFFICIENT_SIZE;
    strcpy(buffer, value);
    return OK;
}

int listed(const char *value, UL *out, int most) {
    int count = 0;
    if (!value) return -1;
    while (count < most) {
        char *end;
        UL item = strtoull(value, &end, 10);
        if (end == value) break;
        out[count++] = item;
        if (*end != ',') break;
        value = end + 1;
    }
    return count;
}

int mig_is_on(const Subject *subject) { return subject->mig >= 0 || big(subject, "mig"); }
