/* The program that a fresh process runs. Called by fresh.c. */
#include "process/executable.h"

#include "os/allocate.h"
#include "os/file.h"
#include "os/process.h"
#include "process/local.h"
#include <errno.h>
#include <mproc/process.h>
#include <stdbool.h>
#include <string.h>

static char *chosen; /* under the local lock; NULL: this program */

int mproc_executable_set(const char *path)
{
    char *copy = NULL;
    int result = path ? os_may_execute(path) : 0;
    if (result)
        return result;
    if (path && strlen(path) >= EXECUTABLE_PATH_SIZE)
        return -ENAMETOOLONG;
    if (path) {
        copy = os_malloc(strlen(path) + 1);
        if (!copy)
            return -ENOMEM;
        strcpy(copy, path);
    }
    local_lock();
    char *before = chosen;
    chosen = copy;
    local_unlock();
    free(before);
    return 0;
}

int executable_path(char path[EXECUTABLE_PATH_SIZE])
{
    local_lock();
    bool is_chosen = chosen != NULL;
    if (is_chosen)
        strcpy(path, chosen);
    local_unlock();
    return is_chosen ? 0 : os_own_executable(path, EXECUTABLE_PATH_SIZE);
}
