/* Holdings: finds them, and lets one thread at a time have one. Called by semaphore.c. The holdings of a member are a
 * hash table by the semaphore's address with linear probing, in which nothing is ever removed while the member lives,
 * only replaced: so a search ends at the first place that was never used. */
#include "sync/holding.h"

#include "os/clock.h"
#include "os/cpu.h"
#include "sync/ledger.h"
#include "sync/semaphore.h"

#define SPIN_ROUNDS 100

static struct holding *find(struct sync_ledger *ledger, const struct semaphore *semaphore, uint32_t nonce)
{
    unsigned place = holding_place(semaphore);
    for (unsigned i = 0; i < HOLDING_COUNT; i++) {
        struct holding *holding = &ledger->holdings[(place + i) % HOLDING_COUNT];
        if (holding_is_of(holding, semaphore, nonce))
            return holding;
        if (atomic_load_explicit(&holding->semaphore, memory_order_relaxed) == 0)
            return NULL;
    }
    return NULL;
}

/* Another thread of this process has it, for a few dozen instructions unless it was preempted. */
static void enter_slow(struct holding *holding)
{
    for (int i = 0; i < SPIN_ROUNDS && os_cpu_may_spin(); i++) {
        os_cpu_relax();
        if (holding_try_enter(holding))
            return;
    }
    for (;;) {
        uint32_t seen = cell_prepare(&holding->cell);
        if (holding_try_enter(holding))
            return;
        cell_sleep(&holding->cell, seen, OS_NEVER);
    }
}

void holding_reopen(struct holding *holding)
{
    uint64_t number = holding_number(atomic_load_explicit(&holding->word, memory_order_relaxed));
    atomic_store_explicit(&holding->word, holding_word(number + 1, HOLDING_BUSY), memory_order_relaxed);
}

/* Whether this holding, which we have, is of no use any more: it counts nothing, or its semaphore is gone. */
static bool is_spare(const struct holding *holding)
{
    struct semaphore *semaphore = holding_semaphore(holding);
    return holding_count(holding) == 0 || !semaphore;
}

/* Make this holding, which we have, the one of another semaphore. Until both words are written it is no semaphore's. A
 * thread that is about to enter it for its old one will look again. */
static struct holding *assign(struct holding *holding, const struct semaphore *semaphore, uint32_t nonce)
{
    uint64_t number = holding_number(atomic_load_explicit(&holding->word, memory_order_relaxed));
    atomic_store_explicit(&holding->count[~number & 1], 0, memory_order_relaxed);
    atomic_store_explicit(&holding->nonce, nonce, memory_order_relaxed);
    atomic_store_explicit(&holding->semaphore, (uintptr_t)semaphore, memory_order_release);
    return holding;
}

static void set_used(struct sync_ledger *ledger, unsigned index)
{
    atomic_fetch_or_explicit(&ledger->used[index / 64], UINT64_C(1) << index % 64, memory_order_relaxed);
}

/* A holding for a semaphore that has none: one that was never used, or else one that can be spared. Under claiming. */
static struct holding *replace(struct sync_ledger *ledger, const struct semaphore *semaphore, uint32_t nonce)
{
    unsigned place = holding_place(semaphore);
    for (unsigned i = 0; i < HOLDING_COUNT; i++) {
        struct holding *holding = &ledger->holdings[(place + i) % HOLDING_COUNT];
        if (atomic_load_explicit(&holding->semaphore, memory_order_relaxed) != 0)
            continue;
        set_used(ledger, (unsigned)(holding - ledger->holdings));
        if (holding_try_enter(holding))
            return assign(holding, semaphore, nonce);
    }
    for (unsigned i = 0; i < HOLDING_COUNT; i++) {
        struct holding *holding = &ledger->holdings[(place + i) % HOLDING_COUNT];
        if (!holding_try_enter(holding))
            continue;
        if (is_spare(holding))
            return assign(holding, semaphore, nonce);
        holding_cancel(holding);
    }
    return NULL;
}

struct holding *holding_take_slow(struct sync_ledger *ledger, const struct semaphore *semaphore, uint32_t nonce,
                                  bool claim)
{
    for (;;) {
        struct holding *holding = find(ledger, semaphore, nonce);
        if (!holding && !claim)
            return NULL;
        if (!holding) {
            owner_lock_acquire(&ledger->claiming, MPROC_FOREVER);
            bool found = find(ledger, semaphore, nonce) != NULL;
            holding = found ? NULL : replace(ledger, semaphore, nonce);
            owner_lock_release(&ledger->claiming);
            if (!found)
                return holding;
            continue;
        }
        if (!holding_try_enter(holding))
            enter_slow(holding);
        if (holding_is_of(holding, semaphore, nonce))
            return holding;
        holding_cancel(holding);
    }
}

void holding_sweep(unsigned slot, void (*visit)(unsigned slot, unsigned index))
{
    for (unsigned base = 0; base < HOLDING_COUNT; base += 64) {
        _Atomic(uint64_t) *used = &sync_ledger_at(slot)->used[base / 64];
        uint64_t bits;
        while ((bits = atomic_load_explicit(used, memory_order_relaxed)) != 0) {
            visit(slot, base + (unsigned)__builtin_ctzll(bits));
            atomic_store_explicit(used, bits & (bits - 1), memory_order_release);
        }
    }
}
