/* How much memory a process takes, as the kernel shares it out: what several have counts for each by its part. Included
 * by the programs that measure memory, and by their peers. */
#ifndef BENCH_FOOTPRINT_H
#define BENCH_FOOTPRINT_H

#include "measure.h"

#include <sys/types.h>

/* The proportional set size in KiB. */
static inline double kibibytes_of(pid_t pid)
{
    char path[64], line[256];
    unsigned long size = 0;
    bool found = false;

    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(path, "r");
    must(file != NULL, path);
    while (!found && fgets(line, sizeof line, file))
        found = sscanf(line, "Pss: %lu kB", &size) == 1;
    fclose(file);
    must(found, "no Pss there");
    return (double)size;
}

#endif
