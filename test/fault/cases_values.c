/* The cases of every.h for values. */
#include "every.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc/value.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MANY = 40 /* pairs, so many that a map is looked through with memory */
};

/* A map of MANY ints, and the same the other way round. */
static mproc_pair pairs[MANY], pairs_back[MANY];
static mproc_value map, map_back;

/* What the calls write. */
static mproc_value copy;
static void *data;
static size_t size;
static char *text;

/* The stored form of the map. */
static void *stored;
static size_t stored_size;

static void begin_map(void)
{
    for (int i = 0; i < MANY; i++) {
        pairs[i] = (mproc_pair){mproc_int(i), mproc_string("of the map")};
        pairs_back[MANY - 1 - i] = pairs[i];
    }
    map = mproc_dict_of(pairs, MANY);
    map_back = mproc_dict_of(pairs_back, MANY);
}

static void end_map(void)
{
    mproc_value_free(&copy);
    free(data);
    free(text);
    data = NULL;
    text = NULL;
    size = 0;
}

static void look_at_results(long *seen)
{
    seen[0] = copy.kind;
    seen[1] = copy.memory != NULL;
    seen[2] = data != NULL;
    seen[3] = (long)size;
    seen[4] = text != NULL;
}

static void begin_stored(void)
{
    begin_map();
    every_must(mproc_value_encode(map, &stored, &stored_size));
}

static void end_stored(void)
{
    free(stored);
    stored = NULL;
    end_map();
}

static void begin_copy(void)
{
    begin_map();
    every_must(mproc_value_copy(&copy, map));
}

static int call_copy(void)
{
    return mproc_value_copy(&copy, map);
}

static int call_free(void)
{
    mproc_value_free(&copy);
    return 0;
}

/* Without memory it takes longer, and that is all. */
static int call_equal(void)
{
    return mproc_value_equal(map, map_back) ? 0 : -1;
}

static int call_order(void)
{
    mproc_value a[2] = {map, mproc_int(1)}, b[2] = {map_back, mproc_int(2)};
    int order = 0;

    int result = mproc_value_order(mproc_list_of(a, 2), mproc_list_of(b, 2), &order);
    return result ? result : order == -1 ? 0 : -1;
}

static int call_hash(void)
{
    uint64_t hash = 0;
    return mproc_value_hash(mproc_string("key"), &hash);
}

static int call_repr(void)
{
    text = mproc_value_repr(map);
    return text ? 0 : -errno;
}

static int call_at(void)
{
    return mproc_value_equal(mproc_value_at(map, mproc_int(MANY - 1)), pairs[MANY - 1].value) ? 0 : -1;
}

static int call_as(void)
{
    size_t count;
    bool right = mproc_value_as_int(mproc_int(3), 0) == 3 && mproc_value_as_double(mproc_int(3), 0) == 3.0 &&
                 mproc_value_as_bool(mproc_int(3), false) && mproc_value_as_string(mproc_string("a"), NULL) &&
                 mproc_value_as_bytes(mproc_string("a"), &count) && !mproc_value_as_object(mproc_int(3), NULL);
    return right ? 0 : -1;
}

static int call_print(void)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int result = mproc_value_print(fd, map);
    close(fd);
    return result;
}

static int call_get(void)
{
    return mproc_value_get(&map, mproc_int(MANY - 1)) == &pairs[MANY - 1].value ? 0 : -1;
}

static int call_encode(void)
{
    return mproc_value_encode(map, &data, &size);
}

static int call_decode(void)
{
    return mproc_value_decode(&copy, stored, stored_size);
}

static const struct every_scene a_map = {begin_map, look_at_results, end_map};
static const struct every_scene a_copy = {begin_copy, look_at_results, end_map};
static const struct every_scene a_stored_map = {begin_stored, look_at_results, end_stored};

static const struct every_case list[] = {
    {"mproc_value_copy", NULL, &a_map, call_copy, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_value_free", NULL, &a_copy, call_free, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_value_equal", NULL, &a_map, call_equal, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_value_order", NULL, &a_map, call_order, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_value_hash", NULL, &a_map, call_hash, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_value_repr", NULL, &a_map, call_repr, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_value_print", NULL, &a_map, call_print, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_value_at", NULL, &a_map, call_at, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_value_as_int", NULL, &a_map, call_as, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_value_as_double", NULL, &a_map, call_as, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_value_as_bool", NULL, &a_map, call_as, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_value_as_string", NULL, &a_map, call_as, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_value_as_bytes", NULL, &a_map, call_as, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_value_as_object", NULL, &a_map, call_as, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_value_get", NULL, &a_map, call_get, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_value_encode", NULL, &a_map, call_encode, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_value_decode", NULL, &a_stored_map, call_decode, 0, CHILD_STAYS_OUT, .calls = CALLS},
};

const struct every_table cases_values = {list, sizeof list / sizeof *list};
