/* The log: what is written, where, and by which process. */
#include "base/log.h"
#include "children.h"
#include "harness.h"
#include "os/say.h"
#include "streams.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc/log.h>
#include <mproc/process.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- stderr as this test sees it: each read of the socket gives what one write() wrote ---- */

static int written = -1, true_stderr = -1;

static void capture(void)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    true_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_int_equal(dup2(pair[1], STDERR_FILENO), STDERR_FILENO);
    close(pair[1]);
    written = pair[0];
}

static void release(void)
{
    assert_int_equal(dup2(true_stderr, STDERR_FILENO), STDERR_FILENO);
    close(true_stderr);
    close(written);
    assert_int_equal(mproc_log_to_stderr(MPROC_LOG_OFF), 0);
}

/* The next line, or "" when there is none. */
static const char *line(void)
{
    static char text[4096];
    ssize_t got = recv(written, text, sizeof text - 1, MSG_DONTWAIT);

    text[got < 0 ? 0 : got] = '\0';
    return text;
}

/* ---- lines ---- */

static void nothing_is_logged_until_it_is_switched_on(void **state)
{
    (void)state;
    capture();
    assert_int_equal(mproc_log_level(), MPROC_LOG_OFF);
    mproc_log(MPROC_LOG_ERROR, "no");
    mproc_log(MPROC_LOG_OFF, "no");
    mproc_log(1000, "no");
    assert_string_equal(line(), "");
    release();
}

static void a_line_has_level_and_process_and_text(void **state)
{
    static const struct {
        int level;
        const char *line;
    } cases[] = {{5, "[SUBDEBUG/MainProcess] n 1\n"},  {10, "[DEBUG/MainProcess] n 1\n"},
                 {20, "[INFO/MainProcess] n 1\n"},     {25, "[SUBWARNING/MainProcess] n 1\n"},
                 {30, "[WARNING/MainProcess] n 1\n"},  {40, "[ERROR/MainProcess] n 1\n"},
                 {33, "[Level 33/MainProcess] n 1\n"}, {500, "[Level 500/MainProcess] n 1\n"}};

    (void)state;
    capture();
    assert_int_equal(mproc_log_to_stderr(1), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        errno = ERANGE;
        mproc_log(cases[i].level, "n %d", 1);
        assert_int_equal(errno, ERANGE);
        assert_string_equal(line(), cases[i].line);
    }
    mproc_log(MPROC_LOG_INFO, NULL);
    assert_string_equal(line(), "");
    release();
}

static void lines_below_the_level_are_dropped(void **state)
{
    (void)state;
    capture();
    assert_int_equal(mproc_log_to_stderr(MPROC_LOG_INFO), 0);
    mproc_log(MPROC_LOG_DEBUG, "no");
    mproc_log(MPROC_LOG_INFO, "yes");
    assert_string_equal(line(), "[INFO/MainProcess] yes\n");
    assert_int_equal(mproc_log_set_level(MPROC_LOG_WARNING), 0);
    mproc_log(MPROC_LOG_SUBWARNING, "no");
    assert_string_equal(line(), "");
    assert_int_equal(mproc_log_set_level(0), -EINVAL);
    assert_int_equal(mproc_log_set_level(101), -EINVAL);
    assert_int_equal(mproc_log_to_stderr(-1), -EINVAL);
    assert_int_equal(mproc_log_level(), MPROC_LOG_WARNING);
    assert_int_equal(mproc_log_set_level(1), 0);
    assert_int_equal(mproc_log_set_level(100), 0);
    release();
}

static void control_characters_do_not_reach_the_line(void **state)
{
    (void)state;
    capture();
    assert_int_equal(mproc_log_to_stderr(1), 0);
    mproc_log(MPROC_LOG_INFO, "a\nb\r\033[1m\t\177\xc3\xa9");
    assert_string_equal(line(), "[INFO/MainProcess] a?b??[1m??\xc3\xa9\n");
    release();
}

static void a_long_text_is_cut_and_the_line_ends(void **state)
{
    char text[5000], name[200];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    capture();
    assert_int_equal(mproc_log_to_stderr(1), 0);
    mproc_log(MPROC_LOG_INFO, "%s", text);
    const char *got = line();
    assert_int_equal(strlen(got), strlen("[INFO/MainProcess] ") + 1000 + 1);
    assert_int_equal(got[strlen(got) - 1], '\n');
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    log_set_process_name(name);
    mproc_log(MPROC_LOG_SUBWARNING, "%s", text);
    got = line();
    assert_int_equal(strlen(got), 1024);
    assert_int_equal(got[1023], '\n');
    assert_int_equal(strspn(got + strlen("[SUBWARNING/"), "n"), 63);
    log_set_process_name("MainProcess");
    release();
}

/* ---- callbacks ---- */

struct heard {
    int level, count;
    char process[64], text[1001];
};

static void hear(void *arg, int level, const char *process, const char *text)
{
    struct heard *heard = arg;

    heard->level = level;
    heard->count++;
    strcpy(heard->process, process);
    strcpy(heard->text, text);
    errno = EDOM;
}

static void a_callback_gets_the_line_in_parts(void **state)
{
    struct heard heard = {0};

    (void)state;
    capture();
    assert_int_equal(mproc_log_set_level(MPROC_LOG_DEBUG), 0);
    assert_int_equal(mproc_log_to_callback(hear, &heard), 0);
    errno = ERANGE;
    mproc_log(MPROC_LOG_INFO, "%s\n", "text");
    assert_int_equal(errno, ERANGE);
    mproc_log(MPROC_LOG_SUBDEBUG, "no");
    assert_true(heard.level == MPROC_LOG_INFO && heard.count == 1);
    assert_string_equal(heard.process, "MainProcess");
    assert_string_equal(heard.text, "text?");
    assert_string_equal(line(), "");
    assert_int_equal(mproc_log_to_callback(NULL, &heard), 0);
    mproc_log(MPROC_LOG_INFO, "again");
    assert_string_equal(line(), "[INFO/MainProcess] again\n");
    assert_int_equal(heard.count, 1);
    release();
}

static void *log_often(void *arg)
{
    for (int i = 0; i < 5000; i++)
        mproc_log(MPROC_LOG_INFO, "%d", i);
    return arg;
}

static void ignore(void *arg, int level, const char *process, const char *text)
{
    if (*(const int *)arg != 1 || level != MPROC_LOG_INFO || !process || !text)
        abort();
}

static void a_callback_may_be_changed_under_way(void **state)
{
    static const int one = 1, also_one = 1;
    pthread_t threads[2];
    struct rusage before, after;

    (void)state;
    assert_int_equal(mproc_log_to_callback(ignore, (void *)(uintptr_t)&one), 0);
    assert_int_equal(mproc_log_set_level(MPROC_LOG_INFO), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_often, NULL), 0);
    getrusage(RUSAGE_SELF, &before);
    for (int i = 0; i < 500000; i++)
        assert_int_equal(mproc_log_to_callback(ignore, (void *)(uintptr_t)(i % 2 ? &one : &also_one)), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 4000);
    assert_int_equal(mproc_log_to_stderr(MPROC_LOG_OFF), 0);
}

/* ---- processes ---- */

static int log_in_child(void *arg)
{
    mproc_log(MPROC_LOG_INFO, "from %s", (const char *)arg);
    return 0;
}

static void run_child(void)
{
    static char word[] = "below";
    mproc_process *process;

    assert_int_equal(mproc_process_start(&process, log_in_child, word, &(mproc_process_options){.name = "Child-7"}), 0);
    assert_int_equal(mproc_process_join(process, MPROC_FOREVER), 0);
    mproc_process_free(process);
}

static void children_inherit_the_setting_and_have_their_names(void **state)
{
    (void)state;
    run_child();
    books_forgive(); /* what the start of processes keeps is no leak */
    capture();
    assert_int_equal(mproc_log_to_stderr(MPROC_LOG_INFO), 0);
    run_child();
    assert_string_equal(line(), "[INFO/Child-7] from below\n");
    release();
}

static void the_level_passes_to_a_fresh_process(void **state)
{
    (void)state;
    assert_int_equal(mproc_log_set_level(MPROC_LOG_WARNING), 0);
    int inherited = log_inherit();
    assert_int_equal(mproc_log_set_level(MPROC_LOG_OFF), 0);
    log_adopt(inherited);
    assert_int_equal(mproc_log_level(), MPROC_LOG_WARNING);
    log_adopt(-5);
    assert_int_equal(mproc_log_level(), MPROC_LOG_WARNING);
    assert_int_equal(mproc_log_set_level(MPROC_LOG_OFF), 0);
}

static void lines_of_many_processes_do_not_mix(void **state)
{
    char text[901], got[1100];
    size_t lines = 0, length = 0;
    pid_t children[4];
    int pipes[2];

    (void)state;
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    for (int i = 0; i < 4; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            dup2(pipes[1], STDERR_FILENO);
            mproc_log_to_stderr(MPROC_LOG_INFO);
            memset(text, 'a' + i, 900);
            text[900] = '\0';
            for (int n = 0; n < 200; n++)
                mproc_log(MPROC_LOG_INFO, "%s", text);
            _exit(0);
        }
    }
    close(pipes[1]);
    FILE *file = fdopen(pipes[0], "r");
    while (fgets(got, sizeof got, file)) {
        char *first = strchr(got, ' ') + 1;
        length = strcspn(first, "\n");
        assert_int_equal(length, 900);
        for (size_t i = 1; i < length; i++)
            assert_int_equal(first[i], first[0]);
        lines++;
    }
    assert_int_equal(lines, 800);
    fclose(file);
    for (int i = 0; i < 4; i++)
        expect_exit(children[i], 0);
}

static void a_closed_stderr_is_no_harm(void **state)
{
    (void)state;
    capture();
    assert_int_equal(mproc_log_to_stderr(MPROC_LOG_INFO), 0);
    close(STDERR_FILENO);
    errno = ERANGE;
    mproc_log(MPROC_LOG_INFO, "nowhere");
    assert_int_equal(errno, ERANGE);
    release();
}

static void a_long_text_is_cut_between_letters(void **state)
{
    /* a letter of 2, 3 and 4 bytes over the cut, whole before it, and bytes that are no letter */
    static const struct {
        const char *letter;
        size_t begin, left;
    } cases[] = {{"\xc3\xa9", 999, 999},          {"\xc3\xa9", 998, 1000},
                 {"\xe2\x82\xac", 999, 999},      {"\xe2\x82\xac", 998, 998},
                 {"\xe2\x82\xac", 997, 1000},     {"\xf0\x9f\x98\x80", 999, 999},
                 {"\xf0\x9f\x98\x80", 997, 997},  {"\xf0\x9f\x98\x80", 996, 1000},
                 {"\x80\x80\x80\x80", 996, 1000}, {"\xff", 999, 1000}};
    char text[1100];

    (void)state;
    capture();
    assert_int_equal(mproc_log_to_stderr(MPROC_LOG_INFO), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = '\0';
        memcpy(text + cases[i].begin, cases[i].letter, strlen(cases[i].letter));
        mproc_log(MPROC_LOG_INFO, "%s", text);
        const char *got = line();
        assert_int_equal(strlen(got), strlen("[INFO/MainProcess] ") + cases[i].left + 1);
        assert_int_equal(got[strlen(got) - 1], '\n');
    }
    release();
}

/* ---- a stderr that nobody reads ---- */

/* stderr is a pipe whose reader is gone, or a file that may not grow. In a child. */
static int lose_reader(bool is_file)
{
    int fds[2];
    const struct rlimit none = {0, RLIM_INFINITY};

    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    if (is_file ? (fds[1] = memfd_create("stderr", MFD_CLOEXEC)) < 0 || setrlimit(RLIMIT_FSIZE, &none)
                : pipe2(fds, O_CLOEXEC) || close(fds[0]))
        return 1;
    return dup2(fds[1], STDERR_FILENO) == STDERR_FILENO ? mproc_log_to_stderr(MPROC_LOG_INFO) : 1;
}

/* Neither pending nor blocked afterwards. */
static int signals_are_as_before(void)
{
    sigset_t pending, blocked;
    sigpending(&pending);
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    return sigismember(&pending, SIGPIPE) || sigismember(&pending, SIGXFSZ) || sigismember(&blocked, SIGPIPE) ||
           sigismember(&blocked, SIGXFSZ);
}

static void *log_in_thread(void *arg)
{
    mproc_log(MPROC_LOG_INFO, "from a thread");
    return arg;
}

static int log_to_nobody(void *is_file)
{
    pthread_t thread;
    mproc_process *process;
    char word[] = "lost";
    int code = -1;

    if (lose_reader(is_file != NULL))
        return 1;
    errno = 77;
    mproc_log(MPROC_LOG_INFO, "a line");
    os_say("mproc: %s\n", "what a child says that cannot run");
    if (errno != 77 || signals_are_as_before())
        return 2;
    if (pthread_create(&thread, NULL, log_in_thread, NULL) || pthread_join(thread, NULL))
        return 3;
    if (mproc_process_start(&process, log_in_child, word, NULL) || mproc_process_join(process, MPROC_FOREVER) ||
        mproc_process_exitcode(process, &code))
        return 4;
    return code;
}

static void a_line_that_nobody_reads_is_lost_and_kills_nobody(void **state)
{
    static char is_file;

    (void)state;
    assert_int_equal(in_child(log_to_nobody, NULL), 0);
    assert_int_equal(in_child(log_to_nobody, &is_file), 0);
}

/* What is pending already stays so. */
static int log_with_signal_pending(void *arg)
{
    sigset_t mask;

    if (lose_reader(false))
        return 1;
    sigemptyset(&mask);
    sigaddset(&mask, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
    raise(SIGPIPE);
    mproc_log(MPROC_LOG_INFO, "a line");
    sigpending(&mask);
    return arg || !sigismember(&mask, SIGPIPE);
}

static void a_signal_of_the_programs_own_stays_pending(void **state)
{
    (void)state;
    assert_int_equal(in_child(log_with_signal_pending, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(nothing_is_logged_until_it_is_switched_on),
        unit(a_line_has_level_and_process_and_text),
        unit(lines_below_the_level_are_dropped),
        unit(control_characters_do_not_reach_the_line),
        unit(a_long_text_is_cut_and_the_line_ends),
        unit(a_long_text_is_cut_between_letters),
        unit(a_line_that_nobody_reads_is_lost_and_kills_nobody),
        unit(a_signal_of_the_programs_own_stays_pending),
        unit(a_callback_gets_the_line_in_parts),
        unit(a_callback_may_be_changed_under_way),
        unit(children_inherit_the_setting_and_have_their_names),
        unit(the_level_passes_to_a_fresh_process),
        unit(lines_of_many_processes_do_not_mix),
        unit(a_closed_stderr_is_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
