/* Wait notes: claims them and finds them. condition.c and barrier.c know what they mean, and sweep them. */
#include "sync/wait_note.h"

#include "sync/ledger.h"
#include "util/atomic.h"

struct wait_note *wait_note_at(wait_note_ref ref)
{
    return &sync_ledger_at((ref - 1) / WAIT_NOTE_COUNT)->notes[(ref - 1) % WAIT_NOTE_COUNT];
}

/* Let the sweep look at a note and at those before it. */
static void raise_limit(struct sync_ledger *ledger, uint32_t limit)
{
    uint32_t now = load_relaxed(&ledger->note_limit);
    while (now < limit && !atomic_compare_exchange_weak_explicit(&ledger->note_limit, &now, limit, memory_order_relaxed,
                                                                 memory_order_relaxed)) {
    }
}

wait_note_ref wait_note_claim(unsigned slot, const void *object, uint32_t nonce)
{
    struct sync_ledger *ledger = sync_ledger_at(slot);
    for (unsigned i = 0; i < WAIT_NOTE_COUNT; i++) {
        struct wait_note *note = &ledger->notes[i];
        uint32_t state = WAIT_NOTE_FREE;
        raise_limit(ledger, i + 1);
        if (!compare_exchange_acquire(&note->state, &state, WAIT_NOTE_CLAIMED))
            continue;
        store_relaxed(&note->object, (uintptr_t)object);
        store_relaxed(&note->nonce, nonce);
        return slot * WAIT_NOTE_COUNT + i + 1;
    }
    return 0;
}

bool wait_note_each(unsigned slot, enum wait_note_state first, enum wait_note_state last,
                    bool (*visit)(wait_note_ref ref))
{
    bool done = true;
    unsigned limit = load_relaxed(&sync_ledger_at(slot)->note_limit);
    for (unsigned i = 0; i < limit; i++) {
        wait_note_ref ref = slot * WAIT_NOTE_COUNT + i + 1;
        enum wait_note_state state = wait_note_state(wait_note_at(ref));
        if (state >= first && state <= last)
            done = visit(ref) && done;
    }
    return done;
}
