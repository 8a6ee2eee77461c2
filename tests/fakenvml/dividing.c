// SPDX-License-Identifier: Apache-2.0
// Dividing a GPU: what is made and destroyed is written to the text, so that everyone who reads it sees the same GPU.
#include "fakenvml.h"
#include "profiles.h"
#include <sys/file.h>
#include <unistd.h>

enum { IN_USE = 19, INSUFFICIENT_RESOURCES = 23, UNKNOWN = 999 };
typedef struct { U start, size; } Placement;

// Write the text anew, without the lines that begin with one of the prefixes, and with more at its end.
static int rewrite(const char *const *without, const char *more) {
    char fresh[600], guard[600], *line = NULL;
    const char *path = text_path();
    size_t room = 0;
    snprintf(fresh, sizeof fresh, "%s.fresh", path);
    snprintf(guard, sizeof guard, "%s.lock", path);
    FILE *hold = fopen(guard, "w"), *from = NULL, *to = NULL;
    if (hold && !flock(fileno(hold), LOCK_EX)) from = fopen(path, "r"), to = fopen(fresh, "w");
    int done = from && to;
    while (done && getline(&line, &room, from) >= 0) {
        int keep = 1;
        for (const char *const *w = without; *w; w++) keep &= strncmp(line, *w, strlen(*w)) != 0;
        if (keep) fputs(line, to);
    }
    if (done) fputs(more, to);
    free(line);
    if (from) fclose(from);
    if (to) fclose(to);
    done = done && !rename(fresh, path);
    if (hold) fclose(hold);
    pthread_mutex_lock(&lock);
    reload();
    pthread_mutex_unlock(&lock);
    return done ? OK : UNKNOWN;
}
#define WITHOUT(...) ((const char *const[]){__VA_ARGS__, NULL})

static int is_there(const Subject *instance) { return get(instance, "gi") != NULL; }

int nvmlDeviceSetMigMode(Subject *d, U mode, int *status) {
    ENTER(d, WORDS(*status));
    char on[32], pending[40], line[40];
    for (int i = 0; i < MAX_MIGS; i++)
        if (!mode && is_there(&migs[d->gpu][i])) return *status = IN_USE;
    snprintf(on, sizeof on, "%s mig ", d->name);
    snprintf(pending, sizeof pending, "%s mig_pending ", d->name);
    snprintf(line, sizeof line, "%s mig %u\n", d->name, mode);
    return *status = rewrite(WITHOUT(on, pending), line);
}

static int is_free(const Subject *d, const Placement *wanted) {
    for (int i = 0; i < MAX_MIGS; i++) {
        const Subject *other = &migs[d->gpu][i];
        U start = big(other, "placement"), size = big(other, "placement_size");
        if (is_there(other) && wanted->start < start + size && start < wanted->start + wanted->size) return 0;
    }
    return 1;
}

static U unused_id(const Subject *d) {
    for (U id = 1;; id++) {
        int used = 0;
        for (int i = 0; i < MAX_MIGS; i++) used |= is_there(&migs[d->gpu][i]) && big(&migs[d->gpu][i], "gi") == id;
        if (!used) return id;
    }
}

int nvmlDeviceCreateGpuInstanceWithPlacement(Subject *d, U id, const Placement *wanted, Subject **instance) {
    ENTER(d, WORDS(*instance));
    Profile p;
    char lines[1024];
    int at = 0, length = 0;
    if (!big(d, "mig") || profile_by_id(d, id, &p)) return NOT_SUPPORTED;
    while (at < MAX_MIGS && is_there(&migs[d->gpu][at])) at++;
    if (at == MAX_MIGS || !is_free(d, wanted)) return INSUFFICIENT_RESOURCES;
    Subject *made = &migs[d->gpu][at];
    const struct { const char *key; U value; } said[] = {
        {"gi", unused_id(d)}, {"profile_id", id}, {"placement", wanted->start}, {"placement_size", wanted->size},
        {"slices", p.numbers[SLICES]}, {"compute_slices", p.numbers[SLICES]}, {"memory_mb", p.numbers[MEMORY_MB]},
        {"sms", p.numbers[SMS]}, {"copy_engines", p.numbers[COPY_ENGINES]}, {"decoders", p.numbers[DECODERS]},
        {"encoders", p.numbers[ENCODERS]}, {"jpegs", p.numbers[JPEGS]}, {"ofas", p.numbers[OFAS]}, {"memory_used", 0}};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        length += snprintf(lines + length, sizeof lines - length, "%s %s %u\n", made->name, said[i].key, said[i].value);
    snprintf(lines + length, sizeof lines - length, "%s memory_total %llu\n", made->name, (UL)p.numbers[MEMORY_MB] << 20);
    *instance = made;
    return rewrite(WITHOUT("#"), lines);
}

int nvmlGpuInstanceCreateComputeInstance(Subject *instance, U id, Subject **compute) {
    (void)id;
    ENTER(instance, WORDS(*compute));
    char lines[512];
    UL total = big(&gpus[instance->gpu], "memory_total") >> 20, part = big(instance, "memory_mb");
    if (get(instance, "uuid")) return INSUFFICIENT_RESOURCES;
    snprintf(
        lines, sizeof lines, "%s ci 0\n%s uuid MIG-%08x-%04x-5%03x-8000-%012llx\n%s name %s MIG %llug.%llugb\n", instance->name,
        instance->name, (U)getpid(), instance->gpu, instance->mig, microseconds() & 0xFFFFFFFFFFFF, instance->name,
        get(&gpus[instance->gpu], "name"), big(instance, "compute_slices"), (part * 8 + total - 1) / total * (total >> 10) / 8);
    *compute = instance;
    return rewrite(WITHOUT("#"), lines);
}

int nvmlComputeInstanceDestroy(Subject *compute) {
    ENTER(compute);
    char id[40], uuid[40];
    snprintf(id, sizeof id, "%s ci ", compute->name);
    snprintf(uuid, sizeof uuid, "%s uuid ", compute->name);
    return rewrite(WITHOUT(id, uuid), "");
}

int nvmlGpuInstanceDestroy(Subject *instance) {
    ENTER(instance);
    char all[40];
    if (get(instance, "uuid")) return IN_USE;
    snprintf(all, sizeof all, "%s ", instance->name);
    return rewrite(WITHOUT(all), "");
}
