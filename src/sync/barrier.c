/* mproc_barrier: all parties arrive, and then all go on. */
#include "os/listed.h"
#include "sync/cas16.h"
#include "sync/stamp.h"
#include "sync/wait_cell.h"
#include "sync/wait_note.h"
#include "util/atomic.h"
#include "util/failure.h"

/* The low word, from below: how many have arrived in this phase, two flags, the number of the phase. */
#define ARRIVED_BITS 17
#define BROKEN       (UINT64_C(1) << 17)
#define ACTING       (UINT64_C(1) << 18)
#define PHASE_SHIFT  19
#define MOST_PARTIES (1u << 16)

/* The high word: for some phases before the last that failed, the latest in the lowest bit, whether they were
 * completed; and the number of that phase plus 1, or 0 when none has failed yet. */
#define PAST_BITS    20
#define PAST_MASK    ((UINT64_C(1) << PAST_BITS) - 1)
#define FAILED_SHIFT PAST_BITS

/* Invariant: fewer than all parties have arrived, or ACTING is set while the last to arrive calls the action. BROKEN
 * stays until a reset. A phase ends by being completed, or fails by a reset. A waiter that looks only after later
 * phases have ended finds in the high word how its own did.
 *
 * Commit: each change is one compare-and-swap of state: to arrive, to complete the phase, to break, to reset. So a
 * stopped process stops only those that need it to arrive.
 *
 * Recovery: whoever is about to arrive notes barrier and phase in its ledger first. The sweep of a dead member breaks
 * the barrier if it is in that phase still; so also when it died in the action, or on the point of arriving. */
struct barrier {
    struct stamp object;
    uint32_t parties;      /* by _init, as the last two */
    struct wait_cell cell; /* where all sleep */
    struct cas16 state;    /* by anybody, by compare-and-swap; the high word changes only together with the phase */
    int (*action)(void *arg);
    void *arg;
};

_Static_assert(sizeof(struct barrier) == sizeof(mproc_barrier), "the public type has room for it");
_Static_assert(_Alignof(struct barrier) == _Alignof(mproc_barrier), "the public type is aligned for it");

/* ---- the state ---- */

struct state {
    uint64_t low;
    uint64_t high;
};

static uint32_t arrived(struct state state)
{
    return (uint32_t)(state.low & ((1 << ARRIVED_BITS) - 1));
}

static uint64_t phase_of(struct state state)
{
    return state.low >> PHASE_SHIFT;
}

static struct state completed(struct state state)
{
    return (struct state){.low = (phase_of(state) + 1) << PHASE_SHIFT, .high = state.high};
}

static struct state failed(struct state state)
{
    uint64_t run = phase_of(state) - (state.high >> FAILED_SHIFT); /* completed since the last that failed */
    uint64_t past = PAST_MASK;
    if (run < PAST_BITS)
        past = ((state.high & PAST_MASK) << 1 << run | ((UINT64_C(1) << run) - 1)) & PAST_MASK;
    return (struct state){.low = (phase_of(state) + 1) << PHASE_SHIFT,
                          .high = (phase_of(state) + 1) << FAILED_SHIFT | past};
}

/* How a phase that is over has ended. One of which nothing is known any more failed, for the barrier was reset since.
 */
static int barrier_result_of(struct state state, uint64_t phase)
{
    uint64_t fail = state.high >> FAILED_SHIFT;
    if (phase >= fail)
        return 0;
    uint64_t ago = fail - phase; /* 1: this phase; 2: the one before it */
    return ago >= 2 && ago - 2 < PAST_BITS && (state.high >> (ago - 2) & 1) ? 0 : MPROC_BROKEN;
}

/* Both words as they were at one moment. */
static struct state barrier_load(const struct barrier *barrier)
{
    struct state state;
    do {
        state.low = load_acquire(&barrier->state.low);
        state.high = load_acquire(&barrier->state.high);
    } while (state.low != load_relaxed(&barrier->state.low));
    return state;
}

/* On failure *state is what it is now. */
static bool change(struct barrier *barrier, struct state *state, struct state to)
{
    if (cas16_swap(&barrier->state, state->low, state->high, to.low, to.high))
        return true;
    *state = barrier_load(barrier);
    return false;
}

static struct state with(struct state state, uint64_t flag)
{
    state.low |= flag;
    return state;
}

/* Break the barrier if it is whole and in this phase. Returns whether it was. Of the phase 32 bits are enough. */
static bool break_phase(struct barrier *barrier, uint64_t phase)
{
    struct state state = barrier_load(barrier);
    do {
        if ((uint32_t)phase_of(state) != (uint32_t)phase || (state.low & BROKEN))
            return false;
    } while (!change(barrier, &state, with(state, BROKEN)));
    wait_cell_wake(&barrier->cell, WAIT_CELL_ALL);
    return true;
}

/* ---- waiting ---- */

static struct barrier *barrier_from(const mproc_barrier *handle)
{
    struct barrier *barrier = (struct barrier *)(uintptr_t)handle;
    return stamp_is(STAMP_BARRIER, barrier) ? barrier : NULL;
}

int mproc_barrier_init(mproc_barrier *handle, unsigned parties, int (*action)(void *arg), void *arg)
{
    struct barrier *barrier = (struct barrier *)handle;
    int result = stamp_check_place(barrier, _Alignof(struct barrier));
    if (result)
        return outcome(__func__, result);
    if (parties == 0)
        return refuse(__func__, "parties is 0");
    if (parties > MOST_PARTIES)
        return refuse(__func__, "parties is above 2^16");
    store_relaxed(&barrier->state.low, 0);
    store_relaxed(&barrier->state.high, 0);
    store_relaxed(&barrier->cell.word, 0);
    barrier->parties = parties;
    barrier->action = action;
    barrier->arg = arg;
    stamp_set_up(STAMP_BARRIER, &barrier->object);
    return 0;
}

/* Sleep until the phase is over: 0, or MPROC_BROKEN; or until it is time, which breaks it. */
static int wait_for_end(struct barrier *barrier, uint64_t phase, int64_t deadline)
{
    for (int slept = 0;;) {
        uint32_t seen = wait_cell_prepare(&barrier->cell);
        struct state state = barrier_load(barrier);
        if (phase_of(state) != phase)
            return barrier_result_of(state, phase);
        if (state.low & BROKEN)
            return MPROC_BROKEN;
        if (slept && break_phase(barrier, phase))
            return slept;
        slept = wait_cell_sleep(&barrier->cell, seen, deadline);
    }
}

/* The last has arrived: call the action and let all go on. In the meantime nobody arrives, but the phase may be broken
 * or reset. */
static int act(struct barrier *barrier, struct state state)
{
    uint64_t phase = phase_of(state);
    int result = MPROC_BROKEN;
    if (barrier->action(barrier->arg))
        break_phase(barrier, phase);
    else if (change(barrier, &state, completed(state)))
        result = 0;
    wait_cell_wake(&barrier->cell, WAIT_CELL_ALL);
    return result;
}

/* One party too many: the phase is full, and ends as soon as the action has returned. */
static int wait_for_turn(struct barrier *barrier, struct wait_note *note, uint64_t phase, int64_t deadline)
{
    wait_note_set_state(note, WAIT_NOTE_CLAIMED);
    return wait_for_end(barrier, phase, deadline);
}

/* Arrive, and wait for the end of the phase. */
static int wait(struct barrier *barrier, struct wait_note *note, unsigned *index, int64_t deadline)
{
    struct state state = barrier_load(barrier);
    while (!(state.low & BROKEN)) {
        uint64_t phase = phase_of(state);
        if (state.low & ACTING) {
            int result = wait_for_turn(barrier, note, phase, deadline);
            if (result)
                return result;
            state = barrier_load(barrier);
            continue;
        }
        store_relaxed(&note->next, (uint32_t)phase);
        wait_note_set_state(note, WAIT_NOTE_ARRIVED);
        bool last = arrived(state) + 1 == barrier->parties;
        struct state next = {.low = state.low + 1, .high = state.high};
        if (last)
            next = barrier->action ? with(next, ACTING) : completed(state);
        if (!change(barrier, &state, next))
            continue;
        *index = barrier->parties - arrived(state) - 1;
        if (!last)
            return wait_for_end(barrier, phase, deadline);
        if (barrier->action)
            return act(barrier, next);
        wait_cell_wake(&barrier->cell, WAIT_CELL_ALL);
        return 0;
    }
    return MPROC_BROKEN;
}

int mproc_barrier_wait(mproc_barrier *handle, unsigned *index, mproc_time timeout)
{
    struct barrier *barrier = barrier_from(handle);
    if (!barrier)
        return refuse(__func__, "barrier is NULL, or mproc_barrier_init() has not set it up");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    int result = member_need();
    if (result)
        return outcome(__func__, result);
    wait_note_ref ref = wait_note_claim(member_slot(member_current()), barrier, stamp_nonce(&barrier->object));
    if (!ref)
        return outcome(__func__, failure(-ENOSPC, "256 threads of this process wait already"));
    unsigned place = 0;
    result = wait(barrier, wait_note_at(ref), &place, os_deadline(timeout));
    wait_note_set_state(wait_note_at(ref), WAIT_NOTE_FREE);
    if (!result && index)
        *index = place;
    return outcome(__func__, os_outcome(result, timeout));
}

int mproc_barrier_abort(mproc_barrier *handle)
{
    struct barrier *barrier = barrier_from(handle);
    if (!barrier)
        return refuse(__func__, "barrier is NULL, or mproc_barrier_init() has not set it up");
    struct state state = barrier_load(barrier);
    while (!(state.low & BROKEN) && !change(barrier, &state, with(state, BROKEN))) {
    }
    wait_cell_wake(&barrier->cell, WAIT_CELL_ALL);
    return 0;
}

int mproc_barrier_reset(mproc_barrier *handle)
{
    struct barrier *barrier = barrier_from(handle);
    if (!barrier)
        return refuse(__func__, "barrier is NULL, or mproc_barrier_init() has not set it up");
    struct state state = barrier_load(barrier);
    while ((state.low & BROKEN || arrived(state) > 0) && !change(barrier, &state, failed(state))) {
    }
    wait_cell_wake(&barrier->cell, WAIT_CELL_ALL);
    return 0;
}

bool mproc_barrier_is_broken(const mproc_barrier *handle)
{
    const struct barrier *barrier = barrier_from(handle);
    if (barrier && arrived(barrier_load(barrier)) > 0)
        member_tick(); /* one that has arrived may be dead */
    return barrier && (barrier_load(barrier).low & BROKEN);
}

int mproc_barrier_waiting(const mproc_barrier *handle)
{
    const struct barrier *barrier = barrier_from(handle);
    if (!barrier)
        return refuse(__func__, "barrier is NULL, or mproc_barrier_init() has not set it up");
    struct state state = barrier_load(barrier);
    if (arrived(state) > 0) {
        member_tick();
        state = barrier_load(barrier);
    }
    return outcome_count(__func__, state.low & BROKEN ? 0 : (int)arrived(state));
}

int mproc_barrier_parties(const mproc_barrier *handle)
{
    const struct barrier *barrier = barrier_from(handle);
    if (!barrier)
        return refuse(__func__, "barrier is NULL, or mproc_barrier_init() has not set it up");
    return (int)barrier->parties;
}

/* ---- the sweep ---- */

static bool barrier_give_back(wait_note_ref ref)
{
    struct wait_note *note = wait_note_at(ref);
    struct barrier *barrier = (struct barrier *)load_relaxed(&note->object);
    uint32_t nonce = load_relaxed(&note->nonce);
    if (stamp_is_same(STAMP_BARRIER, barrier, nonce))
        break_phase(barrier, load_relaxed(&note->next));
    wait_note_set_state(note, WAIT_NOTE_FREE);
    return true;
}

static bool barrier_sweep(unsigned slot, member_owner owner)
{
    (void)owner;
    return wait_note_each(slot, WAIT_NOTE_ARRIVED, WAIT_NOTE_ARRIVED, barrier_give_back);
}

static member_sweeper *const listed OS_LISTED("mproc_sweepers") = barrier_sweep;
