/* Whether it was the kernel's OOM killer that killed a worker. The kernel counts a kill before it sends the signal, so
 * when a worker was reaped its kill is counted. */
#include "process/oom.h"

#include "os/clock.h"
#include "os/proc.h"

/* Workers that are killed together are reaped within this. */
#define TOGETHER OS_SEC(1)

void oom_begin(struct oom_watch *watch)
{
    *watch = (struct oom_watch){.left = 0};
    watch->counts = os_proc_oom_kills(&watch->count) == 0;
}

bool oom_has_killed(struct oom_watch *watch)
{
    uint64_t count;
    return watch->counts && os_proc_oom_kills(&count) == 0 && oom_explains(watch, count, os_now());
}

bool oom_explains(struct oom_watch *watch, uint64_t count, int64_t now)
{
    if (now - watch->seen > TOGETHER)
        watch->left = 0;
    if (count > watch->count) {
        watch->left += count - watch->count;
        watch->seen = now;
    }
    watch->count = count;
    if (watch->left == 0)
        return false;
    watch->left--;
    return true;
}
