/* Keys: what a listener or a client needs of one, and where a program may read one from. */
#include "connection/auth_key.h"

#include "crypto/openssl.h"
#include "os/descriptor.h"
#include "os/file.h"
#include "util/failure.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

int auth_key_check(const struct handshake_key *key, const struct address *address, bool any_user)
{
    if (key->bytes ? key->size == 0 || key->size > MPROC_KEY_MAX : key->size > 0)
        return failure(-EINVAL, "options.key and options.key_size do not go together, or the key is too long");
    if (!key->bytes && (address->scheme != ADDRESS_UNIX || any_user))
        return failure(-EINVAL, "an address of tcp, and options.any_user, need an options.key");
    if (!key->bytes)
        return 0;
    return os_openssl_load();
}

/* Up to the end of file or of the room. How many bytes, or -errno. */
static ssize_t read_up_to(int fd, unsigned char *bytes, size_t room)
{
    size_t have = 0;

    while (have < room) {
        ssize_t count = os_read(fd, bytes + have, room - have);
        if (count == 0)
            break;
        if (count < 0 && count != -EINTR)
            return count;
        if (count > 0)
            have += (size_t)count;
    }
    return (ssize_t)have;
}

int mproc_key_from_fd(int fd, void *key, size_t capacity, size_t *size)
{
    unsigned char bytes[MPROC_KEY_MAX + 2]; /* with a newline, and one more that is too many */

    if (!key && capacity)
        return refuse(__func__, "key is NULL, but capacity is not 0");
    if (!size)
        return refuse(__func__, "size is NULL");
    ssize_t have = read_up_to(fd, bytes, sizeof bytes);
    if (have > 0 && bytes[have - 1] == '\n')
        have--;
    int result = have < 0 ? (int)have : 0;
    if (!result && (have == 0 || have > MPROC_KEY_MAX))
        result = failure(-EINVAL, "the key is empty, or longer than %d bytes", MPROC_KEY_MAX);
    if (!result) {
        *size = (size_t)have;
        result = *size > capacity ? MPROC_TOO_SMALL : 0;
    }
    if (!result && key)
        memcpy(key, bytes, *size);
    mac_forget(bytes, sizeof bytes);
    return outcome(__func__, result);
}

int mproc_key_from_file(const char *path, void *key, size_t capacity, size_t *size)
{
    unsigned before = failure_mark();
    if (!path)
        return refuse(__func__, "path is NULL");
    if (!key && capacity)
        return refuse(__func__, "key is NULL, but capacity is not 0");
    if (!size)
        return refuse(__func__, "size is NULL");
    int fd = os_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return outcome(__func__, fd);
    int result = os_is_private(fd);
    if (result == -EISDIR)
        failure(result, "path is a folder: %s", path);
    if (result == -EPERM)
        result = failure(MPROC_KEY_EXPOSED, "path is no file of this user's alone: chmod 600 %s", path);
    if (!result)
        result = mproc_key_from_fd(fd, key, capacity, size);
    os_close(fd);
    return retold(__func__, before, result);
}
