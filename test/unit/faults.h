/* What the tests of post-mortems share: a fault at a place that is known, in functions that no compiler puts into
 * others, and the frames of a post-mortem. */
#ifndef TEST_UNIT_FAULTS_H
#define TEST_UNIT_FAULTS_H

#include <mproc/postmortem.h>
#include <stdint.h>

#define HERE static __attribute__((noinline))

#if defined(__SANITIZE_THREAD__)
#define UNCHECKED __attribute__((noinline, no_sanitize("thread")))
#else
#define UNCHECKED __attribute__((noinline, no_sanitize("address", "undefined")))
#endif

/* Where nothing is. */
#define ADDRESS ((uintptr_t)0x1238)

/* A store behind a call keeps it from being the last thing that a function does. */
extern volatile int after;

/* Write there, without a sanitizer's check. */
void write_at(volatile long *place);

/* The number of the frame of a function, or -1. A compiler may have added to the name of one that it has specialized.
 */
int frame_of(const mproc_postmortem *death, const char *function);

#endif
