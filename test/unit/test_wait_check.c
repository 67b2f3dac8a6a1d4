/* mproc_wait_check_set(): each function that waits ends early when the program's check says so, and loses nothing. */
#include "harness.h"
#include "managers.h"

#include <errno.h>
#include <mproc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* What is waited for without end, by each function in turn. Another process holds the locks and does nothing else. */
static struct shared {
    mproc_lock lock, free_lock;
    mproc_rlock rlock;
    mproc_semaphore semaphore;
    mproc_event event, held;
    mproc_condition condition;
    mproc_barrier barrier;
    mproc_queue *empty, *full, *undone;
    mproc_list *list;
} * shared;

static mproc_process *holder;
static mproc_group *group;
static mproc_connection *input, *output;
static mproc_listener *listener;
static mproc_manager *manager;
static mproc_list *far_list;
static mproc_pool *pool;
static mproc_future *future;
static mproc_imap *imap;

static _Atomic(int) asked, to_ask;

static int says_so(void *arg)
{
    assert_ptr_equal(arg, &asked);
    return atomic_fetch_add(&asked, 1) + 1 >= atomic_load(&to_ask);
}

static int hold(void *arg)
{
    (void)arg;
    mproc_lock_acquire(&shared->lock, MPROC_FOREVER);
    mproc_rlock_acquire(&shared->rlock, MPROC_FOREVER);
    mproc_event_set(&shared->held);
    pause();
    return 0;
}

static int sleep_long(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    pause();
    return 0;
}

static int next_input(void *arg, void *in)
{
    int *left = arg;
    *(int *)in = *left;
    return (*left)-- > 0 ? 0 : MPROC_CLOSED;
}

/* ---- the waits ---- */

static int lock_acquire(void)
{
    return mproc_lock_acquire(&shared->lock, MPROC_FOREVER);
}
static int rlock_acquire(void)
{
    return mproc_rlock_acquire(&shared->rlock, MPROC_FOREVER);
}
static int semaphore_acquire(void)
{
    return mproc_semaphore_acquire(&shared->semaphore, MPROC_SEC(100));
}
static int event_wait(void)
{
    return mproc_event_wait(&shared->event, MPROC_FOREVER);
}
static int barrier_wait(void)
{
    return mproc_barrier_wait(&shared->barrier, NULL, MPROC_FOREVER);
}
static int queue_join(void)
{
    return mproc_queue_join(shared->undone, MPROC_FOREVER);
}
static int queue_put(void)
{
    return mproc_queue_put(shared->full, "x", 1, MPROC_FOREVER);
}
static int process_join(void)
{
    return mproc_process_join(holder, MPROC_FOREVER);
}
static int group_wait_all(void)
{
    return mproc_group_wait_all(group, MPROC_FOREVER);
}
static int connection_poll(void)
{
    return mproc_connection_poll(input, MPROC_SEC(100));
}
static int future_wait(void)
{
    return mproc_future_wait(future, MPROC_FOREVER);
}
static int imap_next(void)
{
    return mproc_imap_next(imap, NULL, NULL, MPROC_FOREVER);
}

static int queue_get(void)
{
    char message;
    return mproc_queue_get(shared->empty, &message, 1, NULL, MPROC_FOREVER);
}

static int group_wait_any(void)
{
    mproc_process *ended;
    return mproc_group_wait_any(group, &ended, MPROC_FOREVER);
}

static int connection_recv(void)
{
    char message;
    return mproc_connection_recv(input, &message, 1, NULL, MPROC_FOREVER);
}

static int listener_accept(void)
{
    mproc_connection *connection;
    return mproc_listener_accept(listener, &connection, MPROC_FOREVER);
}

/* The lock is held again after it. */
static int condition_wait(void)
{
    assert_int_equal(mproc_lock_acquire(&shared->free_lock, MPROC_NOWAIT), 0);
    int result = mproc_condition_wait(&shared->condition, &shared->free_lock, MPROC_FOREVER);
    assert_int_equal(mproc_lock_release(&shared->free_lock), 0);
    return result;
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static int condition_wait_for(void)
{
    assert_int_equal(mproc_lock_acquire(&shared->free_lock, MPROC_NOWAIT), 0);
    int result = mproc_condition_wait_for(&shared->condition, &shared->free_lock, never, NULL, MPROC_SEC(100));
    assert_int_equal(mproc_lock_release(&shared->free_lock), 0);
    return result;
}

static int wait_for_two(void)
{
    mproc_wait_item items[] = {{.kind = MPROC_WAIT_QUEUE, .on.queue = shared->empty},
                               {.kind = MPROC_WAIT_CONNECTION, .on.connection = input}};
    return mproc_wait(items, 2, NULL, MPROC_FOREVER);
}

static int wait_for_one(void)
{
    mproc_wait_item item = {.kind = MPROC_WAIT_QUEUE, .on.queue = shared->empty};
    return mproc_wait(&item, 1, NULL, MPROC_FOREVER);
}

static int pool_call(void)
{
    return mproc_pool_call(pool, sleep_long, NULL, NULL, 0, NULL, 0, MPROC_FOREVER);
}

static const struct wait {
    const char *name;
    int (*wait)(void);
} waits[] = {
    {"lock_acquire", lock_acquire},
    {"rlock_acquire", rlock_acquire},
    {"semaphore_acquire", semaphore_acquire},
    {"event_wait", event_wait},
    {"condition_wait", condition_wait},
    {"condition_wait_for", condition_wait_for},
    {"barrier_wait", barrier_wait},
    {"queue_get", queue_get},
    {"queue_put", queue_put},
    {"queue_join", queue_join},
    {"process_join", process_join},
    {"group_wait_all", group_wait_all},
    {"group_wait_any", group_wait_any},
    {"connection_recv", connection_recv},
    {"connection_poll", connection_poll},
    {"listener_accept", listener_accept},
    {"wait for one", wait_for_one},
    {"wait for two", wait_for_two},
    {"future_wait", future_wait},
    {"imap_next", imap_next},
    {"pool_call", pool_call},
};

/* ---- the tests ---- */

static void make_shared(void)
{
    shared = mproc_calloc(1, sizeof *shared);
    assert_non_null(shared);
    assert_int_equal(mproc_lock_init(&shared->lock), 0);
    assert_int_equal(mproc_lock_init(&shared->free_lock), 0);
    assert_int_equal(mproc_rlock_init(&shared->rlock), 0);
    assert_int_equal(mproc_semaphore_init(&shared->semaphore, 0, 0), 0);
    assert_int_equal(mproc_event_init(&shared->event), 0);
    assert_int_equal(mproc_event_init(&shared->held), 0);
    assert_int_equal(mproc_condition_init(&shared->condition), 0);
    assert_int_equal(mproc_barrier_init(&shared->barrier, 2, NULL, NULL), 0);
    assert_int_equal(mproc_queue_create(&shared->empty, NULL), 0);
    assert_int_equal(mproc_queue_create(&shared->undone, NULL), 0);
    assert_int_equal(mproc_queue_create(&shared->full, &(mproc_queue_options){.maxsize = 1}), 0);
    assert_int_equal(mproc_queue_put(shared->full, "x", 1, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_queue_put(shared->undone, "x", 1, MPROC_NOWAIT), 0);
}

static void make_all(int *inputs)
{
    make_shared();
    assert_int_equal(mproc_group_create(&group, NULL), 0);
    assert_int_equal(mproc_group_start(group, &holder, hold, NULL, NULL), 0);
    assert_int_equal(mproc_event_wait(&shared->held, SOON), 0);
    assert_int_equal(mproc_pipe(&input, &output, true), 0);
    assert_int_equal(mproc_listener_create(&listener, "unix:", NULL), 0);
    assert_int_equal(mproc_pool_create(&pool, &(mproc_pool_options){.workers = 3}), 0);
    assert_int_equal(mproc_pool_submit(pool, &future, sleep_long, NULL, NULL, 0, 0), 0);
    assert_int_equal(mproc_pool_imap(pool, &imap, sleep_long, NULL,
                                     &(mproc_imap_options){.next = next_input, .arg = inputs, .in_size = sizeof(int)}),
                     0);
}

static void free_all(void)
{
    imap = mproc_imap_free(imap);
    future = mproc_future_free(future);
    pool = mproc_pool_free(pool);
    listener = mproc_listener_free(listener);
    input = mproc_connection_free(input);
    output = mproc_connection_free(output);
    assert_int_equal(mproc_group_terminate(group, MPROC_NOWAIT), 0);
    group = mproc_group_free(group);
    mproc_queue_free(shared->empty);
    mproc_queue_free(shared->full);
    mproc_queue_free(shared->undone);
    mproc_free(shared);
}

/* The third time that the check is asked: each has slept by then. */
static void each_wait_ends_when_the_check_says_so(void **state)
{
    (void)state;
    int inputs = 1;
    make_all(&inputs);
    mproc_wait_check_set(says_so, &asked);
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        atomic_store(&asked, 0);
        atomic_store(&to_ask, 3);
        int result = waits[i].wait();
        if (result != MPROC_INTERRUPTED || atomic_load(&asked) < 3)
            fail_msg("%s: %d after %d times", waits[i].name, result, atomic_load(&asked));
    }
    mproc_wait_check_set(NULL, NULL);
    free_all();
}

static void nothing_is_lost_by_a_wait_that_was_ended(void **state)
{
    (void)state;
    make_shared();
    atomic_store(&to_ask, 1);
    mproc_wait_check_set(says_so, &asked);
    assert_int_equal(queue_get(), MPROC_INTERRUPTED);
    assert_int_equal(queue_put(), MPROC_INTERRUPTED);
    assert_int_equal(semaphore_acquire(), MPROC_INTERRUPTED);
    assert_int_equal(condition_wait(), MPROC_INTERRUPTED);

    /* What is there at once is had, and a time that is over stays one. */
    char message = 0;
    assert_int_equal(mproc_queue_put(shared->empty, "y", 1, MPROC_FOREVER), 0);
    assert_int_equal(mproc_queue_get(shared->empty, &message, 1, NULL, MPROC_FOREVER), 0);
    assert_int_equal(message, 'y');
    assert_int_equal(mproc_semaphore_acquire(&shared->semaphore, MPROC_NOWAIT), MPROC_TIMEOUT);
    assert_int_equal(mproc_queue_get(shared->empty, &message, 1, NULL, MPROC_NOWAIT), MPROC_TIMEOUT);
    assert_int_equal(mproc_semaphore_release(&shared->semaphore, 1), 0);
    assert_int_equal(mproc_semaphore_acquire(&shared->semaphore, MPROC_FOREVER), 0);

    mproc_wait_check_set(NULL, NULL);
    assert_int_equal(mproc_queue_get(shared->empty, &message, 1, NULL, MPROC_MS(1)), MPROC_TIMEOUT);
    assert_int_equal(mproc_queue_get(shared->full, &message, 1, NULL, MPROC_NOWAIT), 0);
    mproc_queue_free(shared->empty);
    mproc_queue_free(shared->full);
    mproc_queue_free(shared->undone);
    mproc_free(shared);
}

/* A container's lock is waited for as any other; a server that does not answer, too. */
static void calls_of_a_server_end_when_the_check_says_so(void **state)
{
    (void)state;
    manager = make_manager("unix:", NULL);
    assert_int_equal(mproc_manager_list(manager, &far_list, NULL, SOON), 0);
    pid_t server = server_of_managers();
    assert_int_equal(kill(server, SIGSTOP), 0);
    atomic_store(&asked, 0);
    atomic_store(&to_ask, 3);
    mproc_wait_check_set(says_so, &asked);
    assert_int_equal(mproc_list_append(far_list, mproc_int(1), MPROC_FOREVER), MPROC_INTERRUPTED);
    mproc_wait_check_set(NULL, NULL);
    assert_int_equal(kill(server, SIGCONT), 0);
    mproc_list_free(far_list);
    manager = mproc_manager_free(manager);
}

static void note(int number)
{
    (void)number;
}

static int asked_thrice(void *arg)
{
    return atomic_fetch_add((_Atomic(int) *)arg, 1) >= 3;
}

static void *interrupt_often(void *thread)
{
    while (!atomic_load(&to_ask)) {
        pthread_kill(*(pthread_t *)thread, SIGUSR1);
        usleep(2000);
    }
    return NULL;
}

/* Without a check a signal ends nothing; with one, it is asked at once. */
static void the_check_is_asked_after_each_signal(void **state)
{
    (void)state;
    make_shared();
    struct sigaction action = {.sa_handler = note}, before;
    sigaction(SIGUSR1, &action, &before);
    pthread_t self = pthread_self(), thread;
    atomic_store(&to_ask, 0);
    assert_int_equal(pthread_create(&thread, NULL, interrupt_often, &self), 0);
    assert_int_equal(mproc_event_wait(&shared->event, MPROC_MS(200)), MPROC_TIMEOUT);

    atomic_store(&asked, -100); /* a hundred ticks are ten seconds */
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    mproc_wait_check_set(asked_thrice, &asked);
    assert_int_equal(mproc_event_wait(&shared->event, MPROC_FOREVER), MPROC_INTERRUPTED);
    mproc_wait_check_set(NULL, NULL);
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_in_range(end.tv_sec - begin.tv_sec, 0, 6);

    atomic_store(&to_ask, 1);
    pthread_join(thread, NULL);
    sigaction(SIGUSR1, &before, NULL);
    mproc_queue_free(shared->empty);
    mproc_queue_free(shared->full);
    mproc_queue_free(shared->undone);
    mproc_free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(each_wait_ends_when_the_check_says_so),
        unit(nothing_is_lost_by_a_wait_that_was_ended),
        unit(calls_of_a_server_end_when_the_check_says_so),
        unit(the_check_is_asked_after_each_signal),
    };
    return cmocka_run_group_tests(tests, make_first_manager, NULL);
}
