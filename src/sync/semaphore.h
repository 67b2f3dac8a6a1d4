/* The inside of mproc_semaphore, for semaphore.c and for the holdings that refer to one. */
#ifndef MPROC_SYNC_SEMAPHORE_H
#define MPROC_SYNC_SEMAPHORE_H

#include "sync/cas16.h"
#include "sync/holding.h"
#include "sync/stamp.h"
#include "sync/wait_cell.h"
#include "util/atomic.h"

/* Invariant: the free units are what was there at first, plus what was added by processes that held none, minus what
 * the holdings of all members count. The last operation is named in the word that holds the value, so the value and
 * the name of the operation change by one compare-and-swap; that is the commit, and by it the count that the operation
 * prepared in its holding becomes the true one (see holding.h).
 *
 * Whoever is about to replace the name of an operation writes into its holding first that it was committed. So for each
 * operation there is proof at any time: in the semaphore if it was the last, else in the holding. No lock is needed,
 * and a stopped process stops nobody.
 *
 * Recovery: the sweep of a dead member finds out for each of its holdings which count is the true one, and gives that
 * back by an operation like any other. */
struct semaphore {
    struct stamp object;
    uint32_t limit;        /* by _init: the highest value, and SEMAPHORE_SIGNAL */
    struct wait_cell cell; /* where waiters sleep while the value is 0 */
    struct cas16 state;    /* low: value, with the number of changes above it; high: the last operation, or 0 */
};

#define SEMAPHORE_SIGNAL ((uint32_t)1 << 31)

/* The semaphore that a holding is of, or NULL when that is no more. */
static inline struct semaphore *holding_semaphore(const struct holding *holding)
{
    struct semaphore *semaphore = (struct semaphore *)load_relaxed(&holding->semaphore);
    uint32_t nonce = load_relaxed(&holding->nonce);
    return stamp_is_same(STAMP_SEMAPHORE, semaphore, nonce) ? semaphore : NULL;
}

#endif
