/* Victims that the runner does not fork: processes that the library has made. A case without operate brings its victim
 * about in its prepare, in the tester, and names it; the runner then steps and kills that process. */
#ifndef TEST_CRASH_NAMED_H
#define TEST_CRASH_NAMED_H

#include <stdbool.h>
#include <sys/types.h>

/* For the cases: the victim, traced by the tester and stopped. over tells whether the operation is at its end; NULL:
 * that is the end of the process. It is asked after each step. kept: the check or the library reaps it. */
void victim_name(pid_t victim, bool (*over)(void *world), void *world, bool kept);

/* For the process that is to become a victim: be traced by the parent, and stop here, with whatever is blocked. */
void victim_stop_here(void);

/* For the tester: whether the next process that it forks is to stop at its first instruction. One that is executed with
 * this variable in its environment stops before all constructors. */
void victim_stop_next_fork(bool stops);
#define VICTIM_VARIABLE "CRASH_VICTIM"

/* For the tester: trace a process that is none of its own making, with options of ptrace; it is stopped then. */
void victim_seize(pid_t victim, long options);

/* For the tester: wait until a traced process stops. */
void victim_await_stop(pid_t victim);

/* For the runner: whether this is the named victim and kept, and whether its operation is at its end. */
pid_t named_victim(void);
void named_forget(void);
bool named_is_kept(pid_t victim);
bool named_is_over(pid_t victim);

#endif
