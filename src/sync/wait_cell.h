/* A wait cell: the one way in which anybody waits for a change of shared data that is no lock.
 *
 * The waiter                                     The one that changes it
 *     while (!condition()) {                         change it (any atomic store)
 *         seen = wait_cell_prepare(cell);            wait_cell_wake(cell, count);
 *         if (condition())
 *             break;
 *         result = wait_cell_sleep(cell, seen, deadline);
 *         if (result) ...                        MPROC_TIMEOUT: look at the condition a last time
 *     }
 *
 * Why no wake-up is lost: wait_cell_prepare() sets the sleeper bit and then reads the condition; the other side changes
 * the condition and then reads the bit; both pairs have a full fence between. Where the bit is seen the sequence number
 * moves before the wake, so a waiter that is not asleep yet does not fall asleep. A woken process that dies takes its
 * wake-up with it; the others look again after a tick. A wake without sleepers costs a fence and a load, no system
 * call.
 *
 * Field by field: word = sequence << 2 | ARMED | SLEEPERS. All sides change it by atomic operations; the bits are hints
 * that may be set without need but never missing when needed. It has nothing to recover. */
#ifndef MPROC_SYNC_WAIT_CELL_H
#define MPROC_SYNC_WAIT_CELL_H

#include "util/atomic.h"
#include <mproc/base.h>
#include <stdatomic.h>
#include <stdint.h>

#define WAIT_CELL_SLEEPERS ((uint32_t)1)
#define WAIT_CELL_ARMED    ((uint32_t)2)
#define WAIT_CELL_STEP     ((uint32_t)4)
#define WAIT_CELL_ALL      INT32_MAX

struct wait_cell {
    _Atomic(uint32_t) word;
};

/* Announce a sleeper; the value to sleep on. The condition must be looked at again after it. */
uint32_t wait_cell_prepare(struct wait_cell *cell);

/* Sleep until the cell is woken, a tick is over, or the deadline (os/clock.h) has come. 0: look again; MPROC_TIMEOUT:
 * the deadline has come. Sweeps dead members now and then, at a deadline that has come too. */
int wait_cell_sleep(struct wait_cell *cell, uint32_t seen, int64_t deadline);

/* Have the next wake ring the family's wake-up descriptor (sync/wake_fd.h), for mproc_wait(). */
void wait_cell_arm(struct wait_cell *cell);

void wait_cell_wake_slow(struct wait_cell *cell, int count);

/* Wake up to count sleepers, after the condition was changed. */
static inline void wait_cell_wake(struct wait_cell *cell, int count)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (__builtin_expect(load_relaxed(&cell->word) & (WAIT_CELL_SLEEPERS | WAIT_CELL_ARMED), 0))
        wait_cell_wake_slow(cell, count);
}

#endif
