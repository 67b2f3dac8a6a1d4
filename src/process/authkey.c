/* The key for authenticated connections. Called before each start, so that parent and child have the same key, and by
 * the listeners. It never leaves the family's processes but through these calls. */
#include "process/authkey.h"

#include "os/random.h"
#include "process/local.h"
#include "util/failure.h"
#include <errno.h>
#include <mproc/process.h>
#include <string.h>

#define RANDOM_SIZE 32

/* Under the local lock; size 0 while there is none. */
static unsigned char key_bytes[AUTHKEY_MAX];
static size_t key_size;
static bool key_is_given; /* by the program, here or in the process from which it was inherited */

int mproc_authkey_set(const void *key, size_t size)
{
    if (!key)
        return refuse(__func__, "key is NULL");
    if (size == 0)
        return refuse(__func__, "size is 0");
    if (size > AUTHKEY_MAX)
        return refuse(__func__, "size is above 256");
    authkey_adopt(key, size, true);
    return 0;
}

void authkey_adopt(const void *key, size_t size, bool is_given)
{
    local_lock();
    memcpy(key_bytes, key, size);
    key_size = size;
    key_is_given = is_given;
    local_unlock();
}

int authkey_settle(void)
{
    local_lock();
    int result = key_size ? 0 : os_random(key_bytes, RANDOM_SIZE);
    if (!result && !key_size)
        key_size = RANDOM_SIZE;
    local_unlock();
    return result;
}

bool authkey_is_given(void)
{
    local_lock();
    bool is_given = key_is_given;
    local_unlock();
    return is_given;
}

int mproc_authkey_get(void *key, size_t capacity, size_t *size)
{
    if (!key && capacity)
        return refuse(__func__, "key is NULL, but capacity is not 0");
    if (!size)
        return refuse(__func__, "size is NULL");
    int result = authkey_settle();
    if (result)
        return outcome(__func__, result);
    local_lock();
    *size = key_size;
    if (capacity)
        memcpy(key, key_bytes, capacity < key_size ? capacity : key_size);
    result = capacity < key_size ? MPROC_TOO_SMALL : 0;
    local_unlock();
    return outcome(__func__, result);
}
