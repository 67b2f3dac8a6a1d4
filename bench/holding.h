/* How the memory of a queue is measured that holds many messages of 64 bytes.
 *
 *     PROGRAM held|drained [MESSAGES]
 *
 * held: prints the bytes of memory for each message while it holds them all. drained: prints the KiB that are left when
 * all were got. One process does both; its memory is what only it has (the anonymous part of its proportional set size)
 * and what is in its memory files, each less what it was with an empty queue. */
#ifndef BENCH_HOLDING_H
#define BENCH_HOLDING_H

#include "measure.h"

#include <dirent.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HELD_SIZE = 64
};

/* put and get move one message of HELD_SIZE bytes; idle comes when all were got, and is NULL where nothing is to be
 * done then. */
struct store {
    void (*open)(size_t count);
    void (*put)(const void *message);
    void (*get)(void *message);
    void (*idle)(void);
};

static inline size_t private_bytes(void)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    size_t kib = 0;

    must(file != NULL, "/proc/self/smaps_rollup");
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "Pss_Anon: %zu", &kib) == 1)
            break;
    }
    fclose(file);
    must(kib > 0, "Pss_Anon");
    return kib << 10;
}

/* Each file once, however many descriptors it has. */
static inline size_t memory_file_bytes(void)
{
    DIR *folder = opendir("/proc/self/fd");
    ino_t seen[64];
    size_t count = 0, total = 0;

    must(folder != NULL, "/proc/self/fd");
    for (struct dirent *entry; (entry = readdir(folder));) {
        char target[256];
        struct stat status;
        bool again = false;
        ssize_t length = readlinkat(dirfd(folder), entry->d_name, target, sizeof target - 1);
        if (length < 0 || strncmp(target, "/memfd:", 7) != 0 || fstatat(dirfd(folder), entry->d_name, &status, 0))
            continue;
        for (size_t i = 0; i < count; i++)
            again = again || seen[i] == status.st_ino;
        must(count < 64, "fewer memory files");
        seen[count++] = status.st_ino;
        total += again ? 0 : (size_t)status.st_blocks * 512;
    }
    closedir(folder);
    return total;
}

static inline double memory_since(double before)
{
    return (double)(private_bytes() + memory_file_bytes()) - before;
}

static inline int measure_holding(int argc, char **argv, const struct store *kind)
{
    bool drained = argc > 1 && !strcmp(argv[1], "drained");
    size_t count = argument(argc, argv, 2, 1000000);
    unsigned char message[HELD_SIZE] = {0};
    uint64_t number;

    must(drained || argc < 2 || !strcmp(argv[1], "held"), "held or drained");
    kind->open(count);
    double before = memory_since(0);
    for (number = 0; number < count; number++) {
        memcpy(message, &number, sizeof number);
        kind->put(message);
    }
    double held = memory_since(before) / (double)count;
    for (uint64_t i = 0; i < count; i++) {
        kind->get(message);
        memcpy(&number, message, sizeof number);
        must(number == i, "messages were lost or damaged");
    }
    if (kind->idle)
        kind->idle();
    double left = memory_since(before) / 1024;
    report(drained ? left : held);
    return 0;
}

#endif
