/* Addresses of managers, taken apart. */
#include "manager/wire/manager_address.h"

#include "util/failure.h"
#include <errno.h>
#include <string.h>

int manager_address_parse(struct manager_address *way, const char *text)
{
    char plain[MPROC_ADDRESS_MAX];

    if (!text)
        return failure(-EINVAL, "address is NULL");
    size_t length = strlen(text);
    if (length >= sizeof plain)
        return failure(-ENAMETOOLONG, "address is longer than %zu bytes", sizeof plain - 1);
    memcpy(plain, text, length + 1);
    way->tls = strncmp(plain, "tls:", 4) == 0;
    if (way->tls)
        memcpy(plain, "tcp:", 4);
    memcpy(way->text, text, length + 1);
    return address_parse(&way->address, plain);
}
