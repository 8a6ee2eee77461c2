// SPDX-License-Identifier: Apache-2.0
// GPM: counters sampled twice, and the activity between the two.
//
// nvml.h: "the interval between two samples should be greater than 100ms"; it does not say what happens else. Here it is
// INVALID_ARGUMENT, as are samples of different things, so that a test sees it.
#include "fakenvml.h"

enum { MAX_SAMPLES = 1024, METRICS = 477 };  // the length of the array in nvidia-ml-py 13.615; ids begin at 1
typedef struct { int used, taken; const Subject *of; int whole_instance; char uuid[96]; UL at; } GpmSample;
typedef struct { U id, result; double value; const char *names[3]; } Metric;
typedef struct { U version, count; GpmSample *first, *second; Metric metrics[METRICS]; } Metrics;
typedef struct { U version, supported; } Support;

static GpmSample samples[MAX_SAMPLES];

static int known_sample(const GpmSample *s) {
    const char *at = (const char *)s, *first = (const char *)samples;
    return at >= first && at < first + sizeof samples && (at - first) % sizeof *s == 0 && s->used;
}

int free_gpm_samples(void) {
    int alive = 0;
    for (int i = 0; i < MAX_SAMPLES; i++) alive += samples[i].used;
    if (alive) memset(samples, 0, sizeof samples);
    return alive;
}

int nvmlGpmQueryDeviceSupport(Subject *d, Support *support) {
    ENTER(d, VERSIONED(*support));
    if (support->version != 1) return VERSION;
    support->supported = big(&gpus[d->gpu], "gpm_supported");
    return OK;
}
int nvmlGpmSampleAlloc(GpmSample **sample) {
    ENTER(&machine, WORDS(*sample));
    for (int i = 0; i < MAX_SAMPLES; i++)
        if (!__sync_lock_test_and_set(&samples[i].used, 1)) {
            samples[i].taken = 0;
            *sample = &samples[i];
            return OK;
        }
    return OUT_OF_MEMORY;
}
int nvmlGpmSampleFree(GpmSample *sample) {
    ENTER(&machine);
    if (!known_sample(sample)) return INVALID_ARGUMENT;
    sample->used = 0;
    return OK;
}

static int sample_of(const Subject *subject, int whole_instance, GpmSample *sample) {
    if (!known_sample(sample)) return INVALID_ARGUMENT;
    if (!big(&gpus[subject->gpu], "gpm_supported")) return NOT_SUPPORTED;
    const char *uuid = get(subject, "uuid");
    sample->taken = 1, sample->of = subject, sample->whole_instance = whole_instance, sample->at = milliseconds();
    snprintf(sample->uuid, sizeof sample->uuid, "%s", uuid ? uuid : "");
    return OK;
}
int nvmlGpmSampleGet(Subject *d, GpmSample *sample) { ENTER(d); return sample_of(d, 0, sample); }
int nvmlGpmMigSampleGet(Subject *d, U gi, GpmSample *sample) {
    ENTER(d);
    if (d->mig >= 0) return INVALID_ARGUMENT;
    for (int i = 0; i < MAX_MIGS; i++) {
        U own;
        if (!number(&migs[d->gpu][i], &own, "gi") && own == gi) return sample_of(&migs[d->gpu][i], 1, sample);
    }
    return NOT_FOUND;
}

static void read_metric(const char *call, const Subject *d, Metric *m) {
    char name[24];
    snprintf(name, sizeof name, "gpm.%u", m->id);
    const char *value = get(d, "%s", name);
    pthread_mutex_lock(&lock);
    const Fault *fault = fault_of(name, d);
    m->result = fault && fault->kind == 'e' ? fault->number : OK;
    pthread_mutex_unlock(&lock);
    if (!m->result && !value) m->result = m->id && m->id < METRICS ? NOT_SUPPORTED : INVALID_ARGUMENT;
    m->value = m->result ? 0 : strtod(value, NULL);
    const Out outs[] = {{&m->value, sizeof m->value, 'd'}, {0}};
    if (spoil(call, d, outs) || spoil(name, d, outs)) m->result = OK;
}

// Its subject is what the samples are of: a GPU, or an instance.
int nvmlGpmMetricsGet(Metrics *get_) {
    const GpmSample *one = get_->first, *two = get_->second;
    if (get_->version != 1) return VERSION;
    if (get_->count > METRICS || !known_sample(one) || !known_sample(two) || !one->taken || !two->taken) return INVALID_ARGUMENT;
    ENTER(one->of);
    if (one->of != two->of || one->whole_instance != two->whole_instance || strcmp(one->uuid, two->uuid)) return INVALID_ARGUMENT;
    if (two->at < one->at + 100) return INVALID_ARGUMENT;
    for (U i = 0; i < get_->count; i++) read_metric(__func__, one->of, &get_->metrics[i]);
    return OK;
}
