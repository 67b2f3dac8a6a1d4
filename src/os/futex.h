/* Sleeping on a word of shared memory and waking those that sleep there. */
#ifndef MPROC_OS_FUTEX_H
#define MPROC_OS_FUTEX_H

#include <stdatomic.h>
#include <stdint.h>

/* Sleep while *word is expected, for that time at most. 0 when woken; -EAGAIN when the word differs; -ETIMEDOUT;
 * -EINTR. A caller looks again at its condition after each of them. */
int os_futex_wait(const _Atomic(uint32_t) *word, uint32_t expected, int64_t nanoseconds);

/* Wake up to count sleepers, in any process. Returns how many. */
int os_futex_wake(const _Atomic(uint32_t) *word, int count);

#endif
