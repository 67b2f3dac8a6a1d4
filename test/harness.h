/* What every test has beside cmocka: books that are opened before a test and must balance after it, a wait with a
 * deadline, and a watchdog that ends a test program that hangs. Tests include this and not cmocka.h.
 *
 *     static void a_lock_is_taken_once(void **state) { ... }
 *
 *     int main(void)
 *     {
 *         const struct CMUnitTest tests[] = {
 *             unit(a_lock_is_taken_once),
 *         };
 *         return cmocka_run_group_tests(tests, NULL, NULL);
 *     }
 */
#ifndef TEST_HARNESS_H
#define TEST_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

/* A test with its books. */
#define unit(fn) cmocka_unit_test_setup_teardown(fn, books_open, books_check)

/* Note this process's descriptors, children and bytes in the arena. The first call also attaches the arena, so that
 * what the family keeps is no test's leak, and starts the watchdog: a program that still runs when its time is nearly
 * over (two minutes, or $MPROC_TEST_SECONDS) says where it hangs, and ends with its descendants. */
int books_open(void **state);

/* Compare with what books_open() noted. A difference that is still there after a second is named on stderr and fails
 * the test; children that were left are killed, so that the next test starts clean. */
int books_check(void **state);

/* Note again what there is now. For a test that uses a facility which keeps something for the life of the process: use
 * the facility once, then forgive. */
void books_forgive(void);

/* A child that may stay until the program ends. */
void books_allow_child(pid_t child);

/* Wait until the condition holds, looking every millisecond. Returns whether it held before the time was over. */
bool wait_until(bool (*condition)(void *), void *arg, int milliseconds);

#endif
