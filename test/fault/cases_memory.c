/* The cases of every.h for shared memory with a name. */
#include "every.h"

#include <errno.h>
#include <mproc/shared_memory.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static mproc_shared_memory *memory, *other;
static char name[64];

static void begin_nothing(void)
{
    memory = other = NULL;
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

static void look(long *seen)
{
    char path[100];
    snprintf(path, sizeof path, "/dev/shm/%s", name);
    seen[0] = memory != NULL;
    seen[1] = other != NULL;
    seen[2] = access(path, F_OK) == 0;
}

/* Freeing cannot tell that the name is still there: whoever finds it can remove it. */
static void look_at_handles(long *seen)
{
    seen[0] = memory != NULL;
}

static void end(void)
{
    other = mproc_shared_memory_free(other);
    memory = mproc_shared_memory_free(memory);
    mproc_shared_memory_unlink(name);
}

static const struct every_scene none = {begin_nothing, look, end};
static const struct every_scene made = {begin_memory, look, end};
static const struct every_scene leaving = {begin_memory, look_at_handles, end};

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
};

const struct every_table cases_memory = {list, sizeof list / sizeof *list};
