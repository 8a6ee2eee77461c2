// SPDX-License-Identifier: Apache-2.0
// What the files of the tests' libnvidia-ml.so.1 share: subjects and their properties, and how a call begins and ends.
//
// text.c says what the text is that the library answers from; enter.c what a call does before it answers.
#ifndef FAKENVML_H
#define FAKENVML_H
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6 };
enum { INSUFFICIENT_SIZE = 7, NOT_LOADED = 9, TIMEOUT = 10, LOST = 15, OUT_OF_MEMORY = 20, VERSION = 25 };
enum { MAX_GPUS = 128, MAX_MIGS = 16, MAX_LIST = 512 };
enum { DOUBLE = 0, UNSIGNED_INT = 1, UNSIGNED_LONG_LONG = 3, SIGNED_LONG_LONG = 4, SIGNED_INT = 5, UNSIGNED_SHORT = 6 };  // nvmlValueType_t
typedef unsigned int U;
typedef unsigned long long UL;
typedef union { double d; U u; UL ull; int64_t sll; int i; unsigned short us; } Value;

typedef struct { char *key, *value; } Property;
typedef struct { char name[16]; int gpu, mig, count, room; Property *properties; } Subject;  // a GPU, an instance, the machine
typedef struct { char kind, subject[16], call[64]; int number; } Fault;
typedef struct { int gpu, code, number; U gi, ci; } Xid;
typedef struct { UL type; U gpu; int number; } SystemEvent;

// --- text.c: what the text says. Hold the lock to touch these; `get` and what stands on it do so themselves ------------

extern Subject gpus[MAX_GPUS], migs[MAX_GPUS][MAX_MIGS], machine;
extern const Xid *xids;
extern const SystemEvent *system_events;
extern int gpu_count, xid_count, system_event_count, tracing, fault_count;
extern UL loaded;  // when the text was read, in microseconds: it rises by 1000 at least from one text to the next
extern pthread_mutex_t lock;

UL sampled(void);  // when the newest sample of what a device did was taken: with `system flowing 1` it is now, at every question

const char *text_path(void);  // where the text is
void reload(void);
const Fault *fault_of(const char *call, const Subject *subject);
const char *find(const Subject *subject, const char *key);  // with the lock held

#define KEYED __attribute__((format(printf, 2, 3)))
#define KEYED_AFTER_OUT __attribute__((format(printf, 3, 4)))
const char *get(const Subject *subject, const char *key, ...) KEYED;
UL big(const Subject *subject, const char *key, ...) KEYED;  // 0 where it is not given
int number(const Subject *subject, U *out, const char *key, ...) KEYED_AFTER_OUT;  // a code
int whole(const Subject *subject, UL *out, const char *key, ...) KEYED_AFTER_OUT;  // a code
int copy(const char *value, char *buffer, U size);  // a code
int listed(const char *value, UL *out, int most);  // how many numbers of "1,2,3"; -1 where there is no value
int mig_is_on(const Subject *subject);
UL microseconds(void);  // since 1970
UL milliseconds(void);  // of a clock that never jumps

// --- enter.c: what every call begins and ends with ----------------------------------------------------------------------

typedef struct { void *at; size_t size; char kind; } Out;  // what a call gives: words 'w', text 't', a double 'd'
enum { PROCEED = -1 };

extern int initialized;
int enter(const char *call, const Subject *subject, const Out *outs);  // PROCEED, or what the call returns
int spoil(const char *call, const Subject *subject, const Out *outs);  // 1 where an `absurd` was there and is done; outs may be none
void say(const char *call, const char *subject);

#define WORDS(thing) ((Out){&(thing), sizeof(thing), 'w'})
#define ARRAY(things, count) ((Out){things, (count) * sizeof *(things), 'w'})
#define STRING(buffer, length) ((Out){buffer, length, 't'})
#define VERSIONED(thing) ((Out){(char *)&(thing) + sizeof(U), sizeof(thing) - sizeof(U), 'w'})  // all but the version
#define OUTS(...) ((const Out[]){__VA_OPT__(__VA_ARGS__, ) {0}})
#define ENTER(subject, ...) do { int r_ = enter(__func__, subject, OUTS(__VA_ARGS__)); if (r_ != PROCEED) return r_; } while (0)

// --- calls that answer properties as they are -----------------------------------------------------------------------------

#define TEXT(call, key) \
    int call(Subject *d, char *buffer, U size) { ENTER(d, STRING(buffer, size)); return copy(get(d, key), buffer, size); }
#define NUMBER(call, key) \
    int call(Subject *d, U *value) { ENTER(d, WORDS(*value)); return number(d, value, key); }
#define WHOLE(call, key) \
    int call(Subject *d, UL *value) { ENTER(d, WORDS(*value)); return whole(d, value, key); }
#define NUMBER_OF(call, key) /* of a sensor, a fan, a domain: KEY.WHICH */ \
    int call(Subject *d, U which, U *value) { ENTER(d, WORDS(*value)); return number(d, value, key ".%u", which); }
#define TWO_NUMBERS(call, one, other) \
    int call(Subject *d, U *a, U *b) { ENTER(d, WORDS(*a), WORDS(*b)); int r_ = number(d, a, one); return r_ ? r_ : number(d, b, other); }

#endif
