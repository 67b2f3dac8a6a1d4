/* Shared memory with a name. The handles of this process are in a list, so that the names it owns can be removed when
 * it ends. A name is removed by its owner alone. No other record of it is kept. */
#include "os/allocate.h"
#include "os/descriptor.h"
#include "os/fork.h"
#include "os/leave.h"
#include "os/named_memory.h"
#include "os/random.h"
#include "util/failure.h"
#include <errno.h>
#include <mproc/shared_memory.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME_LONGEST 250

/* How many new names are tried before the call fails. */
#define TRIES 100

struct mproc_shared_memory {
    mproc_shared_memory *next; /* the list of this process */
    mproc_shared_memory **at;
    pid_t owner; /* the process that owns the name, or 0 */
    void *data;
    size_t size;
    char name[NAME_LONGEST + 2]; /* with a slash */
};

static mproc_shared_memory *first;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void lock_for_fork(void)
{
    pthread_mutex_lock(&mutex);
}

static void unlock_after_fork(void)
{
    pthread_mutex_unlock(&mutex);
}

static OS_FORK_PATH void unlock_in_child(void)
{
    os_mutex_reset(&mutex, true);
}

/* ---- names ---- */

/* The name as the kernel takes it. False where it is not valid. */
static bool read_name(const char *text, char name[NAME_LONGEST + 2])
{
    if (!text)
        return false;
    text += text[0] == '/';
    size_t length = strnlen(text, NAME_LONGEST + 1);
    if (length == 0 || length > NAME_LONGEST || strchr(text, '/') || !strcmp(text, ".") || !strcmp(text, ".."))
        return false;
    name[0] = '/';
    memcpy(name + 1, text, length + 1);
    return true;
}

/* A name like those that CPython makes. */
static int choose_name(char name[NAME_LONGEST + 2])
{
    uint32_t number;
    int result = os_random(&number, sizeof number);
    snprintf(name, NAME_LONGEST + 2, "/psm_%08x", result ? 0 : number);
    return result;
}

/* ---- the end ---- */

static void remove_name(const mproc_shared_memory *memory)
{
    if (memory->owner == getpid())
        os_named_memory_unlink(memory->name); /* somebody may have done it before */
}

static void remove_names(void)
{
    os_mutex_lock(&mutex);
    for (const mproc_shared_memory *memory = first; memory; memory = memory->next)
        remove_name(memory);
    pthread_mutex_unlock(&mutex);
}

static void shared_memory_end_with_program(void)
{
    os_leave(remove_names);
}

/* Once in each program: a forked child has its copies of both handlers. */
static void shared_memory_watch(void)
{
    static bool is_watching;
    if (is_watching)
        return;
    is_watching = true;
    pthread_atfork(lock_for_fork, unlock_after_fork, unlock_in_child);
    atexit(shared_memory_end_with_program);
}

/* ---- handles ---- */

static void shared_memory_enlist(mproc_shared_memory *memory)
{
    pthread_mutex_lock(&mutex);
    shared_memory_watch();
    memory->next = first;
    memory->at = &first;
    if (first)
        first->at = &memory->next;
    first = memory;
    pthread_mutex_unlock(&mutex);
}

/* Map the memory that is open there, and close that. */
static int shared_memory_map(mproc_shared_memory *memory, int fd)
{
    int result = memory->size ? os_named_memory_map(fd, memory->size, &memory->data)
                              : failure(-EINVAL, "the memory of that name is empty");
    os_close(fd);
    if (!result)
        shared_memory_enlist(memory);
    return result;
}

static int shared_memory_create(mproc_shared_memory *memory, const char *name)
{
    int fd = -EEXIST;
    for (int i = 0; i < TRIES && fd == -EEXIST; i++) {
        int result = name ? 0 : choose_name(memory->name);
        fd = result ? result : os_named_memory_create(memory->name, memory->size);
        if (name)
            break;
    }
    if (fd < 0)
        return fd;
    memory->owner = getpid();
    int result = shared_memory_map(memory, fd);
    if (result)
        remove_name(memory);
    return result;
}

static int attach(mproc_shared_memory *memory)
{
    int fd = os_named_memory_open(memory->name, &memory->size);
    return fd < 0 ? fd : shared_memory_map(memory, fd);
}

static mproc_shared_memory *new_handle(size_t size)
{
    mproc_shared_memory *memory = os_malloc(sizeof *memory);
    if (memory)
        *memory = (mproc_shared_memory){.size = size};
    return memory;
}

int mproc_shared_memory_create(mproc_shared_memory **memory, const char *name, size_t size)
{
    char wanted[NAME_LONGEST + 2];
    if (!memory)
        return refuse(__func__, "memory is NULL");
    *memory = NULL;
    if (size == 0)
        return refuse(__func__, "size is 0");
    if (size > PTRDIFF_MAX)
        return refuse(__func__, "size is above PTRDIFF_MAX");
    if (name && !read_name(name, wanted))
        return refuse(__func__, "name is empty, too long or has a slash in it");
    mproc_shared_memory *made = new_handle(size);
    if (!made)
        return outcome(__func__, -ENOMEM);
    if (name)
        memcpy(made->name, wanted, sizeof wanted);
    int result = shared_memory_create(made, name);
    if (result)
        free(made);
    else
        *memory = made;
    return outcome(__func__, result);
}

int mproc_shared_memory_attach(mproc_shared_memory **memory, const char *name)
{
    char wanted[NAME_LONGEST + 2];
    if (!memory)
        return refuse(__func__, "memory is NULL");
    *memory = NULL;
    if (!read_name(name, wanted))
        return refuse(__func__, "name is NULL, empty, too long or has a slash in it");
    mproc_shared_memory *made = new_handle(0);
    if (!made)
        return outcome(__func__, -ENOMEM);
    memcpy(made->name, wanted, sizeof wanted);
    int result = attach(made);
    if (result)
        free(made);
    else
        *memory = made;
    return outcome(__func__, result);
}

void *mproc_shared_memory_data(const mproc_shared_memory *memory)
{
    return memory ? memory->data : NULL;
}

size_t mproc_shared_memory_size(const mproc_shared_memory *memory)
{
    return memory ? memory->size : 0;
}

const char *mproc_shared_memory_name(const mproc_shared_memory *memory)
{
    return memory ? memory->name + 1 : NULL;
}

int mproc_shared_memory_own(mproc_shared_memory *memory, bool owns)
{
    if (!memory)
        return refuse(__func__, "memory is NULL");
    pthread_mutex_lock(&mutex);
    memory->owner = owns ? getpid() : 0;
    pthread_mutex_unlock(&mutex);
    return 0;
}

int mproc_shared_memory_unlink(const char *name)
{
    char wanted[NAME_LONGEST + 2];
    if (!read_name(name, wanted))
        return refuse(__func__, "name is NULL, empty, too long or has a slash in it");
    return outcome(__func__, os_named_memory_unlink(wanted));
}

mproc_shared_memory *mproc_shared_memory_free(mproc_shared_memory *memory)
{
    if (!memory)
        return NULL;
    failure_hold();
    pthread_mutex_lock(&mutex);
    *memory->at = memory->next;
    if (memory->next)
        memory->next->at = memory->at;
    pthread_mutex_unlock(&mutex);
    remove_name(memory);
    os_named_memory_unmap(memory->data, memory->size);
    free(memory);
    failure_release();
    return NULL;
}
