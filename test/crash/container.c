/* The crash cases of containers. Whatever the victim does, the container has what it had before, or what the operation
 * makes of it; every key is found; and with it all memory goes back. */
#include "arena/member.h"
#include "crash.h"
#include <mproc/containers.h>
#include <mproc/memory.h>
#include <stdlib.h>
#include <string.h>

#define FOREVER MPROC_FOREVER

struct container_world {
    mproc_dict *dict;
    mproc_list *list;
    mproc_set *set;
    mproc_variable *variable;
};

/* What the world shows before and after the operation, as text; the tester's own. */
static char *before;
static char *after;

static char large[100000];

static mproc_value number(int64_t integer)
{
    return mproc_int(integer);
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
    return mproc_variable_get(world->variable, seen, MPROC_SEC(2));
}

static char *show(const struct container_world *world)
{
    mproc_value seen;
    if (snapshot(world, &seen))
        return NULL;
    char *text = mproc_value_repr(seen);
    mproc_value_free(&seen);
    return text;
}

/* Whether each key is found, and no more are counted. */
static bool is_whole(const struct container_world *world)
{
    mproc_value seen;
    size_t length = 0;
    if (!world->dict)
        return true;
    if (snapshot(world, &seen))
        return false;
    bool whole = mproc_dict_length(world->dict, &length, FOREVER) == 0 && length == seen.size;
    for (size_t i = 0; i < seen.size; i++) {
        mproc_value found;
        whole = whole && mproc_dict_get(world->dict, seen.pairs[i].key, &found, FOREVER) == 0 &&
                mproc_value_equal(found, seen.pairs[i].value);
        mproc_value_free(&found);
    }
    mproc_value_free(&seen);
    return whole;
}

/* ---- worlds ---- */

static void drop(struct container_world *world)
{
    world->dict = mproc_dict_free(world->dict);
    world->list = mproc_list_free(world->list);
    world->set = mproc_set_free(world->set);
    world->variable = mproc_variable_free(world->variable);
}

typedef void change(void *world);
typedef void fill(struct container_world *world);

/* A world, and what is to come of it: found out with another one. */
static void *build(fill *make, change *operate)
{
    struct container_world twin = {0};
    free(before);
    free(after);
    heap_note();
    make(&twin);
    before = show(&twin);
    operate(&twin);
    after = show(&twin);
    drop(&twin);
    struct container_world *world = world_alloc(sizeof *world);
    make(world);
    return world;
}

static void dict_of(struct container_world *world, int count)
{
    mproc_dict_create(&world->dict);
    for (int i = 0; i < count; i++)
        mproc_dict_set(world->dict, number(i), number(i), FOREVER);
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
    mproc_dict_delete(world->dict, number(1), FOREVER);
    mproc_dict_delete(world->dict, number(5), FOREVER);
}

static void large_table(struct container_world *world)
{
    dict_of(world, 12);
    for (int i = 0; i < 10; i++)
        mproc_dict_delete(world->dict, number(i), FOREVER);
}

static void list_of(struct container_world *world, int count)
{
    mproc_list_create(&world->list);
    for (int i = 0; i < count; i++)
        mproc_list_append(world->list, number(i * 7 % 5), FOREVER);
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
        mproc_list_delete(world->list, 0, FOREVER);
}

static void some_set(struct container_world *world)
{
    mproc_set_create(&world->set);
    mproc_set_add(world->set, number(1), FOREVER);
    mproc_set_add(world->set, number(2), FOREVER);
}

static void some_variable(struct container_world *world)
{
    mproc_variable_create(&world->variable, number(1));
}

/* ---- the operations ---- */

static void set_key(void *arg, mproc_value key, mproc_value value)
{
    mproc_dict_set(((struct container_world *)arg)->dict, key, value, FOREVER);
}

static void set_new(void *arg)
{
    set_key(arg, number(99), number(5));
}

static void set_old(void *arg)
{
    set_key(arg, number(1), mproc_string("another"));
}

static void set_large(void *arg)
{
    set_key(arg, number(1), mproc_string_of(large, sizeof large));
}

static void set_other_form(void *arg)
{
    set_key(arg, mproc_double(77.0), number(5));
}

static void delete_key(void *arg)
{
    mproc_dict_delete(((struct container_world *)arg)->dict, number(1), FOREVER);
}

static void delete_ten(void *arg)
{
    mproc_dict_delete(((struct container_world *)arg)->dict, number(10), FOREVER);
}

static void pop_key(void *arg)
{
    mproc_value value;
    mproc_dict_pop(((struct container_world *)arg)->dict, number(1), &value, FOREVER);
}

static void pop_pair(void *arg)
{
    mproc_value key, value;
    mproc_dict_popitem(((struct container_world *)arg)->dict, &key, &value, FOREVER);
}

static void set_default(void *arg)
{
    mproc_dict_setdefault(((struct container_world *)arg)->dict, number(99), number(5), NULL, FOREVER);
}

static void replace(void *arg)
{
    mproc_dict_replace(((struct container_world *)arg)->dict, number(1), number(1), number(5), FOREVER);
}

static void add(void *arg)
{
    mproc_dict_add(((struct container_world *)arg)->dict, number(1), number(5), NULL, FOREVER);
}

static void clear_dict(void *arg)
{
    mproc_dict_clear(((struct container_world *)arg)->dict, FOREVER);
}

static mproc_list *list_in(void *arg)
{
    return ((struct container_world *)arg)->list;
}

static void append(void *arg)
{
    mproc_list_append(list_in(arg), number(9), FOREVER);
}

static void append_large(void *arg)
{
    mproc_list_append(list_in(arg), mproc_string_of(large, sizeof large), FOREVER);
}

static void set_item(void *arg)
{
    mproc_list_set(list_in(arg), 1, mproc_string("another"), FOREVER);
}

static void insert_first(void *arg)
{
    mproc_list_insert(list_in(arg), 0, number(9), FOREVER);
}

static void insert_between(void *arg)
{
    mproc_list_insert(list_in(arg), 2, number(9), FOREVER);
}

static void delete_first(void *arg)
{
    mproc_list_delete(list_in(arg), 0, FOREVER);
}

static void delete_between(void *arg)
{
    mproc_list_delete(list_in(arg), 1, FOREVER);
}

static void pop_last(void *arg)
{
    mproc_value value;
    mproc_list_pop(list_in(arg), -1, &value, FOREVER);
}

static void remove_item(void *arg)
{
    mproc_list_remove(list_in(arg), number(2), FOREVER);
}

static void extend(void *arg)
{
    mproc_value items[] = {number(7), mproc_string("eight")};
    mproc_list_extend(list_in(arg), mproc_list_of(items, 2), FOREVER);
}

static void set_slice(void *arg)
{
    mproc_value items[] = {number(7), number(8), number(9)};
    mproc_list_set_slice(list_in(arg), 1, 3, 1, mproc_list_of(items, 3), FOREVER);
}

static void set_every_other(void *arg)
{
    mproc_value items[] = {number(7), number(8)};
    mproc_list_set_slice(list_in(arg), MPROC_SLICE_OPEN, MPROC_SLICE_OPEN, -2, mproc_list_of(items, 2), FOREVER);
}

static void delete_every_other(void *arg)
{
    mproc_list_delete_slice(list_in(arg), 0, MPROC_SLICE_OPEN, 2, FOREVER);
}

static void reverse(void *arg)
{
    mproc_list_reverse(list_in(arg), FOREVER);
}

static void sort(void *arg)
{
    mproc_list_sort(list_in(arg), false, FOREVER);
}

static void clear_list(void *arg)
{
    mproc_list_clear(list_in(arg), FOREVER);
}

static void add_item(void *arg)
{
    mproc_set_add(((struct container_world *)arg)->set, number(3), FOREVER);
}

static void set_variable(void *arg)
{
    mproc_variable_set(((struct container_world *)arg)->variable, mproc_string("another"), FOREVER);
}

/* ---- afterwards ---- */

static void repair(void *arg)
{
    free(show(arg));
    member_sweep_all();
}

/* Change what is there: a survivor can. */
static bool goes_on(struct container_world *world)
{
    mproc_value value;
    if (world->dict)
        return mproc_dict_set(world->dict, number(500), number(1), FOREVER) == 0 &&
               mproc_dict_delete(world->dict, number(500), FOREVER) == 0;
    if (world->list)
        return mproc_list_append(world->list, number(500), FOREVER) == 0 &&
               mproc_list_pop(world->list, -1, &value, FOREVER) == 0 && value.integer == 500;
    return true;
}

static const char *check(void *arg, bool finished)
{
    struct container_world *world = arg;
    const char *wrong = NULL;
    char *seen = show(world);
    if (!seen || !before || !after)
        return "a survivor cannot look at it";
    if (strcmp(seen, after) != 0 && (finished || strcmp(seen, before) != 0))
        wrong = finished ? "it was not done" : "neither the old nor the new contents";
    free(seen);
    if (!wrong && (!is_whole(world) || !goes_on(world) || !is_whole(world)))
        wrong = "a survivor cannot use it";
    drop(world);
    return wrong ? wrong : heap_balance(mproc_usable_size(world));
}

static void destroy(void *arg)
{
    drop(arg);
    mproc_free(arg);
}

/* ---- the cases ---- */

static void *build_set_new_some_pairs(void)
{
    return build(some_pairs, set_new);
}

static void *build_set_new_empty_dict(void)
{
    return build(empty_dict, set_new);
}

static void *build_set_old_some_pairs(void)
{
    return build(some_pairs, set_old);
}

static void *build_set_large_some_pairs(void)
{
    return build(some_pairs, set_large);
}

static void *build_set_other_form_some_pairs(void)
{
    return build(some_pairs, set_other_form);
}

static void *build_set_new_full_table(void)
{
    return build(full_table, set_new);
}

static void *build_set_new_table_with_gaps(void)
{
    return build(table_with_gaps, set_new);
}

static void *build_delete_key_some_pairs(void)
{
    return build(some_pairs, delete_key);
}

static void *build_delete_ten_large_table(void)
{
    return build(large_table, delete_ten);
}

static void *build_pop_key_some_pairs(void)
{
    return build(some_pairs, pop_key);
}

static void *build_pop_pair_some_pairs(void)
{
    return build(some_pairs, pop_pair);
}

static void *build_set_default_some_pairs(void)
{
    return build(some_pairs, set_default);
}

static void *build_replace_some_pairs(void)
{
    return build(some_pairs, replace);
}

static void *build_add_some_pairs(void)
{
    return build(some_pairs, add);
}

static void *build_clear_dict_some_pairs(void)
{
    return build(some_pairs, clear_dict);
}

static void *build_append_some_items(void)
{
    return build(some_items, append);
}

static void *build_append_empty_list(void)
{
    return build(empty_list, append);
}

static void *build_append_large_some_items(void)
{
    return build(some_items, append_large);
}

static void *build_append_full_list(void)
{
    return build(full_list, append);
}

static void *build_set_item_some_items(void)
{
    return build(some_items, set_item);
}

static void *build_insert_first_some_items(void)
{
    return build(some_items, insert_first);
}

static void *build_insert_first_full_list(void)
{
    return build(full_list, insert_first);
}

static void *build_insert_between_some_items(void)
{
    return build(some_items, insert_between);
}

static void *build_delete_first_some_items(void)
{
    return build(some_items, delete_first);
}

static void *build_delete_between_some_items(void)
{
    return build(some_items, delete_between);
}

static void *build_delete_first_large_list(void)
{
    return build(large_list, delete_first);
}

static void *build_pop_last_some_items(void)
{
    return build(some_items, pop_last);
}

static void *build_remove_item_some_items(void)
{
    return build(some_items, remove_item);
}

static void *build_extend_some_items(void)
{
    return build(some_items, extend);
}

static void *build_extend_full_list(void)
{
    return build(full_list, extend);
}

static void *build_set_slice_some_items(void)
{
    return build(some_items, set_slice);
}

static void *build_set_every_other_some_items(void)
{
    return build(some_items, set_every_other);
}

static void *build_delete_every_other_some_items(void)
{
    return build(some_items, delete_every_other);
}

static void *build_reverse_some_items(void)
{
    return build(some_items, reverse);
}

static void *build_sort_some_items(void)
{
    return build(some_items, sort);
}

static void *build_clear_list_some_items(void)
{
    return build(some_items, clear_list);
}

static void *build_add_item_some_set(void)
{
    return build(some_set, add_item);
}

static void *build_set_variable_some_variable(void)
{
    return build(some_variable, set_variable);
}

const struct crash_case container_cases[] = {
    {"dict_set", "a new key", build_set_new_some_pairs, NULL, set_new, check, destroy, repair},
    {"dict_set", "the first key", build_set_new_empty_dict, NULL, set_new, check, destroy, repair},
    {"dict_set", "a key that is there", build_set_old_some_pairs, NULL, set_old, check, destroy, repair},
    {"dict_set", "a large value", build_set_large_some_pairs, NULL, set_large, check, destroy, NULL},
    {"dict_set", "a key of another form", build_set_other_form_some_pairs, NULL, set_other_form, check, destroy, NULL},
    {"dict_set", "about to grow", build_set_new_full_table, NULL, set_new, check, destroy, repair},
    {"dict_set", "about to close gaps", build_set_new_table_with_gaps, NULL, set_new, check, destroy, repair},
    {"dict_delete", "some", build_delete_key_some_pairs, NULL, delete_key, check, destroy, repair},
    {"dict_delete", "about to shrink", build_delete_ten_large_table, NULL, delete_ten, check, destroy, repair},
    {"dict_pop", "some", build_pop_key_some_pairs, NULL, pop_key, check, destroy, NULL},
    {"dict_popitem", "some", build_pop_pair_some_pairs, NULL, pop_pair, check, destroy, NULL},
    {"dict_setdefault", "some", build_set_default_some_pairs, NULL, set_default, check, destroy, NULL},
    {"dict_replace", "some", build_replace_some_pairs, NULL, replace, check, destroy, NULL},
    {"dict_add", "some", build_add_some_pairs, NULL, add, check, destroy, NULL},
    {"dict_clear", "some", build_clear_dict_some_pairs, NULL, clear_dict, check, destroy, repair},
    {"list_append", "some", build_append_some_items, NULL, append, check, destroy, repair},
    {"list_append", "the first item", build_append_empty_list, NULL, append, check, destroy, NULL},
    {"list_append", "a large item", build_append_large_some_items, NULL, append_large, check, destroy, NULL},
    {"list_append", "about to grow", build_append_full_list, NULL, append, check, destroy, repair},
    {"list_set", "some", build_set_item_some_items, NULL, set_item, check, destroy, repair},
    {"list_insert", "before the first", build_insert_first_some_items, NULL, insert_first, check, destroy, NULL},
    {"list_insert", "about to grow", build_insert_first_full_list, NULL, insert_first, check, destroy, NULL},
    {"list_insert", "between", build_insert_between_some_items, NULL, insert_between, check, destroy, repair},
    {"list_delete", "the first", build_delete_first_some_items, NULL, delete_first, check, destroy, NULL},
    {"list_delete", "between", build_delete_between_some_items, NULL, delete_between, check, destroy, repair},
    {"list_delete", "about to shrink", build_delete_first_large_list, NULL, delete_first, check, destroy, repair},
    {"list_pop", "the last", build_pop_last_some_items, NULL, pop_last, check, destroy, repair},
    {"list_remove", "some", build_remove_item_some_items, NULL, remove_item, check, destroy, NULL},
    {"list_extend", "some", build_extend_some_items, NULL, extend, check, destroy, repair},
    {"list_extend", "about to grow", build_extend_full_list, NULL, extend, check, destroy, NULL},
    {"list_set_slice", "step 1", build_set_slice_some_items, NULL, set_slice, check, destroy, repair},
    {"list_set_slice", "step -2", build_set_every_other_some_items, NULL, set_every_other, check, destroy, repair},
    {"list_delete_slice", "step 2", build_delete_every_other_some_items, NULL, delete_every_other, check, destroy,
     repair},
    {"list_reverse", "some", build_reverse_some_items, NULL, reverse, check, destroy, NULL},
    {"list_sort", "some", build_sort_some_items, NULL, sort, check, destroy, NULL},
    {"list_clear", "some", build_clear_list_some_items, NULL, clear_list, check, destroy, repair},
    {"set_add", "some", build_add_item_some_set, NULL, add_item, check, destroy, NULL},
    {"variable_set", "some", build_set_variable_some_variable, NULL, set_variable, check, destroy, repair},
    {0},
};
