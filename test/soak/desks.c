/* Lockers: they go through a section that a lock guards, and change a pair of numbers in it that are equal outside. One
 * desk has a lock and a condition, the other an rlock. Who gets the lock and is not told that its last owner died must
 * find the pair equal and nobody inside.
 *
 * At the end the pair says how many sections there were: as many as the lockers know of, and at most one more for each
 * that died where it may have held the lock. So it is with the times that the death of an owner was told. */
#include "soak.h"
#include <mproc/memory.h>
#include <mproc/sync.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define UNITS 2

/* In the arena. The pair is changed under the lock. */
struct desk {
    mproc_lock lock;
    mproc_rlock rlock;
    mproc_condition changed;
    mproc_semaphore units;
    _Atomic(uint64_t) left, right;
    _Atomic(pid_t) inside; /* who is between acquire and release, and living; under the lock */
};

static struct desk *desks;
static uint64_t may_have_held[DESKS]; /* the keeper's: deaths */

static void open_desks(void)
{
    desks = mproc_calloc(DESKS, sizeof *desks);
    int result = desks ? 0 : -1;
    for (unsigned i = 0; i < DESKS && !result; i++) {
        result = mproc_lock_init(&desks[i].lock) || mproc_rlock_init(&desks[i].rlock) ||
                 mproc_condition_init(&desks[i].changed) || mproc_semaphore_init(&desks[i].units, UNITS, 0);
    }
    if (result) {
        fprintf(stderr, "cannot set the desks up\n");
        exit(2);
    }
}

/* ---- acquire and release ---- */

static int acquire(struct desk *desk, unsigned number, mproc_time timeout)
{
    if (number == 0)
        return mproc_lock_acquire(&desk->lock, timeout);
    int result = mproc_rlock_acquire(&desk->rlock, timeout);
    if ((result == 0 || result == MPROC_OWNER_DIED) && one_in(4)) {
        int again = mproc_rlock_acquire(&desk->rlock, MPROC_NOWAIT);
        if (again || mproc_rlock_release(&desk->rlock))
            wrong("an rlock that is held could not be acquired again: %d", again);
    }
    return result;
}

static void release(struct desk *desk, unsigned number)
{
    int result = number == 0 ? mproc_lock_release(&desk->lock) : mproc_rlock_release(&desk->rlock);
    if (result)
        wrong("a release at desk %u returned %d", number, result);
}

/* Whether a victim with this number was not even sent a signal. */
static bool lives(pid_t pid)
{
    for (unsigned i = 0; i < SEATS; i++) {
        struct seat *seat = &world->seats[i];
        if (atomic_load(&seat->pid) == pid)
            return pid != 0 && !atomic_load(&seat->killed);
    }
    return false;
}

/* The lock was got with this result: look at what it guards, and mend it if that was said. */
static void enter(struct desk *desk, unsigned number, int result)
{
    pid_t other = atomic_exchange(&desk->inside, getpid());
    uint64_t left = atomic_load(&desk->left);
    uint64_t right = atomic_load(&desk->right);
    if (result == 0 && other)
        wrong("desk %u was entered while %d is inside, or its death was not told", number, (int)other);
    if (result == MPROC_OWNER_DIED && lives(other))
        wrong("desk %u: %d is said to have died, and lives", number, (int)other);
    if (left != right && (result == 0 || left != right + 1))
        wrong("desk %u: the pair is %llu and %llu", number, (unsigned long long)left, (unsigned long long)right);
    if (result == MPROC_OWNER_DIED)
        atomic_fetch_add(&world->owner_died[number], 1);
    atomic_store(&desk->right, left);
}

static void change_pair(struct desk *desk)
{
    atomic_store(&desk->left, atomic_load(&desk->left) + 1);
    for (volatile uint64_t i = random_below(64); i > 0; i--) {
    }
    atomic_store(&desk->right, atomic_load(&desk->right) + 1);
}

/* ---- lockers ---- */

static void set_phase(struct seat *seat, enum lock_phase phase)
{
    atomic_store(&seat->phase, phase);
}

/* Wait at the condition for a moment, which gives the lock up and takes it again. */
static void pause_inside(struct seat *seat, struct desk *desk)
{
    begin(seat, SUBJECT_DESK, "waits at the condition");
    atomic_store(&desk->inside, 0);
    int result = mproc_condition_wait(&desk->changed, &desk->lock, MPROC_US(random_below(200)));
    if (result != 0 && result != MPROC_TIMEOUT && result != MPROC_OWNER_DIED) {
        wrong("mproc_condition_wait returned %d", result);
        return;
    }
    enter(desk, 0, result == MPROC_OWNER_DIED ? result : 0);
}

static void go_through(struct seat *seat, unsigned number)
{
    struct desk *desk = &desks[number];
    begin(seat, SUBJECT_DESK + number, "acquires");
    atomic_store(&seat->desk, number);
    set_phase(seat, WANTS);
    int result = acquire(desk, number, one_in(4) ? MPROC_US(random_below(300)) : MPROC_FOREVER);
    if (result == MPROC_TIMEOUT) {
        set_phase(seat, OUTSIDE);
        return;
    }
    if (result != 0 && result != MPROC_OWNER_DIED) {
        wrong("an acquire at desk %u returned %d", number, result);
        set_phase(seat, OUTSIDE);
        return;
    }
    enter(desk, number, result);
    set_phase(seat, HOLDS);
    begin(seat, SUBJECT_DESK + number, "holds");
    change_pair(desk);
    atomic_fetch_add(&seat->sections[number], 1);
    if (number == 0 && one_in(200))
        pause_inside(seat, desk);
    if (number == 0 && one_in(4))
        mproc_condition_notify(&desk->changed, 1);
    atomic_store(&desk->inside, 0);
    set_phase(seat, LEAVES);
    release(desk, number);
    set_phase(seat, OUTSIDE);
    progress(SUBJECT_DESK + number);
}

/* The same with a unit of the semaphore in hand. What a dead process had comes back, or there would soon be none. */
static void go_through_with_a_unit(struct seat *seat, unsigned number)
{
    begin(seat, SUBJECT_DESK + number, "takes a unit");
    int result = mproc_semaphore_acquire(&desks[number].units, MPROC_FOREVER);
    if (result)
        wrong("mproc_semaphore_acquire returned %d", result);
    go_through(seat, number);
    result = mproc_semaphore_release(&desks[number].units, 1);
    if (result)
        wrong("mproc_semaphore_release returned %d", result);
}

static void lock_and_unlock(struct seat *seat)
{
    while (!atomic_load(&world->ending)) {
        unsigned number = (unsigned)random_below(DESKS);
        if (lies(LIE_ENTER))
            enter(&desks[number], number, 0);
        while (world->lie == LIE_HANG)
            nap_us(1000);
        if (one_in(8))
            go_through_with_a_unit(seat, number);
        else
            go_through(seat, number);
    }
}

static void settle_locker(struct seat *seat)
{
    if (atomic_load(&seat->phase) != OUTSIDE)
        may_have_held[atomic_load(&seat->desk)]++;
    set_phase(seat, OUTSIDE);
}

/* ---- the audit ---- */

static void audit_desk(unsigned number)
{
    struct desk *desk = &desks[number];
    uint64_t known = 0;
    int result = acquire(desk, number, MPROC_SEC(2));
    if (result == 0 || result == MPROC_OWNER_DIED)
        enter(desk, number, result);
    else
        wrong("desk %u cannot be locked at the end: %d", number, result);
    for (unsigned i = 0; i < SEATS; i++)
        known += atomic_load(&world->seats[i].sections[number]);
    uint64_t counted = atomic_load(&desk->right);
    uint64_t told = atomic_load(&world->owner_died[number]);
    if (counted < known || counted > known + may_have_held[number])
        wrong("desk %u counts %llu sections, the lockers %llu", number, (unsigned long long)counted,
              (unsigned long long)known);
    if (told > may_have_held[number])
        wrong("desk %u: the death of an owner was told %llu times, and %llu may have died so", number,
              (unsigned long long)told, (unsigned long long)may_have_held[number]);
    int value = mproc_semaphore_value(&desk->units);
    if (value != UNITS)
        wrong("desk %u has %d units at the end instead of %d", number, value, UNITS);
}

static void close_desks(void)
{
    for (unsigned i = 0; i < DESKS; i++)
        audit_desk(i);
    mproc_free(desks);
}

const struct trade lockers = {"lockers", LOCKERS, open_desks, lock_and_unlock, settle_locker, close_desks};
