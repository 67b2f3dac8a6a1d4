/* Holdings: finds them, and lets one thread at a time have one. The holdings of a member are a hash table by the
 * semaphore's address with linear probing, in which nothing is ever removed while the member lives, only replaced: so a
 * search ends at the first place that was never used. */
#include "sync/holding.h"

#include "os/clock.h"
#include "os/spin.h"
#include "sync/ledger.h"
#include "sync/semaphore.h"
#include "util/atomic.h"

#define SPIN_LENGTH 100

static struct holding *holding_find(struct sync_ledger *ledger, const struct semaphore *semaphore, uint32_t nonce)
{
    unsigned place = holding_place(semaphore);
    for (unsigned i = 0; i < HOLDING_COUNT; i++) {
        struct holding *holding = &ledger->holdings[(place + i) % HOLDING_COUNT];
        if (holding_is_of(holding, semaphore, nonce))
            return holding;
        if (load_relaxed(&holding->semaphore) == 0)
            return NULL;
    }
    return NULL;
}

/* Another thread of this process has it, for a few dozen instructions unless it was preempted. */
static uint64_t enter_slow(struct holding *holding)
{
    uint64_t number = holding_try_enter(holding);
    struct os_spin spin = os_spin_begin(SPIN_LENGTH, 1, 1);
    while (!number && os_spin_pause(&spin))
        number = holding_try_enter(holding);
    while (!number) {
        uint32_t seen = wait_cell_prepare(&holding->cell);
        number = holding_try_enter(holding);
        if (!number)
            wait_cell_sleep(&holding->cell, seen, OS_NEVER);
    }
    return number;
}

struct operation operation_begin_swept(struct holding *holding)
{
    uint64_t number = holding_number(load_relaxed(&holding->word)) + 1;
    store_relaxed(&holding->word, holding_word(number, HOLDING_BUSY));
    return (struct operation){holding, number};
}

/* Whether this holding is of no use any more: it counts nothing, or its semaphore is gone. */
static bool is_spare(struct operation operation)
{
    return operation_count(operation) == 0 || !holding_semaphore(operation.holding);
}

/* Make this holding the one of another semaphore. Until both words are written it is no semaphore's. A thread that is
 * about to enter it for its old one will look again. */
static struct operation assign(struct operation operation, const struct semaphore *semaphore, uint32_t nonce)
{
    struct holding *holding = operation.holding;
    store_relaxed(&holding->count[~operation.number & 1], 0);
    store_relaxed(&holding->nonce, nonce);
    store_release(&holding->semaphore, (uintptr_t)semaphore);
    return operation;
}

static void set_used(struct sync_ledger *ledger, unsigned index)
{
    fetch_or_relaxed(&ledger->used[index / 64], UINT64_C(1) << index % 64);
}

/* A holding for a semaphore that has none: one that was never used, or else one that can be spared. Under claiming. */
static struct operation holding_replace(struct sync_ledger *ledger, const struct semaphore *semaphore, uint32_t nonce)
{
    unsigned place = holding_place(semaphore);
    for (unsigned i = 0; i < HOLDING_COUNT; i++) {
        struct operation operation = {.holding = &ledger->holdings[(place + i) % HOLDING_COUNT]};
        if (load_relaxed(&operation.holding->semaphore) != 0)
            continue;
        set_used(ledger, (unsigned)(operation.holding - ledger->holdings));
        operation.number = holding_try_enter(operation.holding);
        if (operation.number)
            return assign(operation, semaphore, nonce);
    }
    for (unsigned i = 0; i < HOLDING_COUNT; i++) {
        struct operation operation = {.holding = &ledger->holdings[(place + i) % HOLDING_COUNT]};
        operation.number = holding_try_enter(operation.holding);
        if (!operation.number)
            continue;
        if (is_spare(operation))
            return assign(operation, semaphore, nonce);
        operation_cancel(operation);
    }
    return (struct operation){.holding = NULL};
}

/* Make a holding, unless another thread has just done so. */
static struct operation claim_one(struct sync_ledger *ledger, const struct semaphore *semaphore, uint32_t nonce,
                                  bool *found)
{
    struct operation operation = {.holding = NULL};
    owner_lock_acquire(&ledger->claiming, OS_FOREVER);
    *found = holding_find(ledger, semaphore, nonce) != NULL;
    if (!*found)
        operation = holding_replace(ledger, semaphore, nonce);
    owner_lock_release(&ledger->claiming);
    return operation;
}

struct operation operation_begin_slow(struct sync_ledger *ledger, const struct semaphore *semaphore, uint32_t nonce,
                                      bool claim)
{
    for (;;) {
        struct operation operation = {.holding = holding_find(ledger, semaphore, nonce)};
        if (!operation.holding) {
            bool found = false;
            if (claim)
                operation = claim_one(ledger, semaphore, nonce, &found);
            if (!found)
                return operation;
            continue;
        }
        operation.number = enter_slow(operation.holding);
        if (holding_is_of(operation.holding, semaphore, nonce))
            return operation;
        operation_cancel(operation);
    }
}

void holding_sweep(unsigned slot, void (*visit)(unsigned slot, unsigned index))
{
    for (unsigned base = 0; base < HOLDING_COUNT; base += 64) {
        _Atomic(uint64_t) *used = &sync_ledger_at(slot)->used[base / 64];
        uint64_t bits;
        while ((bits = load_relaxed(used)) != 0) {
            visit(slot, base + (unsigned)__builtin_ctzll(bits));
            store_release(used, bits & (bits - 1));
        }
    }
}
