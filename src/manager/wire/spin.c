/* Looking for a while, as spin.h says. */
#include "manager/wire/spin.h"

#include "os/clock.h"
#include "os/cpu.h"

#define SPIN_TIME OS_US(50)

/* After so many misses in a row it is tried at every so many-th time only. */
#define MISSES 8
#define SELDOM 64

int64_t spin_begin(struct spin *spin)
{
    if (!os_cpu_may_spin())
        return 0;
    if (spin->misses >= MISSES && ++spin->misses % SELDOM != 0)
        return 0;
    return os_now() + SPIN_TIME;
}

void spin_end(struct spin *spin, bool found)
{
    if (found)
        spin->misses = 0;
    else
        spin->misses++;
}
