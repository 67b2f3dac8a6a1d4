/* The crash cases of making a container whose address goes to shared memory. Whenever the victim dies, its place has a
 * whole container or nothing, and no byte is left that nobody could free. */
#include "container_world.h"
#include <mproc/memory.h>
#include <stdlib.h>
#include <string.h>

static void *build_nothing(void)
{
    heap_note();
    struct container_world *world = world_alloc(sizeof *world);
    memset(world, 0, sizeof *world);
    return world;
}

/* ---- the operations ---- */

static void make_dict(void *arg)
{
    mproc_dict_create(&((struct container_world *)arg)->dict);
}

static void make_variable(void *arg)
{
    mproc_variable_create(&((struct container_world *)arg)->variable, mproc_string("what a variable holds"));
}

static void make_large_variable(void *arg)
{
    mproc_variable_create(&((struct container_world *)arg)->variable, container_large_string());
}

static void make_array(void *arg)
{
    mproc_array_create(&((struct container_world *)arg)->array, ARRAY_ELEMENTS, sizeof(uint64_t));
}

static void make_large_array(void *arg)
{
    mproc_array_create(&((struct container_world *)arg)->array, 300000, sizeof(uint64_t));
}

/* ---- afterwards ---- */

static const char *check_array(const struct container_world *world)
{
    uint64_t elements[ARRAY_ELEMENTS];
    if (mproc_array_read(world->array, 0, ARRAY_ELEMENTS, elements, MPROC_SEC(2)))
        return "a survivor cannot read it";
    return elements[1] == 0 ? NULL : "it is not zero";
}

static const char *check_contents(const struct container_world *world)
{
    char *shown = container_show(world);
    bool is_whole = shown && (world->variable ? strlen(shown) > 2 : strcmp(shown, "{}") == 0);
    free(shown);
    return is_whole ? NULL : "it is not whole";
}

static const char *check(void *arg, bool finished)
{
    struct container_world *world = arg;
    const char *wrong = NULL;
    if (world->array)
        wrong = check_array(world);
    else if (world->dict || world->variable)
        wrong = check_contents(world);
    else if (finished)
        wrong = "there is none";
    member_sweep_all();
    container_drop(world);
    return wrong ? wrong : heap_balance(mproc_usable_size(world));
}

/* Whoever sweeps may die in it, too. */
static void repair(void *arg)
{
    (void)arg;
    member_sweep_all();
}

const struct crash_case make_container_cases[] = {
    {"dict_create", "in shared memory", build_nothing, NULL, make_dict, check, container_destroy, repair},
    {"variable_create", "in shared memory", build_nothing, NULL, make_variable, check, container_destroy, repair},
    {"variable_create", "a large value", build_nothing, NULL, make_large_variable, check, container_destroy, repair},
    {"array_create", "in shared memory", build_nothing, NULL, make_array, check, container_destroy, NULL},
    {"array_create", "large", build_nothing, NULL, make_large_array, check, container_destroy, NULL},
    {0},
};
