/* The key for authenticated connections, which children inherit. */
#ifndef MPROC_PROCESS_AUTHKEY_H
#define MPROC_PROCESS_AUTHKEY_H

#include <stdbool.h>
#include <stddef.h>

#define AUTHKEY_MAX 256

/* See to it that there is a key, so that a child has the same one. 0 or -errno. */
int authkey_settle(void);

/* Whether there is a key: it was set, asked for, inherited, or needed for a start. */
bool authkey_is_settled(void);

#endif
