/* References to functions: what they find, and what they must not. */
#include "harness.h"
#include "process/function.h"

#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <mproc/base.h>
#include <string.h>
#include <sys/mman.h>

static int secret(void *arg)
{
    (void)arg;
    return 5;
}

static function_address *as_address(int (*function)(void *))
{
    return (function_address *)(void *)function;
}

static void a_static_function_is_found_again(void **state)
{
    struct function_reference reference;
    (void)state;
    assert_int_equal(function_refer(&reference, as_address(secret)), 0);
    assert_string_equal(reference.path, "");
    assert_true(reference.offset < reference.extent);
    assert_ptr_equal((void *)function_find(&reference), (void *)secret);
}

static void a_function_of_a_library_has_its_path(void **state)
{
    struct function_reference reference;
    (void)state;
    assert_int_equal(function_refer(&reference, (function_address *)(void *)gnu_get_libc_version), 0);
    assert_int_equal(reference.path[0], '/');
    assert_non_null(strstr(reference.path, "libc"));
    assert_ptr_equal((void *)function_find(&reference), dlsym(RTLD_DEFAULT, "gnu_get_libc_version"));
}

static void a_library_that_is_not_loaded_is_loaded(void **state)
{
    struct function_reference reference;
    (void)state;
    void *library = dlopen("libresolv.so.2", RTLD_NOW);
    assert_non_null(library);
    void *function = dlsym(library, "ns_get16");
    assert_non_null(function);
    assert_int_equal(function_refer(&reference, (function_address *)function), 0);
    dlclose(library);
    function_address *found = function_find(&reference);
    assert_non_null((void *)found);
    unsigned (*ns_get16)(const unsigned char *) = (unsigned (*)(const unsigned char *))(void *)found;
    assert_int_equal(ns_get16((const unsigned char *)"\1\2"), 0x102);
}

static void what_is_no_code_is_refused(void **state)
{
    static int data;
    int local = 0;
    struct function_reference reference;
    (void)state;
    void *made = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *const bad[] = {NULL, &data, &local, made, (void *)1, (void *)UINTPTR_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(function_refer(&reference, (function_address *)bad[i]), MPROC_NO_FUNCTION);
    munmap(made, 4096);
}

static void another_build_is_not_taken_for_the_same(void **state)
{
    struct function_reference reference, other;
    (void)state;
    assert_int_equal(function_refer(&reference, as_address(secret)), 0);
    if (reference.id_size == 0)
        skip();
    other = reference;
    other.id[0] ^= 1;
    assert_null((void *)function_find(&other));
    other = reference;
    other.id_size = 0;
    assert_null((void *)function_find(&other));
    other = reference;
    other.extent++;
    assert_null((void *)function_find(&other));
    other = reference;
    other.offset = reference.extent - 1; /* not in its code */
    assert_null((void *)function_find(&other));
}

static void static_data_is_found_again(void **state)
{
    static const char *const text = "text"; /* which the loader moves */
    static int nothing;
    int local = 0;
    struct function_reference reference;
    const void *const data[] = {&text, &nothing, dlsym(RTLD_DEFAULT, "in6addr_any"), &static_data_is_found_again};
    (void)state;
    for (size_t i = 0; i < sizeof data / sizeof *data; i++) {
        assert_non_null(data[i]);
        assert_int_equal(data_refer(&reference, data[i]), 0);
        assert_ptr_equal(data_find(&reference), data[i]);
    }
    assert_int_equal(data_refer(&reference, &text), 0);
    assert_null((void *)function_find(&reference));
    reference.offset = reference.extent;
    assert_null(data_find(&reference));
    assert_int_equal(data_refer(&reference, &local), MPROC_NO_FUNCTION);
    assert_int_equal(data_refer(&reference, NULL), MPROC_NO_FUNCTION);
}

static void a_file_that_is_gone_is_not_found(void **state)
{
    struct function_reference reference;
    (void)state;
    assert_int_equal(function_refer(&reference, (function_address *)(void *)gnu_get_libc_version), 0);
    reference.id[0] ^= 1;
    strcpy(reference.path, "/no/such/library.so");
    assert_null((void *)function_find(&reference));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_static_function_is_found_again),
        unit(a_function_of_a_library_has_its_path),
        unit(a_library_that_is_not_loaded_is_loaded),
        unit(what_is_no_code_is_refused),
        unit(another_build_is_not_taken_for_the_same),
        unit(a_file_that_is_gone_is_not_found),
        unit(static_data_is_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
