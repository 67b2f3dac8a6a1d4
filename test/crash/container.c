/* The crash cases of dicts and lists. Whatever the victim does, the container has what it had before, or what the
 * operation makes of it; every key is found; and with it all memory goes back. */
#include "container_world.h"
#include <stddef.h>

/* ---- worlds ---- */

static void dict_of(struct container_world *world, int count)
{
    mproc_dict_create(&world->dict);
    for (int i = 0; i < count; i++)
        mproc_dict_set(world->dict, mproc_int(i), mproc_int(i), MPROC_FOREVER);
}

static void empty_dict(struct container_world *world)
{
    dict_of(world, 0);
}

static void some_pairs(struct container_world *world)
{
    dict_of(world, 3);
}

static void full_table(struct container_world *world)
{
    dict_of(world, 11);
}

static void table_with_gaps(struct container_world *world)
{
    dict_of(world, 11);
    mproc_dict_delete(world->dict, mproc_int(1), MPROC_FOREVER);
    mproc_dict_delete(world->dict, mproc_int(5), MPROC_FOREVER);
}

static void large_table(struct container_world *world)
{
    dict_of(world, 12);
    for (int i = 0; i < 10; i++)
        mproc_dict_delete(world->dict, mproc_int(i), MPROC_FOREVER);
}

static void list_of(struct container_world *world, int count)
{
    mproc_list_create(&world->list);
    for (int i = 0; i < count; i++)
        mproc_list_append(world->list, mproc_int(i * 7 % 5), MPROC_FOREVER);
}

static void empty_list(struct container_world *world)
{
    list_of(world, 0);
}

static void some_items(struct container_world *world)
{
    list_of(world, 4);
}

static void full_list(struct container_world *world)
{
    list_of(world, 8);
}

/* The next item that goes takes the table along. */
static void large_list(struct container_world *world)
{
    list_of(world, 9);
    for (int i = 0; i < 7; i++)
        mproc_list_delete(world->list, 0, MPROC_FOREVER);
}

/* ---- the operations ---- */

static void set_key(void *arg, mproc_value key, mproc_value value)
{
    mproc_dict_set(((struct container_world *)arg)->dict, key, value, MPROC_FOREVER);
}

static void set_new(void *arg)
{
    set_key(arg, mproc_int(99), mproc_int(5));
}

static void set_old(void *arg)
{
    set_key(arg, mproc_int(1), mproc_string("another"));
}

static void set_large(void *arg)
{
    set_key(arg, mproc_int(1), container_large_string());
}

static void set_other_form(void *arg)
{
    set_key(arg, mproc_double(77.0), mproc_int(5));
}

static void delete_key(void *arg)
{
    mproc_dict_delete(((struct container_world *)arg)->dict, mproc_int(1), MPROC_FOREVER);
}

static void delete_ten(void *arg)
{
    mproc_dict_delete(((struct container_world *)arg)->dict, mproc_int(10), MPROC_FOREVER);
}

static void pop_key(void *arg)
{
    mproc_value value;
    mproc_dict_pop(((struct container_world *)arg)->dict, mproc_int(1), &value, MPROC_FOREVER);
}

static void pop_pair(void *arg)
{
    mproc_value key, value;
    mproc_dict_popitem(((struct container_world *)arg)->dict, &key, &value, MPROC_FOREVER);
}

static void set_default(void *arg)
{
    mproc_dict_setdefault(((struct container_world *)arg)->dict, mproc_int(99), mproc_int(5), NULL, MPROC_FOREVER);
}

static void replace(void *arg)
{
    mproc_dict_replace(((struct container_world *)arg)->dict, mproc_int(1), mproc_int(1), mproc_int(5), MPROC_FOREVER);
}

static void add(void *arg)
{
    mproc_dict_add(((struct container_world *)arg)->dict, mproc_int(1), mproc_int(5), NULL, MPROC_FOREVER);
}

static void clear_dict(void *arg)
{
    mproc_dict_clear(((struct container_world *)arg)->dict, MPROC_FOREVER);
}

static mproc_list *list_in(void *arg)
{
    return ((struct container_world *)arg)->list;
}

static void append(void *arg)
{
    mproc_list_append(list_in(arg), mproc_int(9), MPROC_FOREVER);
}

static void append_large(void *arg)
{
    mproc_list_append(list_in(arg), container_large_string(), MPROC_FOREVER);
}

static void set_item(void *arg)
{
    mproc_list_set(list_in(arg), 1, mproc_string("another"), MPROC_FOREVER);
}

static void insert_first(void *arg)
{
    mproc_list_insert(list_in(arg), 0, mproc_int(9), MPROC_FOREVER);
}

static void insert_between(void *arg)
{
    mproc_list_insert(list_in(arg), 2, mproc_int(9), MPROC_FOREVER);
}

static void delete_first(void *arg)
{
    mproc_list_delete(list_in(arg), 0, MPROC_FOREVER);
}

static void delete_between(void *arg)
{
    mproc_list_delete(list_in(arg), 1, MPROC_FOREVER);
}

static void pop_last(void *arg)
{
    mproc_value value;
    mproc_list_pop(list_in(arg), -1, &value, MPROC_FOREVER);
}

static void remove_item(void *arg)
{
    mproc_list_remove(list_in(arg), mproc_int(2), MPROC_FOREVER);
}

static void extend(void *arg)
{
    mproc_value items[] = {mproc_int(7), mproc_string("eight")};
    mproc_list_extend(list_in(arg), mproc_list_of(items, 2), MPROC_FOREVER);
}

static void set_slice(void *arg)
{
    mproc_value items[] = {mproc_int(7), mproc_int(8), mproc_int(9)};
    mproc_list_set_slice(list_in(arg), 1, 3, 1, mproc_list_of(items, 3), MPROC_FOREVER);
}

static void set_every_other(void *arg)
{
    mproc_value items[] = {mproc_int(7), mproc_int(8)};
    mproc_list_set_slice(list_in(arg), MPROC_SLICE_OPEN, MPROC_SLICE_OPEN, -2, mproc_list_of(items, 2), MPROC_FOREVER);
}

static void delete_every_other(void *arg)
{
    mproc_list_delete_slice(list_in(arg), 0, MPROC_SLICE_OPEN, 2, MPROC_FOREVER);
}

static void reverse(void *arg)
{
    mproc_list_reverse(list_in(arg), MPROC_FOREVER);
}

static void sort(void *arg)
{
    mproc_list_sort(list_in(arg), false, MPROC_FOREVER);
}

static void clear_list(void *arg)
{
    mproc_list_clear(list_in(arg), MPROC_FOREVER);
}

/* ---- the cases ---- */

static void *build_set_new_some_pairs(void)
{
    return container_build(some_pairs, set_new);
}

static void *build_set_new_empty_dict(void)
{
    return container_build(empty_dict, set_new);
}

static void *build_set_old_some_pairs(void)
{
    return container_build(some_pairs, set_old);
}

static void *build_set_large_some_pairs(void)
{
    return container_build(some_pairs, set_large);
}

static void *build_set_other_form_some_pairs(void)
{
    return container_build(some_pairs, set_other_form);
}

static void *build_set_new_full_table(void)
{
    return container_build(full_table, set_new);
}

static void *build_set_new_table_with_gaps(void)
{
    return container_build(table_with_gaps, set_new);
}

static void *build_delete_key_some_pairs(void)
{
    return container_build(some_pairs, delete_key);
}

static void *build_delete_ten_large_table(void)
{
    return container_build(large_table, delete_ten);
}

static void *build_pop_key_some_pairs(void)
{
    return container_build(some_pairs, pop_key);
}

static void *build_pop_pair_some_pairs(void)
{
    return container_build(some_pairs, pop_pair);
}

static void *build_set_default_some_pairs(void)
{
    return container_build(some_pairs, set_default);
}

static void *build_replace_some_pairs(void)
{
    return container_build(some_pairs, replace);
}

static void *build_add_some_pairs(void)
{
    return container_build(some_pairs, add);
}

static void *build_clear_dict_some_pairs(void)
{
    return container_build(some_pairs, clear_dict);
}

static void *build_append_some_items(void)
{
    return container_build(some_items, append);
}

static void *build_append_empty_list(void)
{
    return container_build(empty_list, append);
}

static void *build_append_large_some_items(void)
{
    return container_build(some_items, append_large);
}

static void *build_append_full_list(void)
{
    return container_build(full_list, append);
}

static void *build_set_item_some_items(void)
{
    return container_build(some_items, set_item);
}

static void *build_insert_first_some_items(void)
{
    return container_build(some_items, insert_first);
}

static void *build_insert_first_full_list(void)
{
    return container_build(full_list, insert_first);
}

static void *build_insert_between_some_items(void)
{
    return container_build(some_items, insert_between);
}

static void *build_delete_first_some_items(void)
{
    return container_build(some_items, delete_first);
}

static void *build_delete_between_some_items(void)
{
    return container_build(some_items, delete_between);
}

static void *build_delete_first_large_list(void)
{
    return container_build(large_list, delete_first);
}

static void *build_pop_last_some_items(void)
{
    return container_build(some_items, pop_last);
}

static void *build_remove_item_some_items(void)
{
    return container_build(some_items, remove_item);
}

static void *build_extend_some_items(void)
{
    return container_build(some_items, extend);
}

static void *build_extend_full_list(void)
{
    return container_build(full_list, extend);
}

static void *build_set_slice_some_items(void)
{
    return container_build(some_items, set_slice);
}

static void *build_set_every_other_some_items(void)
{
    return container_build(some_items, set_every_other);
}

static void *build_delete_every_other_some_items(void)
{
    return container_build(some_items, delete_every_other);
}

static void *build_reverse_some_items(void)
{
    return container_build(some_items, reverse);
}

static void *build_sort_some_items(void)
{
    return container_build(some_items, sort);
}

static void *build_clear_list_some_items(void)
{
    return container_build(some_items, clear_list);
}

const struct crash_case container_cases[] = {
    {"dict_set", "a new key", build_set_new_some_pairs, NULL, set_new, container_check, container_destroy,
     container_repair},
    {"dict_set", "the first key", build_set_new_empty_dict, NULL, set_new, container_check, container_destroy,
     container_repair},
    {"dict_set", "a key that is there", build_set_old_some_pairs, NULL, set_old, container_check, container_destroy,
     container_repair},
    {"dict_set", "a large value", build_set_large_some_pairs, NULL, set_large, container_check, container_destroy,
     NULL},
    {"dict_set", "a key of another form", build_set_other_form_some_pairs, NULL, set_other_form, container_check,
     container_destroy, NULL},
    {"dict_set", "about to grow", build_set_new_full_table, NULL, set_new, container_check, container_destroy,
     container_repair},
    {"dict_set", "about to close gaps", build_set_new_table_with_gaps, NULL, set_new, container_check,
     container_destroy, container_repair},
    {"dict_delete", "some", build_delete_key_some_pairs, NULL, delete_key, container_check, container_destroy,
     container_repair},
    {"dict_delete", "about to shrink", build_delete_ten_large_table, NULL, delete_ten, container_check,
     container_destroy, container_repair},
    {"dict_pop", "some", build_pop_key_some_pairs, NULL, pop_key, container_check, container_destroy, NULL},
    {"dict_popitem", "some", build_pop_pair_some_pairs, NULL, pop_pair, container_check, container_destroy, NULL},
    {"dict_setdefault", "some", build_set_default_some_pairs, NULL, set_default, container_check, container_destroy,
     NULL},
    {"dict_replace", "some", build_replace_some_pairs, NULL, replace, container_check, container_destroy, NULL},
    {"dict_add", "some", build_add_some_pairs, NULL, add, container_check, container_destroy, NULL},
    {"dict_clear", "some", build_clear_dict_some_pairs, NULL, clear_dict, container_check, container_destroy,
     container_repair},
    {"list_append", "some", build_append_some_items, NULL, append, container_check, container_destroy,
     container_repair},
    {"list_append", "the first item", build_append_empty_list, NULL, append, container_check, container_destroy, NULL},
    {"list_append", "a large item", build_append_large_some_items, NULL, append_large, container_check,
     container_destroy, NULL},
    {"list_append", "about to grow", build_append_full_list, NULL, append, container_check, container_destroy,
     container_repair},
    {"list_set", "some", build_set_item_some_items, NULL, set_item, container_check, container_destroy,
     container_repair},
    {"list_insert", "before the first", build_insert_first_some_items, NULL, insert_first, container_check,
     container_destroy, NULL},
    {"list_insert", "about to grow", build_insert_first_full_list, NULL, insert_first, container_check,
     container_destroy, NULL},
    {"list_insert", "between", build_insert_between_some_items, NULL, insert_between, container_check,
     container_destroy, container_repair},
    {"list_delete", "the first", build_delete_first_some_items, NULL, delete_first, container_check, container_destroy,
     NULL},
    {"list_delete", "between", build_delete_between_some_items, NULL, delete_between, container_check,
     container_destroy, container_repair},
    {"list_delete", "about to shrink", build_delete_first_large_list, NULL, delete_first, container_check,
     container_destroy, container_repair},
    {"list_pop", "the last", build_pop_last_some_items, NULL, pop_last, container_check, container_destroy,
     container_repair},
    {"job_list_remove", "some", build_remove_item_some_items, NULL, remove_item, container_check, container_destroy,
     NULL},
    {"list_extend", "some", build_extend_some_items, NULL, extend, container_check, container_destroy,
     container_repair},
    {"list_extend", "about to grow", build_extend_full_list, NULL, extend, container_check, container_destroy, NULL},
    {"list_set_slice", "step 1", build_set_slice_some_items, NULL, set_slice, container_check, container_destroy,
     container_repair},
    {"list_set_slice", "step -2", build_set_every_other_some_items, NULL, set_every_other, container_check,
     container_destroy, container_repair},
    {"list_delete_slice", "step 2", build_delete_every_other_some_items, NULL, delete_every_other, container_check,
     container_destroy, container_repair},
    {"list_reverse", "some", build_reverse_some_items, NULL, reverse, container_check, container_destroy, NULL},
    {"list_sort", "some", build_sort_some_items, NULL, sort, container_check, container_destroy, NULL},
    {"list_clear", "some", build_clear_list_some_items, NULL, clear_list, container_check, container_destroy,
     container_repair},
    {0},
};
