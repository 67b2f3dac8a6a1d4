/* Storms: processes that create, change and free shared containers with large and nested values are killed at any
 * moment. When all has been freed at the end, all memory is back.
 *
 * A container is made into a shared slot, so that it belongs to the slot, or to nobody, whenever its maker dies. A slot
 * is used under its lock, and whoever is told that its owner died renews it.
 *
 * test_container_storm [SECONDS [SEED]]: so long, in place of a moment. */
#include "arena/heap.h"
#include "arena/member.h"
#include "children.h"
#include "harness.h"

#include <errno.h>
#include <mproc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WORKERS = 4,
    SLOTS = 6,
    LARGE = 3 << 20
};

struct slot {
    mproc_lock lock;
    void *object; /* of any type */
};

/* All that the processes share. Objects are made and freed under the lock of lives, so that the address of one that was
 * freed is no other's before it is gone from its slot. */
struct world {
    mproc_lock lives;
    struct slot slots[SLOTS];
    _Atomic(unsigned) seed;
    _Atomic(int) wrong;
};

static struct world *world;
static unsigned seconds = 4, first_seed = 1;
static unsigned char large[LARGE];

static unsigned draw(unsigned *seed, unsigned below)
{
    *seed = *seed * 1664525U + 1013904223U;
    return (*seed >> 8) % below;
}

/* ---- values ---- */

static mproc_value large_value(unsigned *seed)
{
    static const size_t sizes[] = {10, 500, 5000, 70000, 1 << 20, LARGE};
    return mproc_bytes(large, sizes[draw(seed, 6)]);
}

/* One of the objects, which need not be there any more; then it is no value, and nothing changes. */
static mproc_value nested_object(unsigned *seed)
{
    return mproc_object_value(world->slots[draw(seed, SLOTS)].object);
}

/* A value in a list in a map; it is valid until the next call. */
static mproc_value any_value(unsigned *seed)
{
    static mproc_value items[3];
    static mproc_pair pairs[2];
    if (draw(seed, 2))
        return draw(seed, 3) ? large_value(seed) : nested_object(seed);
    for (int i = 0; i < 3; i++)
        items[i] = draw(seed, 3) ? mproc_int(i) : large_value(seed);
    for (int i = 0; i < 2; i++)
        pairs[i] = (mproc_pair){mproc_int(i), mproc_list_of(items, 3)};
    return mproc_dict_of(pairs, 2);
}

/* ---- lives ---- */

static void create_object(void **object, unsigned *seed)
{
    switch (draw(seed, 6)) {
    case 0:
        mproc_dict_create((mproc_dict **)object);
        break;
    case 1:
        mproc_list_create((mproc_list **)object);
        break;
    case 2:
        mproc_set_create((mproc_set **)object);
        break;
    case 3:
        mproc_namespace_create((mproc_namespace **)object);
        break;
    case 4:
        mproc_variable_create((mproc_variable **)object, any_value(seed));
        break;
    default:
        mproc_array_create((mproc_array **)object, 1 + draw(seed, LARGE / 8), 8);
    }
}

static void free_object(void *object)
{
    switch (mproc_object_type(object)) {
    case MPROC_TYPE_DICT:
        mproc_dict_free(object);
        break;
    case MPROC_TYPE_LIST:
        mproc_list_free(object);
        break;
    case MPROC_TYPE_SET:
        mproc_set_free(object);
        break;
    case MPROC_TYPE_NAMESPACE:
        mproc_namespace_free(object);
        break;
    case MPROC_TYPE_VARIABLE:
        mproc_variable_free(object);
        break;
    case MPROC_TYPE_ARRAY:
        mproc_array_free(object);
        break;
    }
}

static int take_lock(mproc_lock *lock)
{
    int result = mproc_lock_acquire(lock, MPROC_SEC(60));
    if (result && result != MPROC_OWNER_DIED)
        _exit(1);
    return result;
}

/* One died between freeing an object and clearing its slot, perhaps. Nothing was made since. */
static void clear_stale_slots(void)
{
    for (int i = 0; i < SLOTS; i++)
        if (!mproc_object_type(world->slots[i].object))
            world->slots[i].object = NULL;
}

static void renew(struct slot *slot, unsigned *seed, bool again)
{
    if (take_lock(&world->lives) == MPROC_OWNER_DIED)
        clear_stale_slots();
    free_object(slot->object);
    slot->object = NULL;
    if (again)
        create_object(&slot->object, seed);
    mproc_lock_release(&world->lives);
}

/* ---- changes ---- */

#define T MPROC_SEC(60)

static void change_dict(mproc_dict *dict, unsigned *seed)
{
    const mproc_value key = mproc_int(draw(seed, 40));
    const mproc_value value = any_value(seed);
    mproc_value got = mproc_nil();
    switch (draw(seed, 6)) {
    case 0:
        mproc_dict_delete(dict, key, T);
        break;
    case 1:
        mproc_dict_pop(dict, key, &got, T);
        break;
    case 2:
        mproc_dict_clear(dict, T);
        break;
    case 3:
        mproc_dict_update(dict, mproc_dict_of((mproc_pair[]){{key, value}, {mproc_string("other"), value}}, 2), T);
        break;
    default:
        mproc_dict_set(dict, key, value, T);
    }
    mproc_value_free(&got);
}

static void change_list(mproc_list *list, unsigned *seed)
{
    const mproc_value value = any_value(seed);
    mproc_value got = mproc_nil();
    switch (draw(seed, 8)) {
    case 0:
        mproc_list_pop(list, -1, &got, T);
        break;
    case 1:
        mproc_list_delete(list, 0, T);
        break;
    case 2:
        mproc_list_set(list, 0, value, T);
        break;
    case 3:
        mproc_list_clear(list, T);
        break;
    case 4:
        mproc_list_extend(list, mproc_list_of((mproc_value[]){value, mproc_int(2)}, 2), T);
        break;
    case 5:
        mproc_list_insert(list, 0, value, T);
        break;
    default:
        mproc_list_append(list, value, T);
    }
    mproc_value_free(&got);
}

static void change_set(mproc_set *set, unsigned *seed)
{
    mproc_value got = mproc_nil();
    switch (draw(seed, 5)) {
    case 0:
        mproc_set_pop(set, &got, T);
        break;
    case 1:
        mproc_set_clear(set, T);
        break;
    case 2:
        mproc_set_discard(set, large_value(seed), T);
        break;
    default:
        mproc_set_add(set, draw(seed, 2) ? large_value(seed) : mproc_int(draw(seed, 100)), T);
    }
    mproc_value_free(&got);
}

static void change_object(void *object, unsigned *seed)
{
    switch (mproc_object_type(object)) {
    case MPROC_TYPE_DICT:
        change_dict(object, seed);
        break;
    case MPROC_TYPE_LIST:
        change_list(object, seed);
        break;
    case MPROC_TYPE_SET:
        change_set(object, seed);
        break;
    case MPROC_TYPE_NAMESPACE:
        mproc_namespace_set(object, draw(seed, 2) ? "one" : "two", any_value(seed), T);
        break;
    case MPROC_TYPE_VARIABLE:
        mproc_variable_set(object, any_value(seed), T);
        break;
    default:
        break;
    }
}

/* ---- the storm ---- */

static _Noreturn int work(void *arg)
{
    unsigned seed = atomic_fetch_add(&world->seed, 1) * 2654435761U;
    (void)arg;
    for (;;) {
        struct slot *slot = &world->slots[draw(&seed, SLOTS)];
        if (take_lock(&slot->lock) == MPROC_OWNER_DIED || draw(&seed, 8) == 0)
            renew(slot, &seed, draw(&seed, 4) != 0);
        for (unsigned i = draw(&seed, 6); i; i--)
            change_object(slot->object, &seed);
        mproc_lock_release(&slot->lock);
    }
}

static void open_world(void)
{
    world = mproc_calloc(1, sizeof *world);
    assert_non_null(world);
    mproc_lock_init(&world->lives);
    for (int i = 0; i < SLOTS; i++)
        mproc_lock_init(&world->slots[i].lock);
    atomic_store(&world->seed, first_seed);
}

static void close_world(void)
{
    unsigned seed = 0;
    for (int i = 0; i < SLOTS; i++)
        renew(&world->slots[i], &seed, false);
    mproc_free(world);
}

static size_t allocated(void)
{
    mproc_memory_statistics usage;
    assert_int_equal(mproc_memory_usage(&usage), 0);
    return usage.allocated;
}

static void all_memory_is_back_after_a_storm(void **state)
{
    (void)state;
    size_t before = allocated();
    open_world();
    int killed = kill_storm(work, NULL, WORKERS, (int)seconds * 1000);
    member_sweep_all();
    close_world();
    member_sweep_all();
    print_message("%d killed, %zu bytes left\n", killed, allocated() - before);
    assert_null(heap_audit());
    assert_int_equal(allocated(), before);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seconds = (unsigned)atoi(argv[1]);
    if (argc > 2)
        first_seed = (unsigned)atoi(argv[2]);
    const struct CMUnitTest tests[] = {
        unit(all_memory_is_back_after_a_storm),
    };
    return cmocka_run_group_tests(tests, books_open, NULL);
}
