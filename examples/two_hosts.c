/* Programs on several hosts share a dict by TLS. One of them is the server:
 *
 *     two_hosts serve tls:192.0.2.7:5050 KEYFILE
 *
 * and any number of others, elsewhere, add to a counter in it and print what it has come to:
 *
 *     two_hosts count tls:192.0.2.7:5050 KEYFILE NAME TIMES
 *     two_hosts stop  tls:192.0.2.7:5050 KEYFILE
 *
 * KEYFILE is a file that nobody else may read, the same on all hosts: (umask 077; head -c 32 /dev/urandom >KEYFILE). */
#include <mproc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE MPROC_SEC(10)

static int fail_with(int result)
{
    fprintf(stderr, "two_hosts: %s\n", mproc_strerror(result));
    return 1;
}

static int count(mproc_manager *manager, const char *name, long times)
{
    mproc_dict *counters = NULL;
    mproc_value sum = mproc_nil();

    int result = mproc_manager_dict(manager, &counters, "counters", PATIENCE);
    for (long i = 0; i < times && !result; i++) {
        mproc_value_free(&sum);
        result = mproc_dict_add(counters, mproc_string(name), mproc_int(1), &sum, PATIENCE);
    }
    if (!result)
        printf("%s: %ld\n", name, (long)sum.integer);
    mproc_value_free(&sum);
    mproc_dict_free(counters);
    return result;
}

int main(int argc, char **argv)
{
    char key[MPROC_KEY_MAX];
    mproc_manager_options options = {.key = key};
    mproc_manager *manager;
    int result;

    if (argc < 4 || (strcmp(argv[1], "count") == 0 && argc != 6)) {
        fprintf(stderr, "usage: two_hosts serve|stop ADDRESS KEYFILE\n"
                        "       two_hosts count ADDRESS KEYFILE NAME TIMES\n");
        return 2;
    }
    if ((result = mproc_key_from_file(argv[3], key, sizeof key, &options.key_size)))
        return fail_with(result);
    if (strcmp(argv[1], "serve") == 0)
        return (result = mproc_manager_serve(argv[2], &options)) ? fail_with(result) : 0;
    if ((result = mproc_manager_connect(&manager, argv[2], &options, PATIENCE)))
        return fail_with(result);
    if (strcmp(argv[1], "count") == 0)
        result = count(manager, argv[4], strtol(argv[5], NULL, 10));
    else
        result = mproc_manager_shutdown(manager, PATIENCE);
    mproc_manager_free(manager);
    return result ? fail_with(result) : 0;
}
