/* Objects that are being made, as making.h says. */
#include "container/making.h"

#include "arena/ledger.h"
#include "arena/member.h"
#include "os/listed.h"
#include "os/thread.h"
#include "util/atomic.h"

/* A cell that no other thread of this member uses. There are more than threads that are likely to be here. */
static struct making *making_claim(void)
{
    struct ledger *ledger = ledger_at(member_slot(member_current()));
    for (unsigned i = 0;; i = (i + 1) % LEDGER_MAKING_COUNT) {
        uint32_t unclaimed = 0;
        if (compare_exchange_acquire(&ledger->making[i].claimed, &unclaimed, 1))
            return &ledger->making[i];
        if (i == LEDGER_MAKING_COUNT - 1)
            os_thread_yield();
    }
}

static void making_release(struct making *making)
{
    store_release(&making->object, 0);
    store_release(&making->claimed, 0);
}

int making_begin(size_t size, void **place, struct making **making, void **object)
{
    *place = NULL;
    int result = member_need();
    if (result)
        return result;
    struct making *made = making_claim();
    store_relaxed(&made->place, region_contains(place) ? (uintptr_t)place : 0);
    store_relaxed(&made->holds, 0); /* before object, which heap_alloc() releases */
    result = heap_alloc_zeroed(size, &made->object, object);
    if (result)
        making_release(made);
    else
        *making = made;
    return result;
}

void making_holds(struct making *making)
{
    store_release(&making->holds, 1);
}

static uintptr_t making_load(const heap_place *place)
{
    return load_acquire(place);
}

/* A table that arrives is in force already if the process died just before it forgot that. There are no items yet. */
static void making_free_contents(struct container *container)
{
    if (making_load(&container->arriving) == making_load(&container->table))
        store_release(&container->arriving, 0);
    heap_free_from(&container->arriving);
    heap_free_from(&container->table);
}

/* Undo what a maker has left. The place holds the object's address where the maker died after the commit. */
static void making_undo(struct making *making)
{
    uintptr_t object = making_load(&making->object);
    uintptr_t place = load_relaxed(&making->place);
    if (!object || (place && making_load((heap_place *)place) == object))
        return;
    if (load_relaxed(&making->holds))
        making_free_contents((struct container *)object);
    heap_free_from(&making->object);
}

void making_give_up(struct making *making)
{
    making_undo(making);
    making_release(making);
}

void making_finish(struct making *making, const struct container_type *type, void **place)
{
    void *object = (void *)making_load(&making->object);
    container_finish(type, object);
    __atomic_store_n(place, object, __ATOMIC_RELEASE); /* commit, if the place is shared */
    making_release(making);
}

static bool making_sweep(unsigned slot, member_owner owner)
{
    (void)owner;
    for (unsigned i = 0; i < LEDGER_MAKING_COUNT; i++) {
        struct making *making = &ledger_at(slot)->making[i];
        making_undo(making);
        making_release(making);
    }
    return true;
}

static member_sweeper *const listed OS_LISTED("mproc_sweepers") = making_sweep;
