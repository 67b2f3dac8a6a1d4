/* The key for authenticated connections. It is settled before each start, so that parent and child have the same one.
 * It leaves the family's processes through these calls only. */
#include "process/authkey.h"

#include "os/allocate.h"
#include "os/random.h"
#include "process/process_lock.h"
#include "util/failure.h"
#include <errno.h>
#include <mproc/process.h>
#include <string.h>

#define RANDOM_SIZE 32

struct key {
    size_t size;   /* 0: there is none after all */
    bool is_given; /* by the program, here or in the process from which it was inherited */
    unsigned char bytes[AUTHKEY_MAX];
};

static struct key *own_key; /* under the process lock; NULL until there is one */

/* Have a place for the key. With the lock. */
static int authkey_reserve(void)
{
    if (own_key)
        return 0;
    own_key = os_malloc(sizeof *own_key);
    if (!own_key)
        return -ENOMEM;
    own_key->size = 0;
    own_key->is_given = false;
    return 0;
}

int mproc_authkey_set(const void *key, size_t size)
{
    if (!key)
        return refuse(__func__, "key is NULL");
    if (size == 0)
        return refuse(__func__, "size is 0");
    if (size > AUTHKEY_MAX)
        return refuse(__func__, "size is above 256");
    return outcome(__func__, authkey_adopt(key, size, true));
}

int authkey_adopt(const void *key, size_t size, bool is_given)
{
    process_lock();
    int result = authkey_reserve();
    if (!result) {
        memcpy(own_key->bytes, key, size);
        own_key->size = size;
        own_key->is_given = is_given;
    }
    process_unlock();
    return result;
}

/* With the lock. */
static int authkey_settle_locked(void)
{
    if (own_key && own_key->size)
        return 0;
    int result = authkey_reserve();
    if (!result)
        result = os_random(own_key->bytes, RANDOM_SIZE);
    if (!result)
        own_key->size = RANDOM_SIZE;
    return result;
}

int authkey_settle(void)
{
    process_lock();
    int result = authkey_settle_locked();
    process_unlock();
    return result;
}

bool authkey_is_given(void)
{
    process_lock();
    bool is_given = own_key && own_key->is_given;
    process_unlock();
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
    process_lock();
    *size = own_key->size;
    if (capacity)
        memcpy(key, own_key->bytes, capacity < own_key->size ? capacity : own_key->size);
    result = capacity < own_key->size ? MPROC_TOO_SMALL : 0;
    process_unlock();
    return outcome(__func__, result);
}
