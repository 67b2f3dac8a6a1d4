/* Looking before sleeping: a sleep and a wake-up cost some thousand instructions, and what is waited for is often there
 * sooner. Pauses of the CPU lie between two looks, since each look takes the cache line from the one that is about to
 * write it.
 *
 *     struct os_spin spin = os_spin_begin(...);
 *     while (os_spin_pause(&spin))
 *         if (is_there())
 *             return true; */
#ifndef MPROC_OS_SPIN_H
#define MPROC_OS_SPIN_H

#include "os/clock.h"
#include "os/cpu.h"
#include <limits.h>

struct os_spin {
    int length; /* pauses in all */
    int most;   /* between two looks */
    int growth; /* each time they are 1 and this part of those that were made already: 1 doubles them */
    int made;
    int64_t end; /* a moment at which it is over, or OS_NEVER; looked at after each 16 pauses */
};

/* Look for so many pauses. Not at all where this process has one CPU only. */
static inline struct os_spin os_spin_begin(int length, int most, int growth)
{
    return (struct os_spin){.length = os_cpu_may_spin() ? length : 0, .most = most, .growth = growth, .end = OS_NEVER};
}

/* Look after each pause, for some time. */
static inline struct os_spin os_spin_begin_for(nanoseconds time)
{
    bool may = os_cpu_may_spin();
    return (struct os_spin){.length = may ? INT_MAX : 0, .most = 1, .growth = 1, .end = may ? os_now() + time : 0};
}

/* Make some pauses before the next look. False when it is over; the last look was in vain then. */
static inline bool os_spin_pause(struct os_spin *spin)
{
    if (spin->made >= spin->length || (spin->end != OS_NEVER && spin->made % 16 == 15 && os_now() >= spin->end))
        return false;
    int pauses = 1 + spin->made / spin->growth;
    pauses = pauses < spin->most ? pauses : spin->most;
    os_cpu_pause(pauses);
    spin->made += pauses;
    return true;
}

#endif
