/* Holdings: how many units of a semaphore a member has, in its ledger, so that they can be given back when it dies. One
 * per semaphore that the member uses; it stays for the next time, until its place is needed for another. */
#ifndef MPROC_SYNC_HOLDING_H
#define MPROC_SYNC_HOLDING_H

#include "sync/wait_cell.h"
#include "util/atomic.h"
#include <stdbool.h>
#include <sys/single_threaded.h>

#define HOLDING_COUNT 256

struct semaphore;
struct sync_ledger;

/* Where an operation stands. */
enum holding_state {
    HOLDING_IDLE,
    HOLDING_BUSY, /* a thread prepares an operation, which may have been committed */
    HOLDING_DONE  /* it was committed: written by whoever is about to remove the proof of it from the semaphore */
};

/* Invariant: word is {number of the last operation, state}. The member has count[number & 1] units, with the number as
 * it stands when IDLE or DONE; when BUSY, with this number if the semaphore's word says that the operation of this
 * number was committed, and with the number before if it does not.
 *
 * So an operation writes the new count where nobody looks, and one compare-and-swap in the semaphore changes the
 * semaphore's value and makes this count the true one. Recovery: see semaphore.c.
 *
 * Numbers never go back, except those that were not committed, and go on when the slot changes hands. Only one thread
 * at a time has the holding: the one that made it BUSY. */
struct holding {
    _Atomic(uintptr_t) semaphore; /* 0: was never used since the slot changed hands. By who has it, or by the sweep */
    _Atomic(uint32_t) nonce;      /* the semaphore's; as above */
    struct wait_cell cell;        /* where threads of the member wait while it is BUSY */
    _Atomic(uint64_t) word;       /* number << 2 | state. BUSY and IDLE by who has it; BUSY -> DONE by anybody */
    _Atomic(uint32_t) count[2];   /* by who has it, the one with the lower bit of its number, before the commit */
};

static inline enum holding_state holding_state(uint64_t word)
{
    return (enum holding_state)(word & 3);
}

static inline uint64_t holding_number(uint64_t word)
{
    return word >> 2;
}

static inline uint64_t holding_word(uint64_t number, enum holding_state state)
{
    return number << 2 | (uint64_t)state;
}

/* A holding that the calling thread has, and the number of the operation that it prepares. */
struct operation {
    struct holding *holding;
    uint64_t number;
};

/* The units before the operation. */
static inline uint32_t operation_count(struct operation operation)
{
    return load_relaxed(&operation.holding->count[~operation.number & 1]);
}

/* Prepare the count that is true once the operation is committed. */
static inline void operation_prepare(struct operation operation, uint32_t count)
{
    store_relaxed(&operation.holding->count[operation.number & 1], count);
}

static inline void holding_leave(struct holding *holding, uint64_t number)
{
    store_release(&holding->word, holding_word(number, HOLDING_IDLE));
    if (!__libc_single_threaded)
        wait_cell_wake(&holding->cell, 1);
}

/* Give the holding up after the operation was committed. */
static inline void operation_finish(struct operation operation)
{
    holding_leave(operation.holding, operation.number);
}

/* Give it up when it was not. */
static inline void operation_cancel(struct operation operation)
{
    holding_leave(operation.holding, operation.number - 1);
}

/* Where in the table the search for a semaphore begins. */
static inline unsigned holding_place(const struct semaphore *semaphore)
{
    return (unsigned)((uint64_t)(uintptr_t)semaphore * UINT64_C(0x9e3779b97f4a7c15) >> 56);
}

_Static_assert(HOLDING_COUNT == 1 << 8, "a place is the upper 8 bits of a hash");

static inline bool holding_is_of(const struct holding *holding, const struct semaphore *semaphore, uint32_t nonce)
{
    return load_acquire(&holding->semaphore) == (uintptr_t)semaphore && load_relaxed(&holding->nonce) == nonce;
}

/* Have this holding: the number of the operation, or 0 when another thread has it. A process of one thread need not
 * ask. */
static inline uint64_t holding_try_enter(struct holding *holding)
{
    uint64_t word = load_relaxed(&holding->word);
    if (holding_state(word) != HOLDING_IDLE)
        return 0;
    uint64_t number = holding_number(word) + 1;
    uint64_t busy = holding_word(number, HOLDING_BUSY);
    if (__libc_single_threaded)
        store_relaxed(&holding->word, busy);
    else if (!compare_exchange_acquire(&holding->word, &word, busy))
        return 0;
    return number;
}

/* Begin an operation of the member's holding of this semaphore. holding is NULL when there is none; with claim, one is
 * made, and NULL means that all are in use. Waits for other threads of this process. */
struct operation operation_begin_slow(struct sync_ledger *ledger, const struct semaphore *semaphore, uint32_t nonce,
                                      bool claim);

/* Begin an operation of a dead member's holding. */
struct operation operation_begin_swept(struct holding *holding);

/* For each holding of a dead member that was ever used: visit it, and forget it. */
void holding_sweep(unsigned slot, void (*visit)(unsigned slot, unsigned index));

#endif
