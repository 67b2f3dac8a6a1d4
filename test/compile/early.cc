/* A pool that is made, used and freed before every constructor without a number; for test_early.sh. */
#include <mproc.h>

static int answer;

static int add_one(void *, const void *in, void *out)
{
    *static_cast<int *>(out) = *static_cast<const int *>(in) + 1;
    return 0;
}

__attribute__((constructor(101))) static void use_early()
{
    mproc_pool *pool;
    mproc_pool_options options = {};
    int in = 4;
    options.workers = 1;
    if (mproc_pool_create(&pool, &options))
        return;
    mproc_pool_call(pool, add_one, nullptr, &in, sizeof in, &answer, sizeof answer, MPROC_SEC(60));
    mproc_pool_free(pool);
}

int main()
{
    return answer == 5 ? 0 : 1;
}
