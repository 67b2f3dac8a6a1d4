/* Loading libssl and libcrypto, as openssl.h says. */
#include "crypto/openssl.h"

#include "os/allocate.h"
#include "os/fault.h"
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(number)           #number
#define LIBRARY(name, version) name ".so." TEXT(version)
#define ENTRY(name)            {#name, offsetof(struct os_openssl, name)},

const struct os_openssl *os_openssl;

static const struct {
    const char *name;
    size_t place;
} functions[] = {OS_OPENSSL_FUNCTIONS(ENTRY)};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int result;

/* libssl needs libcrypto, so what is looked for in the one is looked for in both. A function's address is copied, for
 * the language does not let a void pointer be one. */
static int find_all(void *library, struct os_openssl *found)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *address = dlsym(library, functions[i].name);
        if (!address)
            return -ELIBACC;
        memcpy((char *)found + functions[i].place, &address, sizeof address);
    }
    return 0;
}

static int load(void)
{
    int fault = os_fault(OS_LOAD);
    if (fault)
        return fault;
    void *library = dlopen(LIBRARY("libssl", OPENSSL_SHLIB_VERSION), RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return -ELIBACC;
    struct os_openssl *found = os_malloc(sizeof *found);
    if (!found)
        return -ENOMEM;
    int missing = find_all(library, found);
    if (missing)
        free(found);
    else
        os_openssl = found;
    return missing;
}

static void load_once(void)
{
    result = load();
}

int os_openssl_load(void)
{
    pthread_once(&once, load_once);
    return result;
}
