/* See container_world.h. */
#include "container_world.h"

#include <mproc/memory.h>
#include <stdlib.h>
#include <string.h>

#define FOREVER MPROC_FOREVER

/* What the world shows before, in the middle and after the operation; the tester's own. */
static char *before;
static char *between;
static char *after;

mproc_value container_large_string(void)
{
    static char large[100000];
    return mproc_string_of(large, sizeof large);
}

/* ---- what there is to see ---- */

static int snapshot(const struct container_world *world, mproc_value *seen)
{
    if (world->dict)
        return mproc_dict_copy(world->dict, seen, MPROC_SEC(2));
    if (world->list)
        return mproc_list_copy(world->list, seen, MPROC_SEC(2));
    if (world->set)
        return mproc_set_copy(world->set, seen, MPROC_SEC(2));
    if (world->names)
        return mproc_namespace_copy(world->names, seen, MPROC_SEC(2));
    return mproc_variable_get(world->variable, seen, MPROC_SEC(2));
}

char *container_show(const struct container_world *world)
{
    mproc_value seen;
    if (snapshot(world, &seen))
        return NULL;
    char *text = mproc_value_repr(seen);
    mproc_value_free(&seen);
    return text;
}

const char *container_before(void)
{
    return before;
}

/* Whether each key is found, and no more are counted. */
static bool is_whole_dict(const struct container_world *world, const mproc_value *seen)
{
    size_t length = 0;
    bool whole = mproc_dict_length(world->dict, &length, FOREVER) == 0 && length == seen->size;
    for (size_t i = 0; i < seen->size; i++) {
        mproc_value found;
        whole = whole && mproc_dict_get(world->dict, seen->pairs[i].key, &found, FOREVER) == 0 &&
                mproc_value_equal(found, seen->pairs[i].value);
        mproc_value_free(&found);
    }
    return whole;
}

static bool is_whole_set(const struct container_world *world, const mproc_value *seen)
{
    size_t length = 0;
    bool whole = mproc_set_length(world->set, &length, FOREVER) == 0 && length == seen->size;
    for (size_t i = 0; i < seen->size; i++)
        whole = whole && mproc_set_contains(world->set, seen->items[i], FOREVER) == 0;
    return whole;
}

static bool is_whole_namespace(const struct container_world *world, const mproc_value *seen)
{
    bool whole = true;
    for (size_t i = 0; i < seen->size; i++) {
        mproc_value found;
        whole = whole && mproc_namespace_get(world->names, seen->pairs[i].key.string, &found, FOREVER) == 0 &&
                mproc_value_equal(found, seen->pairs[i].value);
        mproc_value_free(&found);
    }
    return whole;
}

static bool is_whole(const struct container_world *world)
{
    mproc_value seen;
    if (snapshot(world, &seen))
        return false;
    bool whole = (!world->dict || is_whole_dict(world, &seen)) && (!world->set || is_whole_set(world, &seen)) &&
                 (!world->names || is_whole_namespace(world, &seen));
    mproc_value_free(&seen);
    return whole;
}

/* ---- worlds ---- */

void container_drop(struct container_world *world)
{
    world->dict = mproc_dict_free(world->dict);
    world->list = mproc_list_free(world->list);
    world->set = mproc_set_free(world->set);
    world->names = mproc_namespace_free(world->names);
    world->variable = mproc_variable_free(world->variable);
    world->array = mproc_array_free(world->array);
}

void *container_build_steps(container_fill *fill, container_change *half, container_change *operate)
{
    struct container_world twin = {0};
    free(before);
    free(between);
    free(after);
    heap_note();
    fill(&twin);
    before = container_show(&twin);
    half(&twin);
    between = container_show(&twin);
    operate(&twin);
    after = container_show(&twin);
    container_drop(&twin);
    struct container_world *world = world_alloc(sizeof *world);
    fill(world);
    return world;
}

static void change_nothing(void *world)
{
    (void)world;
}

void *container_build(container_fill *fill, container_change *operate)
{
    return container_build_steps(fill, change_nothing, operate);
}

/* ---- afterwards ---- */

void container_repair(void *arg)
{
    free(container_show(arg));
    member_sweep_all();
}

/* Change what is there: a survivor can. */
static bool goes_on(struct container_world *world)
{
    mproc_value value = mproc_int(500);
    if (world->dict)
        return mproc_dict_set(world->dict, value, mproc_int(1), FOREVER) == 0 &&
               mproc_dict_delete(world->dict, value, FOREVER) == 0;
    if (world->list)
        return mproc_list_append(world->list, value, FOREVER) == 0 &&
               mproc_list_pop(world->list, -1, &value, FOREVER) == 0 && value.integer == 500;
    if (world->set)
        return mproc_set_add(world->set, value, FOREVER) == 0 && mproc_set_remove(world->set, value, FOREVER) == 0;
    if (world->names)
        return mproc_namespace_set(world->names, "more", value, FOREVER) == 0 &&
               mproc_namespace_delete(world->names, "more", FOREVER) == 0;
    return mproc_variable_set(world->variable, value, FOREVER) == 0;
}

const char *container_check(void *arg, bool finished)
{
    struct container_world *world = arg;
    const char *wrong = NULL;
    char *seen = container_show(world);
    if (!seen || !before || !between || !after)
        return "a survivor cannot look at it";
    if (strcmp(seen, after) != 0 && (finished || (strcmp(seen, before) != 0 && strcmp(seen, between) != 0)))
        wrong = finished ? "it was not done" : "neither the old nor the new contents";
    free(seen);
    if (!wrong && (!is_whole(world) || !goes_on(world) || !is_whole(world)))
        wrong = "a survivor cannot use it";
    container_drop(world);
    return wrong ? wrong : heap_balance(mproc_usable_size(world));
}

void container_destroy(void *arg)
{
    container_drop(arg);
    mproc_free(arg);
}
