/* The file of a snapshot, as snapshot.h says. Called by snapshot.c.
 *
 * The file is never changed. A new one is written beside it under the name with ".new", and put in its place by one
 * rename: before that the old one is whole, after it the new one. What a process that was killed has left under that
 * name goes with the next writing.
 *
 * A lock on a file with ".lock" keeps a second server away. The process that writes has the lock too, as a copy of the
 * server's descriptor: when the server is killed, the kernel kills it as well, and until it is gone no other server
 * reads the file, so nothing that an old server began is put in the place of what a new one wrote. */
#include "manager/server/snapshot.h"

#include "crypto/mac.h"
#include "os/allocate.h"
#include "os/crash.h"
#include "os/descriptor.h"
#include "os/file.h"
#include "os/folder.h"
#include "os/process.h"
#include "os/signal.h"
#include "os/supervise.h"
#include "util/failure.h"
#include "util/text.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NEW       ".new"
#define LOCK      ".lock"
#define LOCK_TIME OS_SEC(5) /* for what a killed server has left to end */
#define LOCK_NAP  OS_MS(5)
#define CHUNK     ((size_t)1 << 20)

/* ---- bytes ---- */

unsigned char *snapshot_extend(struct snapshot_bytes *bytes, size_t size)
{
    if (bytes->capacity - bytes->size < size) {
        size_t capacity;
        if (__builtin_add_overflow(bytes->size + bytes->size / 2, size, &capacity))
            return NULL;
        unsigned char *more = os_realloc(bytes->bytes, capacity);
        if (!more)
            return NULL;
        bytes->bytes = more;
        bytes->capacity = capacity;
    }
    unsigned char *at = bytes->bytes + bytes->size;
    bytes->size += size;
    return at;
}

int snapshot_begin(struct snapshot_bytes *bytes)
{
    return snapshot_extend(bytes, SNAPSHOT_HEAD) ? 0 : -ENOMEM;
}

static int sum_of(const unsigned char *bytes, size_t size, unsigned char seal[SNAPSHOT_SEAL])
{
    struct mac_sum *sum = mac_sum_begin();
    bool is_done = sum && mac_sum_add(sum, bytes, size) && mac_sum_end(sum, seal);
    mac_sum_free(sum);
    return is_done ? 0 : -ENOMEM;
}

int snapshot_check(const struct snapshot_bytes *bytes, const unsigned char **records, size_t *size)
{
    unsigned char seal[SNAPSHOT_SEAL];
    const size_t magic = sizeof SNAPSHOT_MAGIC - 1;

    if (bytes->size < SNAPSHOT_HEAD + SNAPSHOT_SEAL || memcmp(bytes->bytes, SNAPSHOT_MAGIC, magic - 1) != 0)
        return failure(-EBADMSG, "it is no snapshot of a manager");
    if (bytes->bytes[magic - 1] != (unsigned char)SNAPSHOT_MAGIC[magic - 1])
        return failure(-EPROTONOSUPPORT, "it is of another version of the library");
    *size = bytes->size - SNAPSHOT_HEAD - SNAPSHOT_SEAL;
    *records = bytes->bytes + SNAPSHOT_HEAD;
    if (wire_get_size(*records - WIRE_HEAD) != *size)
        return failure(-EBADMSG, "it was cut off");
    int result = sum_of(bytes->bytes, SNAPSHOT_HEAD + *size, seal);
    if (!result && memcmp(seal, *records + *size, SNAPSHOT_SEAL) != 0)
        result = failure(-EBADMSG, "it was changed after it was written");
    return result;
}

/* ---- names ---- */

int snapshot_path(char path[PATH_MAX], const char *given)
{
    path[0] = 0;
    if (!given)
        return 0;
    const char *slash = strrchr(given, '/');
    size_t name = strlen(slash ? slash + 1 : given);
    if (name == 0)
        return failure(-EINVAL, "options.snapshot_file is empty, or ends with a slash");
    if (strlen(given) >= PATH_MAX || name + sizeof LOCK > NAME_MAX + 1)
        return failure(-ENAMETOOLONG, "options.snapshot_file is too long");
    strcpy(path, given);
    return 0;
}

struct name {
    char text[NAME_MAX + 1];
};

static struct name beside(const struct snapshot_file *file, const char *ending)
{
    struct name name;
    int length = (int)text_fitting(file->name, sizeof name.text - strlen(ending));
    snprintf(name.text, sizeof name.text, "%.*s%s", length, file->name, ending);
    return name;
}

static int open_folder(struct snapshot_file *file, const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');

    snprintf(file->name, sizeof file->name, "%s", slash ? slash + 1 : path);
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    file->folder = os_open(folder, O_RDONLY | O_DIRECTORY);
    return file->folder < 0 ? file->folder : 0;
}

/* ---- the lock ---- */

/* 0; -EAGAIN: somebody has it, or has taken its name away meanwhile. */
static int lock_once(struct snapshot_file *file)
{
    struct name name = beside(file, LOCK);
    int fd = os_open_in(file->folder, name.text, O_RDWR | O_CREAT | O_NONBLOCK, 0600);
    if (fd < 0)
        return fd;
    int result = os_is_private(fd);
    if (!result)
        result = os_file_lock(fd);
    if (!result)
        result = os_has_name(fd);
    if (result == 1) {
        file->lock = fd;
        return 0;
    }
    os_close(fd);
    return result ? result : -EAGAIN;
}

int snapshot_file_open(struct snapshot_file *file, const char *path)
{
    int result = open_folder(file, path);
    if (result)
        return result;
    int64_t deadline = os_after(LOCK_TIME);
    result = lock_once(file);
    while ((result == -EAGAIN || result == -EINTR) && os_until(deadline)) {
        os_sleep(LOCK_NAP);
        result = lock_once(file);
    }
    if (result)
        os_close(file->folder);
    return result == -EAGAIN ? failure(-EBUSY, "another server has it") : result;
}

void snapshot_file_close(struct snapshot_file *file)
{
    os_unlink_in(file->folder, beside(file, NEW).text);
    os_unlink_in(file->folder, beside(file, LOCK).text);
    os_close(file->lock);
    os_close(file->folder);
}

/* ---- reading ---- */

static int read_all(int fd, struct snapshot_bytes *bytes)
{
    for (;;) {
        unsigned char *at = snapshot_extend(bytes, CHUNK);
        if (!at)
            return -ENOMEM;
        ssize_t count = os_read(fd, at, CHUNK);
        bytes->size -= CHUNK - (count > 0 ? (size_t)count : 0);
        if (count == 0)
            return 0;
        if (count < 0 && count != -EINTR)
            return (int)count;
    }
}

int snapshot_file_read(const struct snapshot_file *file, struct snapshot_bytes *bytes)
{
    int fd = os_open_in(file->folder, file->name, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0)
        return fd;
    int result = os_is_private(fd);
    if (result == -EISDIR)
        result = failure(-EPERM, "it is a folder");
    if (!result)
        result = read_all(fd, bytes);
    os_close(fd);
    return result;
}

/* ---- writing ---- */

struct writing {
    const struct snapshot_file *file;
    const struct snapshot_bytes *bytes;
    struct mac_sum *sum;
    struct name name;
    pid_t server;
};

/* The seal is made here as well: it takes as long as to write. */
static int write_and_seal(int fd, const struct writing *writing)
{
    unsigned char seal[SNAPSHOT_SEAL];
    const unsigned char *at = writing->bytes->bytes;
    size_t left = writing->bytes->size;
    int result = 0;

    while (left && !result) {
        size_t size = left < CHUNK ? left : CHUNK;
        result = mac_sum_add(writing->sum, at, size) ? os_write_all(fd, at, size) : -EIO;
        at += size;
        left -= size;
    }
    if (!result)
        result = mac_sum_end(writing->sum, seal) ? os_write_all(fd, seal, sizeof seal) : -EIO;
    return result;
}

static int write_new(const struct writing *writing)
{
    int fd = os_open_in(writing->file->folder, writing->name.text, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return fd;
    int result = write_and_seal(fd, writing);
    if (!result)
        result = os_sync(fd);
    int closed = os_close(fd);
    return result ? result : closed;
}

/* In a copy of the server that makes system calls and the seal, and takes no memory. Its signals are blocked, so that
 * of all signals but SIGKILL none ends it, and at a limit of size there is an error. */
static _Noreturn void write_file(const struct writing *writing)
{
    const struct snapshot_file *file = writing->file;
    int result = os_die_with_parent(writing->server);
    if (!result)
        result = os_close_all_but(file->folder, file->lock);
    if (!result) {
        os_unlink_in(file->folder, writing->name.text);
        result = write_new(writing);
        if (!result)
            result = os_rename_in(file->folder, writing->name.text, file->name); /* commit */
        if (result)
            os_unlink_in(file->folder, writing->name.text);
    }
    if (!result)
        result = os_sync(file->folder);
    _exit(-result);
}

int snapshot_file_write(const struct snapshot_file *file, const struct snapshot_bytes *bytes)
{
    const struct writing writing = {file, bytes, mac_sum_begin(), beside(file, NEW), getpid()};
    sigset_t before;
    int pidfd = -1;

    if (!writing.sum)
        return -ENOMEM;
    memcpy(bytes->bytes, SNAPSHOT_MAGIC, sizeof SNAPSHOT_MAGIC - 1);
    wire_put_size(bytes->bytes + SNAPSHOT_HEAD - WIRE_HEAD, bytes->size - SNAPSHOT_HEAD);
    os_signals_block(&before);
    pid_t pid = os_fork_bare(&pidfd);
    if (pid == 0)
        write_file(&writing);
    os_signals_restore(&before);
    mac_sum_free(writing.sum);
    return pid < 0 ? pid : pidfd;
}
