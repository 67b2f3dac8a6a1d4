/* Looking for something without sleeping, for about as long as a sleep and a wake-up take, while that has been worth it
 * lately. Used by both ends of a manager's connection: when one calls as fast as the other answers, neither sleeps. */
#ifndef MPROC_MANAGER_WIRE_SPIN_H
#define MPROC_MANAGER_WIRE_SPIN_H

#include <stdbool.h>
#include <stdint.h>

/* Belongs to one thread at a time. Zeroed at first. */
struct spin {
    unsigned misses; /* in a row */
};

/* Until when to look: a moment of os_now(), or 0: not at all. */
int64_t spin_begin(struct spin *spin);

/* Whether it was found. Only after a spin_begin() that was not 0. */
void spin_end(struct spin *spin, bool found);

#endif
