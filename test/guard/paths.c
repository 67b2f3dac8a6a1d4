/* Repeats hot paths of the library: paths NAME STEPS [NAME STEPS...], each after the steps that it needs to be warm.
 * Prints the name of each and the process that it was. `paths list` tells what test_limits.sh must know of each: name,
 * function, steps, the two margins and the round. `paths build` says what was built, and by what: limits are for that
 * alone. */
#include "paths.h"

#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static const struct path *const lists[] = {sync_paths, message_paths, container_paths, process_paths};
#define LISTS (sizeof lists / sizeof *lists)

void expect(int result, int expected, const char *what)
{
    if (result == expected)
        return;
    fprintf(stderr, "%s: %s\n", what, mproc_strerror(result));
    exit(1);
}

void *shared(size_t size)
{
    void *memory = mproc_calloc(1, size);
    if (!memory) {
        perror("mproc_calloc");
        exit(1);
    }
    return memory;
}

static void repeat(const struct path *path, void *object, size_t from, size_t steps)
{
    for (size_t i = from; i < from + steps; i++)
        path->step(object, i);
}

/* What is counted. Found by its name, so it must be a function of its own. */
__attribute__((noinline)) void measured(const struct path *path, void *object, size_t steps);

void measured(const struct path *path, void *object, size_t steps)
{
    repeat(path, object, path->lead, steps);
    __asm__ volatile(""); /* no jump to repeat() as the last thing, which would leave this function */
}

static const struct path *find(const char *name)
{
    for (size_t i = 0; i < LISTS; i++)
        for (const struct path *path = lists[i]; path->name; path++)
            if (strcmp(path->name, name) == 0)
                return path;
    fprintf(stderr, "there is no path %s\n", name);
    exit(2);
}

/* In a process of its own, so that no path finds what another has left. */
static void run(const char *name, size_t steps)
{
    const struct path *path = find(name);
    int status;
    pid_t child = fork();
    if (child == 0) {
        void *object = path->make ? path->make() : NULL;
        repeat(path, object, 0, path->lead);
        measured(path, object, steps);
        if (path->end)
            path->end(object);
        exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        fprintf(stderr, "%s did not end well\n", name);
        exit(1);
    }
    printf("%s %d\n", name, (int)child);
}

/* In which round a path is counted. What is counted is switched on and off at each begin and end of a function, so in a
 * round no path may have two of them: the first has what counts whole steps, and each other one function of a step. */
static unsigned round_of(const struct path *first, const struct path *path)
{
    unsigned round = path->function ? 1 : 0;
    for (const struct path *before = first; path->function && before < path; before++)
        round += before->function && before->step == path->step;
    return round;
}

static void list(void)
{
    for (size_t i = 0; i < LISTS; i++)
        for (const struct path *path = lists[i]; path->name; path++)
            printf("%s %s %zu %u %u %u\n", path->name, path->function ? path->function : "measured", path->steps,
                   path->instructions_margin, path->calls_margin, round_of(lists[i], path));
}

static void print_build(void)
{
    struct utsname machine;
    uname(&machine);
    printf("%s, glibc %s, %s, %s\n", COMPILER, gnu_get_libc_version(), machine.machine, GUARD_FLAGS);
}

int main(int argc, char **argv)
{
    const char *role = argc > 1 ? argv[1] : "list";
    if (strcmp(role, "list") == 0)
        list();
    else if (strcmp(role, "build") == 0)
        print_build();
    else if (strcmp(role, "serve") == 0 && argc == 3)
        return be_server(argv[2]);
    else
        for (int i = 1; i + 1 < argc; i += 2)
            run(argv[i], strtoul(argv[i + 1], NULL, 10));
    return 0;
}
