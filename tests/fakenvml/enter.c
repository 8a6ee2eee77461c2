// SPDX-License-Identifier: Apache-2.0
// What every call begins with: it reads the text, and hangs, crashes, waits, fails or answers garbage as that says.
//
// Patterns of `absurd`: 0 every bit set; 1 numbers whose sign bit is set, and empty text; 2 numbers whose bits are a NaN, and
// text that is no UTF-8. Versions, counts and the codes of single values stay true, so that the garbage is read, and nobody
// is made to allocate gigabytes for it. A call without outputs is as always.
#include "fakenvml.h"
#include <math.h>
#include <time.h>
#include <unistd.h>

int initialized;

void say(const char *call, const char *subject) {
    const char *path = getenv("FAKENVML_LOG");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (!file) return;
    fprintf(file, "%d %s %s\n", getpid(), call, subject);
    fclose(file);
}

static void fill_text(char *buffer, size_t size, int pattern) {
    if (size > 64) size = 64;  // pynvml states some buffers as longer than they are
    if (!size) return;
    memset(buffer, pattern == 1 ? 0 : 0xFF, size);
    if (pattern == 2) snprintf(buffer, size, "%s", "\xc3\x28\xff");
}

static void fill(const Out *out, int pattern) {
    static const U words[3][2] = {{0xFFFFFFFF, 0xFFFFFFFF}, {0x80000001, 0x80000001}, {0x7FF80000, 0x7FF80000}};
    if (out->kind == 't') fill_text(out->at, out->size, pattern);
    else if (out->kind == 'd' && pattern) *(double *)out->at = pattern == 1 ? -1e300 : NAN;
    else
        for (size_t i = 0; i < out->size; i++) ((unsigned char *)out->at)[i] = ((const unsigned char *)words[pattern])[i % sizeof words[0]];
}

static int fill_all(const Out *outs, int pattern) {
    if (!outs || !outs->at) return 0;
    for (; outs->at; outs++) fill(outs, pattern < 0 || pattern > 2 ? 0 : pattern);
    return 1;
}

int spoil(const char *call, const Subject *subject, const Out *outs) {
    if (!fault_count) return 0;
    pthread_mutex_lock(&lock);
    const Fault *found = fault_of(call, subject);
    int pattern = found && found->kind == 'a' ? found->number : -1;
    pthread_mutex_unlock(&lock);
    return pattern >= 0 && (fill_all(outs, pattern), 1);
}

// A handle that is garbage is refused, not followed.
static int known(const Subject *subject) {
    const char *at = (const char *)subject, *first = (const char *)gpus, *second = (const char *)migs;
    if (subject == &machine) return 1;
    if (at >= first && at < first + sizeof gpus) return (at - first) % sizeof *subject == 0;
    return at >= second && at < second + sizeof migs && (at - second) % sizeof *subject == 0;
}

int enter(const char *call, const Subject *subject, const Out *outs) {
    if (!known(subject)) return INVALID_ARGUMENT;
    for (int again = 0;; again = 1) {
        pthread_mutex_lock(&lock);
        reload();
        int boundary = !strcmp(call, "nvmlInitWithFlags") || !strcmp(call, "nvmlShutdown");
        if (!again && (tracing || boundary)) say(call, subject->name);
        const Fault *found = fault_of(call, subject);
        Fault fault = found ? *found : (Fault){0};
        const Subject *gpu = subject->gpu < 0 ? NULL : &gpus[subject->gpu];
        const char *lost = gpu ? find(gpu, "lost") : NULL;
        int gone = gpu && (subject->gpu >= gpu_count || !gpu->count || (lost && *lost == '1'));
        int ended = subject->mig >= 0 && !subject->count;
        pthread_mutex_unlock(&lock);
        if (fault.kind == 'c') *(volatile int *)0 = 0;
        if (fault.kind == 'h') {
            nanosleep(&(struct timespec){0, 10000000}, NULL);
            continue;
        }
        if (fault.kind == 's') nanosleep(&(struct timespec){fault.number / 1000, fault.number % 1000 * 1000000L}, NULL);
        if (fault.kind == 'e' && fault.number) return fault.number;
        if (!initialized && strcmp(call, "nvmlInitWithFlags")) return UNINITIALIZED;
        if (gone) return LOST;
        if (ended) return INVALID_ARGUMENT;
        return fault.kind == 'a' && fill_all(outs, fault.number) ? OK : PROCEED;
    }
}
