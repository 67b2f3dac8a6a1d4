/* Faults, as faults.h says. */
#include "faults.h"

#include <string.h>

volatile int after;

UNCHECKED void write_at(volatile long *place)
{
    *place = 5;
    after = 1;
}

int frame_of(const mproc_postmortem *death, const char *function)
{
    size_t length = strlen(function);
    for (unsigned i = 0; i < death->frame_count; i++) {
        const char *name = death->frames[i].function;
        if (strncmp(name, function, length) == 0 && (name[length] == '\0' || name[length] == '.'))
            return (int)i;
    }
    return -1;
}
