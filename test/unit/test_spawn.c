/* Fresh processes, by spawn and by the fork server: how the function is found, and what is wrong with a start. What
 * is said here holds for both methods. */
#include "arena/member.h"
#include "children.h"
#include "fresh.h"
#include "harness.h"
#include "processes.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mproc/log.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int refuse(mproc_target *fn, void *arg, const mproc_process_options *options)
{
    mproc_process *process = (mproc_process *)&fresh_method;
    int result = mproc_process_start(&process, fn, arg, options);
    assert_null(process);
    return result;
}

/* ---- the function and its argument ---- */

static int add(void *arg)
{
    _Atomic(int) *word = arg;
    return atomic_fetch_add(word, 1);
}

static void shared_memory_is_at_the_same_address(void **state)
{
    _Atomic(int) *word = shared(sizeof *word);
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(run_shared(add, word), i);
    assert_int_equal(atomic_load(word), 3);
    shared_free(word);
}

static int has_no_argument(void *arg)
{
    return arg ? 1 : 0;
}

static int is_pattern(void *arg)
{
    const unsigned char *bytes = arg;
    if ((uintptr_t)arg % 16)
        return 1;
    for (size_t i = 0; i < 1000003; i++)
        if (bytes[i] != (unsigned char)(i * 7))
            return 2;
    return 0;
}

static void an_argument_of_any_size_is_copied(void **state)
{
    unsigned char *bytes = malloc(1000003);
    int code = 77;
    (void)state;
    assert_int_equal(run_shared(has_no_argument, NULL), 0);
    assert_int_equal(run_copied(return_int, &code, sizeof code), 77);
    for (size_t i = 0; i < 1000003; i++)
        bytes[i] = (unsigned char)(i * 7);
    assert_int_equal(run_copied(is_pattern, bytes, 1000003), 0);
    free(bytes);
}

static void a_private_pointer_is_refused(void **state)
{
    int here = 0;
    (void)state;
    assert_int_equal(refuse(return_int, &here, &(mproc_process_options){.method = fresh_method}), MPROC_NOT_SHARED);
}

static void a_function_of_a_library_is_found(void **state)
{
    (void)state;
    assert_int_equal(run_copied((mproc_target *)(uintptr_t)atoi, "42", 3), 42);
}

/* The child does not have this object until it loads it. */
static void a_function_of_a_library_that_was_loaded_later_is_found(void **state)
{
    (void)state;
    void *library = dlopen("libresolv.so.2", RTLD_NOW);
    assert_non_null(library);
    mproc_target *ns_get16 = (mproc_target *)(uintptr_t)dlsym(library, "ns_get16");
    assert_non_null(ns_get16);
    assert_int_equal(run_copied(ns_get16, "\0\x17", 2), 0x17);
    dlclose(library);
}

static void a_function_in_no_object_file_is_refused(void **state)
{
    const mproc_process_options options = {.method = fresh_method};
    static int data;
    (void)state;
    void *made = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_int_equal(refuse((mproc_target *)(uintptr_t)made, NULL, &options), MPROC_NO_FUNCTION);
    munmap(made, 4096);
    assert_int_equal(refuse((mproc_target *)(uintptr_t)&options, NULL, &options), MPROC_NO_FUNCTION);
    assert_int_equal(refuse((mproc_target *)(uintptr_t)&data, NULL, &options), MPROC_NO_FUNCTION);
    assert_int_equal(refuse((mproc_target *)16, NULL, &options), MPROC_NO_FUNCTION);
}

static void bad_arguments_start_nothing(void **state)
{
    mproc_connection *none = NULL;
    (void)state;
    assert_int_equal(refuse(NULL, NULL, &(mproc_process_options){.method = fresh_method}), -EINVAL);
    assert_int_equal(refuse(add, NULL, &(mproc_process_options){.method = fresh_method, .arg_size = 3}), -EINVAL);
    assert_int_equal(
        refuse(add, NULL,
               &(mproc_process_options){.method = fresh_method, .connections = &none, .connection_count = 1}),
        -EINVAL);
}

/* ---- exit codes and relatives ---- */

static int end_by(void *arg)
{
    int code = *(int *)arg;
    if (code < 0)
        raise(-code);
    exit(code);
}

static void exit_codes_are_as_with_fork(void **state)
{
    int codes[] = {0, 7, 255, -SIGKILL, -SIGTERM};
    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        assert_int_equal(run_copied(end_by, &codes[i], sizeof codes[i]), codes[i]);
    int low = 0x105;
    assert_int_equal(run_copied(return_int, &low, sizeof low), 5);
}

static void a_running_one_is_told_and_killed(void **state)
{
    int exitcode;
    (void)state;
    mproc_process *process = start(sleep_for_ever, NULL, &(mproc_process_options){.method = fresh_method});
    assert_true(mproc_process_is_alive(process));
    assert_int_equal(mproc_process_exitcode(process, &exitcode), MPROC_RUNNING);
    assert_int_equal(mproc_process_join(process, MPROC_MS(10)), MPROC_TIMEOUT);
    assert_int_equal(mproc_process_terminate(process), 0);
    assert_int_equal(finish(process), -SIGTERM);
}

struct identity {
    char name[64];
    char parent[64];
    char child[64];
    pid_t pid;
    pid_t parent_pid;
    pid_t kernel_parent;
    bool daemon;
    int method;
    int log_level;
};

static int tell_identity(void *arg)
{
    struct identity *identity = arg;
    strcpy(identity->name, mproc_process_name(mproc_current_process()));
    strcpy(identity->parent, mproc_process_name(mproc_parent_process()));
    identity->pid = getpid();
    identity->parent_pid = mproc_process_pid(mproc_parent_process());
    identity->kernel_parent = getppid();
    identity->daemon = mproc_process_is_daemon(mproc_current_process());
    identity->method = mproc_start_method_get();
    identity->log_level = mproc_log_level();
    mproc_process *process = start(
        return_int, &(int){0},
        &(mproc_process_options){.arg_size = sizeof(int), .method = MPROC_START_SPAWN, .daemon = identity->daemon});
    strcpy(identity->child, mproc_process_name(process));
    return finish(process) + !mproc_process_is_alive(mproc_parent_process());
}

static void a_child_knows_its_name_and_its_parent(void **state)
{
    struct identity *identity = shared(sizeof *identity);
    char expected[80];
    (void)state;
    int level = mproc_log_level();
    mproc_log_set_level(MPROC_LOG_SUBWARNING);
    mproc_process *process =
        start(tell_identity, identity, &(mproc_process_options){.method = fresh_method, .daemon = true});
    snprintf(expected, sizeof expected, "%s", mproc_process_name(process));
    pid_t pid = mproc_process_pid(process);
    assert_int_equal(finish(process), 0);
    assert_string_equal(identity->name, expected);
    assert_int_equal(strncmp(expected, "Process-", 8), 0);
    assert_string_equal(identity->parent, "MainProcess");
    strcat(expected, ":1");
    assert_string_equal(identity->child, expected);
    assert_int_equal(identity->pid, pid);
    assert_int_equal(identity->parent_pid, getpid());
    assert_int_equal(identity->kernel_parent, getpid());
    assert_true(identity->daemon);
    assert_int_equal(identity->method, MPROC_START_FORK);
    assert_int_equal(identity->log_level, MPROC_LOG_SUBWARNING);
    mproc_log_set_level(level);
    shared_free(identity);
}

static int start_again(void *arg)
{
    const int *depth = arg;
    int next = *depth - 1;
    if (*depth == 0)
        return 40;
    return run(start_again, &next,
               &(mproc_process_options){.method = mproc_start_method_get(), .arg_size = sizeof next}) +
           1;
}

static void children_start_children_by_the_same_method(void **state)
{
    int depth = 3;
    (void)state;
    assert_int_equal(mproc_start_method_set(fresh_method), 0);
    assert_int_equal(run_copied(start_again, &depth, sizeof depth), 43);
    assert_int_equal(mproc_start_method_set(MPROC_START_DEFAULT), 0);
}

static int compare_key(void *arg)
{
    unsigned char key[256];
    size_t size;
    return mproc_authkey_get(key, sizeof key, &size) == 0 && size == 32 && memcmp(key, arg, 32) == 0 ? 0 : 1;
}

static void a_child_has_the_authkey(void **state)
{
    unsigned char key[256];
    size_t size;
    (void)state;
    assert_int_equal(mproc_authkey_get(key, sizeof key, &size), 0);
    assert_int_equal(size, 32);
    assert_int_equal(run_copied(compare_key, key, size), 0);
}

/* ---- the family ---- */

static int look_for(void *arg)
{
    member_owner parent = *(member_owner *)arg;
    if (!member_self() || member_self() == parent || member_is_dead(parent))
        return 1;
    const struct member *me = member_at(member_slot(member_self()));
    return atomic_load(&me->parent) == parent && atomic_load(&me->pid) == getpid() &&
                   strcmp(me->name, mproc_process_name(mproc_current_process())) == 0
               ? 0
               : 2;
}

/* The child inherits the arena's descriptor and closes it in the end; that must not take the parent's life lock. */
static void the_parent_does_not_look_dead(void **state)
{
    (void)state;
    member_owner me = member_self();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(run_copied(look_for, &me, sizeof me), 0);
        assert_int_equal(in_child((child_function *)look_for, &me) & 1, 0);
    }
    assert_true(member_self() == me);
}

/* ---- the program ---- */

static void an_executable_must_be_one(void **state)
{
    (void)state;
    assert_int_equal(mproc_executable_set("/no/such/file"), -ENOENT);
    assert_int_equal(mproc_executable_set("/etc/passwd"), -EACCES);
    assert_int_equal(mproc_executable_set("/tmp"), -EACCES);
    assert_int_equal(mproc_executable_set(NULL), 0);
}

static void another_program_that_does_not_get_to_mproc_init_says_so(void **state)
{
    (void)state;
    assert_int_equal(mproc_executable_set("/bin/false"), 0);
    assert_int_equal(refuse(sleep_for_ever, NULL, &(mproc_process_options){.method = MPROC_START_SPAWN}),
                     MPROC_NOT_INITIALIZED);
    assert_int_equal(mproc_executable_set(NULL), 0);
    assert_int_equal(run(has_no_argument, NULL, &(mproc_process_options){.method = MPROC_START_SPAWN}), 0);
}

static void a_relative_executable_holds_wherever_the_program_goes(void **state)
{
    char path[PATH_MAX], folder[PATH_MAX];
    (void)state;
    assert_non_null(getcwd(folder, sizeof folder));
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    assert_true(length > 0);
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(chdir(path), 0);
    char relative[PATH_MAX];
    snprintf(relative, sizeof relative, "./%s", slash + 1);
    assert_int_equal(mproc_executable_set(relative), 0);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(run(has_no_argument, NULL, &(mproc_process_options){.method = MPROC_START_SPAWN}), 0);
    assert_int_equal(mproc_executable_set(NULL), 0);
    assert_int_equal(chdir(folder), 0);
}

/* Run this test as a program that was started with something other than a record. */
static int exec_with(const char *file)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(open(file, O_RDONLY), 3);
        dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        setenv("MPROC_SPAWN", "3", 1);
        execl("/proc/self/exe", "test_spawn", NULL);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WEXITSTATUS(status);
}

static void a_damaged_record_starts_nothing(void **state)
{
    (void)state;
    assert_int_equal(exec_with("/dev/null"), 127);
    assert_int_equal(exec_with("/dev/zero"), 127);
    assert_int_equal(exec_with("/proc/self/exe"), 127);
}

int main(void)
{
    mproc_init();
    mproc_init();
    const struct CMUnitTest tests[] = {
        both(shared_memory_is_at_the_same_address),
        both(an_argument_of_any_size_is_copied),
        both(a_private_pointer_is_refused),
        both(a_function_of_a_library_is_found),
        both(a_function_of_a_library_that_was_loaded_later_is_found),
        both(a_function_in_no_object_file_is_refused),
        both(bad_arguments_start_nothing),
        both(exit_codes_are_as_with_fork),
        both(a_running_one_is_told_and_killed),
        both(a_child_knows_its_name_and_its_parent),
        both(children_start_children_by_the_same_method),
        both(a_child_has_the_authkey),
        both(the_parent_does_not_look_dead),
        unit(a_damaged_record_starts_nothing),
        unit(an_executable_must_be_one),
        unit(another_program_that_does_not_get_to_mproc_init_says_so),
        unit(a_relative_executable_holds_wherever_the_program_goes),
    };
    return cmocka_run_group_tests(tests, warm_up_with_server, NULL);
}
