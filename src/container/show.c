/* Values and objects as lines of text, and containers out of values. */
#include "container/container.h"

#include "os/clock.h"
#include "os/file.h"
#include "os/pipe.h"
#include "os/uncancelled.h"
#include "queue/queue.h"
#include "sync/describe.h"
#include "util/failure.h"
#include "value/repr.h"
#include "value/value.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SHOW_DEPTH = 16,     /* containers in one another */
    SHOW_OBJECTS = 1000, /* containers in all, so that what refers to the same ones again and again comes to an end */
    SHOW_ELEMENTS = 100, /* of an array */
    SHOW_BYTES = 32      /* of an element that is no word */
};

/* ---- lines ---- */

/* Where both write to stdout, what printf() has not written yet goes first. A reader that is gone is an error, not a
 * signal. */
static int show_line(int fd, struct repr *repr)
{
    repr_string(repr, "\n");
    if (repr->result)
        return repr->result;
    if (fd == STDOUT_FILENO)
        (void)uncancelled_fflush(stdout);
    return os_write_all_by(os_write_quietly, fd, repr->data, repr->size);
}

int mproc_value_print(int fd, mproc_value value)
{
    struct repr repr = {0};
    int result = value_check_argument(&value, "value");
    if (!result) {
        repr_value(&repr, &value);
        result = show_line(fd, &repr);
    }
    free(repr.data);
    return outcome(__func__, result);
}

/* ---- objects, and what is in them ---- */

struct show {
    struct repr repr;
    int64_t deadline;
    unsigned count;                /* of the containers that were shown */
    unsigned depth;                /* of those that are being shown, from the outermost on */
    const void *outer[SHOW_DEPTH]; /* these */
};

static void show_element(struct repr *repr, const unsigned char *element, size_t size)
{
    uint64_t word = 0;
    if (size == 1 || size == 2 || size == 4 || size == 8) {
        memcpy(&word, element, size);
        repr_format(repr, "0x%" PRIx64, word);
        return;
    }
    const mproc_value bytes = mproc_bytes(element, size < SHOW_BYTES ? size : SHOW_BYTES);
    repr_value(repr, &bytes);
    repr_string(repr, size > SHOW_BYTES ? "..." : "");
}

static void show_elements(struct repr *repr, const unsigned char *elements, size_t count, size_t size)
{
    repr_string(repr, "[");
    for (size_t i = 0; i < count && i < SHOW_ELEMENTS; i++) {
        repr_string(repr, i > 0 ? ", " : "");
        show_element(repr, elements + i * size, size);
    }
    repr_string(repr, count > SHOW_ELEMENTS ? ", ...]" : "]");
}

/* One in the arena is read where it lies and without its lock, which somebody may hold for long: MPROC_OWNER_DIED is
 * for a caller that locks the array, not for one that prints it. */
static int show_array(struct show *show, mproc_array *array)
{
    size_t size = mproc_array_element_size(array);
    size_t count = mproc_array_count(array);
    const unsigned char *elements = mproc_array_data(array);
    if (elements) {
        show_elements(&show->repr, elements, count, size);
        return 0;
    }
    const mproc_value args[] = {mproc_int(0), mproc_int((int64_t)(count < SHOW_ELEMENTS ? count : SHOW_ELEMENTS))};
    mproc_value bytes;
    int method = container_method_find(&container_array, "read");
    int result = container_call(&container_array, array, (unsigned)method, args, 2, &bytes, show->deadline);
    if (bytes.kind == MPROC_BYTES && size && bytes.size / size == (size_t)args[1].integer)
        show_elements(&show->repr, bytes.bytes, count, size);
    else if (!result)
        result = MPROC_BROKEN;
    mproc_value_free(&bytes);
    return result;
}

/* Sets are copied as lists. */
static void show_set(struct repr *repr, const mproc_value *items)
{
    for (size_t i = 0; i < items->size; i++) {
        repr_string(repr, i > 0 ? ", " : "{");
        repr_value(repr, &items->items[i]);
    }
    repr_string(repr, items->size ? "}" : "set()");
}

static int show_container(struct show *show, const struct container_type *type, void *object)
{
    mproc_value contents;
    int method = container_method_find(type, type == &container_variable ? "get" : "copy");
    int result = container_call(type, object, (unsigned)method, NULL, 0, &contents, show->deadline);
    if (result)
        return result;
    if (type == &container_set && contents.kind == MPROC_LIST)
        show_set(&show->repr, &contents);
    else
        repr_value(&show->repr, &contents);
    mproc_value_free(&contents);
    return 0;
}

static bool show_has_met(const struct show *show, const void *object)
{
    for (unsigned i = 0; i < show->depth; i++)
        if (show->outer[i] == object)
            return true;
    return false;
}

/* Where the object is gone, its type and address are all that can be printed. */
static void show_object(struct repr *repr, const mproc_value *value)
{
    struct show *show = (struct show *)repr;
    const struct container_type *type = container_type_numbered(value->tag);
    if (!type || mproc_object_type(value->object) != type->type) {
        repr_object(repr, value);
        return;
    }
    if (show_has_met(show, value->object) || show->depth == SHOW_DEPTH || show->count == SHOW_OBJECTS) {
        repr_string(repr, "...");
        return;
    }
    show->count++;
    show->outer[show->depth++] = value->object;
    int result = type == &container_array ? show_array(show, value->object) : show_container(show, type, value->object);
    show->depth--;
    if (!repr->result)
        repr->result = result;
}

int mproc_object_print(int fd, void *object, mproc_time timeout)
{
    struct show show = {.repr = {.add_object = show_object}, .deadline = os_deadline(timeout)};
    char text[160];
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    if (mproc_object_type(object)) {
        const mproc_value value = mproc_object_value(object);
        show_object(&show.repr, &value);
    } else if (region_contains(object) &&
               (sync_describe(object, text, sizeof text) || queue_describe(object, text, sizeof text))) {
        repr_string(&show.repr, text);
    } else {
        return refuse(__func__, "object is no shared object");
    }
    int result = show_line(fd, &show.repr);
    free(show.repr.data);
    return outcome(__func__, os_outcome(result, timeout));
}

/* ---- containers of values ---- */

int mproc_list_create_of(mproc_list **list, mproc_value items)
{
    unsigned before = failure_mark();
    int result = mproc_list_create(list);
    if (result)
        return retold(__func__, before, result);
    result = mproc_list_extend(*list, items, MPROC_FOREVER);
    if (result)
        *list = mproc_list_free(*list);
    return retold(__func__, before, result);
}

int mproc_dict_create_of(mproc_dict **dict, mproc_value map)
{
    unsigned before = failure_mark();
    int result = mproc_dict_create(dict);
    if (result)
        return retold(__func__, before, result);
    result = mproc_dict_update(*dict, map, MPROC_FOREVER);
    if (result)
        *dict = mproc_dict_free(*dict);
    return retold(__func__, before, result);
}

int mproc_set_create_of(mproc_set **set, mproc_value items)
{
    unsigned before = failure_mark();
    int result = mproc_set_create(set);
    if (result)
        return retold(__func__, before, result);
    result = mproc_set_update(*set, items, MPROC_FOREVER);
    if (result)
        *set = mproc_set_free(*set);
    return retold(__func__, before, result);
}
