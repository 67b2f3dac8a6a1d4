/* The program that a fresh process runs. */
#include "process/executable.h"

#include "os/allocate.h"
#include "os/file.h"
#include "os/process.h"
#include "os/program.h"
#include "process/process_lock.h"
#include "util/atomic.h"
#include "util/failure.h"
#include <errno.h>
#include <mproc/process.h>
#include <string.h>

static char *chosen; /* an absolute path, under the process lock; NULL: this program */
static _Atomic(bool) proven;

#define LOADER_ARGUMENTS_SIZE 4096

/* What the loader was executed with, if the kernel executed it: taken before the program may write there. */
static char *loader_arguments;
static long loader_size;

__attribute__((constructor)) static void keep_loader_arguments(void)
{
    if (!os_program_has_loader())
        return;
    if (!loader_arguments)
        loader_arguments = os_malloc(LOADER_ARGUMENTS_SIZE);
    if (loader_arguments)
        loader_size = os_program_arguments(loader_arguments, LOADER_ARGUMENTS_SIZE);
}

int mproc_executable_set(const char *path)
{
    char *copy = NULL;
    int result = path ? os_may_execute(path) : 0;
    if (!result && path) {
        copy = os_malloc(EXECUTABLE_PATH_SIZE);
        result = copy ? os_absolute_path(path, copy, EXECUTABLE_PATH_SIZE) : -ENOMEM;
    }
    if (result) {
        free(copy);
        return outcome(__func__, result);
    }
    process_lock();
    char *before = chosen;
    chosen = copy;
    store_relaxed(&proven, false);
    process_unlock();
    free(before);
    return 0;
}

bool executable_is_chosen(void)
{
    process_lock();
    bool is_chosen = chosen != NULL;
    process_unlock();
    return is_chosen;
}

bool executable_is_proven(void)
{
    return load_relaxed(&proven);
}

void executable_prove(void)
{
    store_relaxed(&proven, true);
}

static bool takes_argument(const char *option)
{
    static const char *const options[] = {"--library-path",     "--inhibit-rpath",        "--audit",
                                          "--preload",          "--glibc-hwcaps-prepend", "--argv0",
                                          "--glibc-hwcaps-mask"};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (strcmp(option, options[i]) == 0)
            return true;
    return false;
}

/* The loader's options are those of this run; the program is what it has mapped, whatever it is called there. */
static int add_loader_arguments(struct executable *executable, size_t count)
{
    if (!loader_size) /* the constructor has not run yet */
        keep_loader_arguments();
    if (!loader_arguments)
        return -ENOMEM;
    const char *at = loader_arguments;
    const char *end = loader_arguments + (loader_size > 0 ? loader_size : 0);
    size_t values = 0; /* of the last option */
    for (at += strnlen(at, (size_t)(end - at)) + 1; at < end; at += strnlen(at, (size_t)(end - at)) + 1) {
        if (values == 0 && strncmp(at, "--", 2) != 0)
            break;
        if (count + 1 >= EXECUTABLE_ARGUMENTS_MAX || !memchr(at, '\0', (size_t)(end - at)))
            return -E2BIG;
        values = values == 0 && takes_argument(at) ? 1 : 0;
        executable->arguments[count++] = at;
    }
    int result = os_program_path(executable->program, sizeof executable->program);
    executable->arguments[count++] = executable->program;
    executable->arguments[count] = NULL;
    return result;
}

int executable_find(struct executable *executable)
{
    process_lock();
    bool is_chosen = chosen != NULL;
    if (is_chosen)
        strcpy(executable->path, chosen);
    process_unlock();
    executable->arguments[0] = program_invocation_name;
    executable->arguments[1] = NULL;
    if (is_chosen)
        return 0;
    int result = os_own_executable(executable->path, sizeof executable->path);
    return result || !os_program_has_loader() ? result : add_loader_arguments(executable, 1);
}
