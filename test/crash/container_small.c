/* The crash cases of sets, namespaces, variables and arrays, and of what changes a container in several steps. As in
 * container.c; an array has of each element the old or the new, and says once that its owner died. */
#include "container_world.h"
#include <mproc/memory.h>

#define FOREVER MPROC_FOREVER

static struct container_world *world_of(void *arg)
{
    return arg;
}

/* ---- worlds ---- */

static void some_set(struct container_world *world)
{
    mproc_set_create(&world->set);
    mproc_set_add(world->set, mproc_int(1), FOREVER);
    mproc_set_add(world->set, mproc_int(2), FOREVER);
}

static void full_set(struct container_world *world)
{
    mproc_set_create(&world->set);
    for (int i = 0; i < 11; i++)
        mproc_set_add(world->set, mproc_int(i), FOREVER);
}

static void some_names(struct container_world *world)
{
    mproc_namespace_create(&world->names);
    mproc_namespace_set(world->names, "one", mproc_int(1), FOREVER);
    mproc_namespace_set(world->names, "two", mproc_int(2), FOREVER);
}

static void some_dict(struct container_world *world)
{
    mproc_dict_create(&world->dict);
    mproc_dict_set(world->dict, mproc_int(1), mproc_int(1), FOREVER);
}

static void some_variable(struct container_world *world)
{
    mproc_variable_create(&world->variable, mproc_int(1));
}

/* ---- the operations ---- */

static void add_item(void *arg)
{
    mproc_set_add(world_of(arg)->set, mproc_int(30), FOREVER);
}

static void remove_item(void *arg)
{
    mproc_set_remove(world_of(arg)->set, mproc_int(1), FOREVER);
}

static void discard_item(void *arg)
{
    mproc_set_discard(world_of(arg)->set, mproc_int(1), FOREVER);
}

static void pop_item(void *arg)
{
    mproc_value item;
    mproc_set_pop(world_of(arg)->set, &item, FOREVER);
}

static void update_set(void *arg)
{
    mproc_value items[] = {mproc_int(30), mproc_int(40)};
    mproc_set_update(world_of(arg)->set, mproc_list_of(items, 2), FOREVER);
}

static void clear_set(void *arg)
{
    mproc_set_clear(world_of(arg)->set, FOREVER);
}

static void set_pair(void *arg)
{
    mproc_dict_set(world_of(arg)->dict, mproc_int(1), mproc_string("another"), FOREVER);
}

static void update_dict(void *arg)
{
    mproc_pair pairs[] = {{mproc_int(1), mproc_string("another")}, {mproc_int(2), mproc_int(2)}};
    mproc_dict_update(world_of(arg)->dict, mproc_dict_of(pairs, 2), FOREVER);
}

static void set_new_name(void *arg)
{
    mproc_namespace_set(world_of(arg)->names, "three", mproc_int(3), FOREVER);
}

static void set_old_name(void *arg)
{
    mproc_namespace_set(world_of(arg)->names, "one", mproc_string("another"), FOREVER);
}

static void delete_name(void *arg)
{
    mproc_namespace_delete(world_of(arg)->names, "one", FOREVER);
}

static void set_variable(void *arg)
{
    mproc_variable_set(world_of(arg)->variable, mproc_string("another"), FOREVER);
}

/* ---- arrays ---- */

static void *build_array_write(void)
{
    struct container_world *world = world_alloc(sizeof *world);
    mproc_array_create(&world->array, ARRAY_ELEMENTS, sizeof(uint64_t));
    return world;
}

static void write_array(void *arg)
{
    uint64_t elements[ARRAY_ELEMENTS];
    for (unsigned i = 0; i < ARRAY_ELEMENTS; i++)
        elements[i] = i + 1;
    mproc_array_write(world_of(arg)->array, 0, ARRAY_ELEMENTS, elements, FOREVER);
}

static void look_at_array(void *arg)
{
    uint64_t element;
    mproc_array_read(world_of(arg)->array, 0, 1, &element, MPROC_SEC(2));
    member_sweep_all();
}

static const char *check_array(void *arg, bool finished)
{
    uint64_t elements[ARRAY_ELEMENTS];
    mproc_array *array = world_of(arg)->array;
    int first = mproc_array_read(array, 0, ARRAY_ELEMENTS, elements, MPROC_SEC(2));
    if (first != 0 && (first != MPROC_OWNER_DIED || finished))
        return "a survivor cannot read it";
    for (unsigned i = 0; i < ARRAY_ELEMENTS; i++)
        if (elements[i] != i + 1 && (finished || elements[i] != 0))
            return "neither the old nor the new element";
    write_array(arg);
    if (mproc_array_read(array, 0, ARRAY_ELEMENTS, elements, MPROC_SEC(2)) != 0 || elements[1] != 2)
        return "a survivor cannot write it";
    return NULL;
}

/* ---- the cases ---- */

static void *build_add(void)
{
    return container_build(some_set, add_item);
}

static void *build_add_to_full(void)
{
    return container_build(full_set, add_item);
}

static void *build_remove(void)
{
    return container_build(some_set, remove_item);
}

static void *build_discard(void)
{
    return container_build(some_set, discard_item);
}

static void *build_pop(void)
{
    return container_build(some_set, pop_item);
}

static void *build_update_set(void)
{
    return container_build_steps(some_set, add_item, update_set);
}

static void *build_clear_set(void)
{
    return container_build(some_set, clear_set);
}

static void *build_update_dict(void)
{
    return container_build_steps(some_dict, set_pair, update_dict);
}

static void *build_set_new_name(void)
{
    return container_build(some_names, set_new_name);
}

static void *build_set_old_name(void)
{
    return container_build(some_names, set_old_name);
}

static void *build_delete_name(void)
{
    return container_build(some_names, delete_name);
}

static void *build_set_variable(void)
{
    return container_build(some_variable, set_variable);
}

const struct crash_case small_container_cases[] = {
    {"set_add", "some", build_add, NULL, add_item, container_check, container_destroy, container_repair},
    {"set_add", "about to grow", build_add_to_full, NULL, add_item, container_check, container_destroy, NULL},
    {"set_remove", "some", build_remove, NULL, remove_item, container_check, container_destroy, container_repair},
    {"set_discard", "some", build_discard, NULL, discard_item, container_check, container_destroy, NULL},
    {"set_pop", "some", build_pop, NULL, pop_item, container_check, container_destroy, container_repair},
    {"set_update", "two items", build_update_set, NULL, update_set, container_check, container_destroy, NULL},
    {"set_clear", "some", build_clear_set, NULL, clear_set, container_check, container_destroy, NULL},
    {"dict_update", "two pairs", build_update_dict, NULL, update_dict, container_check, container_destroy, NULL},
    {"namespace_set", "a new name", build_set_new_name, NULL, set_new_name, container_check, container_destroy,
     container_repair},
    {"namespace_set", "a name that is there", build_set_old_name, NULL, set_old_name, container_check,
     container_destroy, NULL},
    {"namespace_delete", "some", build_delete_name, NULL, delete_name, container_check, container_destroy,
     container_repair},
    {"variable_set", "some", build_set_variable, NULL, set_variable, container_check, container_destroy,
     container_repair},
    {"array_write", "all elements", build_array_write, NULL, write_array, check_array, container_destroy,
     look_at_array},
    {0},
};
