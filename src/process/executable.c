/* The program that a fresh process runs. Called by fresh.c. */
#include "process/executable.h"

#include "os/file.h"
#include "os/process.h"
#include "process/local.h"
#include <errno.h>
#include <mproc/process.h>
#include <string.h>

static char chosen[EXECUTABLE_PATH_SIZE]; /* under the local lock; "": this program */

int mproc_set_executable(const char *path)
{
    size_t length = path ? strlen(path) : 0;
    if (length >= EXECUTABLE_PATH_SIZE)
        return -ENAMETOOLONG;
    int result = path ? os_may_execute(path) : 0;
    if (result)
        return result;
    local_lock();
    memcpy(chosen, path ? path : "", length + 1);
    local_unlock();
    return 0;
}

int executable_path(char path[EXECUTABLE_PATH_SIZE])
{
    local_lock();
    memcpy(path, chosen, sizeof chosen);
    local_unlock();
    return path[0] ? 0 : os_own_executable(path, EXECUTABLE_PATH_SIZE);
}
