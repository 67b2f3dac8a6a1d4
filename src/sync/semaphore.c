/* mproc_semaphore: units to take and give back, those of the dead included. The protocol stands in semaphore.h and
 * holding.h. */
#include "sync/semaphore.h"

#include "os/listed.h"
#include "sync/ledger.h"
#include "util/atomic.h"
#include "util/failure.h"

_Static_assert(sizeof(struct semaphore) == sizeof(mproc_semaphore), "the public type has room for it");
_Static_assert(_Alignof(struct semaphore) == _Alignof(mproc_semaphore), "the public type is aligned for it");

/* The name of an operation: slot, index of the holding, lower bits of its number. Never 0, for numbers begin at 1. */
#define NUMBER_BITS 44
#define NUMBER_MASK ((UINT64_C(1) << NUMBER_BITS) - 1)

static uint64_t name(unsigned slot, unsigned index, uint64_t number)
{
    return (uint64_t)slot << 52 | (uint64_t)index << NUMBER_BITS | (number & NUMBER_MASK);
}

_Static_assert(REGION_MEMBERS <= 1 << 12 && HOLDING_COUNT <= 1 << 8, "a name has room");

static uint32_t semaphore_value_of(uint64_t low)
{
    return (uint32_t)low;
}

/* The low word with another value: the count of changes goes up, so that it never is what it was. */
static uint64_t with_value(uint64_t low, int64_t value)
{
    return ((low >> 32) + 1) << 32 | (uint32_t)value;
}

static int64_t limit_of(const struct semaphore *semaphore)
{
    return semaphore->limit & ~SEMAPHORE_SIGNAL;
}

static bool is_signal(const struct semaphore *semaphore)
{
    return semaphore->limit & SEMAPHORE_SIGNAL;
}

/* Write into the holding of a committed operation that it was, unless that is known there. */
static void semaphore_prove(uint64_t name)
{
    if (name == 0)
        return;
    struct holding *holding = holding_at((unsigned)(name >> 52), (unsigned)(name >> NUMBER_BITS) % HOLDING_COUNT);
    uint64_t word = load_acquire(&holding->word);
    uint64_t number = holding_number(word);
    if (holding_state(word) == HOLDING_BUSY && (number & NUMBER_MASK) == (name & NUMBER_MASK))
        compare_exchange_acq_rel(&holding->word, &word, holding_word(number, HOLDING_DONE));
}

/* What the value becomes when units are added, or some taken when negative: 0, MPROC_TIMEOUT when there are not enough,
 * -EOVERFLOW when there would be too many. */
static int semaphore_add(const struct semaphore *semaphore, uint64_t *low, int64_t units)
{
    int64_t value = semaphore_value_of(*low) + units;
    if (value < 0)
        return MPROC_TIMEOUT;
    if (value > limit_of(semaphore))
        return -EOVERFLOW;
    *low = with_value(*low, value);
    return 0;
}

/* Add units, or take some, of which nobody is to be noted as the holder. The name of the last operation stays, and with
 * it the proof of it. */
static int change_value(struct semaphore *semaphore, int64_t units)
{
    uint64_t low = load_relaxed(&semaphore->state.low);
    for (;;) {
        uint64_t next = low;
        int result = semaphore_add(semaphore, &next, units);
        if (result)
            return result;
        if (compare_exchange_acq_rel(&semaphore->state.low, &low, next))
            return 0;
    }
}

/* Add units, or take some, as an operation: its holding counts as many as count says afterwards. If capped, no more are
 * added than the limit allows. */
static int change_holding(struct semaphore *semaphore, struct operation operation, uint64_t name, int64_t units,
                          uint32_t count, bool capped)
{
    operation_prepare(operation, count);
    for (;;) {
        uint64_t last = load_acquire(&semaphore->state.high);
        uint64_t low = load_relaxed(&semaphore->state.low);
        uint64_t next = low;
        int result = semaphore_add(semaphore, &next, units);
        if (result == -EOVERFLOW && capped) {
            next = with_value(low, limit_of(semaphore));
            result = 0;
        }
        if (result) {
            operation_cancel(operation);
            return result;
        }
        if ((last ^ name) >> NUMBER_BITS != 0) /* one of the same holding is long over */
            semaphore_prove(last);
        if (cas16_swap(&semaphore->state, low, last, next, name))
            break;
    }
    operation_finish(operation);
    return 0;
}

/* Begin an operation of the semaphore's holding in the ledger of this member, see holding.h. */
static struct operation semaphore_begin(const struct semaphore *semaphore, unsigned slot, bool claim)
{
    uint32_t nonce = stamp_nonce(&semaphore->object);
    struct operation operation = {.holding = holding_at(slot, holding_place(semaphore))};
    if (__builtin_expect(holding_is_of(operation.holding, semaphore, nonce), 1)) {
        operation.number = holding_try_enter(operation.holding);
        if (__builtin_expect(operation.number && holding_is_of(operation.holding, semaphore, nonce), 1))
            return operation;
        if (operation.number)
            operation_cancel(operation);
    }
    return operation_begin_slow(sync_ledger_at(slot), semaphore, nonce, claim);
}

static uint64_t name_of(struct operation operation, unsigned slot)
{
    return name(slot, (unsigned)(operation.holding - holding_at(slot, 0)), operation.number);
}

/* 0, MPROC_TIMEOUT when no unit is free, -ENOSPC, or why this process cannot be a member. */
static int try_acquire(struct semaphore *semaphore)
{
    if (semaphore_value_of(load_relaxed(&semaphore->state.low)) == 0)
        return MPROC_TIMEOUT;
    if (is_signal(semaphore))
        return change_value(semaphore, -1);
    int result = member_need();
    if (result)
        return result;
    unsigned slot = member_slot(member_current());
    struct operation operation = semaphore_begin(semaphore, slot, true);
    if (!operation.holding)
        return failure(-ENOSPC, "this process holds units of too many semaphores");
    uint32_t count = operation_count(operation);
    return change_holding(semaphore, operation, name_of(operation, slot), -1, count + (count != UINT32_MAX), false);
}

static int acquire_slow(struct semaphore *semaphore, nanoseconds timeout)
{
    int64_t deadline = os_after(timeout);
    int slept = timeout == OS_NOWAIT ? MPROC_TIMEOUT : 0;
    while (!slept) {
        uint32_t seen = wait_cell_prepare(&semaphore->cell);
        int result = try_acquire(semaphore);
        if (result != MPROC_TIMEOUT)
            return result;
        slept = wait_cell_sleep(&semaphore->cell, seen, deadline);
    }
    if (timeout == OS_NOWAIT)
        member_tick(); /* as wait_cell_sleep() does at its deadline */
    return try_acquire(semaphore);
}

static struct semaphore *semaphore_from(const mproc_semaphore *handle)
{
    struct semaphore *semaphore = (struct semaphore *)(uintptr_t)handle;
    return stamp_is(STAMP_SEMAPHORE, semaphore) ? semaphore : NULL;
}

int mproc_semaphore_init(mproc_semaphore *handle, unsigned value, unsigned flags)
{
    struct semaphore *semaphore = (struct semaphore *)handle;
    int result = stamp_check_place(semaphore, _Alignof(struct semaphore));
    if (result)
        return outcome(__func__, result);
    if (value > INT32_MAX)
        return refuse(__func__, "value is above 2^31 - 1");
    if (flags & ~(unsigned)(MPROC_SEMAPHORE_BOUNDED | MPROC_SEMAPHORE_SIGNAL))
        return refuse(__func__, "flags has a bit that is no flag");
    store_relaxed(&semaphore->state.low, value);
    store_relaxed(&semaphore->state.high, 0);
    store_relaxed(&semaphore->cell.word, 0);
    semaphore->limit = flags & MPROC_SEMAPHORE_BOUNDED ? value : INT32_MAX;
    if (flags & MPROC_SEMAPHORE_SIGNAL)
        semaphore->limit |= SEMAPHORE_SIGNAL;
    stamp_set_up(STAMP_SEMAPHORE, &semaphore->object);
    return 0;
}

int mproc_semaphore_acquire(mproc_semaphore *handle, mproc_time timeout)
{
    struct semaphore *semaphore = semaphore_from(handle);
    if (!semaphore)
        return refuse(__func__, "semaphore is NULL, or mproc_semaphore_init() has not set it up");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    int result = try_acquire(semaphore);
    return outcome(__func__, result == MPROC_TIMEOUT
                                 ? os_outcome(acquire_slow(semaphore, os_user_timeout(timeout)), timeout)
                                 : result);
}

/* Give units back, of those that this process holds as far as it holds any. */
static int semaphore_give(struct semaphore *semaphore, unsigned units)
{
    member_owner me = is_signal(semaphore) ? 0 : member_current();
    if (!me)
        return change_value(semaphore, units);
    unsigned slot = member_slot(me);
    struct operation operation = semaphore_begin(semaphore, slot, false);
    if (!operation.holding)
        return change_value(semaphore, units);
    uint32_t count = operation_count(operation);
    return change_holding(semaphore, operation, name_of(operation, slot), units, count > units ? count - units : 0,
                          false);
}

int mproc_semaphore_release(mproc_semaphore *handle, unsigned count)
{
    struct semaphore *semaphore = semaphore_from(handle);
    if (!semaphore)
        return refuse(__func__, "semaphore is NULL, or mproc_semaphore_init() has not set it up");
    if (count == 0)
        return refuse(__func__, "count is 0");
    if (count > INT32_MAX)
        return outcome(__func__, failure(-EOVERFLOW, "count is above 2^31 - 1"));
    int result = semaphore_give(semaphore, count);
    if (!result)
        wait_cell_wake(&semaphore->cell, (int)count);
    if (result == -EOVERFLOW)
        failure(result, "the value would be above %lld, the bound of semaphore", (long long)limit_of(semaphore));
    return outcome(__func__, result);
}

int mproc_semaphore_value(const mproc_semaphore *handle)
{
    struct semaphore *semaphore = semaphore_from(handle);
    if (semaphore && semaphore_value_of(load_relaxed(&semaphore->state.low)) == 0)
        member_tick(); /* whoever has the units may be dead */
    return outcome_count(
        __func__, semaphore ? (int)semaphore_value_of(load_relaxed(&semaphore->state.low))
                            : failure(-EINVAL, "semaphore is NULL, or mproc_semaphore_init() has not set it up"));
}

/* ---- the sweep ---- */

/* Take back the operation that a dead member may have been at, unless it was committed. That the semaphore says, or the
 * holding by the time when the semaphore no longer does: so they are asked in this order. */
static void semaphore_settle(struct holding *holding, const struct semaphore *semaphore, unsigned slot, unsigned index)
{
    uint64_t number = holding_number(load_relaxed(&holding->word));
    if (semaphore && load_acquire(&semaphore->state.high) == name(slot, index, number))
        return;
    if (holding_state(load_acquire(&holding->word)) == HOLDING_BUSY)
        operation_cancel((struct operation){holding, number});
}

/* Give back what a dead member held of one semaphore. Each step may be the last of a sweeper; the next one begins here
 * again, and finds an operation to settle, or nothing that counts. */
static void semaphore_give_back(unsigned slot, unsigned index)
{
    struct holding *holding = holding_at(slot, index);
    struct semaphore *semaphore = holding_semaphore(holding);
    semaphore_settle(holding, semaphore, slot, index);
    struct operation operation = operation_begin_swept(holding);
    uint32_t count = operation_count(operation);
    if (semaphore && count > 0) {
        change_holding(semaphore, operation, name(slot, index, operation.number), count, 0, true);
        wait_cell_wake(&semaphore->cell, WAIT_CELL_ALL);
    } else {
        operation_prepare(operation, 0);
        operation_finish(operation);
    }
    store_release(&holding->semaphore, 0);
}

static bool semaphore_sweep(unsigned slot, member_owner owner)
{
    (void)owner;
    holding_sweep(slot, semaphore_give_back);
    return true;
}

static member_sweeper *const listed OS_LISTED("mproc_sweepers") = semaphore_sweep;
