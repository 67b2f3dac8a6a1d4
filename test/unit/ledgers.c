/* Looking into the ledgers of all members, see ledgers.h. */
#include "ledgers.h"

#include "arena/layout.h"
#include "harness.h"
#include "sync/ledger.h"
#include "sync/semaphore.h"

static long sum(long (*look)(unsigned slot, bool living))
{
    long total = 0;
    unsigned limit = atomic_load(&arena_header()->member_limit);
    for (unsigned slot = 0; slot < limit; slot++)
        if (atomic_load(&member_at(slot)->ledger_pages))
            total += look(slot, atomic_load(&member_at(slot)->word) & 1);
    return total;
}

static long units_of(unsigned slot, bool living)
{
    long units = 0;
    for (unsigned i = 0; i < HOLDING_COUNT; i++) {
        struct holding *holding = holding_at(slot, i);
        uint64_t word = atomic_load(&holding->word);
        assert_int_equal(holding_state(word), HOLDING_IDLE);
        if (!living)
            assert_int_equal(atomic_load(&holding->semaphore), 0);
        if (holding_semaphore(holding))
            units += atomic_load(&holding->count[holding_number(word) & 1]);
    }
    return units;
}

long ledgers_units(void)
{
    return sum(units_of);
}

static long notes_of(unsigned slot, bool living)
{
    (void)living;
    long notes = 0;
    for (unsigned i = 0; i < WAIT_NOTE_COUNT; i++)
        notes += wait_note_state(&sync_ledger_at(slot)->notes[i]) != WAIT_NOTE_FREE;
    return notes;
}

long ledgers_notes(void)
{
    return sum(notes_of);
}

/* The word after the object's stamp and its lock is the first note. To look at the list without its lock is no harm: a
 * note is never unmapped, and a walk that goes astray is cut short. */
int conditions_waiters(const mproc_condition *condition)
{
    wait_note_ref ref = atomic_load((const _Atomic(wait_note_ref) *)(const void *)&condition->opaque[2]);
    int count = 0;
    for (; ref && count < 1000; count++)
        ref = atomic_load(&wait_note_at(ref)->next);
    return count;
}

struct line {
    const mproc_condition *condition;
    int count;
};

static bool is_long_enough(void *arg)
{
    const struct line *line = arg;
    return conditions_waiters(line->condition) == line->count;
}

void conditions_await_waiters(const mproc_condition *condition, int count)
{
    struct line line = {condition, count};
    assert_true(wait_until(is_long_enough, &line, 20000));
}
