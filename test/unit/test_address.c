/* Addresses as texts. */
#include "connection/address.h"
#include "harness.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void expect_text(const char *text, const char *written)
{
    struct address address;
    char buffer[MPROC_ADDRESS_MAX];

    assert_int_equal(address_parse(&address, text), 0);
    address_write(&address, buffer);
    assert_string_equal(buffer, written);
}

static void addresses_are_taken_apart(void **state)
{
    (void)state;
    expect_text("unix:", "unix:");
    expect_text("unix:/tmp/a:b", "unix:/tmp/a:b");
    expect_text("unix:relative", "unix:relative");
    expect_text("unix:@name", "unix:@name");
    expect_text("tcp::0", "tcp:127.0.0.1:0");
    expect_text("tcp:0.0.0.0:65535", "tcp:0.0.0.0:65535");
    expect_text("tcp:host.example:00080", "tcp:host.example:80");
    expect_text("tcp:[::1]:9", "tcp:[::1]:9");
}

static void what_is_no_address_is_refused(void **state)
{
    static const char *const bad[] = {
        "",          "unix",        "tcp:",        "tcp:host",  "tcp:host:",      "tcp:host:65536", "tcp:host:999999",
        "tcp:h:-1",  "tcp:h: 1",    "tcp:h:http",  "tcp:::1:9", "tcp:[::1]",      "tcp:[::1:9",     "tcp:[]:9",
        "tcp:[h]:9", "tcp:::1]:80", "http://h:80", "UNIX:/tmp", "/tmp/something", "tcp:[a]b:9",
    };
    struct address address;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(address_parse(&address, bad[i]), -EINVAL);
    assert_int_equal(address_parse(&address, NULL), -EINVAL);
}

static void long_addresses_are_refused(void **state)
{
    char text[2 * PATH_MAX];
    struct address address;

    (void)state;
    snprintf(text, sizeof text, "unix:%0*d", PATH_MAX - 1, 0);
    expect_text(text, text);
    snprintf(text, sizeof text, "unix:%0*d", PATH_MAX, 0);
    assert_int_equal(address_parse(&address, text), -ENAMETOOLONG);
    snprintf(text, sizeof text, "tcp:%0*d:9", OS_HOST_SIZE - 1, 0);
    expect_text(text, text);
    snprintf(text, sizeof text, "tcp:%0*d:9", OS_HOST_SIZE, 0);
    assert_int_equal(address_parse(&address, text), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(addresses_are_taken_apart),
        unit(what_is_no_address_is_refused),
        unit(long_addresses_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
