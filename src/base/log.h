/* What the start of processes does with the log: each process has its name in its lines, and a fresh one gets the
 * setting of its parent. Logging itself is in <mproc/log.h>. */
#ifndef MPROC_BASE_LOG_H
#define MPROC_BASE_LOG_H

/* The name in this process's lines, copied, cut to 63 bytes of whole letters. "MainProcess" until it is set. To be
 * called before the process has other threads. */
void log_set_process_name(const char *name);

/* What a spawned child is to be told, and what it does with that. The level only: lines of a child go to stderr. */
int log_inherit(void);
void log_adopt(int inherited);

#endif
