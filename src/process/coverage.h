/* Counters of coverage (gcc --coverage), which their writer saves when a process ends by exit(). A child does not: it
 * leaves before the exit handlers of its parent are run. */
#ifndef MPROC_PROCESS_COVERAGE_H
#define MPROC_PROCESS_COVERAGE_H

/* Look whether there may be any; in the parent before a fork, so that a child need not. */
void coverage_look(void);

/* Have them saved, at the very end of a child. Nothing where there are none. */
void coverage_save(void);

#endif
