/* What the tests of fresh processes share: each test is run with both methods. */
#ifndef TEST_UNIT_FRESH_H
#define TEST_UNIT_FRESH_H

#include "harness.h"
#include <mproc/process.h>

/* The method with which the test is being run. */
extern enum mproc_start_method fresh_method;

/* Run a target with a copy of so many bytes. */
int run_copied(mproc_target *fn, const void *arg, size_t size);

/* Run a target with an argument in shared memory. */
int run_shared(mproc_target *fn, void *arg);

/* For both(): choose the method and open the books. */
int by_spawn(void **state);
int by_server(void **state);

/* In the place of unit(). */
#define both(fn)                                                                                                       \
    {"spawn: " #fn, fn, by_spawn, books_check, NULL},                                                                  \
    {                                                                                                                  \
        "forkserver: " #fn, fn, by_server, books_check, NULL                                                           \
    }

#endif
