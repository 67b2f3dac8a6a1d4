/* What results mean in words, and which version this is. Nothing here fails. */
#include <limits.h>
#include <mproc/base.h>
#include <stdio.h>
#include <string.h>

#define TEXT(number)    #number
#define DOTTED(a, b, c) TEXT(a) "." TEXT(b) "." TEXT(c)

static const char *const conditions[] = {
    [0] = "Success",
    [MPROC_TIMEOUT] = "The time was over before it happened",
    [MPROC_CLOSED] = "The other side has closed or died",
    [MPROC_OWNER_DIED] = "The last owner of the lock died holding it",
    [MPROC_WORKER_DIED] = "The worker died at this task",
    [MPROC_TASK_FAILED] = "The function of the task did not return 0",
    [MPROC_CANCELLED] = "The task was cancelled",
    [MPROC_TOO_SMALL] = "The message is larger than the buffer",
    [MPROC_BROKEN] = "The barrier or the pool broke, or the stream ended inside a message",
    [MPROC_RUNNING] = "The process has not ended",
    [MPROC_NOT_SHARED] = "The address is not in shared memory; use mproc_alloc()",
    [MPROC_NOT_INITIALIZED] = "The program did not call mproc_init() first thing in main()",
    [MPROC_NO_FUNCTION] = "The function is in no loaded object file",
    [MPROC_LATE] = "The task took longer than it may, and was ended",
    [MPROC_NOT_FOUND] = "There is no such key, item or index",
    [MPROC_SERVER_DIED] = "The server, or the way to it, is gone",
    [MPROC_AUTH] = "The other side did not prove that it has the key",
    [MPROC_INTERRUPTED] = "The program's check has ended the wait",
    [MPROC_FOREIGN] = "The handle belongs to another process",
    [MPROC_KEY_EXPOSED] = "The file of the key is no private file of this user",
};

const char *mproc_strerror(int result)
{
    static _Thread_local char unknown[48];

    if (result >= 0 && (size_t)result < sizeof conditions / sizeof *conditions)
        return conditions[result];
    const char *text = result < 0 && result > INT_MIN ? strerrordesc_np(-result) : NULL;
    if (text)
        return text;
    snprintf(unknown, sizeof unknown, "Unknown result %d", result);
    return unknown;
}

const char *mproc_version(void)
{
    return DOTTED(MPROC_VERSION_MAJOR, MPROC_VERSION_MINOR, MPROC_VERSION_PATCH);
}
