/* Nanoseconds for a call of a shared container: dict get|set|append [LOOPS]. A dict of a thousand small pairs, all of
 * whose keys are used in turn; a list that grows from nothing. */
#include "check.h"
#include "measure.h"

#include <mproc/containers.h>
#include <string.h>

enum {
    KEYS = 1000
};

static mproc_dict *make_dict(void)
{
    mproc_dict *dict;

    check(mproc_dict_create(&dict), "mproc_dict_create");
    for (int64_t i = 0; i < KEYS; i++)
        check(mproc_dict_set(dict, mproc_int(i), mproc_int(i), MPROC_FOREVER), "mproc_dict_set");
    return dict;
}

static void get(size_t loops)
{
    mproc_value value;
    mproc_dict *dict = make_dict();
    double begin = seconds_now();

    for (size_t i = 0; i < loops; i++) {
        check(mproc_dict_get(dict, mproc_int((int64_t)(i % KEYS)), &value, MPROC_FOREVER), "mproc_dict_get");
        mproc_value_free(&value);
    }
    printf("%.3f\n", (seconds_now() - begin) * 1e9 / (double)loops);
    mproc_dict_free(dict);
}

static void set(size_t loops)
{
    mproc_dict *dict = make_dict();
    double begin = seconds_now();

    for (size_t i = 0; i < loops; i++)
        check(mproc_dict_set(dict, mproc_int((int64_t)(i % KEYS)), mproc_int((int64_t)i), MPROC_FOREVER),
              "mproc_dict_set");
    printf("%.3f\n", (seconds_now() - begin) * 1e9 / (double)loops);
    mproc_dict_free(dict);
}

static void append(size_t loops)
{
    mproc_list *list;

    check(mproc_list_create(&list), "mproc_list_create");
    double begin = seconds_now();

    for (size_t i = 0; i < loops; i++)
        check(mproc_list_append(list, mproc_int((int64_t)i), MPROC_FOREVER), "mproc_list_append");
    printf("%.3f\n", (seconds_now() - begin) * 1e9 / (double)loops);
    mproc_list_free(list);
}

int main(int argc, char **argv)
{
    const char *work = argc > 1 ? argv[1] : "get";
    size_t loops = argument(argc, argv, 2, 1000000);

    if (strcmp(work, "get") == 0)
        get(loops);
    else if (strcmp(work, "set") == 0)
        set(loops);
    else
        append(loops);
    return 0;
}
