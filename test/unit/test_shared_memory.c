/* Shared memory with a name, among processes that are no family, and with CPython. */
#include "harness.h"

#include <errno.h>
#include <mproc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char name[64];

static bool exists(const char *text)
{
    char path[300];
    snprintf(path, sizeof path, "/dev/shm/%s", text);
    return access(path, F_OK) == 0;
}

static mproc_shared_memory *make(size_t size)
{
    mproc_shared_memory *memory;
    snprintf(name, sizeof name, "mproc-test-%d", (int)getpid());
    assert_int_equal(mproc_shared_memory_create(&memory, name, size), 0);
    return memory;
}

/* Run a child and return its exit code. Its exit is that of a program. */
static int run_child(int (*body)(void))
{
    pid_t child = fork();
    int status = -1;
    if (child == 0)
        exit(body());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void what_one_writes_the_other_reads(void **state)
{
    (void)state;
    mproc_shared_memory *memory = make(1001), *other;
    unsigned char *bytes = mproc_shared_memory_data(memory);
    assert_int_equal(mproc_shared_memory_size(memory), 1001); /* to the byte */
    assert_string_equal(mproc_shared_memory_name(memory), name);
    for (int i = 0; i < 1001; i++)
        assert_int_equal(bytes[i], 0);
    assert_int_equal(mproc_shared_memory_attach(&other, name), 0);
    assert_int_equal(mproc_shared_memory_size(other), 1001);
    assert_ptr_not_equal(mproc_shared_memory_data(other), bytes);
    bytes[1000] = 7;
    assert_int_equal(((unsigned char *)mproc_shared_memory_data(other))[1000], 7);
    mproc_shared_memory_free(other);
    assert_true(exists(name)); /* who attached owns nothing */
    mproc_shared_memory_free(memory);
    assert_false(exists(name));
}

static void a_name_is_made_where_none_is_given(void **state)
{
    (void)state;
    mproc_shared_memory *a, *b, *same;
    assert_int_equal(mproc_shared_memory_create(&a, NULL, 1), 0);
    assert_int_equal(mproc_shared_memory_create(&b, NULL, 1), 0);
    assert_string_not_equal(mproc_shared_memory_name(a), mproc_shared_memory_name(b));
    char with_slash[300];
    snprintf(with_slash, sizeof with_slash, "/%s", mproc_shared_memory_name(a));
    assert_int_equal(mproc_shared_memory_attach(&same, with_slash), 0);
    mproc_shared_memory_free(same);
    mproc_shared_memory_free(a);
    mproc_shared_memory_free(b);
}

static void a_name_in_use_is_not_taken_again(void **state)
{
    (void)state;
    mproc_shared_memory *memory = make(16), *other;
    assert_int_equal(mproc_shared_memory_create(&other, name, 16), -EEXIST);
    assert_null(other);
    assert_int_equal(mproc_shared_memory_unlink(name), 0);
    assert_int_equal(mproc_shared_memory_unlink(name), -ENOENT);
    assert_int_equal(mproc_shared_memory_attach(&other, name), -ENOENT);
    memset(mproc_shared_memory_data(memory), 1, 16); /* who uses it goes on */
    mproc_shared_memory_free(memory);
}

static void what_another_made_of_the_name_is_not_removed(void **state)
{
    (void)state;
    mproc_shared_memory *memory = make(16), *other;
    assert_int_equal(mproc_shared_memory_unlink(name), 0);
    assert_int_equal(mproc_shared_memory_own(memory, false), 0);
    assert_int_equal(mproc_shared_memory_create(&other, name, 16), 0);
    mproc_shared_memory_free(memory);
    assert_true(exists(name));
    mproc_shared_memory_free(other);
}

static void the_owner_can_be_another_handle(void **state)
{
    (void)state;
    mproc_shared_memory *memory = make(16), *other;
    assert_int_equal(mproc_shared_memory_attach(&other, name), 0);
    assert_int_equal(mproc_shared_memory_own(other, true), 0);
    assert_int_equal(mproc_shared_memory_own(memory, false), 0);
    mproc_shared_memory_free(memory);
    assert_true(exists(name));
    mproc_shared_memory_free(other);
    assert_false(exists(name));
}

static mproc_shared_memory *inherited;

static int free_inherited(void)
{
    mproc_shared_memory_free(inherited);
    return exists(name);
}

static int leave_it(void)
{
    return exists(name);
}

static void a_forked_child_owns_nothing(void **state)
{
    (void)state;
    inherited = make(16);
    assert_int_equal(run_child(free_inherited), 1);
    assert_int_equal(run_child(leave_it), 1);
    assert_true(exists(name));
    mproc_shared_memory_free(inherited);
}

static int make_and_exit(void)
{
    mproc_shared_memory *memory;
    return mproc_shared_memory_create(&memory, name, 16) ? 1 : 0;
}

static int make_for_others(void)
{
    mproc_shared_memory *memory;
    return mproc_shared_memory_create(&memory, name, 16) || mproc_shared_memory_own(memory, false);
}

static void a_program_that_ends_removes_what_it_owns(void **state)
{
    (void)state;
    snprintf(name, sizeof name, "mproc-test-%d", (int)getpid());
    assert_int_equal(run_child(make_and_exit), 0);
    assert_false(exists(name));
    assert_int_equal(run_child(make_for_others), 0);
    assert_true(exists(name));
    assert_int_equal(mproc_shared_memory_unlink(name), 0);
}

static void wrong_input_is_refused(void **state)
{
    (void)state;
    char longest[252];
    mproc_shared_memory *memory;
    static const char *const wrong[] = {"", "/", ".", "..", "a/b", "//a"};
    memset(longest, 'a', sizeof longest);
    longest[251] = '\0';
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(mproc_shared_memory_create(&memory, wrong[i], 1), -EINVAL);
        assert_int_equal(mproc_shared_memory_attach(&memory, wrong[i]), -EINVAL);
        assert_int_equal(mproc_shared_memory_unlink(wrong[i]), -EINVAL);
    }
    assert_int_equal(mproc_shared_memory_create(&memory, longest, 1), -EINVAL);
    longest[250] = '\0';
    assert_int_equal(mproc_shared_memory_create(&memory, longest, 1), 0);
    mproc_shared_memory_free(memory);
    assert_int_equal(mproc_shared_memory_create(&memory, "mproc-test", 0), -EINVAL);
    assert_int_equal(mproc_shared_memory_create(NULL, "mproc-test", 1), -EINVAL);
    assert_int_equal(mproc_shared_memory_attach(&memory, NULL), -EINVAL);
    assert_int_equal(mproc_shared_memory_create(&memory, "mproc-test", (size_t)1 << 50), -ENOMEM);
    assert_false(exists("mproc-test"));
    assert_null(mproc_shared_memory_data(NULL));
    assert_null(mproc_shared_memory_name(NULL));
    assert_int_equal(mproc_shared_memory_size(NULL), 0);
    assert_int_equal(mproc_shared_memory_own(NULL, true), -EINVAL);
    assert_null(mproc_shared_memory_free(NULL));
}

/* ---- CPython ---- */

static bool has_python(void)
{
    return system("python3 -c 'import multiprocessing.shared_memory' 2>/dev/null") == 0;
}

static void python_sees_what_we_made(void **state)
{
    (void)state;
    if (!has_python())
        skip();
    mproc_shared_memory *memory = make(1001);
    unsigned char *bytes = mproc_shared_memory_data(memory);
    char command[600];
    snprintf((char *)bytes, 7, "from C");
    snprintf(command, sizeof command,
             "python3 -c \"\n"
             "from multiprocessing import shared_memory, resource_tracker\n"
             "m = shared_memory.SharedMemory(name='%s')\n"
             "resource_tracker.unregister(m._name, 'shared_memory')\n" /* else it would remove what is not its own */
             "assert m.size == 1001 and bytes(m.buf[:6]) == b'from C'\n"
             "m.buf[995:] = b'Python'\n"
             "m.close()\n"
             "\"",
             name);
    assert_int_equal(system(command), 0);
    assert_memory_equal(bytes + 995, "Python", 6);
    assert_true(exists(name));
    mproc_shared_memory_free(memory);
}

static void we_see_what_python_made(void **state)
{
    (void)state;
    if (!has_python())
        skip();
    mproc_shared_memory *memory;
    char made[64] = "";
    FILE *python = popen("python3 -c \"\n"
                         "from multiprocessing import shared_memory\n"
                         "import sys\n"
                         "m = shared_memory.SharedMemory(create=True, size=777)\n"
                         "m.buf[776] = 42\n"
                         "print(m.name, flush=True)\n"
                         "import time\n"
                         "while m.buf[0] == 0: time.sleep(0.01)\n"
                         "m.close(); m.unlink()\n"
                         "\"",
                         "r");
    assert_non_null(python);
    assert_int_equal(fscanf(python, "%63s", made), 1);
    assert_int_equal(mproc_shared_memory_attach(&memory, made), 0);
    unsigned char *bytes = mproc_shared_memory_data(memory);
    assert_int_equal(mproc_shared_memory_size(memory), 777);
    assert_int_equal(bytes[776], 42);
    bytes[0] = 1;
    assert_int_equal(pclose(python), 0);
    assert_false(exists(made));
    mproc_shared_memory_free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(what_one_writes_the_other_reads),
        unit(a_name_is_made_where_none_is_given),
        unit(a_name_in_use_is_not_taken_again),
        unit(what_another_made_of_the_name_is_not_removed),
        unit(the_owner_can_be_another_handle),
        unit(a_forked_child_owns_nothing),
        unit(a_program_that_ends_removes_what_it_owns),
        unit(wrong_input_is_refused),
        unit(python_sees_what_we_made),
        unit(we_see_what_python_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
