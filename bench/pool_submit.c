/* Microseconds from mproc_pool_submit() of a task that does next to nothing to its result, one at a time:
 * pool_submit [LOOPS [PAUSE]]. The pause before each, in microseconds, is outside the time; a long one finds the worker
 * asleep. Freeing the future is inside it. */
#include "check.h"
#include "measure.h"

#include <mproc/pool.h>
#include <mproc/process.h>

static int add_one(void *ctx, const void *in, void *out)
{
    (void)ctx;
    *(long *)out = *(const long *)in + 1;
    return 0;
}

static void submit_and_get(mproc_pool *pool, long number)
{
    mproc_future *future;
    long result = 0;

    check(mproc_pool_submit(pool, &future, add_one, NULL, &number, sizeof number, sizeof result), "mproc_pool_submit");
    check(mproc_future_get(future, &result, MPROC_FOREVER), "mproc_future_get");
    must(result == number + 1, "the result is wrong");
    mproc_future_free(future);
}

int main(int argc, char **argv)
{
    check(mproc_init(), "mproc_init");

    size_t loops = argument(argc, argv, 1, 100000);
    size_t pause = argument(argc, argv, 2, 0);
    mproc_pool *pool;
    double spent = 0;

    check(mproc_pool_create(&pool, NULL), "mproc_pool_create");
    for (size_t i = 0; i < 100; i++)
        submit_and_get(pool, 0);
    for (size_t i = 0; i < loops; i++) {
        sleep_us(pause);
        double begin = seconds_now();
        submit_and_get(pool, (long)i);
        spent += seconds_now() - begin;
    }
    report(spent * 1e6 / (double)loops);
    mproc_pool_free(pool);
    return 0;
}
