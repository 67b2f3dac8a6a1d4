/* Wait notes: a thread says in one that it waits at a condition or a barrier, so that its death there can be made good.
 * Each wait claims one and frees it at its end. */
#ifndef MPROC_SYNC_WAIT_NOTE_H
#define MPROC_SYNC_WAIT_NOTE_H

#include "sync/wait_cell.h"
#include "util/atomic.h"
#include <stdbool.h>
#include <stddef.h>

#define WAIT_NOTE_COUNT 256

/* What a note says. The names in the middle are the condition's, the last is the barrier's. */
enum wait_note_state {
    WAIT_NOTE_FREE,
    WAIT_NOTE_CLAIMED,   /* somebody's, and nothing is promised yet */
    WAIT_NOTE_WAITING,   /* in the condition's list, or about to be put there */
    WAIT_NOTE_SIGNALLED, /* in the list still, but woken: takes part in nothing any more */
    WAIT_NOTE_RELEASED,  /* woken, and out of the list */
    WAIT_NOTE_ARRIVED    /* arrives at the barrier in the phase that next says */
};

/* Claimed by a compare-and-swap of state, FREE -> CLAIMED; freed by a store, by the thread that claimed it or by the
 * sweep. object, nonce and next are valid in the last four states. */
struct wait_note {
    _Atomic(uintptr_t) object; /* the condition or barrier; written by the waiter */
    _Atomic(uint32_t) nonce;   /* the object's; written by the waiter */
    _Atomic(uint32_t) state;   /* by the waiter until it is in a list; then by whoever has the condition's lock */
    _Atomic(uint32_t) next;    /* the next note in the list, under the condition's lock; the barrier's phase */
    struct wait_cell cell;     /* where the condition's waiter sleeps */
};

/* A note as a word: which member's, and which of it. 0: none. */
typedef uint32_t wait_note_ref;

struct wait_note *wait_note_at(wait_note_ref ref);

/* Take a free note of the member in that slot, for a wait at this object. 0 when all are in use. */
wait_note_ref wait_note_claim(unsigned slot, const void *object, uint32_t nonce);

/* Call visit for each note of a member in one of these two states or between them. Returns whether all visits returned
 * true. */
bool wait_note_each(unsigned slot, enum wait_note_state first, enum wait_note_state last,
                    bool (*visit)(wait_note_ref ref));

static inline enum wait_note_state wait_note_state(const struct wait_note *note)
{
    return (enum wait_note_state)load_acquire(&note->state);
}

static inline void wait_note_set_state(struct wait_note *note, enum wait_note_state state)
{
    store_release(&note->state, (uint32_t)state);
}

#endif
