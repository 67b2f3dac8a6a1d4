/* Values and objects as lines of text, and containers out of values. Called by users. */
#include "manager/object.h"

#include "os/clock.h"
#include "os/file.h"
#include "os/pipe.h"
#include "os/uncancelled.h"
#include "util/failure.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- text ---- */

/* What printf() has not written yet comes first where both write to stdout. A reader that is gone is an error and no
 * signal. */
static int show_line(int fd, char *text)
{
    size_t length = strlen(text);
    text[length] = '\n'; /* in place of the NUL */
    if (fd == STDOUT_FILENO)
        (void)uncancelled_fflush(stdout);
    return os_write_all_by(os_write_quietly, fd, text, length + 1);
}

int mproc_value_print(int fd, mproc_value value)
{
    unsigned before = failure_mark();
    char *text = mproc_value_repr(value);
    if (!text)
        return retold(__func__, before, -errno);
    int result = show_line(fd, text);
    free(text);
    return outcome(__func__, result);
}

/* What is in a container, as a value; for an object that has no such contents, the object itself. */
static int show_contents(void *object, mproc_value *contents, int64_t deadline)
{
    const struct object_type *type = object_type_numbered(mproc_object_type(object));
    *contents = mproc_object_value(object);
    if (!type || type == &object_array)
        return 0;
    int method = object_find(type, type == &object_variable ? "get" : "copy");
    return object_call(type, object, (unsigned)method, NULL, 0, contents, deadline);
}

int mproc_object_print(int fd, void *object, mproc_time timeout)
{
    unsigned before = failure_mark();
    mproc_value contents;
    if (!mproc_object_type(object))
        return refuse(__func__, "object is no shared object");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    int result = show_contents(object, &contents, os_deadline(timeout));
    if (result)
        return retold(__func__, before, os_outcome(result, timeout));
    result = mproc_value_print(fd, contents);
    mproc_value_free(&contents);
    return retold(__func__, before, result);
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
