/* Nanoseconds for a call of a dict in a manager's server: manager get|set [LOOPS] [ADDRESS]. A dict of a thousand small
 * pairs, all of whose keys are used in turn; each call waits for its answer. Over a unix socket unless an address is
 * given, tcp::0 or tls::0 for example. */
#include "check.h"
#include "measure.h"

#include <mproc/manager.h>
#include <string.h>

enum {
    KEYS = 1000
};

static void set(mproc_dict *dict, size_t i)
{
    check(mproc_dict_set(dict, mproc_int((int64_t)(i % KEYS)), mproc_int((int64_t)i), MPROC_FOREVER), "mproc_dict_set");
}

static void get(mproc_dict *dict, size_t i)
{
    mproc_value value;
    check(mproc_dict_get(dict, mproc_int((int64_t)(i % KEYS)), &value, MPROC_FOREVER), "mproc_dict_get");
    mproc_value_free(&value);
}

int main(int argc, char **argv)
{
    const mproc_manager_options options = {.address = argc > 3 ? argv[3] : NULL};
    const char *work = argc > 1 ? argv[1] : "get";
    size_t loops = argument(argc, argv, 2, 20000);
    mproc_manager *manager;
    mproc_dict *dict;

    check(mproc_manager_create(&manager, &options), "mproc_manager_create");
    check(mproc_manager_dict(manager, &dict, NULL, MPROC_FOREVER), "mproc_manager_dict");
    for (size_t i = 0; i < KEYS; i++)
        set(dict, i);
    double begin = seconds_now();
    for (size_t i = 0; i < loops; i++) {
        if (strcmp(work, "set") == 0)
            set(dict, i);
        else
            get(dict, i);
    }
    printf("%.3f\n", (seconds_now() - begin) * 1e9 / (double)loops);
    mproc_manager_free(manager);
    return 0;
}
