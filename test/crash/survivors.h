/* What the cases of connections, processes and pools ask of the world after a death: that nothing of the dead is left
 * but what they say. */
#ifndef TEST_CRASH_SURVIVORS_H
#define TEST_CRASH_SURVIVORS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Note what there is before a world is built: bytes of the heap, members, and this process's descriptors and children.
 * From the first call on this process is given what its descendants leave behind when they die. */
void survivors_note(void);

/* Wait until there is nothing more than at the last note, but for so many bytes; processes that were left behind are
 * reaped when they end. NULL, or what is still there when the time is over; then left processes are killed, so that the
 * next world begins clean. */
const char *survivors_balance(size_t more);

/* The processes that this one has to reap and had not at the last note. Writes up to capacity, returns how many. */
size_t survivors_left(pid_t *pids, size_t capacity);

#endif
