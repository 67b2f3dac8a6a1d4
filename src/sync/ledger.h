/* The part of a member's ledger that src/sync uses: what the member holds of semaphores, where its threads wait, and
 * which of them live. See holding.h, wait_note.h and thread_life.h for the three kinds of entries.
 *
 * Nobody clears this part when a slot changes hands: the sequence numbers of the holdings go on, so that what a
 * semaphore says about an operation of long ago is never mistaken for one of the slot's next user. */
#ifndef MPROC_SYNC_LEDGER_H
#define MPROC_SYNC_LEDGER_H

#include "arena/heap.h"
#include "arena/ledger.h"
#include "arena/owner_lock.h"
#include "sync/holding.h"
#include "sync/thread_life.h"
#include "sync/wait_note.h"

struct sync_ledger {
    struct holding holdings[HOLDING_COUNT];
    struct wait_note notes[WAIT_NOTE_COUNT];
    _Atomic(uint64_t) used[HOLDING_COUNT / 64]; /* a bit for each holding that a sweep must look at; set under claiming
                                                   before the holding is touched, cleared by the sweep */
    _Atomic(uint32_t) note_limit;               /* notes below it have been claimed once; only grows */
    _Atomic(uint32_t) thread_count;             /* cells that are set up; under claiming; the sweep sets it to 0 */
    struct owner_lock claiming; /* for the member's threads that choose a holding or a cell; a death leaves nothing to
                                   mend */
    struct thread_cell threads[THREAD_CELLS_HERE];
    heap_place more_threads[THREAD_MORE]; /* blocks of cells; under claiming, and freed by the sweep */
};

_Static_assert(sizeof(struct sync_ledger) <= LEDGER_SYNC_SIZE, "it fits its place");

static inline struct sync_ledger *sync_ledger_at(unsigned slot)
{
    return (struct sync_ledger *)(void *)ledger_at(slot)->sync;
}

static inline struct holding *holding_at(unsigned slot, unsigned index)
{
    return &sync_ledger_at(slot)->holdings[index];
}

#endif
