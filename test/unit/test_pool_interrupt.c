/* Pools and Ctrl-C. A child of the test is the host of a pool; the test, which shares its memory, sends it SIGINT, or
 * types Ctrl-C at its terminal, and looks what becomes of its items and of itself. */
#include "harness.h"
#include "pool/host/host.h"
#include "pools.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ITEMS = 100,
    WORKERS = 2,
    LONG_TIME = 30000
};

/* Shared by the test, the host and the workers. */
struct scene {
    struct gate gate; /* first: it is the ctx of the tasks */
    enum mproc_interrupt interrupt;
    bool threads;
    char terminal[64]; /* of the host, or empty */
    struct pool *_Atomic pool;
    struct pool *_Atomic other;
    atomic_int result;
    atomic_int later; /* of what was asked of the pool afterwards */
    mproc_item_status status[ITEMS];
    atomic_int callbacks;
    atomic_bool is_given; /* the pool has all its work */
    atomic_bool done;     /* with all but its end */
};

/* ---- the host ---- */

/* What the terminal of the host is for, and a SIGINT that is not ignored, as the test's may be. */
static void set_scene(const struct scene *scene)
{
    signal(SIGINT, SIG_DFL);
    if (!scene->terminal[0])
        return;
    if (setsid() < 0 || open(scene->terminal, O_RDWR | O_CLOEXEC) < 0)
        _exit(99);
}

static mproc_pool *open_pool(struct scene *scene, unsigned workers)
{
    mproc_pool *pool;
    const mproc_pool_options options = {.workers = workers,
                                        .method = scene->threads ? MPROC_START_DEFAULT : pool_method,
                                        .threads = scene->threads,
                                        .interrupt = scene->interrupt};
    if (mproc_pool_create(&pool, &options))
        _exit(98);
    struct pool *none = NULL;
    if (!atomic_compare_exchange_strong(&scene->pool, &none, pool->shared))
        atomic_store(&scene->other, pool->shared);
    return pool;
}

static int host_maps(void *arg)
{
    struct scene *scene = arg;
    set_scene(scene);
    mproc_pool *pool = open_pool(scene, WORKERS);
    atomic_store(&scene->is_given, true);
    const mproc_map map = {.count = ITEMS, .status = scene->status, .chunk = 3};
    atomic_store(&scene->result, mproc_pool_map(pool, wait_at_gate, &scene->gate, &map, MPROC_FOREVER));
    atomic_store(&scene->later, mproc_pool_map(pool, wait_at_gate, &scene->gate, &map, MPROC_FOREVER));
    mproc_pool_free(pool);
    return 0;
}

/* It calls its pool no more, and does not end either. */
static int host_maps_and_sleeps(void *arg)
{
    struct scene *scene = arg;
    set_scene(scene);
    mproc_pool *pool = open_pool(scene, WORKERS);
    atomic_store(&scene->is_given, true);
    const mproc_map map = {.count = ITEMS, .status = scene->status, .chunk = 3};
    atomic_store(&scene->result, mproc_pool_map(pool, wait_at_gate, &scene->gate, &map, MPROC_FOREVER));
    atomic_store(&scene->done, true);
    nap(1000000);
    return 0;
}

/* In portions: further ones would be launched. */
static int host_maps_much(void *arg)
{
    enum {
        MANY = 20000
    };
    struct item {
        char bytes[1000];
    } *in = calloc(MANY, sizeof *in);
    struct scene *scene = arg;
    set_scene(scene);
    mproc_pool *pool = open_pool(scene, WORKERS);
    atomic_store(&scene->is_given, true);
    const mproc_map map = {.count = MANY, .in = in, .in_size = sizeof *in, .chunk = 1};
    atomic_store(&scene->result, mproc_pool_map(pool, wait_at_gate, &scene->gate, &map, MPROC_FOREVER));
    mproc_pool_free(pool);
    free(in);
    return 0;
}

static int host_waits_for_futures(void *arg)
{
    struct scene *scene = arg;
    mproc_future *futures[ITEMS];
    set_scene(scene);
    mproc_pool *pool = open_pool(scene, WORKERS);
    for (int i = 0; i < ITEMS; i++)
        futures[i] = submit_at_gate(pool, &scene->gate);
    atomic_store(&scene->is_given, true);
    for (int i = ITEMS - 1; i >= 0; i--) {
        mproc_future_wait(futures[i], MPROC_FOREVER);
        mproc_future_status(futures[i], &scene->status[i]);
        mproc_future_free(futures[i]);
    }
    long x = 1;
    atomic_store(&scene->later, mproc_pool_submit(pool, &futures[0], square, NULL, &x, sizeof x, sizeof x));
    atomic_store(&scene->result, MPROC_CANCELLED);
    mproc_pool_free(pool);
    return 0;
}

static int next_input(void *arg, void *in)
{
    (void)arg;
    *(int *)in = 0;
    return 0;
}

/* There is no end of inputs. */
static int host_iterates(void *arg)
{
    struct scene *scene = arg;
    size_t index;
    int result;
    set_scene(scene);
    mproc_pool *pool = open_pool(scene, WORKERS);
    mproc_imap *imap;
    if (mproc_pool_imap(pool, &imap, wait_at_gate, &scene->gate,
                        &(mproc_imap_options){.next = next_input, .in_size = sizeof(int), .in_flight = ITEMS}))
        return 1;
    atomic_store(&scene->is_given, true);
    while ((result = mproc_imap_next(imap, NULL, &index, MPROC_FOREVER)) != MPROC_CLOSED) {
        atomic_store(&scene->result, result);
        if (index < ITEMS)
            mproc_imap_status(imap, &scene->status[index]);
    }
    atomic_store(&scene->later, result);
    mproc_imap_free(imap);
    mproc_pool_free(pool);
    return 0;
}

static int host_joins(void *arg)
{
    struct scene *scene = arg;
    mproc_future *futures[ITEMS];
    set_scene(scene);
    mproc_pool *pool = open_pool(scene, WORKERS);
    for (int i = 0; i < ITEMS; i++)
        futures[i] = submit_at_gate(pool, &scene->gate);
    mproc_pool_close(pool);
    atomic_store(&scene->is_given, true);
    atomic_store(&scene->later, mproc_pool_join(pool, MPROC_FOREVER) ? 0 : MPROC_CLOSED);
    for (int i = 0; i < ITEMS; i++) {
        mproc_future_status(futures[i], &scene->status[i]);
        mproc_future_free(futures[i]);
    }
    atomic_store(&scene->result, MPROC_CANCELLED);
    mproc_pool_free(pool);
    return 0;
}

static void count_callback(void *arg, mproc_future *future)
{
    struct scene *scene = arg;
    mproc_item_status status;
    mproc_future_status(future, &status);
    scene->status[atomic_fetch_add(&scene->callbacks, 1)] = status;
    mproc_future_free(future);
}

static bool all_were_called(void *arg)
{
    return atomic_load(&((struct scene *)arg)->callbacks) == ITEMS;
}

/* Nobody waits for the pool but its thread. */
static int host_is_called_back(void *arg)
{
    struct scene *scene = arg;
    set_scene(scene);
    mproc_pool *pool = open_pool(scene, WORKERS);
    for (int i = 0; i < ITEMS; i++)
        mproc_future_on_end(submit_at_gate(pool, &scene->gate), count_callback, count_callback, scene);
    atomic_store(&scene->is_given, true);
    wait_until(all_were_called, scene, LONG_TIME);
    atomic_store(&scene->later, MPROC_CLOSED);
    atomic_store(&scene->result, MPROC_CANCELLED);
    mproc_pool_free(pool);
    return 0;
}

/* One pool after another is waited for. */
static int host_has_two_pools(void *arg)
{
    struct scene *scene = arg;
    mproc_future *futures[2];
    set_scene(scene);
    mproc_pool *pools[] = {open_pool(scene, 1), open_pool(scene, 1)};
    for (int i = 0; i < 2; i++)
        futures[i] = submit_at_gate(pools[i], &scene->gate);
    for (int i = 0; i < 2; i++) {
        mproc_future_wait(futures[i], MPROC_FOREVER);
        mproc_future_status(futures[i], &scene->status[i]);
        mproc_future_free(futures[i]);
    }
    atomic_store(&scene->result, mproc_pool_map(pools[0], square, NULL, &(mproc_map){.count = 1}, MPROC_FOREVER));
    atomic_store(&scene->later, mproc_pool_map(pools[1], square, NULL, &(mproc_map){.count = 1}, MPROC_FOREVER));
    mproc_pool_free(pools[0]);
    mproc_pool_free(pools[1]);
    return 0;
}

/* ---- the test ---- */

struct play {
    struct scene *scene;
    mproc_process *host;
    size_t bytes;
};

static bool with_threads;

static struct play begin(mproc_target *host, enum mproc_interrupt interrupt)
{
    struct play play = {.bytes = bytes_in_use()};
    play.scene = mproc_calloc(1, sizeof *play.scene);
    assert_non_null(play.scene);
    play.scene->interrupt = interrupt;
    play.scene->threads = with_threads;
    atomic_store(&play.scene->result, -1);
    atomic_store(&play.scene->later, -1);
    if (host)
        assert_int_equal(mproc_process_start(&play.host, host, play.scene, NULL), 0);
    return play;
}

static bool workers_have_begun(void *arg)
{
    struct scene *scene = arg;
    return atomic_load(&scene->is_given) && atomic_load(&scene->gate.begun) == WORKERS;
}

static struct play begin_at_work(mproc_target *host, enum mproc_interrupt interrupt)
{
    struct play play = begin(host, interrupt);
    assert_true(wait_until(workers_have_begun, play.scene, LONG_TIME));
    return play;
}

static void interrupt(const struct play *play)
{
    assert_int_equal(mproc_process_interrupt(play->host), 0);
}

static bool is_drained(void *arg)
{
    struct pool *pool = atomic_load(&((struct scene *)arg)->pool);
    return pool_state(pool) == POOL_DRAINED;
}

static bool has_result(void *arg)
{
    return atomic_load(&((struct scene *)arg)->result) != -1;
}

static bool is_done(void *arg)
{
    return atomic_load(&((struct scene *)arg)->done);
}

/* What a host leaves that was killed is swept. */
static void end(struct play *play, int exitcode)
{
    int code = -1;
    assert_int_equal(mproc_process_join(play->host, MPROC_MS(LONG_TIME)), 0);
    assert_int_equal(mproc_process_exitcode(play->host, &code), 0);
    assert_int_equal(code, exitcode);
    play->host = mproc_process_free(play->host);
    mproc_free(play->scene);
    assert_true(wait_until(bytes_are, &play->bytes, LONG_TIME));
}

/* So many items are done, and all others were cancelled. */
static void items_are_done(const struct scene *scene, int count)
{
    int done = 0;
    for (int i = 0; i < ITEMS; i++) {
        done += scene->status[i].result == 0;
        if (scene->status[i].result != 0)
            assert_int_equal(scene->status[i].result, MPROC_CANCELLED);
    }
    assert_int_equal(done, count);
}

static void drains(mproc_target *host)
{
    struct play play = begin_at_work(host, MPROC_INTERRUPT_DRAIN);
    struct scene *scene = play.scene;
    interrupt(&play);
    assert_true(wait_until(is_drained, scene, LONG_TIME));
    assert_false(has_result(scene));
    atomic_store(&scene->gate.open, true);
    assert_true(wait_until(has_result, scene, LONG_TIME));
    assert_int_equal(mproc_process_join(play.host, MPROC_MS(LONG_TIME)), 0);
    assert_int_equal(scene->result, MPROC_CANCELLED);
    assert_int_equal(scene->later, MPROC_CLOSED);
    assert_int_equal(scene->gate.begun, WORKERS);
    assert_int_equal(scene->gate.ended, WORKERS);
    items_are_done(scene, WORKERS);
    end(&play, 0);
}

static void the_first_drains_a_map(void **state)
{
    (void)state;
    drains(host_maps);
}

static void the_first_drains_futures(void **state)
{
    (void)state;
    drains(host_waits_for_futures);
}

static void the_first_drains_inputs(void **state)
{
    (void)state;
    drains(host_iterates);
}

static void the_first_drains_a_pool_that_is_joined(void **state)
{
    (void)state;
    drains(host_joins);
}

static void the_first_drains_a_pool_that_calls_back(void **state)
{
    (void)state;
    drains(host_is_called_back);
}

static void the_first_drains_a_pool_of_threads(void **state)
{
    (void)state;
    with_threads = true;
    drains(host_maps);
    drains(host_joins);
    drains(host_is_called_back);
    with_threads = false;
}

static void a_map_in_portions_launches_no_more(void **state)
{
    (void)state;
    struct play play = begin_at_work(host_maps_much, MPROC_INTERRUPT_DRAIN);
    interrupt(&play);
    assert_true(wait_until(is_drained, play.scene, LONG_TIME));
    atomic_store(&play.scene->gate.open, true);
    assert_true(wait_until(has_result, play.scene, LONG_TIME));
    assert_int_equal(play.scene->result, MPROC_CANCELLED);
    assert_int_equal(play.scene->gate.begun, WORKERS);
    assert_int_equal(play.scene->gate.ended, WORKERS);
    end(&play, 0);
}

/* And the third ends the host, which calls its pool no more. */
static void the_second_kills_what_runs(void **state)
{
    (void)state;
    struct play play = begin_at_work(host_maps_and_sleeps, MPROC_INTERRUPT_DRAIN);
    interrupt(&play);
    assert_true(wait_until(is_drained, play.scene, LONG_TIME));
    interrupt(&play);
    assert_true(wait_until(is_done, play.scene, LONG_TIME));
    assert_int_equal(play.scene->result, MPROC_CANCELLED);
    assert_int_equal(play.scene->gate.ended, 0);
    items_are_done(play.scene, 0);
    interrupt(&play);
    end(&play, -SIGINT);
}

static void the_first_kills_what_runs_where_that_is_wanted(void **state)
{
    (void)state;
    struct play play = begin_at_work(host_maps_and_sleeps, MPROC_INTERRUPT_TERMINATE);
    interrupt(&play);
    assert_true(wait_until(is_done, play.scene, LONG_TIME));
    assert_int_equal(play.scene->result, MPROC_CANCELLED);
    assert_int_equal(play.scene->gate.ended, 0);
    items_are_done(play.scene, 0);
    interrupt(&play);
    end(&play, -SIGINT);
}

static void without_a_wish_the_first_ends_the_host(void **state)
{
    (void)state;
    struct play play = begin_at_work(host_maps, MPROC_INTERRUPT_DEFAULT);
    interrupt(&play);
    end(&play, -SIGINT);
}

static bool both_have_begun(void *arg)
{
    return atomic_load(&((struct scene *)arg)->gate.begun) == 2;
}

static void every_pool_answers_once(void **state)
{
    (void)state;
    struct play play = begin(host_has_two_pools, MPROC_INTERRUPT_DRAIN);
    assert_true(wait_until(both_have_begun, play.scene, LONG_TIME));
    interrupt(&play);
    assert_true(wait_until(is_drained, play.scene, LONG_TIME));
    atomic_store(&play.scene->gate.open, true);
    assert_true(wait_until(has_result, play.scene, LONG_TIME));
    assert_int_equal(mproc_process_join(play.host, MPROC_MS(LONG_TIME)), 0);
    assert_int_equal(play.scene->result, MPROC_CLOSED);
    assert_int_equal(play.scene->later, MPROC_CLOSED);
    assert_int_equal(play.scene->status[0].result, 0);
    assert_int_equal(play.scene->status[1].result, 0);
    assert_int_equal(play.scene->gate.ended, 2);
    end(&play, 0);
}

/* ---- a terminal ---- */

/* Ctrl-C goes to all processes in front: to the host, its server and its workers. */
static void at_a_terminal_only_the_host_answers(void **state)
{
    (void)state;
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(master >= 0);
    assert_int_equal(grantpt(master), 0);
    assert_int_equal(unlockpt(master), 0);
    struct play play = begin(NULL, MPROC_INTERRUPT_DRAIN);
    struct scene *scene = play.scene;
    strncpy(scene->terminal, ptsname(master), sizeof scene->terminal - 1);
    assert_int_equal(mproc_process_start(&play.host, host_maps, scene, NULL), 0);
    assert_true(wait_until(workers_have_begun, scene, LONG_TIME));
    assert_int_equal(write(master, "\003", 1), 1);
    assert_true(wait_until(is_drained, scene, LONG_TIME));
    atomic_store(&scene->gate.open, true);
    assert_true(wait_until(has_result, scene, LONG_TIME));
    assert_int_equal(scene->result, MPROC_CANCELLED);
    assert_int_equal(scene->gate.begun, WORKERS);
    items_are_done(scene, WORKERS);
    end(&play, 0);
    close(master);
}

/* A program that is executed gets its SIGINT, and dies of it. */
static int execute(void *ctx, const void *in, void *out)
{
    int status = -1;
    (void)ctx;
    (void)in;
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", "kill -INT $$; exit 3", (char *)NULL);
        _exit(4);
    }
    waitpid(child, &status, 0);
    *(int *)out = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
    return 0;
}

static int host_executes(void *arg)
{
    struct scene *scene = arg;
    int out = -1;
    set_scene(scene);
    mproc_pool *pool = open_pool(scene, 1);
    mproc_pool_call(pool, execute, NULL, NULL, 0, &out, sizeof out, MPROC_FOREVER);
    atomic_store(&scene->result, out);
    mproc_pool_free(pool);
    return 0;
}

static void a_program_that_a_task_executes_does_not_ignore_it(void **state)
{
    (void)state;
    for (int kind = MPROC_INTERRUPT_DEFAULT; kind <= MPROC_INTERRUPT_TERMINATE; kind++) {
        struct play play = begin(host_executes, (enum mproc_interrupt)kind);
        assert_true(wait_until(has_result, play.scene, LONG_TIME));
        assert_int_equal(play.scene->result, -SIGINT);
        end(&play, 0);
    }
}

/* ---- signals to the whole process group ---- */

static void note_signal(int number)
{
    (void)number;
}

/* It has handlers, as a service has that finishes what it is at. */
static int host_leads_a_group(void *arg)
{
    setpgid(0, 0);
    signal(SIGTERM, note_signal);
    signal(SIGHUP, note_signal);
    return host_maps(arg);
}

static void signals_to_the_group_are_left_to_the_host(void **state)
{
    (void)state;
    for (int kind = MPROC_INTERRUPT_DRAIN; kind <= MPROC_INTERRUPT_TERMINATE; kind++) {
        struct play play = begin(host_leads_a_group, (enum mproc_interrupt)kind);
        assert_true(wait_until(workers_have_begun, play.scene, LONG_TIME));
        assert_int_equal(kill(-mproc_process_pid(play.host), SIGTERM), 0);
        assert_int_equal(kill(-mproc_process_pid(play.host), SIGHUP), 0);
        atomic_store(&play.scene->gate.open, true);
        assert_true(wait_until(has_result, play.scene, LONG_TIME));
        assert_int_equal(play.scene->result, 0);
        items_are_done(play.scene, ITEMS);
        end(&play, 0);
    }
}

/* The time of the first kills its worker by SIGTERM: the grace is longer than the test waits. */
static void the_pool_itself_ends_workers_all_the_same(void **state)
{
    mproc_pool *pool;
    struct gate *gate = make_gate();
    (void)state;
    assert_int_equal(mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1,
                                                                    .method = pool_method,
                                                                    .grace = MPROC_SEC(1000),
                                                                    .interrupt = MPROC_INTERRUPT_DRAIN}),
                     0);
    mproc_future *future = submit_at_gate(pool, gate);
    assert_true(wait_until(gate_has_begun, gate, LONG_TIME));
    assert_int_equal(mproc_future_cancel(future), 0);
    assert_int_equal(mproc_future_get(future, NULL, MPROC_MS(LONG_TIME)), MPROC_CANCELLED);
    mproc_future_free(future);
    mproc_pool_free(pool);
    mproc_free(gate);
}

static void without_a_wish_a_worker_can_be_ended_by_hand(void **state)
{
    mproc_pool *pool = make_pool(1);
    struct gate *gate = make_gate();
    pid_t pid;
    (void)state;
    mproc_future *future = submit_at_gate(pool, gate);
    assert_true(wait_until(gate_has_begun, gate, LONG_TIME));
    assert_int_equal(mproc_pool_workers(pool, &pid, 1), 1);
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(mproc_future_get(future, NULL, MPROC_MS(LONG_TIME)), MPROC_WORKER_DIED);
    mproc_future_free(future);
    mproc_pool_free(pool);
    mproc_free(gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(the_first_drains_a_map),
        unit(the_first_drains_futures),
        unit(the_first_drains_inputs),
        unit(the_first_drains_a_pool_that_is_joined),
        unit(the_first_drains_a_pool_that_calls_back),
        unit(the_first_drains_a_pool_of_threads),
        unit(a_map_in_portions_launches_no_more),
        unit(the_second_kills_what_runs),
        unit(the_first_kills_what_runs_where_that_is_wanted),
        unit(without_a_wish_the_first_ends_the_host),
        unit(every_pool_answers_once),
        unit(at_a_terminal_only_the_host_answers),
        unit(a_program_that_a_task_executes_does_not_ignore_it),
        unit(signals_to_the_group_are_left_to_the_host),
        unit(the_pool_itself_ends_workers_all_the_same),
        unit(without_a_wish_a_worker_can_be_ended_by_hand),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
