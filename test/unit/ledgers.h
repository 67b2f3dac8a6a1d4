/* What the ledgers of the family's members say, for tests that check that nothing is left in them. White box. */
#ifndef TEST_UNIT_LEDGERS_H
#define TEST_UNIT_LEDGERS_H

#include <mproc/sync.h>

/* Units of semaphores that members hold. Fails the test when anything is unfinished, or left in the ledger of the dead.
 * For moments in which nobody is at an operation. */
long ledgers_units(void);

/* Notes that are not free: threads that wait at conditions or barriers. */
long ledgers_notes(void);

/* How many are in a condition's list, and waiting until so many are. */
int conditions_waiters(const mproc_condition *condition);
void conditions_await_waiters(const mproc_condition *condition, int count);

#endif
