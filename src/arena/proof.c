/* The proof of life, as proof.h says.
 *
 * Two locks on the memory file make it up, and whoever holds one of them lives:
 *
 * - One of an open file description (F_OFD_SETLK) that the process opens for itself, maps, and closes at once. The
 *   mapping alone keeps the description, and thereby the lock, until the memory of the process is gone. There is no
 *   descriptor that the program could close, copy or lose; fork() does not copy the mapping, and exec ends it.
 * - A record lock (F_SETLK). It alone tells the holder's pid, in whatever pid namespace one asks, and it must do where
 *   /proc is missing, through which the description is opened. But it is gone as soon as the process closes any
 *   descriptor of that file, so it is taken last, and the file is never opened or closed again afterwards. */
#include "arena/proof.h"

#include "arena/region.h"
#include "os/descriptor.h"
#include "os/fork.h"
#include "os/memory.h"
#include <errno.h>
#include <mproc/log.h>

/* The mapping that keeps the first lock; NULL: there is only the second. Written by the thread that joins or leaves,
 * one at a time, with forks kept out. */
static void *pin;

static int64_t record_byte(unsigned slot)
{
    return slot * INT64_C(2);
}

static int64_t pinned_byte(unsigned slot)
{
    return record_byte(slot) + 1;
}

/* 0 with or without a pin; -EAGAIN. */
static int take_pin(unsigned slot)
{
    int fd = os_memory_reopen(region.fd);
    int result = fd < 0 ? fd : os_description_lock(fd, pinned_byte(slot));
    if (!result)
        result = os_memory_pin(fd, &pin);
    if (fd >= 0)
        os_close(fd);
    if (result && result != -EAGAIN && result != -EBADF)
        mproc_log(MPROC_LOG_INFO, "the proof that this process lives hangs on a descriptor, for /proc is of no use: %s",
                  mproc_strerror(result));
    return result == -EAGAIN ? result : 0;
}

static void drop_pin(void)
{
    if (pin)
        os_memory_unpin(pin);
    pin = NULL;
}

int proof_take(unsigned slot)
{
    int result = take_pin(slot);
    if (!result)
        result = os_record_lock(region.fd, record_byte(slot));
    if (result)
        drop_pin();
    return result;
}

void proof_drop(unsigned slot)
{
    os_record_unlock(region.fd, record_byte(slot));
    drop_pin();
}

int proof_renew(unsigned slot)
{
    return pin ? 0 : os_record_lock(region.fd, record_byte(slot));
}

OS_FORK_PATH void proof_forget(void)
{
    pin = NULL;
}

bool proof_is_held(unsigned slot)
{
    return os_record_holder(region.fd, record_byte(slot), 2) != 0;
}

pid_t proof_process(unsigned slot)
{
    pid_t pid = os_record_holder(region.fd, record_byte(slot), 1);
    return pid == 0 && proof_is_held(slot) ? -1 : pid;
}
