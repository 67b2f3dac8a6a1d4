/* What the tests of containers share: numbers at random that are the same each time, values that are compared, and a
 * Python program that does the same as the test. */
#ifndef TEST_UNIT_CONTAINERS_H
#define TEST_UNIT_CONTAINERS_H

#include <mproc/containers.h>
#include <stdio.h>

/* The next number, 0 to below - 1, of a sequence that begins with a seed. */
void random_seed(uint64_t seed);
unsigned random_below(unsigned below);

/* Compare with an expected value, and free the one found. */
void value_is(mproc_value *found, mproc_value expected);

/* A program that Python reads while it is written. NULL when there is no python3. */
FILE *python_start(void);

/* Its text: as printf(), where there is one. */
void python_say(FILE *python, const char *text, ...) __attribute__((format(printf, 2, 3)));

/* Write "assert EXPRESSION == REPR" for a value, and free that. */
void python_expect(FILE *python, mproc_value *found, const char *expression, ...) __attribute__((format(printf, 3, 4)));

/* The end of the program: it must have come there. */
void python_finish(FILE *python);

/* While a child that holds a container's lock is stopped, the operation must answer MPROC_TIMEOUT, and 0 when the child
 * is dead. */
void expect_timeout_while_stopped(int (*operate)(void *container), void *container);

#endif
