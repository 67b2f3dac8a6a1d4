/* Notes: where a thread says that it waits at a condition or a barrier, so that its death there can be made good. One
 * is claimed for each wait and freed at its end. */
#ifndef MPROC_SYNC_NOTE_H
#define MPROC_SYNC_NOTE_H

#include "sync/cell.h"
#include "util/atomic.h"
#include <stdbool.h>
#include <stddef.h>

#define NOTE_COUNT 256

/* What a note says. The names in the middle are the condition's, the last is the barrier's. */
enum note_state {
    NOTE_FREE,
    NOTE_CLAIMED,   /* somebody's, and nothing is promised yet */
    NOTE_WAITING,   /* in the condition's list, or about to be put there */
    NOTE_SIGNALLED, /* in the list still, but woken: takes part in nothing any more */
    NOTE_RELEASED,  /* woken, and out of the list */
    NOTE_ARRIVED    /* arrives at the barrier in the phase that next says */
};

/* Claimed by a compare-and-swap of state, FREE -> CLAIMED; freed by a store, by the thread that claimed it or by the
 * sweep. object, nonce and next are valid in the last four states. */
struct note {
    _Atomic(uintptr_t) object; /* the condition or barrier; written by the waiter */
    _Atomic(uint32_t) nonce;   /* the object's; written by the waiter */
    _Atomic(uint32_t) state;   /* by the waiter until it is in a list; then by whoever has the condition's lock */
    _Atomic(uint32_t) next;    /* the next note in the list, under the condition's lock; the barrier's phase */
    struct wait_cell cell;     /* where the condition's waiter sleeps */
};

/* A note as a word: which member's, and which of it. 0: none. */
typedef uint32_t note_ref;

struct note *note_at(note_ref ref);

/* Take a free note of the member in that slot, for a wait at this object. 0 when all are in use. */
note_ref note_claim(unsigned slot, const void *object, uint32_t nonce);

/* Call visit for each note of a member in one of these two states or between them. Returns whether all visits returned
 * true. */
bool note_each(unsigned slot, enum note_state first, enum note_state last, bool (*visit)(note_ref ref));

static inline enum note_state note_state(const struct note *note)
{
    return (enum note_state)load_acquire(&note->state);
}

static inline void note_set_state(struct note *note, enum note_state state)
{
    store_release(&note->state, (uint32_t)state);
}

#endif
