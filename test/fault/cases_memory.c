/* The cases of every.h for shared memory with a name, and the lists in it. */
#include "every.h"

#include <errno.h>
#include <mproc/shareable_list.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static mproc_shared_memory *memory, *other;
static mproc_shareable_list *shareable, *another;
static char name[64];

static void begin_nothing(void)
{
    memory = other = NULL;
    shareable = another = NULL;
    snprintf(name, sizeof name, "mproc-fault-%d", (int)getpid());
}

static int create(void)
{
    return mproc_shared_memory_create(&memory, name, 5000);
}

static int create_nameless(void)
{
    return mproc_shared_memory_create(&memory, NULL, 5000);
}

static void begin_memory(void)
{
    begin_nothing();
    every_must(create());
}

static int attach(void)
{
    return mproc_shared_memory_attach(&other, name);
}

static int unlink_name(void)
{
    return mproc_shared_memory_unlink(name);
}

static int own(void)
{
    return mproc_shared_memory_own(memory, false) || mproc_shared_memory_own(memory, true);
}

static int ask(void)
{
    return mproc_shared_memory_size(memory) == 5000 && strcmp(mproc_shared_memory_name(memory), name) == 0 &&
                   *(char *)mproc_shared_memory_data(memory) == 0
               ? 0
               : -1;
}

static int free_memory(void)
{
    memory = mproc_shared_memory_free(memory);
    return 0;
}

static int create_list(void)
{
    const mproc_value items[] = {mproc_int(1), mproc_string("two"), mproc_nil()};
    return mproc_shareable_list_create(&shareable, name, mproc_list_of(items, 3));
}

static void begin_list(void)
{
    begin_nothing();
    every_must(create_list());
}

static int attach_list(void)
{
    return mproc_shareable_list_attach(&another, name);
}

static int get_item(void)
{
    mproc_value value;
    int result = mproc_shareable_list_get(shareable, 1, &value);
    if (!result)
        mproc_value_free(&value);
    return result;
}

static int set_item(void)
{
    return mproc_shareable_list_set(shareable, 1, mproc_string("deux"));
}

static int copy_items(void)
{
    mproc_value items;
    int result = mproc_shareable_list_copy(shareable, &items);
    if (!result)
        mproc_value_free(&items);
    return result;
}

static int seek_item(void)
{
    size_t index;
    return mproc_shareable_list_index(shareable, mproc_string("two"), &index);
}

static int count_items(void)
{
    size_t count;
    return mproc_shareable_list_count(shareable, mproc_string("two"), &count);
}

static int ask_list(void)
{
    return mproc_shareable_list_length(shareable) == 3 && mproc_shareable_list_memory(shareable) ? 0 : -1;
}

static int free_list(void)
{
    shareable = mproc_shareable_list_free(shareable);
    return 0;
}

static void look(long *seen)
{
    char path[100];
    snprintf(path, sizeof path, "/dev/shm/%s", name);
    seen[0] = memory != NULL;
    seen[1] = other != NULL;
    seen[2] = access(path, F_OK) == 0;
    seen[3] = shareable != NULL;
    seen[4] = another != NULL;
}

/* Freeing cannot tell that the name is still there: whoever finds it can remove it. */
static void look_at_handles(long *seen)
{
    seen[0] = memory != NULL;
    seen[3] = shareable != NULL;
}

static void end(void)
{
    another = mproc_shareable_list_free(another);
    shareable = mproc_shareable_list_free(shareable);
    other = mproc_shared_memory_free(other);
    memory = mproc_shared_memory_free(memory);
    mproc_shared_memory_unlink(name);
}

static const struct every_scene none = {begin_nothing, look, end};
static const struct every_scene made = {begin_memory, look, end};
static const struct every_scene leaving = {begin_memory, look_at_handles, end};

static const struct every_scene listed = {begin_list, look, end};
static const struct every_scene leaving_list = {begin_list, look_at_handles, end};

static const struct every_case list[] = {
    {"mproc_shared_memory_create", "with a name", &none, create, 0, CHILD_STAYS_OUT, .calls = CALLS,
     .answers = {-ENOMEM}},
    {"mproc_shared_memory_create", "without", &none, create_nameless, 0, CHILD_STAYS_OUT, .calls = CALLS,
     .answers = {-ENOMEM}},
    {"mproc_shared_memory_attach", NULL, &made, attach, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_shared_memory_own", NULL, &made, own, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_shared_memory_data", NULL, &made, ask, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_shared_memory_size", NULL, &made, ask, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_shared_memory_name", NULL, &made, ask, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_shared_memory_unlink", NULL, &made, unlink_name, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_shared_memory_free", NULL, &leaving, free_memory, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_shareable_list_create", NULL, &none, create_list, 0, CHILD_STAYS_OUT, .calls = CALLS, .answers = {-ENOMEM}},
    {"mproc_shareable_list_attach", NULL, &listed, attach_list, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_shareable_list_get", NULL, &listed, get_item, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_shareable_list_set", NULL, &listed, set_item, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_shareable_list_copy", NULL, &listed, copy_items, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_shareable_list_index", NULL, &listed, seek_item, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_shareable_list_count", NULL, &listed, count_items, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_shareable_list_length", NULL, &listed, ask_list, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_shareable_list_memory", NULL, &listed, ask_list, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_shareable_list_free", NULL, &leaving_list, free_list, 0, CHILD_MAY_NOT, .calls = CALLS},
};

const struct every_table cases_memory = {list, sizeof list / sizeof *list};
