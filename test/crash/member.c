/* The crash cases of members: joining, leaving, and the sweep itself. */
#include "arena/layout.h"
#include "arena/ledger.h"
#include "crash.h"
#include <mproc/memory.h>
#include <stdatomic.h>

struct member_world {
    _Atomic(uint64_t) owner; /* of the process in question */
    unsigned last;           /* the last ordinary slot */
};

static void *build(void)
{
    heap_note();
    return world_alloc(sizeof(struct member_world));
}

static void leave(void *world)
{
    (void)world;
    member_leave();
}

static void join(void *arg)
{
    struct member_world *world = arg;
    atomic_store(&world->owner, member_self());
}

/* No slot is lost: every member that is not this process is gone after a sweep, and a new one gets a low slot. */
static const char *check_slots(void *arg, bool finished)
{
    struct member_world *world = arg;
    (void)finished;
    member_owner owner = atomic_load(&world->owner);
    member_sweep_all();
    if (owner && !member_is_dead(owner))
        return "a dead member lives";
    for (unsigned slot = 0; slot < 16; slot++) {
        const struct member *member = member_at(slot);
        if (slot != member_slot(member_self()) && (atomic_load(&member->word) & 1))
            return "a slot stays used";
    }
    return heap_balance(mproc_usable_size(world));
}

/* A dead member with a block in custody, to be swept. */
static void take_custody(void *arg)
{
    struct member_world *world = arg;
    struct custody *custody = &ledger_at(member_slot(member_self()))->custody[0];
    void *block = mproc_alloc(1 << 20);
    atomic_store(&custody->block, (uintptr_t)block);
    atomic_store(&world->owner, member_self());
}

static bool has_owner(void *world)
{
    return atomic_load(&((struct member_world *)world)->owner) != 0;
}

static void *build_dead(void)
{
    struct member_world *world = build();
    pid_t pid = bystander_start(take_custody, world);
    within_time(has_owner, world);
    bystander_end(pid);
    return world;
}

static void sweep(void *arg)
{
    struct member_world *world = arg;
    member_sweep(atomic_load(&world->owner));
}

/* The table ends behind the tester's slot. */
static void *build_small(void)
{
    struct member_world *world = build();
    world->last = member_slot(member_self()) + 1;
    return world;
}

/* The victim is no member, and the dead have all slots. */
static void leave_full(void *arg)
{
    struct member_world *world = arg;
    member_leave();
    do {
        atomic_store(&world->owner, 0);
        bystander_die_in(join, world);
    } while (member_slot(atomic_load(&world->owner)) < world->last);
    atomic_store(&arena_header()->reserve_begin, world->last + 1);
    atomic_store(&world->owner, 0);
}

/* Whatever the victim left, the next one finds a slot too, and it is an ordinary one. */
static const char *check_full(void *arg, bool finished)
{
    struct member_world *world = arg;
    atomic_store(&world->owner, 0);
    bystander_die_in(join, world);
    member_owner next = atomic_load(&world->owner);
    if (!next)
        return "the table stays full";
    if (member_slot(next) > world->last)
        return "who swept stays in the reserve";
    return check_slots(world, finished);
}

static void destroy(void *world)
{
    atomic_store(&arena_header()->reserve_begin, 0);
    mproc_free(world);
}

const struct crash_case member_cases[] = {
    {"member_join", "a free slot", build, leave, join, check_slots, destroy, NULL},
    {"member_join", "a table full of the dead", build_small, leave_full, join, check_full, destroy, join},
    {"member_leave", "idle", build, join, leave, check_slots, destroy, NULL},
    {"member_sweep", "a block in custody", build_dead, NULL, sweep, check_slots, destroy, sweep},
    {0},
};
