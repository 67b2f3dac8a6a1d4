/* The crash cases of freeing a container. Whatever the victim does, there is a container, whole or empty, that another
 * can free, or there is none; and no byte is left. */
#include "container_world.h"
#include <mproc/memory.h>
#include <stdlib.h>
#include <string.h>

#define FOREVER MPROC_FOREVER

/* ---- worlds ---- */

static void some_dict(struct container_world *world)
{
    mproc_dict_create(&world->dict);
    for (int i = 0; i < 3; i++)
        mproc_dict_set(world->dict, mproc_int(i), mproc_int(i), FOREVER);
}

static void large_value(struct container_world *world)
{
    mproc_dict_create(&world->dict);
    mproc_dict_set(world->dict, mproc_int(1), container_large_string(), FOREVER);
}

static void some_list(struct container_world *world)
{
    mproc_list_create(&world->list);
    for (int i = 0; i < 3; i++)
        mproc_list_append(world->list, mproc_int(i), FOREVER);
}

static void some_set(struct container_world *world)
{
    mproc_set_create(&world->set);
    for (int i = 0; i < 3; i++)
        mproc_set_add(world->set, mproc_int(i), FOREVER);
}

static void some_names(struct container_world *world)
{
    mproc_namespace_create(&world->names);
    mproc_namespace_set(world->names, "one", mproc_int(1), FOREVER);
    mproc_namespace_set(world->names, "two", mproc_int(2), FOREVER);
}

static void some_variable(struct container_world *world)
{
    mproc_variable_create(&world->variable, mproc_string("what a variable holds"));
}

/* ---- the operation ---- */

static void note_victim(void *arg)
{
    ((struct container_world *)arg)->victim = member_self();
}

/* The world keeps the address, as everybody does who has it elsewhere. */
static void free_it(void *arg)
{
    struct container_world copy = *(struct container_world *)arg;
    container_drop(&copy);
}

/* ---- afterwards ---- */

static void *object_in(const struct container_world *world)
{
    void *const objects[] = {world->dict, world->list, world->set, world->names, world->variable, world->array};
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        if (objects[i])
            return objects[i];
    return NULL;
}

/* Whoever knows that the victim is dead frees what it left. The sweep goes first here, and last in check. */
static void repair(void *arg)
{
    struct container_world *world = arg;
    if (!member_is_dead(world->victim))
        return;
    member_sweep_all();
    free(container_show(world));
    free_it(world);
}

static bool is_empty(const char *shown)
{
    return strcmp(shown, "{}") == 0 || strcmp(shown, "[]") == 0 || strcmp(shown, "set()") == 0;
}

static const char *check_contents(const struct container_world *world)
{
    char *shown = container_show(world);
    bool right = shown ? strcmp(shown, container_before()) == 0 || is_empty(shown) : world->variable != NULL;
    free(shown);
    return right ? NULL : "it is neither whole nor empty";
}

static const char *check_array(const struct container_world *world)
{
    uint64_t elements[ARRAY_ELEMENTS];
    if (mproc_array_read(world->array, 0, ARRAY_ELEMENTS, elements, MPROC_SEC(2)))
        return "a survivor cannot read it";
    return elements[1] == 2 ? NULL : "it is not whole";
}

static const char *check(void *arg, bool finished)
{
    struct container_world *world = arg;
    const char *wrong = NULL;
    if (mproc_object_type(object_in(world)))
        wrong = finished ? "it is still there" : world->array ? check_array(world) : check_contents(world);
    container_drop(world);
    return wrong ? wrong : heap_balance(mproc_usable_size(world));
}

/* ---- the cases ---- */

static void change_nothing(void *world)
{
    (void)world;
}

static void *build_dict(void)
{
    return container_build(some_dict, change_nothing);
}

static void *build_large_value(void)
{
    return container_build(large_value, change_nothing);
}

static void *build_list(void)
{
    return container_build(some_list, change_nothing);
}

static void *build_set(void)
{
    return container_build(some_set, change_nothing);
}

static void *build_namespace(void)
{
    return container_build(some_names, change_nothing);
}

static void *build_variable(void)
{
    return container_build(some_variable, change_nothing);
}

static void *build_array_of(size_t elements)
{
    const uint64_t two = 2;
    heap_note();
    struct container_world *world = world_alloc(sizeof *world);
    mproc_array_create(&world->array, elements, sizeof(uint64_t));
    mproc_array_write(world->array, 1, 1, &two, FOREVER);
    return world;
}

static void *build_small_array(void)
{
    return build_array_of(ARRAY_ELEMENTS);
}

static void *build_medium_array(void)
{
    return build_array_of(20000);
}

/* Its pages go back to the kernel before it is free. */
static void *build_large_array(void)
{
    return build_array_of(300000);
}

const struct crash_case free_container_cases[] = {
    {"dict_free", "some", build_dict, note_victim, free_it, check, container_destroy, repair},
    {"dict_free", "a large value", build_large_value, note_victim, free_it, check, container_destroy, NULL},
    {"list_free", "some", build_list, note_victim, free_it, check, container_destroy, repair},
    {"set_free", "some", build_set, note_victim, free_it, check, container_destroy, NULL},
    {"namespace_free", "some", build_namespace, note_victim, free_it, check, container_destroy, NULL},
    {"variable_free", "some", build_variable, note_victim, free_it, check, container_destroy, repair},
    {"array_free", "small", build_small_array, note_victim, free_it, check, container_destroy, repair},
    {"array_free", "medium", build_medium_array, note_victim, free_it, check, container_destroy, NULL},
    {"array_free", "large", build_large_array, note_victim, free_it, check, container_destroy, repair},
    {0},
};
